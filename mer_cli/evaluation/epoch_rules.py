"""Joins labels to stored predictions by clip id, and scores the epochs that a named rule chooses.

`last` takes the last epoch of every fold: nothing is chosen.
`inner-val` chooses each fold's epoch by its inner clips: clips of training subjects that were set aside and not trained
on (`mer train --inner-val`).
The held-out clips play no part, so the score is honest, but noisy, because there are few inner clips.
`best-test` is what the released MMNet script prints: in each fold it picks epochs by the score on the held-out
subject, one epoch for the accuracy and another for the F1. It is kept to compare with published numbers;
`Scores.stamp` must stand wherever its number appears.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_cli.errors import ConfigError, RunError, unknown_name
from mer_cli.evaluation.run_text import stated_rule, unfinished
from mer_cli.evaluation.targets import CLASSES, Targets, targets_of
from mer_cli.records import EPOCH_RULES, FoldPredictions, dataset_of, subject_of
from mer_cli.runs.config import TrainConfig
from mer_cli.runs.directory import Run
from mer_cli.runs.folds import inner_labels

SELECTED_ON_TEST = "selected on the test subject"
SMOOTHED_OVER = 5  # epochs


@dataclass(frozen=True)
class Scores:
    """The scores of a set of folds under one epoch rule, from counts pooled over the folds.

    If `averaged`, each fold is a dataset, and `accuracy`, `uf1` and `uar` are means over the folds' own scores instead;
    `confusion` is summed all the same.

    Under `last` and `inner-val` all numbers come from one confusion matrix. Under `best-test`, `accuracy` adds up each
    fold's best epoch for accuracy, while `uf1`, `uar` and `confusion` come from the epochs that were picked for F1.
    Like the script, `uf1` then leaves out a class that is in neither labels nor predictions. The script has no UAR;
    `uar` is computed from the same predictions as `uf1`. `epochs` maps each fold to the epoch (from 1)
    whose predictions `confusion` counts, and `predicted` has these predictions by clip id.

    Of action units `confusion` has a table for each unit, (units, 2, 2), and `uf1`, `uar` and `accuracy` are means over
    units (`unit_metrics`); a prediction is a mask of units. There `best-test` has the same F1 as the other rules.
    """

    rule: str
    accuracy: float
    uf1: float
    uar: float
    confusion: NDArray[np.int64]
    n_clips: int
    n_subjects: int
    n_epochs: int
    epochs: Mapping[str, int]
    predicted: Mapping[str, int]
    averaged: bool = field(default=False, kw_only=True)
    targets: Targets = field(default=CLASSES, kw_only=True, repr=False)

    @property
    def selected_on_test(self) -> bool:
        return self.rule == "best-test"

    @property
    def stamp(self) -> str:
        """The warning that must stand beside the numbers; "" if no epoch was chosen on a held-out subject."""
        if not self.selected_on_test:
            return ""
        return SELECTED_ON_TEST if len(self.epochs) == self.n_subjects else f"{SELECTED_ON_TEST}s"


def apply_rule(
    rule: str,
    folds: Sequence[FoldPredictions],
    labels: Mapping[str, int],
    n_classes: int,
    inner_labels: Mapping[str, Mapping[str, int]] | None = None,
    *,
    averaged: bool = False,
    targets: Targets = CLASSES,
) -> Scores:
    """Return the pooled scores of stored predictions under an epoch rule.

    Parameters
    ----------
    rule : one of `records.EPOCH_RULES`
    folds : one for each held-out subject or test dataset, in any order, with the same number of epochs
    labels : class (0..n_classes-1) by clip id, for at least the clips in the folds
    inner_labels : class by fold and clip id, if a fold's inner clips have other labels than `labels` (permuted labels)
    averaged : whether to average each score over the folds, of which each is a dataset, instead of pooling
    targets : the kind of the labels; of action units there are `n_classes`

    Raises
    ------
    ConfigError
        If the rule is unknown.
    RunError
        If a logit is not finite; under `inner-val`, if a fold has no inner clips.

    Source
    ------
    `best-test`: muse1998/MMNet, CASME2_5.py (best `bingo_cnt`, and the last epoch that attains the best `AVG_F1`).
    """
    check_rule(rule)
    correct_of, tables, chosen, epochs = [], [], [], {}
    for fold in folds:
        _check_finite(fold.fold, fold.clip_ids, fold.logits)
        truth = np.array([labels[clip_id] for clip_id in fold.clip_ids], dtype=np.int64)
        predicted = targets.decide(fold.logits)  # (epochs, clips)
        of_inner = (inner_labels or {}).get(fold.fold, labels)
        correct, epoch = _choose_epoch(rule, fold, predicted, truth, of_inner, n_classes, targets)
        correct_of.append(correct)
        epochs[fold.fold] = epoch + 1
        chosen.append(predicted[epoch])
        tables.append(targets.count(truth, predicted[epoch], n_classes))
    confusion = np.sum(tables, axis=0)
    parts = list(zip(correct_of, tables, strict=True)) if averaged else [(sum(correct_of), confusion)]
    return Scores(
        rule=rule,
        accuracy=float(np.mean([n_correct / int(table.sum()) for n_correct, table in parts])),
        uf1=float(np.mean([targets.f1(rule, table) for _, table in parts])),
        uar=float(np.mean([targets.uar(table) for _, table in parts])),
        confusion=confusion,
        n_clips=sum(len(fold.clip_ids) for fold in folds),
        n_subjects=len({subject_of(clip_id) for fold in folds for clip_id in fold.clip_ids}),
        n_epochs=folds[0].logits.shape[0],
        epochs=dict(sorted(epochs.items())),
        predicted={
            clip_id: int(label)
            for fold, of_fold in zip(folds, chosen, strict=True)
            for clip_id, label in zip(fold.clip_ids, of_fold, strict=True)
        },
        averaged=averaged,
        targets=targets,
    )


def _choose_epoch(
    rule: str,
    fold: FoldPredictions,
    predicted: NDArray[np.int64],
    truth: NDArray[np.int64],
    inner_labels: Mapping[str, int],
    n_classes: int,
    targets: Targets,
) -> tuple[int, int]:
    """Return how many decisions on a fold's clips count as right, and the epoch that a rule chooses, from 0."""
    if rule == "inner-val":
        chosen = choose_inner_epoch(fold, inner_labels, n_classes, targets)
        return int(targets.count_right(predicted[chosen], truth, n_classes)), chosen
    correct, epoch = choose_epochs(rule, predicted, truth, n_classes, targets)
    return int(correct), int(epoch)


def choose_epochs(
    rule: str,
    predicted: NDArray[np.integer[Any]],
    truth: NDArray[np.int64],
    n_classes: int,
    targets: Targets = CLASSES,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose the epoch of one fold by a rule, for many repetitions at once if `predicted` has leading axes.

    Parameters
    ----------
    rule : `last` or `best-test`, which need no inner clips
    predicted : (..., epochs, clips) int, the predicted class or mask
    truth : (clips,) int

    Returns
    -------
    n_correct : (...) int, number of correct clips (or units of clips) for the accuracy; under `best-test` it can be of
        another epoch
    epoch : (...) int, from 0, the epoch whose predictions give every other score
    """
    correct = targets.count_right(predicted, truth, n_classes)
    n_epochs = predicted.shape[-2]
    if rule == "last":
        return correct[..., -1], np.full(correct.shape[:-1], n_epochs - 1)
    fold_f1 = targets.f1_of_epochs(predicted, truth, n_classes)
    return correct.max(axis=-1), n_epochs - 1 - np.argmax(fold_f1[..., ::-1], axis=-1)


def _check_finite(fold: str, clip_ids: Sequence[str], logits: NDArray[np.float32]) -> None:
    """Raise a RunError that names the first logit, of (epochs, clips, classes), that is not a finite number."""
    wrong = np.argwhere(~np.isfinite(logits).all(axis=2))
    if len(wrong):
        epoch, clip = wrong[0]
        raise RunError(
            f"folds/{fold}/logits.npz, epoch {epoch + 1}, clip {clip_ids[clip]}: a logit is NaN or infinite. The "
            "training diverged, or the file was edited. Train with --precision fp32, a lower learning rate or another "
            f"seed, or delete folds/{fold} and train it again."
        )


def choose_inner_epoch(
    fold: FoldPredictions, labels: Mapping[str, int], n_classes: int, targets: Targets = CLASSES
) -> int:
    """Return the epoch, from 0, that `inner-val` chooses: the one with the best smoothed UF1 on the fold's inner clips.

    Smoothed means averaged over five epochs: two before, the epoch itself and two after (fewer at either end). A tie
    goes to the earlier epoch; averages that differ by less than 1e-12 tie.

    Raises
    ------
    RunError
        If the fold has no inner clips, a clip has no label, or a logit is not finite.

    Source
    ------
    ours
    """
    return int(np.argmax(inner_uf1(fold, labels, n_classes, targets)))


def inner_uf1(
    fold: FoldPredictions, labels: Mapping[str, int], n_classes: int, targets: Targets = CLASSES
) -> NDArray[np.float64]:
    """Return the smoothed UF1 of each epoch on a fold's inner clips, as `choose_inner_epoch` compares it.

    Raises
    ------
    RunError
        As in `choose_inner_epoch`.
    """
    if fold.inner_logits is None or not fold.inner_clip_ids:
        raise RunError(without_inner(f"fold {fold.fold}"))
    _check_finite(fold.fold, fold.inner_clip_ids, fold.inner_logits)
    truth = [labels[clip_id] for clip_id in fold.inner_clip_ids]
    tables = [targets.count(truth, row, n_classes) for row in targets.decide(fold.inner_logits)]
    uf1 = targets.uf1(np.array(tables))
    total, n_summed = (_moving_sum(row) for row in (uf1, np.ones_like(uf1)))
    return np.round(total / n_summed, 12)


def usable_rules(config: TrainConfig) -> tuple[str, ...]:
    """Return the epoch rules that can score a run, `last` first; only `last` for a method without epochs."""
    if not config.has_epochs:
        return ("last",)
    return tuple(rule for rule in EPOCH_RULES if rule != "inner-val" or config.inner_val)


def why_unusable(place: str, rule: str, config: TrainConfig) -> str:
    """Return an error text: why a rule that is not in `usable_rules(config)` can't score the run at `place`."""
    if stated_rule(config):
        return (
            f"{place}: {config.model} was trained outside mer, so there are no epochs for {rule} to choose from. Give "
            "--rule last, or leave the run out."
        )
    if not config.has_epochs:
        return (
            f"{place}: {config.model} has no epochs for {rule} to choose from. Give --rule last, or leave the run out."
        )
    return without_inner(place)


def without_inner(place: str) -> str:
    """Return an error text: `inner-val` can't score the run or fold named `place`, because it has no inner clips."""
    return (
        f"{place}: has no inner clips to choose an epoch by. Give --rule last, or train a run that has some: "
        "mer train --loso --inner-val 3."
    )


def check_rule(rule: str) -> None:
    """Raise a ConfigError unless the rule is known."""
    if rule not in EPOCH_RULES:
        raise ConfigError(f"--rule: {unknown_name('epoch rule', rule, EPOCH_RULES)}")


def _moving_sum(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each value its sum with the two values before and the two after it, fewer at the ends."""
    return np.convolve(values, np.ones(SMOOTHED_OVER))[SMOOTHED_OVER // 2 :][: len(values)]


def evaluate(run: Run, rule: str, dataset: str | None = None) -> Scores:
    """Score a finished run under an epoch rule.

    Parameters
    ----------
    dataset : score the clips of this dataset only; all clips if left out, pooled, or averaged over the datasets if each
        fold holds one out

    Raises
    ------
    RunError
        If a fold is missing (the score of some of the subjects would not compare), or a fold can't be scored.
    """
    if run.missing:
        raise RunError(unfinished(run))
    try:
        folds = folds_of(run, dataset)
        inner = {fold.fold: inner_labels(fold.fold, fold.inner_clip_ids, run.labels, run.config) for fold in folds}
        averaged = run.config.averages_datasets and dataset is None
        n_classes, targets = len(run.class_names), targets_of(run.config)
        return apply_rule(rule, folds, run.labels, n_classes, inner, averaged=averaged, targets=targets)
    except RunError as error:
        raise RunError(f"{run.path}, {error}") from None


def folds_of(run: Run, dataset: str | None) -> list[FoldPredictions]:
    """Return the finished folds that hold out clips of `dataset`, with those clips alone; all folds if it is None."""
    if dataset is None:
        return list(run.folds)
    found = []
    for fold in run.folds:
        rows = [row for row, clip_id in enumerate(fold.clip_ids) if dataset_of(clip_id) == dataset]
        if len(rows) == len(fold.clip_ids):
            found.append(fold)
        elif rows:  # a list of subjects of several datasets
            ids = tuple(fold.clip_ids[row] for row in rows)
            found.append(replace(fold, clip_ids=ids, logits=fold.logits[:, rows]))
    return found
