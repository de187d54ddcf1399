"""The two kinds of targets: one class of each clip, or any number of action units; and how each is counted and scored.

All that differs between them in a score is here, so that epoch rules, chance, intervals and comparisons are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mer_cli.evaluation import metrics, unit_metrics
from mer_cli.evaluation.metrics import ClassScores
from mer_cli.runs.config import TrainConfig

Counts = NDArray[np.int64]
Metric = Callable[[Counts], NDArray[np.float64]]
Predicted = NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Targets:
    """How predictions of one kind are counted and scored; a label is a class or a mask (`datasets.unit_masks`).

    names : of the metrics, as tables print them, by "accuracy", "uf1" and "uar"
    decide : logits (..., K) to labels (...)
    count : truth (n,), predictions (n,) and K to counts: (K, K) of classes, (K, 2, 2) of units
    count_right : predictions (..., n), truth (n,) and K to how many decisions are right, (...)
    f1_of_epochs : the same to the F1 that best-test compares the epochs of a fold by
    tally : labels (n,) and K to counts that add up and that guessers know
    support : counts to the number of clips of each class, or that show each unit
    accuracy, expected_accuracy, over_chance, uf1, uar : counts to scores; `chosen_f1` is the F1 under best-test
    per_class : counts to the scores of each class or unit
    """

    names: Mapping[str, str] = field(repr=False)
    decide: Callable[[NDArray[np.float32]], NDArray[np.int64]]
    count: Callable[[ArrayLike, ArrayLike, int], Counts]
    count_right: Callable[[Predicted, NDArray[np.int64], int], Counts]
    f1_of_epochs: Callable[[Predicted, NDArray[np.int64], int], NDArray[np.floating[Any]]]
    tally: Callable[[ArrayLike, int], Counts]
    support: Callable[[Counts], Counts]
    accuracy: Metric
    expected_accuracy: Metric
    over_chance: Metric
    uf1: Metric
    uar: Metric
    chosen_f1: Metric
    per_class: Callable[[Counts], tuple[ClassScores, ...]]

    def f1(self, rule: str, counts: Counts) -> float:
        """Return the F1 of pooled counts under an epoch rule."""
        return float((self.chosen_f1 if rule == "best-test" else self.uf1)(counts))


def _decide_class(logits: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.asarray(np.argmax(logits, axis=-1))  # a tie goes to the lower class


def _count_right(predicted: Predicted, truth: NDArray[np.int64], n_classes: int) -> Counts:
    return np.asarray((predicted == truth).sum(axis=-1))


def _tally(labels: ArrayLike, n_classes: int) -> Counts:
    return np.bincount(np.asarray(labels, np.int64), minlength=n_classes)


def _support(confusion: Counts) -> Counts:
    return np.asarray(confusion.sum(axis=-1))


def _f1_of_epochs(predicted: Predicted, truth: NDArray[np.int64], n_classes: int) -> NDArray[np.float32]:
    """Return the macro F1 of each epoch over the classes in the fold's labels or predictions, (..., epochs).

    Like the released script it computes in float32 and sums in class order, so that the same epochs tie.
    """
    by_clip = np.moveaxis(predicted, -1, 0)  # (clips, ..., epochs): counts add up over whole arrays
    total = np.zeros(predicted.shape[:-1], dtype=np.float32)
    n_present = np.zeros(predicted.shape[:-1], dtype=np.float32)
    for label in range(n_classes):
        says, is_true = by_clip == label, truth == label
        both = _count(says) + np.float32(is_true.sum())
        twice_hits = 2 * _count(says[is_true])
        total += twice_hits / np.maximum(both, 1)  # 0 if the class is in neither
        n_present += both > 0
    return total / n_present


def _count(says: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Count the true values along the first axis (clips), for speed in the smallest integer type that can hold them."""
    return np.asarray(says.sum(axis=0, dtype=np.min_scalar_type(len(says))), dtype=np.float32)


CLASSES = Targets(
    names={"accuracy": "accuracy", "uf1": "UF1", "uar": "UAR"},
    decide=_decide_class,
    count=metrics.confusion_matrix,
    count_right=_count_right,
    f1_of_epochs=_f1_of_epochs,
    tally=_tally,
    support=_support,
    accuracy=metrics.accuracy,
    expected_accuracy=metrics.expected_accuracy,
    over_chance=metrics.over_chance,
    uf1=metrics.uf1,
    uar=metrics.uar,
    chosen_f1=metrics.present_f1,
    per_class=metrics.per_class,
)
UNITS = Targets(
    names={"accuracy": "accuracy of the units", "uf1": "mean F1 of the units", "uar": "mean recall of the units"},
    decide=unit_metrics.decide,
    count=unit_metrics.unit_counts,
    count_right=unit_metrics.count_right,
    f1_of_epochs=unit_metrics.f1_of_epochs,
    tally=unit_metrics.tally,
    support=unit_metrics.support,
    accuracy=unit_metrics.accuracy,
    expected_accuracy=unit_metrics.expected_accuracy,
    over_chance=unit_metrics.over_chance,
    uf1=unit_metrics.mean_f1,
    uar=unit_metrics.mean_recall,
    chosen_f1=unit_metrics.mean_f1,
    per_class=unit_metrics.per_unit,
)


def targets_of(config: TrainConfig) -> Targets:
    """Return the kind of a run's targets."""
    return UNITS if config.predicts_units else CLASSES
