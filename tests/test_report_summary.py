"""The summary that a report leads with: a row for each configuration, the best first, with what guessers reach."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from run_factory import write_run
from sklearn.metrics import balanced_accuracy_score
from test_report_method_tables import truth_and_last, uf1
from test_report_other_networks import SHORT, write

from mer_cli.evaluation.chance import run_chance
from mer_cli.report.collect import collect_runs
from mer_cli.report.summary import SummaryRow, summarise_runs
from mer_cli.runs.directory import read_run
from mer_cli.runs.variants import RECIPES


def summarise(root: Path) -> tuple[SummaryRow, ...]:
    return summarise_runs(collect_runs(root).runs)


def test_seeds_of_one_configuration_share_a_row_with_mean_and_deviation(tmp_path: Path) -> None:
    runs = [read_run(write_run(tmp_path, seed=seed)) for seed in (1, 2, 10)]
    (row,) = summarise(tmp_path)
    assert (row.method, row.settings) == ("MMNet", "released recipe (tuned on test), epochs 6")
    assert (row.protocol, row.n_clips, row.n_subjects) == ("casme2-mmnet3/12, leave one subject out", 12, 4)
    assert row.seeds == (1, 2, 10)
    assert row.runs == tuple(run.path.name for run in runs)
    by_seed = [uf1(*truth_and_last(run)[:2]) for run in runs]
    uar = [balanced_accuracy_score(*truth_and_last(run)[:2]) for run in runs]
    assert row.uf1
    assert row.uar
    assert row.uf1.mean == pytest.approx(np.mean(by_seed))
    assert row.uf1.sd == pytest.approx(np.std(by_seed, ddof=1))
    assert row.uar.mean == pytest.approx(np.mean(uar))
    assert row.uf1.low is not None
    assert row.uf1.high is not None
    assert row.uf1.low < row.uf1.mean < row.uf1.high


def test_rows_stand_by_protocol_the_best_first_and_what_does_not_compete_after_them(tmp_path: Path) -> None:
    write_run(tmp_path, skill=1.0)
    write(tmp_path, "flow-svm", skill=9.0)
    write_run(tmp_path, skill=9.0, recipe="released-3", **RECIPES["released-3"] | {"epochs": 6})
    write_run(tmp_path, skill=0.0, shuffle_labels=True)
    write(tmp_path, "rcn-a", SHORT, finished=3)
    write_run(tmp_path, generated=True, skill=9.0)
    rows = summarise(tmp_path)
    assert [(row.method, row.generated, row.remarks) for row in rows] == [
        ("Flow + SVM (variant)", False, ()),
        ("MMNet", False, ("tuned on test", "one of 2 settings tried")),
        ("MMNet", False, ("tuned on test", "one of 2 settings tried")),
        ("MMNet", False, ("permuted labels", "tuned on test")),
        ("RCN-A", False, ("3 of 4 folds",)),
        ("MMNet", True, ()),
    ]
    assert (rows[4].accuracy, rows[4].uf1, rows[4].uar, rows[4].chance) == (None, None, None, ())


def test_a_row_has_what_guessers_reach_on_its_clips_and_how_far_luck_takes_them(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path, subjects=12))
    (row,) = summarise(tmp_path)
    assert row.chance == run_chance(run, "last")
    majority, drawn = row.chance
    assert (majority.name, drawn.name) == ("majority", "prior-random")
    assert majority.intervals == {}
    low, high = drawn.intervals["accuracy"]
    assert drawn.accuracy - 0.4 < low < drawn.accuracy - 0.05 < drawn.accuracy + 0.05 < high < drawn.accuracy + 0.4


def test_a_run_across_datasets_has_a_row_for_each_dataset_that_it_is_tested_on(tmp_path: Path) -> None:
    write_run(tmp_path, "megc3", datasets=("samm", "smic"), trained_on=("casme2",))
    rows = summarise(tmp_path)
    assert [row.protocol for row in rows] == [
        "casme2-to-samm+smic-megc3/12-to-24, trained on casme2, tested on samm",
        "casme2-to-samm+smic-megc3/12-to-24, trained on casme2, tested on smic",
    ]
    assert [(row.n_clips, row.n_subjects) for row in rows] == [(12, 4), (12, 4)]
    assert all(row.uf1 and row.uf1.low is not None for row in rows)


def test_a_run_over_several_datasets_has_one_row_for_all_of_them(tmp_path: Path) -> None:
    write_run(tmp_path, "megc3", datasets=("casme2", "samm"))
    (row,) = summarise(tmp_path)
    assert (row.protocol, row.n_clips, row.n_subjects) == ("casme2+samm-megc3/24, leave one subject out", 24, 8)


def test_without_runs_there_is_no_row() -> None:
    assert summarise_runs([]) == ()
