"""Which tables a report has, what has no place in them, and the command that writes them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from run_factory import write_run
from tiny_store import write_store
from typer.testing import CliRunner

from mer_cli.cli.main import app
from mer_cli.errors import ConfigError
from mer_cli.report.build import EVERY_TABLE, build_report, read_stores, table_ids
from mer_cli.report.collect import collect_runs
from mer_cli.report.paper import paper_table


def mer(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_table_ids_are_one_or_all() -> None:
    assert table_ids("4") == ("4",)
    assert table_ids("methods") == ("methods",)
    assert table_ids("all") == ("summary", "1", "2", "3", "4", "5", "6", "7", "methods", "units")


@pytest.mark.parametrize("wanted", ["8", "0", "three", "03", ""])
def test_table_ids_refuses_what_is_not_a_table(wanted: str) -> None:
    known = "summary, 1, 2, 3, 4, 5, 6, 7, methods, units, or all"
    message = f"--table: a report has no table '{wanted}'. Expected one of {known}."
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        table_ids(wanted)


FORMATS = ("markdown", "latex", "html", "csv", "json")
NUMBERED = ("1", "2", "3", "4", "5", "6", "7")


def published_cells(text: str) -> set[str]:
    """The accuracies and F1 that the paper's tables have and the text shows."""
    rows = [row for number in NUMBERED[2:] for block in paper_table(int(number)).blocks for row in block.rows]
    return {printed for row in rows for printed in (row.accuracy, row.f1) if printed and printed in text}


@pytest.mark.parametrize("format", FORMATS)
def test_an_empty_folder_has_every_published_number_and_says_what_to_type(format: str) -> None:
    result = mer("report", "--format", format)
    assert (result.exit_code, result.stderr) == (0, "")
    rows = [row for number in NUMBERED[2:] for block in paper_table(int(number)).blocks for row in block.rows]
    assert published_cells(result.stdout) == {printed for row in rows for printed in (row.accuracy, row.f1)} - {""}
    said = re.sub(r"\\allowbreak\{\}|<[^>]*>|-(?={})|{}|`", "", result.stdout)
    assert said.index("There are no runs here yet.") < said.index("Clips of each class")
    assert "mer demo" in said
    assert mer("report", "--format", format).stdout == result.stdout


@pytest.mark.parametrize("format", FORMATS)
def test_a_table_that_is_named_is_printed_in_full_whatever_ran(format: str) -> None:
    write_run(Path("runs"), "megc3", datasets=("smic",))
    for number in NUMBERED:
        alone = mer("report", "--format", format, "--table", number)
        assert alone.exit_code == 0
        assert "<details>" not in alone.stdout
        if number in NUMBERED[2:]:
            assert paper_table(int(number)).blocks[0].rows[-1].accuracy in alone.stdout


@pytest.mark.parametrize("format", ["markdown", "latex"])
def test_a_table_without_a_run_of_ones_own_is_one_line_where_people_read(format: str) -> None:
    write_run(Path("runs"), "megc3", datasets=("smic",))
    text = mer("report", "--format", format).stdout
    assert published_cells(text) == set()
    (line,) = [line for line in text.splitlines() if "Table 3: " in line]
    assert "nothing here was trained for it; " in line
    assert line.endswith(("prints the published numbers.", "prints the published numbers.\\par"))
    assert re.search("mer report -({})?-table 3", line)


@pytest.mark.parametrize("format", ["csv", "json"])
def test_programs_get_every_row_of_a_table_that_is_folded_for_people(format: str) -> None:
    empty = published_cells(mer("report", "--format", format).stdout)
    write_run(Path("runs"), "megc3", datasets=("smic",))
    assert published_cells(mer("report", "--format", format).stdout) == empty != set()


@pytest.mark.parametrize("format", FORMATS)
def test_the_summary_leads_with_a_line_for_each_configuration(format: str) -> None:
    for seed in (1, 2):
        write_run(Path("runs"), seed=seed, generated=True)
    write_run(Path("runs"), shuffle_labels=True)
    write_run(Path("runs"), weight_decay=0.7, finished=3)
    text = mer("report", "--format", format).stdout
    lead = (
        text[: text.index("Table 3:" if format in ("markdown", "latex", "html") else "MMNet without its CA block")]
        if (format != "csv")
        else "\n".join(line for line in text.splitlines() if line.startswith("summary,"))
    )
    for wanted in ("released recipe, epochs 6", "permuted labels", "3 of 4 folds", "1, 2", "enerated"):
        assert wanted in lead
    assert lead.index("3 of 4 folds") < lead.index("1, 2")


@pytest.mark.parametrize("format", FORMATS)
def test_every_run_has_a_place(format: str) -> None:
    runs = Path("runs")
    strays = [
        write_run(runs, "megc3", datasets=("smic",)),
        write_run(runs, "megc3", datasets=("smic",), n_layers=3, pc=False),
        write_run(runs, "megc3", datasets=("casme2", "samm")),
        write_run(runs, "megc3", datasets=("casme2",), trained_on=("samm",)),
    ]
    home = write_run(runs)
    whole, methods = (mer("report", "--format", format, "--table", table) for table in ("all", "methods"))
    assert (whole.exit_code, whole.stderr, methods.exit_code, methods.stderr) == (0, "", 0, "")
    plain = re.sub(r"\\allowbreak\{\}|\\_", "", methods.stdout)
    for path in (*strays, home) if format not in ("csv", "json") else ():
        assert path.name in plain
    for text in (whole.stdout, methods.stdout):
        for wanted in ("samm-to-casme2-megc3/12-to-12", "casme2+samm-megc3/24", "smic-megc3/12", "casme2-mmnet3/12"):
            assert wanted in re.sub(r"-\{\}", "-", text)


def test_the_table_of_all_methods_has_the_protocols_that_the_paper_lacks_and_alone_every_one() -> None:
    write_run(Path("runs"))
    write_run(Path("runs"), "megc3", datasets=("smic",))
    write_run(Path("runs"), "megc3", datasets=("casme2", "samm", "smic"))
    runs = collect_runs(Path("runs")).runs
    whole, alone = (build_report(ids, runs, []).tables[-1] for ids in (EVERY_TABLE, ["methods"]))
    assert whole.id == alone.id == "methods"
    assert not any(column.group == "published" for column in alone.columns)
    assert [block.heading.partition(", leave")[0] for block in whole.blocks] == [
        "megc2019-cde/36, scored on SMIC alone",
        "smic-megc3/12",
    ]
    assert [block.heading.partition(", leave")[0] for block in alone.blocks] == [
        "casme2-mmnet3/12",
        "megc2019-cde/36, scored on CASME II alone",
        "megc2019-cde/36, scored on SAMM alone",
        "megc2019-cde/36, scored on SMIC alone",
        "megc2019-cde/36",
        "smic-megc3/12",
    ]


def test_an_ablated_network_is_compared_with_mmnet_in_the_table_of_all_methods() -> None:
    write_run(Path("runs"), "megc3", datasets=("smic",))
    write_run(Path("runs"), "megc3", datasets=("smic",), n_layers=3, n_heads=2, pc=False)
    write_run(Path("runs"), "megc3", datasets=("smic",), pc=False)
    (table,) = build_report(["methods"], collect_runs(Path("runs")).runs, []).tables
    place = {column.key: place for place, column in enumerate(table.columns)}
    names = {row.cells[0].text: row.cells[place["last_p"]].text for row in table.blocks[0].rows if row.kind == "method"}
    assert set(names) == {
        "MMNet, released recipe, epochs 6",
        "MMNet, ca, released recipe, epochs 6",
        "MMNet, pc False, n layers 3, n heads 2, released recipe, epochs 6",
    }
    assert [name for name, p_value in names.items() if not p_value] == ["MMNet, released recipe, epochs 6"]


def test_tables_stand_in_the_order_asked_for() -> None:
    assert [table.id for table in build_report(["6", "3"], [], []).tables] == ["6", "3"]


def test_a_report_renders_from_partial_runs() -> None:
    write_run(Path("runs"), finished=0)
    write_run(Path("runs"), finished=2, variant="ca", pc=False)
    tables = build_report(EVERY_TABLE, collect_runs(Path("runs")).runs, []).tables
    kinds = {row.kind for table in tables for block in table.blocks for row in block.rows}
    assert "incomplete" in kinds


def test_a_store_of_data_is_counted_in_table_1() -> None:
    assert read_stores(EVERY_TABLE) == []
    published = mer("report", "--table", "1").stdout
    Path("data").mkdir()
    write_store(Path("data/casme2.h5"))
    assert [info.path.name for info in read_stores(EVERY_TABLE)] == ["casme2.h5"]
    assert read_stores(["3", "6"]) == []
    counted = mer("report", "--table", "1")
    assert counted.exit_code == 0, counted.stderr
    assert counted.stdout != published


def test_a_store_that_cannot_be_read_is_an_error() -> None:
    Path("data").mkdir()
    Path("data/casme2.h5").write_bytes(b"no HDF5")
    result = mer("report")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: data/casme2.h5: ")
    assert mer("report", "--table", "6").exit_code == 0


def test_runs_of_other_tables_are_noted_in_one_sentence_with_the_tables_that_have_them() -> None:
    write_run(Path("runs"), variant="ca", pc=False)
    result = mer("report", "--table", "4")
    assert result.exit_code == 0
    assert result.stderr == "note: 1 run is in another table: the same command with --table 3\n"
    write_run(Path("runs"), variant="ca", pc=False, seed=2)
    write_run(Path("runs"), "megc3", datasets=("samm",))
    write_run(Path("runs"), "megc3", datasets=("casme2", "samm"))
    notes = mer("report", "--table", "4").stderr.splitlines()
    assert notes == ["note: 4 runs are in other tables: the same command with --table 3, --table 7, --table methods"]


@pytest.mark.parametrize("format", ["markdown", "latex", "csv", "json"])
def test_images_are_refused_where_the_format_holds_none(format: str) -> None:
    result = mer("report", "--format", format, "--with-images")
    assert result.exit_code == 1
    assert result.stderr == (
        f"error: --with-images: --format {format} can't hold images. Add --format html, or leave --with-images out.\n"
    )


def test_the_html_page_has_the_runs_of_its_tables_only() -> None:
    write_run(Path("runs"), seed=1)
    elsewhere = write_run(Path("runs"), "megc3", datasets=("casme2", "samm"), seed=2)
    page = mer("report", "--table", "6", "--format", "html", "--out", "page.html")
    assert page.exit_code == 0, page.stderr
    text = Path("page.html").read_text(encoding="utf-8")
    assert "casme2-mmnet3/12" in text
    assert elsewhere.name not in text
    assert "casme2+samm-megc3/24" not in text
