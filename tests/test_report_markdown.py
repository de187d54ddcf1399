"""Tables as Markdown: rows that stay rows, marks, bold and code."""

from __future__ import annotations

import re
from pathlib import Path

from report_tables import COMMAND, NASTY, example_table
from run_factory import write_run

from mer_cli.report.build import build_report
from mer_cli.report.collect import collect_runs
from mer_cli.report.model import NUMBERS, Block, Cell, Column, Note, Row, Table
from mer_cli.report.render.markdown import render_markdown


def grids(page: str) -> list[list[str]]:
    return [block.splitlines() for block in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE)]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_a_page_says_every_part_of_a_table() -> None:
    columns = (
        Column("method", "Method", numeric=False),
        Column("last_accuracy", "Accuracy %", "last"),
        Column("best_test_f1", "F1", "best-test"),
        Column("runs", "Runs", numeric=False),
    )
    rows = (
        Row("method", (Cell("MMNet"), Cell("72.92", 72.92, best=True), Cell("x\n|y"), Cell(marks=("1", "a")))),
        Row("missing", (Cell("ca"), Cell("–"), Cell(), Cell("mer train", code=True, marks=("1",)))),
    )
    block = Block("casme2-5/249", rows, (Note("Every row."), Note("`runs/x`", "1"), Note("Other.", "a")))
    assert render_markdown([Table("6", "Methods", columns, (block,))]) == (
        "# Your runs beside the published numbers\n\n## Table 6: Methods\n\n### casme2-5/249\n\n"
        "| Method | ours, last epoch: accuracy % | ours, best-test: selected on the test subject: F1 | Runs |\n"
        "| --- | ---: | ---: | --- |\n"
        "| MMNet | **72.92** | x \\|y | (1, a) |\n"
        "| ca | – |  | `mer train` (1) |\n\n"
        "- Every row.\n- (1) `runs/x`\n- (a) Other.\n"
    )


def test_rows_have_as_many_cells_as_their_header_whatever_is_in_them() -> None:
    found = grids(render_markdown([example_table()]))
    assert [len(grid) for grid in found] == [6, 3]
    for grid, n_columns in zip(found, (6, 5), strict=True):
        assert {len(cells(line)) for line in grid} == {n_columns}
        assert all(re.fullmatch("-{3}:?", cell) for cell in cells(grid[1]))
    assert COMMAND in found[0][4]
    assert re.sub(r"\\([|<])", r"\1", cells(found[1][2])[0]) == " ".join(NASTY.split())


def test_every_column_of_best_test_says_what_was_selected(tmp_path: Path) -> None:
    write_run(tmp_path)
    page = render_markdown(build_report([*map(str, NUMBERS)], collect_runs(tmp_path).runs, []).tables)
    headers = [cells(grid[0]) for grid in grids(page)]
    assert headers
    for header in headers:
        stamped = [heading for heading in header if "best-test" in heading]
        assert len(stamped) == 2
        assert all("selected on the test subject" in heading for heading in stamped)


def test_a_column_that_says_nothing_in_a_block_is_left_out_there() -> None:
    columns = (Column("method", "Method", numeric=False), Column("published_f1", "F1", "published"))
    blocks = (
        Block("real", (Row("method", (Cell("MMNet"), Cell(".8676"))),)),
        Block("generated", (Row("method", (Cell("MMNet"), Cell())),), generated=True),
    )
    found = grids(render_markdown([Table("6", "Methods", columns, blocks)]))
    assert [cells(grid[0]) for grid in found] == [["Method", "published: F1"], ["Method"]]
    assert [cells(grid[2]) for grid in found] == [["MMNet", ".8676"], ["MMNet"]]


def test_a_column_for_programs_is_in_no_row_that_people_read(tmp_path: Path) -> None:
    tables = build_report(["6"], [], []).tables
    assert "published_epoch_rule" in [column.key for column in tables[0].columns]
    header = cells(grids(render_markdown(tables))[0][0])
    assert "published: accuracy %" in header
    assert not any("poch rule" in heading for heading in header)
