"""Scores guessers on a run's clips and folds under an epoch rule, and says what accuracy a null control must reach.

`majority` predicts the commonest class of the fold's training clips, so it does not change with the epoch.
`prior-random` draws the class of every clip in every epoch from the class shares of the training clips. Its draws are
independent between epochs, so under `best-test` it is an upper bound on what the choice among that many epochs gains
by itself. Under `inner-val` the epoch is chosen without the held-out clips, so every epoch is as good as another, and a
guesser's score is the same as under `last`.

Of action units `always` predicts every unit of every clip, `never` none, and `prior-random` draws each unit by itself
from its share of the training clips.

A null control is a run on permuted training labels (`mer train --shuffle-labels`). It has nothing to learn, so under an
honest rule its accuracy is what predictions without any knowledge reach: the sum over classes of predicted share times
true share. Any accuracy that another rule reports beyond this shows how much that rule leaks. Leaving one subject
out pushes an honest accuracy slightly below that value: the clips of the held-out subject are missing from the
training clips, so the network predicts the classes that this subject shows a little too rarely.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_cli.errors import RunError
from mer_cli.evaluation.epoch_rules import Scores, check_rule, choose_epochs, folds_of
from mer_cli.evaluation.statistics import bootstrap_interval, counts_of, score_of
from mer_cli.evaluation.targets import CLASSES, UNITS, Targets, targets_of
from mer_cli.records import dataset_of
from mer_cli.runs.directory import Run

REPETITIONS = 200
SEED = 0
ROWS_AT_ONCE = 4096  # of drawn clips; they stay in the processor's cache


@dataclass(frozen=True)
class _Fold:
    """The labels of one fold, which are all that a guesser needs.

    held_out : labels of the held-out clips, sorted
    training : number of training clips of each class; or that show each action unit, and of all
    """

    held_out: tuple[int, ...]
    training: tuple[int, ...]


@dataclass(frozen=True)
class ChanceScores:
    """The scores of one guesser under one epoch rule, averaged over `repetitions` draws of the whole experiment.

    intervals : by metric, low and high end of the interval that holds 95 % of the draws; empty if nothing is drawn
    """

    name: str
    rule: str
    accuracy: float
    uf1: float
    uar: float
    repetitions: int
    intervals: Mapping[str, tuple[float, float]]


def chance_rows(
    rule: str,
    labels: Mapping[str, int],
    fold_of: Mapping[str, str],
    n_epochs: int,
    n_classes: int,
    scored: Collection[str] | None = None,
    inner: Mapping[str, Collection[str]] | None = None,
    *,
    dataset: str | None = None,
    averaged: bool = False,
    targets: Targets = CLASSES,
) -> tuple[ChanceScores, ...]:
    """Return the scores of the guessers under an epoch rule: `majority` and `prior-random`, in this order.

    Of action units they are `always`, `never` and `prior-random`.

    Parameters
    ----------
    rule : one of `records.EPOCH_RULES`
    labels, fold_of : class and fold id by clip id, the same clips in both. Clips with the fold "" are only trained on:
        if there are any, they are the training clips of every fold; otherwise a fold trains on all other folds
    n_epochs : number of epochs that the rule may choose from
    scored : ids of the folds to score; all folds if left out
    inner : by fold, the clips that were set aside and not trained on
    dataset : score the held-out clips of this dataset only
    averaged : whether to average each score over the folds, of which each is a dataset, instead of pooling
    targets : the kind of the labels; of action units there are `n_classes`

    Raises
    ------
    RunError
        If a fold has no training clips, or if a clip has no entry in `fold_of`.
    """
    check_rule(rule)
    by_fold: dict[str, list[int]] = {}
    held_out: dict[str, list[int]] = {}  # those of them that are scored
    for clip_id, label in labels.items():
        if clip_id not in fold_of:
            raise RunError(f"clip {clip_id} has a label but no fold. Restore the run's clips.csv.")
        by_fold.setdefault(fold_of[clip_id], []).append(label)
        if dataset in (None, dataset_of(clip_id)):
            held_out.setdefault(fold_of[clip_id], []).append(label)
    only_trained = by_fold.pop("", [])
    if len(by_fold) < 2 and not only_trained:
        raise RunError(
            f"a guesser needs the clips of other subjects, and there is {len(by_fold)} fold. Train on a store with at "
            "least 2 subjects."
        )
    everyone = targets.tally([label for of_fold in by_fold.values() for label in of_fold], n_classes)
    folds = []
    for fold in sorted(by_fold.keys() & held_out.keys() if scored is None else scored):
        own = targets.tally(by_fold[fold], n_classes)
        training = targets.tally(only_trained, n_classes) if only_trained else everyone - own
        training = training - targets.tally([labels[clip] for clip in (inner or {}).get(fold, ())], n_classes)
        folds.append(_Fold(tuple(sorted(held_out[fold])), tuple(training.tolist())))
    as_rule = "last" if rule == "inner-val" else rule
    given = (as_rule, tuple(folds), n_epochs, n_classes, averaged)
    guessers = (_always, _never, _prior_units) if targets is UNITS else (_majority, _prior_random)
    rows = tuple(guesser(*given) for guesser in guessers)
    return rows if as_rule == rule else tuple(replace(row, rule=rule) for row in rows)


def run_chance(run: Run, rule: str, dataset: str | None = None) -> tuple[ChanceScores, ...]:
    """Return the scores of the guessers on a run's clips (of `dataset` if given) under a rule, as `chance_rows`."""
    folds = folds_of(run, dataset)
    return chance_rows(
        rule,
        run.labels,
        run.fold_of,
        run.config.epochs,
        len(run.class_names),
        [fold.fold for fold in folds],
        {fold.fold: fold.inner_clip_ids for fold in folds},
        dataset=dataset,
        averaged=run.config.averages_datasets and dataset is None,
        targets=targets_of(run.config),
    )


@lru_cache(maxsize=64)
def _majority(rule: str, folds: tuple[_Fold, ...], n_epochs: int, n_classes: int, averaged: bool) -> ChanceScores:
    guesses = (np.full((1, 1, len(fold.held_out)), np.argmax(fold.training)) for fold in folds)
    return _score("majority", rule, folds, guesses, 1, n_classes, averaged)


@lru_cache(maxsize=64)
def _prior_random(rule: str, folds: tuple[_Fold, ...], n_epochs: int, n_classes: int, averaged: bool) -> ChanceScores:
    random = np.random.default_rng(SEED)
    n_draws = 1 if rule == "last" else n_epochs  # the earlier epochs of independent draws cannot matter
    sizes = ((REPETITIONS, n_draws, len(fold.held_out)) for fold in folds)
    shares = (np.array(fold.training) / sum(fold.training) for fold in folds)
    guesses = (draw_classes(random, size, of_fold) for size, of_fold in zip(sizes, shares, strict=True))
    return _score("prior-random", rule, folds, guesses, REPETITIONS, n_classes, averaged)


def draw_classes(
    random: np.random.Generator, size: tuple[int, int, int], shares: NDArray[np.float64]
) -> NDArray[np.integer[Any]]:
    """Return the same numbers as `random.choice(len(shares), size, p=shares)`, but much faster.

    The class of a uniform draw is the number of cumulative shares that the draw reaches. `size` is (repetitions,
    epochs, clips); the clips vary slowest in memory, so that counts over clips add up whole arrays.
    """
    *outer, n_clips = size
    summed = shares.cumsum()
    guesses = np.empty((n_clips, math.prod(outer)), dtype=np.min_scalar_type(len(shares)))
    for start in range(0, guesses.shape[1], ROWS_AT_ONCE):
        rows = guesses[:, start : start + ROWS_AT_ONCE]
        draws = random.random(rows.shape[::-1])
        classes = np.zeros(draws.shape, dtype=guesses.dtype)
        for bound in summed / summed[-1]:
            classes += draws >= bound
        rows[:] = classes.T
    return np.moveaxis(guesses.reshape(n_clips, *outer), 0, -1)


@lru_cache(maxsize=64)
def _always(rule: str, folds: tuple[_Fold, ...], n_epochs: int, n_units: int, averaged: bool) -> ChanceScores:
    guesses = (np.full((1, 1, len(fold.held_out)), (1 << n_units) - 1) for fold in folds)
    return _score("always", rule, folds, guesses, 1, n_units, averaged, UNITS)


@lru_cache(maxsize=64)
def _never(rule: str, folds: tuple[_Fold, ...], n_epochs: int, n_units: int, averaged: bool) -> ChanceScores:
    guesses = (np.zeros((1, 1, len(fold.held_out)), np.int64) for fold in folds)
    return _score("never", rule, folds, guesses, 1, n_units, averaged, UNITS)


@lru_cache(maxsize=64)
def _prior_units(rule: str, folds: tuple[_Fold, ...], n_epochs: int, n_units: int, averaged: bool) -> ChanceScores:
    random = np.random.default_rng(SEED)
    n_draws = 1 if rule == "last" else n_epochs

    def draw(fold: _Fold) -> NDArray[np.int64]:
        *n_shown, n_clips = fold.training
        masks = np.zeros((REPETITIONS, n_draws, len(fold.held_out)), np.int64)
        for unit, n_of_unit in enumerate(n_shown):
            shares = np.array([n_clips - n_of_unit, n_of_unit]) / n_clips
            masks |= draw_classes(random, masks.shape, shares).astype(np.int64) << unit
        return masks

    return _score("prior-random", rule, folds, map(draw, folds), REPETITIONS, n_units, averaged, UNITS)


def _score(
    name: str,
    rule: str,
    folds: tuple[_Fold, ...],
    guesses: Iterable[NDArray[np.integer[Any]]],
    n_repetitions: int,
    n_classes: int,
    averaged: bool,
    targets: Targets = CLASSES,
) -> ChanceScores:
    """Score a guesser from an array of classes for each fold, (repetitions, epochs, clips); 3,000 epochs take 20 MB."""
    corrects, chosen = [], []
    for fold, guess in zip(folds, guesses, strict=True):
        correct, epoch = choose_epochs(rule, guess, np.array(fold.held_out), n_classes, targets)
        corrects.append(correct)
        chosen.append(guess[np.arange(n_repetitions), epoch])
    parts = [[place] for place in range(len(folds))] if averaged else [list(range(len(folds)))]
    of_parts: dict[str, list[NDArray[np.float64]]] = {"accuracy": [], "uf1": [], "uar": []}
    for part in parts:
        truth = np.concatenate([folds[place].held_out for place in part])
        predicted = np.concatenate([chosen[place] for place in part], axis=1)
        tables = [targets.count(truth, row, n_classes) for row in predicted]
        of_parts["accuracy"].append(np.sum([corrects[place] for place in part], axis=0) / tables[0].sum())
        of_parts["uf1"].append(np.array([targets.f1(rule, table) for table in tables]))
        of_parts["uar"].append(np.array([targets.uar(table) for table in tables]))
    drawn = {metric: np.mean(values, axis=0) for metric, values in of_parts.items()}
    return ChanceScores(
        name=name,
        rule=rule,
        accuracy=float(drawn["accuracy"].mean()),
        uf1=float(drawn["uf1"].mean()),
        uar=float(drawn["uar"].mean()),
        repetitions=n_repetitions,
        intervals={metric: _interval(values) for metric, values in drawn.items()} if n_repetitions > 1 else {},
    )


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


@dataclass(frozen=True)
class NullControl:
    """The result of runs on permuted labels under one epoch rule; accuracies are averaged over the seeds.

    accuracy : what the runs reached, 0..1 · expected : what predictions with the same class shares reach by chance
    low, high : interval that holds an honest accuracy 95 times in 100; None if there is only one subject
    """

    rule: str
    accuracy: float
    expected: float
    low: float | None
    high: float | None
    n_seeds: int

    @property
    def is_at_chance(self) -> bool | None:
        """Whether the accuracy lies in the interval; None if there is no interval."""
        return None if self.low is None or self.high is None else self.low <= self.accuracy <= self.high


def control_of(by_seed: Sequence[Scores], run: Run) -> NullControl:
    """Return how far runs on permuted labels are from chance.

    `by_seed` has the scores of each seed, `run` is any of the runs. The interval is computed for the accuracy minus the
    expected accuracy by drawing subjects, then shifted to the expected accuracy and cut off at 0 and 1. Each fold
    has its own permutation, so when one subject is left out, a draw of subjects is a draw of permutations as well.
    If lists of subjects or datasets are held out, all clips of a fold share one permutation, and the interval is too
    narrow. Under
    `best-test` the accuracy comes from other epochs than the predictions that give the class shares.
    """
    counts = [counts_of(scores, run) for scores in by_seed]
    targets = counts[0].targets
    expected = float(np.mean([score_of(of_seed, targets.expected_accuracy) for of_seed in counts]))
    found = float(np.mean([score_of(of_seed, targets.over_chance) for of_seed in counts]))
    low = high = None
    if min(counts[0].sizes) > 1:
        interval = bootstrap_interval(counts, targets.over_chance)
        low, high = max(0.0, expected + interval.low - found), min(1.0, expected + interval.high - found)
    return NullControl(
        rule=by_seed[0].rule,
        accuracy=float(np.mean([scores.accuracy for scores in by_seed])),
        expected=expected,
        low=low,
        high=high,
        n_seeds=len(by_seed),
    )
