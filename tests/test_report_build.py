"""Which tables a report has, what has no place in them, and the command that writes them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from run_factory import write_run
from tiny_store import write_store
from typer.testing import CliRunner

from mer_cli.cli import app
from mer_cli.errors import ConfigError
from mer_cli.report.build import build_tables, left_out, read_stores, table_numbers
from mer_cli.report.collect import collect_runs

ALL = (1, 2, 3, 4, 5, 6, 7)


def mer(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_table_numbers_are_one_or_all() -> None:
    assert table_numbers("4") == (4,)
    assert table_numbers("all") == ALL


@pytest.mark.parametrize("wanted", ["8", "0", "three", "03", ""])
def test_table_numbers_refuses_what_is_no_table(wanted: str) -> None:
    message = (
        f"--table: '{wanted}' is no table of the paper that is repeated here — expected 1, 2, 3, 4, 5, 6, 7 or all. "
        "Choose one."
    )
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        table_numbers(wanted)


@pytest.mark.parametrize("format", ["markdown", "latex", "html", "csv", "json"])
def test_every_table_renders_without_runs_and_without_data(format: str) -> None:
    result = mer("report", "--format", format)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "88.35" in result.stdout
    assert mer("report", "--format", format).stdout == result.stdout
    for number in ALL:
        alone = mer("report", "--format", format, "--table", number)
        assert alone.exit_code == 0
        assert 0 < len(alone.stdout) < len(result.stdout)


def test_build_tables_gives_them_in_the_order_asked_for() -> None:
    assert [table.number for table in build_tables((6, 3), [], [])] == [6, 3]


def test_build_tables_renders_from_partial_runs() -> None:
    write_run(Path("runs"), finished=0)
    write_run(Path("runs"), finished=2, variant="ca", pc=False)
    tables = build_tables(ALL, collect_runs(Path("runs")).runs, [])
    kinds = {row.kind for table in tables for block in table.blocks for row in block.rows}
    assert "incomplete" in kinds


def test_a_store_of_data_is_counted_in_table_1() -> None:
    assert read_stores(ALL) == []
    published = mer("report", "--table", "1").stdout
    Path("data").mkdir()
    write_store(Path("data/casme2.h5"))
    assert [info.path.name for info in read_stores(ALL)] == ["casme2.h5"]
    assert read_stores((3, 6)) == []
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


def test_a_run_that_no_table_has_a_place_for_is_noted() -> None:
    path = write_run(Path("runs"), "megc3", datasets=("casme2", "samm"))
    assert left_out(ALL, collect_runs(Path("runs")).runs) == [
        f"{path}: casme2+samm-megc3/24, mmnet has no place in any table — expected leave one subject out, a dataset of "
        f"a table or MEGC 2019's composite set, and a method of it. Score it: mer evaluate {path}"
    ]


def test_runs_of_other_tables_are_noted_in_one_sentence_with_the_tables_that_have_them() -> None:
    write_run(Path("runs"), variant="ca", pc=False)
    result = mer("report", "--table", "4")
    assert result.exit_code == 0
    assert result.stderr == "note: 1 run is in another table: mer report --table 3\n"
    write_run(Path("runs"), variant="ca", pc=False, seed=2)
    write_run(Path("runs"), "megc3", datasets=("samm",))
    stray = write_run(Path("runs"), "megc3", datasets=("casme2", "samm"))
    notes = mer("report", "--table", "4").stderr.splitlines()
    assert notes[0].startswith(f"note: {stray}: casme2+samm-megc3/24, mmnet has no place in any table")
    assert notes[1:] == ["note: 3 runs are in other tables: mer report --table 3, mer report --table 7"]


@pytest.mark.parametrize("format", ["markdown", "latex", "csv", "json"])
def test_images_are_refused_where_the_format_holds_none(format: str) -> None:
    result = mer("report", "--format", format, "--with-images")
    assert result.exit_code == 1
    assert result.stderr == (
        f"error: --with-images: --format {format} holds no pictures — expected --format html with it. "
        "Add --format html, or leave it out.\n"
    )


def test_the_html_page_has_the_runs_of_its_tables_only() -> None:
    write_run(Path("runs"), seed=1)
    elsewhere = write_run(Path("runs"), "megc3", datasets=("casme2", "samm"), seed=2)
    page = mer("report", "--format", "html", "--out", "page.html")
    assert page.exit_code == 0, page.stderr
    text = Path("page.html").read_text()
    assert "casme2-mmnet3/12" in text
    assert elsewhere.name not in text
    assert "casme2+samm-megc3/24" not in text
