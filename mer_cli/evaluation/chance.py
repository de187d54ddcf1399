"""What a guesser gets on the same clips and folds under the same epoch rule.

`majority` says the commonest class of the fold's training clips (all other subjects), so it does not change with the
epoch. `prior-random` draws every clip of every epoch from the training clips' class shares; its draws are independent
between epochs, so under `best-test` it is an upper bound on what choosing among so many epochs is worth by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mer_cli.errors import RunError
from mer_cli.evaluation import metrics
from mer_cli.evaluation.epoch_rules import check_rule, choose_epochs, pooled_f1

REPETITIONS = 200
SEED = 0

FoldLabels = tuple[tuple[int, ...], ...]  # the labels of each fold's held-out clips, sorted


@dataclass(frozen=True)
class ChanceScores:
    """A guesser scored under one rule: the mean over `repetitions` draws of the whole experiment."""

    name: str
    rule: str
    accuracy: float
    uf1: float
    uar: float
    repetitions: int


def chance_rows(
    rule: str, labels: Mapping[str, int], fold_of: Mapping[str, str], n_epochs: int, n_classes: int
) -> tuple[ChanceScores, ChanceScores]:
    """Give the `majority` and the `prior-random` row.

    Parameters
    ----------
    rule : one of `epoch_rules.RULES`
    labels, fold_of : class and fold id by clip id, the same clips in both
    n_epochs : how many epochs the rule may choose from

    Raises
    ------
    RunError
        If there are fewer than two folds, or a clip has no fold.
    """
    check_rule(rule)
    by_fold: dict[str, list[int]] = {}
    for clip_id, label in labels.items():
        if clip_id not in fold_of:
            raise RunError(f"clip {clip_id} has a label but no fold — expected both. Restore the run's clips.csv.")
        by_fold.setdefault(fold_of[clip_id], []).append(label)
    if len(by_fold) < 2:
        raise RunError(
            f"chance rows: a guesser needs the clips of other subjects; found {len(by_fold)} fold — expected at "
            "least 2. Train on a store with more subjects."
        )
    folds = tuple(tuple(sorted(by_fold[fold])) for fold in sorted(by_fold))
    return _majority(rule, folds, n_classes), _prior_random(rule, folds, n_epochs, n_classes)


@lru_cache(maxsize=64)
def _majority(rule: str, folds: FoldLabels, n_classes: int) -> ChanceScores:
    guesses = [np.full((1, 1, len(fold)), np.argmax(_training_counts(folds, fold, n_classes))) for fold in folds]
    return _score("majority", rule, folds, guesses, n_classes)


@lru_cache(maxsize=64)
def _prior_random(rule: str, folds: FoldLabels, n_epochs: int, n_classes: int) -> ChanceScores:
    random = np.random.default_rng(SEED)
    n_draws = 1 if rule == "last" else n_epochs  # the earlier epochs of independent draws cannot matter
    guesses = []
    for fold in folds:
        counts = _training_counts(folds, fold, n_classes)
        shape = (REPETITIONS, n_draws, len(fold))
        guesses.append(random.choice(n_classes, size=shape, p=counts / counts.sum()))
    return _score("prior-random", rule, folds, guesses, n_classes)


def _training_counts(folds: FoldLabels, held_out: tuple[int, ...], n_classes: int) -> NDArray[np.int64]:
    everyone = np.bincount(np.concatenate(folds), minlength=n_classes)
    return everyone - np.bincount(held_out, minlength=n_classes)


def _score(name: str, rule: str, folds: FoldLabels, guesses: list[NDArray[np.int64]], n_classes: int) -> ChanceScores:
    """Score guesses of shape (repetitions, epochs, clips), one array a fold."""
    n_repetitions = guesses[0].shape[0]
    n_correct = np.zeros(n_repetitions, dtype=np.int64)
    chosen = []
    for fold, guess in zip(folds, guesses, strict=True):
        correct, epoch = choose_epochs(rule, guess, np.array(fold), n_classes)
        n_correct += correct
        chosen.append(guess[np.arange(n_repetitions), epoch])
    truth, predicted = np.concatenate(folds), np.concatenate(chosen, axis=1)
    tables = [metrics.confusion_matrix(truth, row, n_classes) for row in predicted]
    return ChanceScores(
        name=name,
        rule=rule,
        accuracy=float(n_correct.mean()) / truth.size,
        uf1=float(np.mean([pooled_f1(rule, table) for table in tables])),
        uar=float(np.mean([metrics.uar(table) for table in tables])),
        repetitions=n_repetitions,
    )
