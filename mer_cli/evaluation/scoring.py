"""Takes a finished run, gives its scores under an epoch rule: of all folds, or of one dataset's."""

from __future__ import annotations

from mer_cli.errors import RunError
from mer_cli.evaluation.chance import ChanceScores, chance_rows
from mer_cli.evaluation.epoch_rules import Scores, apply_rule
from mer_cli.evaluation.run_text import unfinished
from mer_cli.records import FoldPredictions
from mer_cli.training.folds import dataset_of
from mer_cli.training.run import Run
from mer_cli.training.shuffle import inner_labels


def evaluate(run: Run, rule: str, dataset: str | None = None) -> Scores:
    """Score a finished run under an epoch rule.

    Parameters
    ----------
    dataset : pool over the folds of this dataset only; over all folds where left out

    Raises
    ------
    RunError
        If a fold is missing (a part of the subjects is not the protocol, and its score would not compare), or a
        fold's predictions cannot be scored.
    """
    if run.missing:
        raise RunError(unfinished(run))
    try:
        folds = folds_of(run, dataset)
        inner = {fold.fold: inner_labels(fold.fold, fold.inner_clip_ids, run.labels, run.config) for fold in folds}
        return apply_rule(rule, folds, run.labels, len(run.class_names), inner)
    except RunError as error:
        raise RunError(f"{run.path}, {error}") from None


def run_chance(run: Run, rule: str, dataset: str | None = None) -> tuple[ChanceScores, ChanceScores]:
    """Give what guessers get on a run's clips under a rule, knowing the clips that its folds were trained on.

    Raises
    ------
    RunError
        As `chance_rows`.
    """
    folds = folds_of(run, dataset)
    return chance_rows(
        rule,
        run.labels,
        run.fold_of,
        run.config.epochs,
        len(run.class_names),
        [fold.fold for fold in folds],
        {fold.fold: fold.inner_clip_ids for fold in folds},
    )


def folds_of(run: Run, dataset: str | None) -> list[FoldPredictions]:
    """Give the finished folds that hold out clips of this dataset; all of them for None."""
    return [fold for fold in run.folds if dataset in (None, dataset_of(fold.clip_ids[0]))]
