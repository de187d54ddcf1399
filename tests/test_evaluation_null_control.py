"""The null control on runs whose logits are drawn: guessers are at chance, runs that know something are not."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from run_factory import write_run

from mer_cli.errors import RunError
from mer_cli.evaluation.null_control import null_control
from mer_cli.evaluation.scoring import evaluate
from mer_cli.evaluation.summary import summarise
from mer_cli.training.read_run import read_run
from mer_cli.training.run import Run


def control_runs(root: Path, skill: float, seeds: int = 3) -> list[Run]:
    settings = {"shuffle_labels": True, "skill": skill, "subjects": 26, "inner_val": 2}
    return [read_run(write_run(root, "casme2-5", seed=seed, **settings)) for seed in range(1, seeds + 1)]


def test_guessers_are_at_chance_under_honest_rules_and_not_under_best_test(tmp_path: Path) -> None:
    runs = control_runs(tmp_path, skill=0.0)
    for rule in ("last", "inner-val"):
        control = null_control(runs, rule)
        assert control.is_at_chance
        assert control.low < control.expected < control.high
        assert (control.rule, control.n_seeds) == (rule, 3)
    leaky = null_control(runs, "best-test")
    assert not leaky.is_at_chance
    assert leaky.accuracy > leaky.expected + 0.1


def test_a_control_that_knows_its_labels_is_found_out(tmp_path: Path) -> None:
    control = null_control(control_runs(tmp_path, skill=1.0), "last")
    assert not control.is_at_chance
    assert control.accuracy > control.high


def test_the_numbers_are_means_over_the_seeds_of_pooled_ones(tmp_path: Path) -> None:
    runs = control_runs(tmp_path, skill=0.2, seeds=2)
    control = null_control(runs, "last")
    accuracies, expected = [], []
    for run in runs:
        predicted = evaluate(run, "last").predicted
        truth = np.array([run.labels[clip_id] for clip_id in predicted])
        said = np.array(list(predicted.values()))
        accuracies.append(np.mean(said == truth))
        expected.append(sum(np.mean(said == label) * np.mean(truth == label) for label in range(5)))
    assert control.accuracy == pytest.approx(np.mean(accuracies))
    assert control.expected == pytest.approx(np.mean(expected))


def test_the_interval_is_as_wide_as_honest_controls_spread(tmp_path: Path) -> None:
    """Drawn anew 40 times, a guesser of one seed is inside about 19 times in 20."""
    inside = []
    for seed in range(1, 41):
        run = read_run(
            write_run(tmp_path, "casme2-5", seed=seed, shuffle_labels=True, skill=0.0, subjects=26, epochs=6)
        )
        inside.append(null_control([run], "last").is_at_chance)
    assert sum(inside) >= 34


def test_a_run_on_true_labels_is_no_control(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path))
    message = (
        f"{run.path}: was trained on its true labels — expected a run on permuted ones. Train the control with the "
        "same settings: mer train --loso --shuffle-labels."
    )
    with pytest.raises(RunError, match=f"^{re.escape(message)}$"):
        null_control([run], "last")


def test_the_summary_of_a_control_says_what_is_expected(tmp_path: Path) -> None:
    (run,) = control_runs(tmp_path, skill=0.0, seeds=1)
    facts = dict(summarise(run, "last")[0].facts)
    assert re.fullmatch(
        r"training labels permuted: \d\d\.\d\d % are expected by chance, \d+\.\d\d to \d\d\.\d\d % of an honest rule "
        r"\(95 % interval\); [+-]\d+\.\d\d points, within",
        facts["null control"],
    )
    assert "inner val 2, shuffle labels True" in facts["model, settings"]
    assert "null control" not in dict(summarise(read_run(write_run(tmp_path)), "last")[0].facts)
    assert facts["epoch rule"] == "last (6 epochs)"
    assert dict(summarise(run, "inner-val")[0].facts)["epoch rule"].startswith("inner-val")


def test_under_shuffled_labels_the_inner_epoch_is_chosen_by_permuted_ones(tmp_path: Path) -> None:
    plain, shuffled = (
        read_run(
            write_run(tmp_path, subjects=12, inner_val=3, shuffle_labels=shuffle, skill=0.5, epochs=30, decay_epochs=9)
        )
        for shuffle in (False, True)
    )
    for one, other in zip(plain.folds, shuffled.folds, strict=True):  # the same draws
        np.testing.assert_array_equal(one.logits, other.logits)
        assert one.inner_clip_ids == other.inner_clip_ids
    assert evaluate(plain, "inner-val").epochs != evaluate(shuffled, "inner-val").epochs
    assert evaluate(plain, "last").epochs == evaluate(shuffled, "last").epochs
