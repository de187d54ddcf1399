"""Tables as CSV and JSON, read back by pandas and json: the numbers of the model, and nothing lost."""

from __future__ import annotations

import io
import json
from dataclasses import asdict

import pandas as pd
import pytest
from report_tables import NASTY, example_table
from run_factory import write_run

from mer_cli.report.build import EVERY_TABLE, build_report
from mer_cli.report.collect import collect_runs
from mer_cli.report.model import Table
from mer_cli.report.paper import paper_notes, paper_table
from mer_cli.report.render.data import render_csv, render_json


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> tuple[Table, ...]:
    root = tmp_path_factory.mktemp("runs")
    for seed in (1, 2):
        write_run(root, seed=seed)
    write_run(root, seed=3, finished=1)
    write_run(root, variant="ca", pc=False, generated=True)
    return build_report(EVERY_TABLE, collect_runs(root).runs, []).tables


def read(text: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text), dtype={"table": str, "seeds": str}, keep_default_na=True)


def test_csv_has_a_line_for_each_row_of_every_table(tables: tuple[Table, ...]) -> None:
    frame = read(render_csv(tables))
    expected = [
        (table.id, ", ".join(filter(None, (block.heading, block.origin))), block.generated, row.kind)
        for table in tables
        for block in table.blocks
        for row in block.rows
    ]
    assert [tuple(line) for line in frame[["table", "block", "generated", "kind"]].itertuples(index=False)] == expected
    assert list(frame.columns[:5]) == ["table", "block", "generated", "kind", "method"]


def test_csv_numbers_are_the_values_with_deviation_and_interval_beside_them(tables: tuple[Table, ...]) -> None:
    frame = read(render_csv(tables))
    line = frame[(frame.table == "6") & (frame.seeds == "1, 2")].iloc[0]
    table = next(table for table in tables if table.id == "6")
    place = {column.key: number for number, column in enumerate(table.columns)}
    row = next(row for block in table.blocks for row in block.rows if row.cells[place["seeds"]].text == "1, 2")
    cell = row.cells[place["last_uf1"]]
    assert [line[name] for name in ("last_uf1", "last_uf1_sd", "last_uf1_low", "last_uf1_high")] == [
        cell.value,
        cell.sd,
        cell.low,
        cell.high,
    ]
    leaky = row.cells[place["best_test_accuracy"]]
    assert line["best_test_accuracy_selected_on_test"] == leaky.value
    assert line["best_test_accuracy_sd_selected_on_test"] == leaky.sd
    assert "best_test_accuracy_low_selected_on_test" not in frame.columns
    numeric = [name for name in frame.columns if name.startswith(("last_", "best_test_", "published_accuracy"))]
    assert all(pd.api.types.is_float_dtype(frame[name]) for name in numeric)


def test_csv_tells_the_runs_and_the_command_that_fills_a_row(tables: tuple[Table, ...]) -> None:
    frame = read(render_csv(tables))
    of_six = frame[frame.table == "6"]
    finished, half = of_six[of_six.seeds == "1, 2"].iloc[0], of_six[of_six.kind == "incomplete"].iloc[0]
    assert finished["runs"].startswith("casme2-mmnet3-mmnet-released-s1-")
    assert "`" not in "".join(frame["runs"].dropna())
    assert half["runs"].startswith("mer train data/casme2.h5 --loso --scheme mmnet3")
    assert pd.isna(half["last_accuracy"])


def test_csv_has_published_numbers_as_they_are_printed_with_their_rule_and_what_has_to_be_known() -> None:
    text = render_csv(build_report(["3", "6"], [], []).tables)
    frame = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    printed = paper_table(6).blocks[1].rows
    of_block = frame[(frame.table == "6") & frame.block.str.startswith("casme2-5/249")]
    for line, row in zip(of_block.itertuples(), printed, strict=True):
        assert line.method.startswith(row.method)
        assert (line.published_accuracy, line.published_f1) == (row.accuracy, row.f1)
        assert line.published_epoch_rule == row.epoch_rule
        assert all(paper_notes()[key].replace("`", "") in line.notes for key in row.notes)
    assert list(of_block.published_epoch_rule)[-1] == "best-test, selected on the test subject"
    ca = frame[(frame.table == "3") & (frame.method == "CA block")].iloc[0]
    assert (ca.published_accuracy, ca.published_f1) == ("83.13", ".7891")


def test_csv_notes_are_those_of_the_row_and_of_its_block(tables: tuple[Table, ...]) -> None:
    frame = read(render_csv(tables))
    compared = frame[(frame.table == "6") & (frame.seeds == "1, 2")].iloc[0]
    few, lost = compared["notes"].split("times in 100. ")
    assert few.startswith("Only 4 subjects: a 95 % interval over fewer than 15 is rough")
    assert lost.startswith("In up to ")
    assert lost.endswith(
        " % of the draws a class has no clip and counts 0. No ceiling: the casme2 store with the action units (content "
        "hash 000000000000) is not where the run was trained from."
    )
    assert list(frame.columns)[-1] == "notes"


def test_csv_keeps_any_characters_but_shows_those_that_have_no_width() -> None:
    frame = read(render_csv([example_table()]))
    assert NASTY.replace("\u200b", "\\u200b") in list(frame["method"])


def test_json_is_the_model_as_it_is(tables: tuple[Table, ...]) -> None:
    held = json.loads(render_json(tables))
    assert held["schema"] == 2
    assert held["groups"]["best-test"] == "ours, best-test: selected on the test subject"
    as_it_is = json.loads(json.dumps([asdict(table) for table in tables]))
    assert held["tables"] == [{"fold": table.pop("collapsed"), **table} for table in as_it_is]


@pytest.mark.parametrize("render", [render_csv, render_json])
def test_the_same_tables_give_the_same_bytes(render, tables: tuple[Table, ...]) -> None:
    assert render(tables) == render(tables)
    assert render(tables).endswith("\n")
    assert "\r" not in render(tables)
