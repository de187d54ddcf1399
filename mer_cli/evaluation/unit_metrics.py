"""The scores of action units, from a table of two by two for each unit, pooled over the folds as those of classes are.

A unit is predicted or not, whatever the others are, so each has counts of its own: [[TN, FP], [FN, TP]]. F1 and recall
are averaged over the units that some scored clip shows. Of a unit that none shows, no method can find a clip: 0/0 says
nothing, so it is left out of the mean, and `left_out` names it. (MEB counts such a unit as 0: docs/protocol.md.)
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mer_cli.datasets.unit_masks import bits_of, masks_of
from mer_cli.evaluation import metrics
from mer_cli.evaluation.metrics import ClassScores, ratio

Counts = NDArray[np.int64]


def decide(logits: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return the masks of the units whose logit is above 0, their probability above .5: (..., K) becomes (...)."""
    return masks_of(logits > 0)


def unit_counts(truth: ArrayLike, predicted: ArrayLike, n_units: int) -> Counts:
    """Return for each unit how many clips show it or not, and are predicted to or not.

    Parameters
    ----------
    truth, predicted : (n,) int, masks of units, in the same order of clips

    Returns
    -------
    (n_units, 2, 2) int64, rows true and columns predicted, each absent and shown
    """
    shown, said = bits_of(truth, n_units), bits_of(predicted, n_units)
    cells = [(~shown & ~said), (~shown & said), (shown & ~said), (shown & said)]
    return np.stack([cell.sum(axis=0) for cell in cells], axis=1).reshape(n_units, 2, 2).astype(np.int64)


def tally(masks: ArrayLike, n_units: int) -> Counts:
    """Return how many clips show each unit, and the number of clips at the end: (n_units + 1,)."""
    bits = bits_of(np.asarray(masks, np.int64), n_units)
    return np.array([*bits.sum(axis=0), len(bits)], np.int64)


def support(counts: Counts) -> Counts:
    """Return how many clips show each unit, (..., K)."""
    return np.asarray(counts[..., 1, :].sum(axis=-1))


def accuracy(counts: Counts) -> NDArray[np.float64]:
    """Return the mean over all units of the share of clips for which the unit is predicted rightly, shown or not."""
    return np.asarray(metrics.accuracy(counts).mean(axis=-1))


def expected_accuracy(counts: Counts) -> NDArray[np.float64]:
    """Return the accuracy that chance gives, for each unit from its shares of predictions and of clips that show it."""
    return np.asarray(metrics.expected_accuracy(counts).mean(axis=-1))


def over_chance(counts: Counts) -> NDArray[np.float64]:
    """Return the accuracy minus `expected_accuracy`."""
    return accuracy(counts) - expected_accuracy(counts)


def mean_f1(counts: Counts) -> NDArray[np.float64]:
    """Return the mean of 2TP / (2TP + FP + FN) over the units that some clip shows; 0 if no clip shows any."""
    return _mean_over_shown(_f1(counts), counts)


def mean_recall(counts: Counts) -> NDArray[np.float64]:
    """Return the mean of TP / (TP + FN) over the units that some clip shows; 0 if no clip shows any."""
    return _mean_over_shown(ratio(counts[..., 1, 1], support(counts)), counts)


def per_unit(counts: Counts) -> tuple[ClassScores, ...]:
    """Return precision, recall, F1 and the number of clips that show it, of each unit."""
    precision = ratio(counts[:, 1, 1], counts[:, :, 1].sum(axis=1))
    recall = ratio(counts[:, 1, 1], support(counts))
    columns = zip(precision, recall, _f1(counts), support(counts), strict=True)
    return tuple(ClassScores(float(p), float(r), float(f), int(n)) for p, r, f, n in columns)


def count_right(predicted: NDArray[np.integer], truth: NDArray[np.int64], n_units: int) -> NDArray[np.int64]:
    """Return how many units of how many clips are predicted rightly: (..., n) and (n,) become (...)."""
    total = np.zeros(predicted.shape[:-1], np.int64)
    for unit in range(n_units):
        total += ((predicted >> unit & 1) == (truth >> unit & 1)).sum(axis=-1)
    return total


def f1_of_epochs(predicted: NDArray[np.integer], truth: NDArray[np.int64], n_units: int) -> NDArray[np.float64]:
    """Return `mean_f1` of each epoch of one fold: predictions (..., n) and the truth (n,) become (...)."""
    total, n_shown = np.zeros(predicted.shape[:-1]), 0
    for unit in range(n_units):
        shown, said = truth >> unit & 1 == 1, predicted >> unit & 1 == 1
        if shown.any():
            total += ratio(2 * said[..., shown].sum(axis=-1), said.sum(axis=-1) + shown.sum())
            n_shown += 1
    return total / max(n_shown, 1)


def left_out(masks: Iterable[int], class_names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the units that none of these labels names, which the means leave out."""
    shown = 0
    for mask in masks:
        shown |= mask
    return tuple(name for place, name in enumerate(class_names) if not shown >> place & 1)


def _f1(counts: Counts) -> NDArray[np.float64]:
    return ratio(2 * counts[..., 1, 1], support(counts) + counts[..., :, 1].sum(axis=-1))


def _mean_over_shown(values: NDArray[np.float64], counts: Counts) -> NDArray[np.float64]:
    is_shown = support(counts) > 0
    return ratio((values * is_shown).sum(axis=-1), is_shown.sum(axis=-1))
