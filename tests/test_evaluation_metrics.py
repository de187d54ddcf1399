"""Metrics against tables worked by hand and against scikit-learn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    cohen_kappa_score,
    f1_score,
    precision_recall_fscore_support,
)
from sklearn.metrics import confusion_matrix as sklearn_confusion

from mer_cli.evaluation import metrics

GOLDEN = json.loads((Path(__file__).parent / "golden" / "confusions.json").read_text())["tables"]


@pytest.mark.parametrize("table", GOLDEN, ids=lambda table: table["name"])
def test_metrics_agree_with_the_tables_worked_by_hand(table: dict[str, Any]) -> None:
    confusion = np.array(table["confusion"])
    for name in ("accuracy", "uf1", "uar"):
        numerator, denominator = table[name]
        assert getattr(metrics, name)(confusion) == pytest.approx(numerator / denominator, abs=1e-12), name
    classes = metrics.per_class(confusion)
    for name in ("precision", "recall", "f1"):
        expected = [numerator / denominator for numerator, denominator in table[name]]
        assert [getattr(scores, name) for scores in classes] == pytest.approx(expected, abs=1e-12), name
    assert [scores.n for scores in classes] == table["n"]


@pytest.mark.parametrize("seed", range(20))
def test_metrics_agree_with_scikit_learn(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(5), random.integers(0, 5, size=40)])
    predicted = random.integers(0, 5 if seed % 2 else 3, size=45)  # even seeds never predict classes 3 and 4
    confusion = metrics.confusion_matrix(truth, predicted, 5)
    labels = list(range(5))
    assert (confusion == sklearn_confusion(truth, predicted, labels=labels)).all()
    assert metrics.accuracy(confusion) == pytest.approx(accuracy_score(truth, predicted))
    macro = f1_score(truth, predicted, labels=labels, average="macro", zero_division=0)
    assert metrics.uf1(confusion) == pytest.approx(macro)
    assert metrics.uar(confusion) == pytest.approx(balanced_accuracy_score(truth, predicted))
    columns = precision_recall_fscore_support(truth, predicted, labels=labels, zero_division=0)
    rows = [(scores.precision, scores.recall, scores.f1, scores.n) for scores in metrics.per_class(confusion)]
    assert np.array(rows) == pytest.approx(np.array(columns).T)


def test_present_f1_leaves_out_a_class_that_is_neither_true_nor_predicted() -> None:
    confusion = np.array([[1, 1, 0], [0, 2, 0], [0, 0, 0]])
    assert metrics.present_f1(confusion) == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert metrics.present_f1(confusion) > metrics.uf1(confusion)


def test_present_f1_counts_a_class_that_is_true_but_never_predicted() -> None:
    confusion = np.array([[2, 0, 0], [0, 1, 0], [1, 0, 0]])
    assert metrics.present_f1(confusion) == metrics.uf1(confusion) == pytest.approx((4 / 5 + 1 + 0) / 3)


def test_confusion_matrix_puts_the_truth_in_rows() -> None:
    assert metrics.confusion_matrix([0, 0, 1], [1, 1, 1], 2).tolist() == [[0, 2], [0, 1]]


def test_confusion_matrix_refuses_a_class_outside_the_range() -> None:
    with pytest.raises(ValueError, match=r"predicted holds classes 0\.\.3, expected 0\.\.2"):
        metrics.confusion_matrix([0, 1], [0, 3], 3)


def test_confusion_matrix_refuses_vectors_of_different_length() -> None:
    with pytest.raises(ValueError, match=r"truth \(2,\) and predicted \(3,\) must be vectors of one length"):
        metrics.confusion_matrix([0, 1], [0, 1, 1], 2)


@pytest.mark.parametrize("seed", range(5))
def test_over_chance_is_what_cohens_kappa_divides(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth, predicted = random.integers(0, 4, size=(2, 50))
    confusion = metrics.confusion_matrix(truth, predicted, 4)
    kappa = metrics.over_chance(confusion) / (1 - metrics.expected_accuracy(confusion))
    assert kappa == pytest.approx(cohen_kappa_score(truth, predicted))
    several = np.stack([confusion, confusion.T, np.zeros_like(confusion)])
    assert metrics.over_chance(several).tolist() == [
        metrics.over_chance(confusion),
        metrics.over_chance(confusion.T),
        0,
    ]


def test_expected_accuracy_is_the_sum_of_predicted_times_true_shares() -> None:
    confusion = np.array(
        [[2, 1], [1, 0]]
    )  # says the classes in 3/4 and 1/4 of the clips, which are 3/4 and 1/4 of them
    assert metrics.expected_accuracy(confusion) == pytest.approx(9 / 16 + 1 / 16)
