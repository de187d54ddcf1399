"""Accuracy, UF1, UAR and the scores of each class, all from one confusion matrix pooled over the folds.

Counts are summed over all held-out subjects first, and each ratio is taken once. Averaging the scores of the folds
would give other numbers: most subjects show only one to three of the classes, so that average depends on how the
classes that a fold lacks are counted. Every class of the scheme enters UF1 and UAR, and 0/0 is 0: a class that is never
predicted counts 0 and is not left out. Formulas: MEGC 2019 (UF1, UAR) and Forman & Scholz 2010 (pool first).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class ClassScores:
    """The scores of one class, from a pooled confusion matrix; `n` is the number of clips with this true label."""

    precision: float
    recall: float
    f1: float
    n: int


def confusion_matrix(truth: ArrayLike, predicted: ArrayLike, n_classes: int) -> NDArray[np.int64]:
    """Return how many clips have each pair of true and predicted class.

    Parameters
    ----------
    truth, predicted : (n,) int, classes 0..n_classes-1, in the same order of clips

    Returns
    -------
    (n_classes, n_classes) int64, rows true, columns predicted

    Raises
    ------
    ValueError
        If the two differ in length or hold a class outside the range.
    """
    rows = np.asarray(truth, dtype=np.int64)
    columns = np.asarray(predicted, dtype=np.int64)
    if rows.ndim != 1 or rows.shape != columns.shape:
        raise ValueError(f"truth {rows.shape} and predicted {columns.shape} must be vectors of one length")
    for name, classes in (("truth", rows), ("predicted", columns)):
        if classes.size and not 0 <= classes.min() <= classes.max() < n_classes:
            raise ValueError(f"{name} holds classes {classes.min()}..{classes.max()}, expected 0..{n_classes - 1}")
    counts = np.bincount(rows * n_classes + columns, minlength=n_classes * n_classes)
    return counts.reshape(n_classes, n_classes).astype(np.int64)


def accuracy(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the share of clips on the diagonal (also called micro F1 or WAR)."""
    return ratio(_hits(confusion).sum(axis=-1), confusion.sum(axis=(-2, -1)))


def expected_accuracy(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the accuracy that chance gives: the sum over classes of share of predictions times share of true labels.

    Source
    ------
    Cohen's kappa (1960), its chance agreement
    """
    n_clips = confusion.sum(axis=(-2, -1))
    both = confusion.sum(axis=-2).astype(np.float64) * confusion.sum(axis=-1)
    return ratio(both.sum(axis=-1), n_clips.astype(np.float64) ** 2)


def over_chance(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the accuracy minus `expected_accuracy`."""
    return accuracy(confusion) - expected_accuracy(confusion)


def uf1(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the average over all classes of 2TP / (2TP + FP + FN)."""
    return np.asarray(_f1(confusion).mean(axis=-1))


def uar(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the average over all classes of TP / n (n: clips of the class), also called balanced accuracy."""
    return np.asarray(ratio(_hits(confusion), confusion.sum(axis=-1)).mean(axis=-1))


def present_f1(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the average F1 over the classes that occur in the labels or in the predictions.

    It differs from `uf1` only if a class occurs in neither, which UF1 counts as 0.

    Source
    ------
    muse1998/MMNet, CASME2_5.py, the pooled score printed after each fold.
    """
    present = confusion.sum(axis=-2) + confusion.sum(axis=-1) > 0
    return ratio(_f1(confusion).sum(axis=-1), present.sum(axis=-1))  # an absent class has an F1 of 0


def per_class(confusion: NDArray[np.int64]) -> tuple[ClassScores, ...]:
    """Return precision, recall, F1 and the number of clips of each class, in label order."""
    hits = _hits(confusion)
    precision = ratio(hits, confusion.sum(axis=0))
    recall = ratio(hits, confusion.sum(axis=1))
    columns = zip(precision, recall, _f1(confusion), confusion.sum(axis=1), strict=True)
    return tuple(ClassScores(float(p), float(r), float(f), int(n)) for p, r, f, n in columns)


def _hits(confusion: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.diagonal(confusion, axis1=-2, axis2=-1)


def _f1(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    return ratio(2 * _hits(confusion), confusion.sum(axis=-2) + confusion.sum(axis=-1))


def ratio(part: ArrayLike, whole: ArrayLike) -> NDArray[np.float64]:
    """Return the quotients; 0/0 is 0."""
    numerator, denominator = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    quotient: NDArray[np.float64] = np.zeros_like(numerator)
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient
