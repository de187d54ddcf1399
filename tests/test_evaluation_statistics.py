"""Intervals and tests over subjects, against slow versions in plain Python and cases whose answer is known."""

import itertools
import statistics
import time

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import f1_score

from mer_cli.evaluation import metrics
from mer_cli.evaluation.statistics import (
    POWER_FACTOR,
    SubjectCounts,
    bootstrap_interval,
    compare,
    count_by_subject,
    holm,
    mean_interval,
)


def counts_of(*confusions):
    return SubjectCounts(tuple(f"casme2/{n:02d}" for n in range(len(confusions))), np.array(confusions, np.int64))


def drawn(seed, n_subjects=26, n_classes=5, skill=0.5):
    """A classifier that is right with probability `skill` on about ten clips a subject."""
    rng = np.random.default_rng(seed)
    truth = np.random.default_rng(0).integers(0, n_classes, (n_subjects, 10))
    guess = np.where(rng.random(truth.shape) < skill, truth, rng.integers(0, n_classes, truth.shape))
    tables = [metrics.confusion_matrix(t, g, n_classes) for t, g in zip(truth, guess, strict=True)]
    return counts_of(*tables)


def test_many_matrices_at_once_are_scored_as_each_alone():
    tables = np.random.default_rng(1).integers(0, 5, (7, 4, 4))
    for metric in (metrics.accuracy, metrics.uf1, metrics.uar, metrics.present_f1):
        np.testing.assert_allclose(metric(tables), [metric(table) for table in tables])


def test_predictions_are_counted_by_subject_of_each_dataset():
    predicted = {"casme2/01/a": 0, "samm/01/a": 1, "casme2/01/b": 1, "casme2/02/a": 1}
    labels = {**dict.fromkeys(predicted, 0), "casme2/03/a": 1}
    counts = count_by_subject(predicted, labels, 2)
    assert counts.subjects == ("casme2/01", "casme2/02", "samm/01")
    assert counts.confusion.tolist() == [[[1, 1], [0, 0]], [[0, 1], [0, 0]], [[0, 1], [0, 0]]]


def f1_of_class(table, label):
    found, there = sum(row[label] for row in table), sum(table[label])
    return 2 * table[label][label] / (found + there) if found + there else 0.0


def test_the_interval_is_that_of_a_slow_bootstrap_over_subjects():
    counts = drawn(3, n_subjects=8, n_classes=3)
    rng = np.random.default_rng(5)
    tables = [sum(counts.confusion[subject] for subject in rng.integers(0, 8, 8)) for _ in range(4000)]
    slow = [statistics.mean(f1_of_class(table.tolist(), label) for label in range(3)) for table in tables]
    for table, ours in zip(tables[:50], slow, strict=False):  # scikit-learn takes half a minute for all
        truth = np.repeat(np.arange(3), table.sum(1))
        guess = np.concatenate([np.repeat(np.arange(3), row) for row in table])
        assert ours == pytest.approx(f1_score(truth, guess, labels=range(3), average="macro", zero_division=0))
    interval = bootstrap_interval([counts], metrics.uf1)
    # Of 8 subjects: Student's t with 7 degrees of freedom is 2.3646 at .975, times sqrt(8 / 7); normal below -2.5279.
    assert interval.low == pytest.approx(np.quantile(slow, 0.00574), abs=0.02)
    assert interval.high == pytest.approx(np.quantile(slow, 0.99426), abs=0.02)


def test_one_subject_alone_has_no_width_and_equal_subjects_neither():
    table = [[3, 1], [0, 2]]
    for counts in (counts_of(table), counts_of(table, table, table)):
        interval = bootstrap_interval([counts], metrics.uar)
        assert interval.low == pytest.approx(interval.high)
        assert interval.lost == 0


def test_a_class_that_one_subject_alone_has_is_lost_as_often_as_that_subject():
    counts = counts_of(*[[[2, 0], [0, 0]]] * 9, [[0, 0], [0, 2]])
    assert bootstrap_interval([counts], metrics.uf1).lost == pytest.approx(0.9**10, abs=0.02)


def test_several_seeds_are_averaged_in_every_draw():
    one, other = drawn(1), drawn(2)
    both = bootstrap_interval([one, other], metrics.uf1)
    widths = [interval.high - interval.low for interval in (both, bootstrap_interval([one], metrics.uf1))]
    assert widths[0] < widths[1]


def test_the_permutation_test_is_exact_on_few_subjects():
    first, second = drawn(1, 6, 3, 0.8), drawn(2, 6, 3, 0.5)
    differences = []
    for swap in itertools.product((False, True), repeat=6):
        swapped = np.array(swap)[:, None, None]
        one = np.where(swapped, second.confusion, first.confusion).sum(0)
        other = np.where(swapped, first.confusion, second.confusion).sum(0)
        differences.append(metrics.uf1(one) - metrics.uf1(other))
    observed = differences[0]
    exact = np.mean(np.abs(differences) >= abs(observed) - 1e-12)
    found = compare((1,), [first], [second], metrics.uf1, (9, 3))
    assert found.difference == pytest.approx(observed)
    assert found.p_value == pytest.approx(exact, abs=0.02)
    assert found.mcnemar == binomtest(9, 12).pvalue
    assert (found.n_seeds, found.mcnemar_seed) == (1, 1)


def test_a_subject_is_told_by_dataset_and_name_whatever_the_clips_name_holds():
    clip_ids = ("casme2/01/a/x", "casme2/01/b/y", "samm/01/a")
    assert count_by_subject(dict.fromkeys(clip_ids, 0), dict.fromkeys(clip_ids, 0), 2).subjects == (
        "casme2/01",
        "samm/01",
    )
    # Of two subjects, one with two clips of 1 and 3, and one of 8: drawn are 2, 4 or 8.
    assert mean_interval(np.array([1.0, 3.0, 8.0]), clip_ids) == (2.0, 8.0)
    assert mean_interval(np.array([1.0, 3.0]), clip_ids[:2]) == (2.0, 2.0)


def test_a_method_against_itself_differs_by_nothing():
    found = compare((1,), [drawn(1)], [drawn(1)], metrics.uf1, (0, 0))
    assert (found.difference, found.p_value, found.detectable, found.mcnemar) == (0.0, 1.0, 0.0, 1.0)


def test_a_clear_difference_is_found_and_a_guessers_is_not():
    assert compare((1,), [drawn(1, skill=0.9)], [drawn(2, skill=0.3)], metrics.uf1, (1, 1)).p_value < 0.001
    p_values = [
        compare((1,), [drawn(2 * n, 12, 3, 0.4)], [drawn(2 * n + 1, 12, 3, 0.4)], metrics.uf1, (1, 1)).p_value
        for n in range(40)
    ]
    assert 0.3 < np.mean(p_values) < 0.7
    assert np.mean(np.array(p_values) < 0.05) < 0.2


def test_the_detectable_difference_is_so_many_standard_errors():
    first, second = drawn(1), drawn(2)
    rng = np.random.default_rng(9)
    slow = []
    for _ in range(2000):
        drawn_subjects = rng.integers(0, 26, 26)
        tables = [counts.confusion[drawn_subjects].sum(0) for counts in (first, second)]
        slow.append(float(metrics.uf1(tables[0]) - metrics.uf1(tables[1])))
    found = compare((1,), [first], [second], metrics.uf1, (1, 1))
    assert found.detectable == pytest.approx(POWER_FACTOR * np.std(slow), rel=0.08)


def test_holm_adjusts_step_by_step():
    # By hand: sorted .01 .03 .04 times 3 2 1 is .03 .06 .04, and no step may fall below the one before it.
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([]) == []


def test_ten_thousand_draws_of_249_clips_take_no_time():
    first, second = drawn(1), drawn(2)
    started = time.process_time()
    bootstrap_interval([first], metrics.uf1)
    compare((1,), [first], [second], metrics.uf1, (1, 1))
    assert time.process_time() - started < 2
