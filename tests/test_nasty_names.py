"""Names that command a terminal, a browser, TeX, a spreadsheet or Rich, from a store to every output; endless names."""

import csv
import io
import json
import re
from pathlib import Path

import pytest
from tiny_store import make_clip, write_store
from typer.testing import CliRunner

from mer_cli.cli.main import app
from mer_cli.records import FailedClip
from mer_cli.store.audit import Audit

SUBJECTS = (
    "=cmd|' C calc'!A0",
    "p\x1b[31mred",
    "[red]a[bold",
    "q\u202eevil\u2028x",
    "<img src=x onerror=alert(1)>",
    "\\input{secret}$x$",
)
LABELS = (
    "=1+1",
    "</td><script>alert(1)</script>",
    "a|b`c`<script>\x9b31m",
    "$\\frac{$ [/red] :smile: [x](javascript:a)",
)
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
OPENS_HTML = re.compile(r"(?<!\\)<(?=script|img|/td)")


def mer(*arguments):
    found = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert found.exit_code == 0, (found.output, found.exception)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A store with such names, and a run on it of predictions that were made elsewhere."""
    root = tmp_path_factory.mktemp("nasty")
    emotions = {
        f"lab/{subject}/{name}": LABELS[(place + which) % len(LABELS)]
        for place, subject in enumerate(SUBJECTS)
        for which, name in enumerate(("a", "+b", "c\x07"))
    }
    failed = [{"clip_id": "lab/x\x1b]0;t\x07/d", "emotion": "=1+1", "reason": "row 2: \u202e [red] \x1b[2J"}]
    write_store(root / "lab.h5", emotions, failed=failed, errata=["\x1b[1m [red] <b>"], table="=t\x1b.csv")
    mer("folds", root / "lab.h5", "--csv", root / "folds.csv")
    rows = list(csv.DictReader(io.StringIO((root / "folds.csv").read_text(encoding="utf-8"))))
    with (root / "preds.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["clip_id", "predicted"])
        named = {row["class"] for row in rows if row["class"]}
        tested = dict.fromkeys(row["clip_id"] for row in rows if row["part"] == "held out")
        writer.writerows((clip_id, sorted(named)[place % len(named)]) for place, clip_id in enumerate(tested))
    found = mer(
        *("import-predictions", root / "preds.csv", root / "lab.h5", "--out", root / "runs"),
        *("--name", "net <script>[red]`$x$", "--epoch-rule", "fixed [red] <script>|`$"),
    )
    assert_seen(found.output)
    return root


def assert_seen(text):
    assert not UNSEEN.findall(text)


@pytest.mark.parametrize("command", ["info", "folds", "evaluate", "runs", "list", "json"])
def test_no_name_reaches_the_terminal_raw_or_as_markup(folder, command):
    run = next((folder / "runs").iterdir())
    arguments = {
        "info": ("info", folder / "lab.h5"),
        "folds": ("folds", folder / "lab.h5"),
        "evaluate": ("evaluate", run),
        "runs": ("runs", folder / "runs"),
        "list": ("runs", "list", folder / "runs"),
        "json": ("runs", "list", folder / "runs", "--json"),
    }[command]
    output = mer(*arguments).output
    assert_seen(output)
    if command in ("info", "evaluate"):
        assert "[/red] :smile:" in output
    if command == "folds":
        assert "lab-p\\x1b[31mred" in output
        assert "lab-[red]a[bold" in output


def report(folder, format, *more):
    path = folder / f"report.{format}"
    mer("report", folder / "runs", "--format", format, "--out", path, *more)
    text = path.read_text(encoding="utf-8")
    assert_seen(text)
    return text


def test_a_markdown_report_begins_no_html_and_no_link(folder):
    text = report(folder, "markdown")
    outside_code = re.sub(r"(?<![`\\])(`+)(?!`).*?(?<!`)\1(?!`)", "", text)
    assert not OPENS_HTML.findall(outside_code)
    assert "](javascript" not in outside_code.replace("\\](", "")


def test_an_html_report_has_no_element_from_a_name(folder):
    text = report(folder, "html")
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert "&lt;script&gt;" in text


def test_a_latex_report_has_no_command_from_a_name(folder):
    text = report(folder, "latex")
    assert "\\frac" not in text
    assert "$x$" not in text.replace("\\$x\\$", "")
    assert text.isascii()


def test_a_csv_report_and_the_exports_have_no_formula(folder):
    run = next((folder / "runs").iterdir())
    mer("evaluate", run, "--export", folder / "export.csv", "--export-megc", folder / "megc.csv")
    exports = {name: (folder / name).read_text(encoding="utf-8") for name in ("export.csv", "megc.csv", "folds.csv")}
    for text in (report(folder, "csv"), *exports.values()):
        assert_seen(text)
        cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
        assert not [cell for cell in cells if cell.startswith(("=", "@", "+", "\t", "\r"))]
    assert "'=cmd|' C calc'!A0" in exports["export.csv"]
    assert "'+b" in exports["export.csv"]


def test_numbers_of_a_csv_stay_numbers(tmp_path):
    from mer_cli.report.exports import write_csv

    write_csv(tmp_path / "a.csv", [("-1.5", "+.25", "-1e-05", "-x", "- 1", "7")], "--csv")
    assert (tmp_path / "a.csv").read_text() == "-1.5,+.25,-1e-05,'-x,'- 1,7\n"


def test_a_json_report_holds_the_names_themselves(folder):
    text = report(folder, "json")
    assert "net <script>[red]`$x$" in json.dumps(json.loads(text), ensure_ascii=False)


def test_an_audit_shows_such_names_as_text(tmp_path):
    attributes = {
        **dict.fromkeys(("table", "table_version", "table_sha256", "source"), "=x\x1b"),
        "dataset": "lab",
        "generated": False,
        "crop": {"align": "box"},
        "errata": ["\u202e<script>"],
    }
    audit = Audit(tmp_path, attributes)
    for place, subject in enumerate(SUBJECTS):
        audit.add(make_clip(f"lab/{subject}/c\x07", LABELS[place % len(LABELS)]))
    audit.add_failed(FailedClip("lab/x\x1b/d", "=1+1", "-row 2: \u202e<script>\x00 " + "y" * 10_000), None)
    audit.finish()
    pages = {
        path.name: path.read_text(encoding="utf-8")
        for path in tmp_path.iterdir()
        if path.suffix != ".png" and path.is_file()
    }
    for text in pages.values():
        assert_seen(text.replace("\r\n", "\n"))
    assert not [
        name for name, text in pages.items() if name.endswith(".html") and re.search("<script>|<img src=x", text)
    ]
    cells = [cell for row in csv.reader(io.StringIO(pages["audit.csv"])) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "-", "+", "@"))]
    assert (tmp_path / "contact_sheet.png").stat().st_size > 0


LONG = "n" * 10_000


@pytest.mark.parametrize(
    "arguments",
    [
        ("info", f"{LONG}.h5"),
        ("preprocess", "casme2", LONG),
        ("preprocess", LONG, "raw"),
        ("preprocess", "table", ".", "--table", f"{LONG}.csv"),
        ("preprocess", "table", ".", "--table", f"{'n' * 300}.csv"),
        ("evaluate", LONG),
        ("report", LONG),
        ("runs", LONG),
        ("runs", "rm", "--yes", LONG),
        ("folds", f"{LONG}.h5"),
        ("folds", f"{LONG}.h5", "--scheme", f"{LONG}.toml"),
        ("folds", "lab.h5", "--scheme", f"{LONG}.toml"),
        ("folds", "lab.h5", "--scheme", LONG),
        ("folds", "lab.h5", "--csv", f"{LONG}.csv"),
        ("report", "runs", "--out", f"{LONG}.md"),
        ("report", "runs", "--out", f"{LONG}/a.md"),
        ("import-predictions", f"{LONG}.csv", "lab.h5", "--name", "x", "--epoch-rule", "y"),
        ("import-predictions", "preds.csv", "lab.h5", "--name", LONG, "--epoch-rule", "y"),
        ("import-predictions", "preds.csv", "lab.h5", "--name", "x", "--epoch-rule", "y", "--out", LONG),
        ("synth", LONG, "x"),
    ],
)
def test_an_endless_name_is_one_clear_error(folder, monkeypatch, arguments):
    monkeypatch.chdir(folder)
    found = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert isinstance(found.exception, SystemExit | type(None)), found.exception
    assert "Traceback" not in found.output
    assert found.exit_code in (0, 1, 2)
    if found.exit_code == 1:
        (line,) = [line for line in found.output.splitlines() if line.startswith("error: ")]
        assert line.endswith(".")
    assert not list(Path().glob("n" * 100 + "*"))
