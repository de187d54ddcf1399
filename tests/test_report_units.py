"""Runs that predict action units in a report: a table of their own, and no other."""

import json

import pytest
from run_factory import write_run
from unit_runs import NAMES, drawn_labels, write_unit_run

from mer_cli.datasets.units import CD6ME
from mer_cli.evaluation.epoch_rules import evaluate
from mer_cli.report.build import build_report, table_ids
from mer_cli.report.collect import collect_runs
from mer_cli.report.model import EVERY_TABLE
from mer_cli.report.render import render
from mer_cli.report.run_list import list_runs
from mer_cli.report.unit_table import CD6ME_DATASETS
from mer_cli.runs.directory import read_run


def report(root, table="all"):
    return build_report(table_ids(table), collect_runs(root).runs, [])


def rows_of(table):
    keys = [column.key for column in table.columns]
    return [(row.kind, dict(zip(keys, row.cells, strict=True))) for block in table.blocks for row in block.rows]


def test_runs_of_units_stand_in_their_table_alone(tmp_path):
    units, classes = write_unit_run(tmp_path), write_run(tmp_path)
    built = report(tmp_path)
    tables = {table.id: table for table in built.tables}
    assert [run.path for run in built.runs] == [classes]
    holding = [id for id, table in tables.items() if units.name in repr(table)]
    assert holding == ["units"]
    assert classes.name not in repr(tables["units"])
    rows = rows_of(tables["units"])
    assert [kind for kind, _ in rows] == ["method", "chance", "chance", "chance"]
    scores = evaluate(read_run(units), "last")
    cells = rows[0][1]
    assert cells["last_uf1"].value == pytest.approx(scores.uf1, abs=1e-6)
    assert cells["last_uf1"].best
    assert not cells["last_accuracy"].best
    each = [row.f1 for row in scores.targets.per_class(scores.confusion)]
    assert [cells[f"f1_{name}"].value for name in NAMES[:3]] == pytest.approx(each[:3])
    assert (cells["f1_AU17"].text, cells["f1_AU17"].value) == ("–", None)
    notes = [note.text for note in tables["units"].blocks[0].notes]
    assert "No clip shows AU17: left out of the means." in notes


def test_without_such_runs_a_report_is_as_it_was(tmp_path):
    write_run(tmp_path)
    assert "units" not in [table.id for table in report(tmp_path).tables]
    (alone,) = report(tmp_path, "units").tables
    assert (alone.blocks, alone.absent) == ((), "no run of yours predicts action units")
    assert EVERY_TABLE[-1] == "units"


def test_another_table_says_where_they_are(tmp_path):
    write_unit_run(tmp_path)
    assert report(tmp_path, "3").notes == ("1 run is in another table: the same command with --table units",)
    assert report(tmp_path, "units").notes == ()


def test_seeds_share_a_row_and_controls_and_unfinished_runs_do_not_compete(tmp_path):
    labels = drawn_labels()
    for seed in (1, 2):
        write_unit_run(tmp_path, labels, seed=seed, skill=0.5)
    write_unit_run(tmp_path, labels, skill=9.0, shuffle_labels=True)
    write_unit_run(tmp_path, labels, model="dual-inception", finished=2)
    (table,) = report(tmp_path, "units").tables
    assert len(table.blocks) == 1
    rows = {cells["seeds"].text + kind: cells for kind, cells in rows_of(table)}
    assert " ± " in rows["1, 2method"]["last_uf1"].text
    assert rows["1, 2method"]["last_uf1"].best
    assert rows["1control"]["remarks"].text == "permuted labels"
    assert not rows["1control"]["last_uf1"].best
    assert rows["1incomplete"]["last_uf1"].text == "–"
    assert rows["1incomplete"]["remarks"].text == "2 of 5 folds"


def test_guessers_stand_beside_a_score_whichever_seed_is_finished(tmp_path):
    labels = drawn_labels()
    write_unit_run(tmp_path, labels, seed=1, finished=2)
    write_unit_run(tmp_path, labels, seed=2)
    (table,) = report(tmp_path, "units").tables
    assert [kind for kind, _ in rows_of(table)].count("chance") == 3


def test_a_run_that_learnt_from_more_than_the_dataset_is_never_the_best(tmp_path):
    labels = drawn_labels()
    write_unit_run(tmp_path, labels, skill=0.5)
    write_unit_run(tmp_path, labels, skill=9.0, init="0" * 64)
    (table,) = report(tmp_path, "units").tables
    best = [cells["last_uf1"].best for kind, cells in rows_of(table) if kind == "method"]
    assert best == [False, True]  # the better score comes first


def test_the_published_numbers_stand_beside_the_six_datasets_only(tmp_path):
    names = tuple(f"AU{number}" for number in CD6ME)
    scheme = {"scheme": "units", "class_names": names, "by_dataset": True}
    write_unit_run(tmp_path / "six", drawn_labels(sorted(CD6ME_DATASETS), 2), **scheme)
    write_unit_run(tmp_path / "two", drawn_labels(("casme2", "samm"), 2), **scheme)
    six, two = (repr(report(tmp_path / name, "units").tables[0].blocks) for name in ("six", "two"))
    assert "SSSNet .405" in six
    assert "not comparable" not in six
    assert "SSSNet" not in two
    assert "is not comparable with these rows" in two
    assert "No clip of CASME II shows AU5, AU6, AU7, AU9" in two


def test_every_format_prints_the_table(tmp_path):
    write_unit_run(tmp_path)
    built = report(tmp_path)
    for name in ("markdown", "latex", "html", "csv", "json"):
        assert "Mean F1" in render(name, built.tables, built.runs, False) or name == "csv"
    held = json.loads(render("json", built.tables, built.runs, False))
    assert held["tables"][-1]["id"] == "units"


def test_the_list_of_runs_says_what_its_scores_are_of(tmp_path):
    write_unit_run(tmp_path)
    (row,) = list_runs([tmp_path])
    assert row.marks[0] == "scores are means over action units"
