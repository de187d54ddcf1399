"""The null control on runs whose logits are drawn: guessers are at chance, runs that know something are not."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from run_factory import write_run

from mer_cli.evaluation.chance import NullControl, control_of
from mer_cli.evaluation.epoch_rules import evaluate
from mer_cli.evaluation.summary import summarise
from mer_cli.runs.directory import Run, read_run


def control_runs(root: Path, skill: float, seeds: int = 3) -> list[Run]:
    settings = {"shuffle_labels": True, "skill": skill, "subjects": 26, "inner_val": 2}
    return [read_run(write_run(root, "casme2-5", seed=seed, **settings)) for seed in range(1, seeds + 1)]


def score(runs: list[Run], rule: str) -> NullControl:
    return control_of([evaluate(run, rule) for run in runs], runs[0])


def test_guessers_are_at_chance_under_honest_rules_and_not_under_best_test(tmp_path: Path) -> None:
    runs = control_runs(tmp_path, skill=0.0)
    for rule in ("last", "inner-val"):
        control = score(runs, rule)
        assert control.is_at_chance is True
        assert control.low is not None
        assert control.high is not None
        assert control.low < control.expected < control.high
        assert (control.rule, control.n_seeds) == (rule, 3)
    leaky = score(runs, "best-test")
    assert leaky.is_at_chance is False
    assert leaky.accuracy > leaky.expected + 0.1


def test_a_control_that_knows_its_labels_is_found_out(tmp_path: Path) -> None:
    control = score(control_runs(tmp_path, skill=1.0), "last")
    assert control.is_at_chance is False
    assert control.accuracy > (control.high or 1.0)


def test_the_numbers_are_means_over_the_seeds_of_pooled_ones(tmp_path: Path) -> None:
    runs = control_runs(tmp_path, skill=0.2, seeds=2)
    control = score(runs, "last")
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
        inside.append(bool(score([run], "last").is_at_chance))
    assert sum(inside) >= 34


def test_one_held_out_subject_gives_no_interval_and_no_verdict(tmp_path: Path) -> None:
    run = read_run(
        write_run(tmp_path, "megc3", datasets=("samm",), trained_on=("casme2",), subjects=1, shuffle_labels=True)
    )
    control = score([run], "last")
    assert (control.low, control.high, control.is_at_chance) == (None, None, None)
    off = f"{100 * (control.accuracy - control.expected):+.2f}"
    assert dict(summarise(run, "last")[0].facts)["null control"] == (
        f"training labels permuted: {100 * control.expected:.2f} % are expected by chance; {off} points; no interval "
        "and no verdict, because there is one subject"
    )


def test_the_interval_is_one_of_shares(tmp_path: Path) -> None:
    """Of these few subjects the drawn one reaches below 0."""
    run = read_run(write_run(tmp_path, subjects=3, seed=6, shuffle_labels=True, skill=0.0))
    assert score([run], "last").low == 0.0


def test_the_summary_of_a_control_says_what_is_expected(tmp_path: Path) -> None:
    (run,) = control_runs(tmp_path, skill=0.0, seeds=1)
    facts = dict(summarise(run, "last")[0].facts)
    assert re.fullmatch(
        r"training labels permuted: \d\d\.\d\d % are expected by chance, \d+\.\d\d to \d\d\.\d\d % for an honest rule "
        r"\(95 % interval\); [+-]\d+\.\d\d points, within",
        facts["null control"],
    )
    assert "inner val 2, shuffle labels" in facts["model, settings"]
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
