"""Collects what the HTML page draws for each group of runs: confusion, class scores, learning curves, images.

Only seeds with all their folds count, as in the tables.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mer_cli.errors import RunError
from mer_cli.evaluation.epoch_rules import evaluate, usable_rules
from mer_cli.evaluation.metrics import ClassScores, per_class
from mer_cli.evaluation.run_text import settings, stated_rule
from mer_cli.records import dataset_of
from mer_cli.report.collect import RunGroup
from mer_cli.report.entries import store_origin
from mer_cli.runs.directory import Run
from mer_cli.runs.fold_files import read_history
from mer_cli.system.files import unread

EXPLAIN = "explain"  # the folder in a run where `mer explain` leaves its images


@dataclass(frozen=True)
class RuleFigure:
    """The data to draw for a group of runs under one epoch rule.

    stamp : warning that must stand beside the chart, "" if nothing was chosen on the test subject
    confusion : counts of clips, added up over folds and seeds, rows true, columns predicted
    classes : scores of each class from `confusion`, in label order
    """

    rule: str
    stamp: str
    confusion: tuple[tuple[int, ...], ...]
    classes: tuple[ClassScores, ...]


@dataclass(frozen=True)
class Picture:
    """A PNG as a data URI, with its caption."""

    caption: str
    uri: str


@dataclass(frozen=True)
class RunFigure:
    """The data to draw for one configuration on one protocol, over all finished seeds.

    protocol : in words · n_clips, n_subjects : number of clips and subjects that each seed is scored on
    origin : the coding tables and stores that the runs used
    runs : names of the run directories
    rules : a figure for each epoch rule, honest rules first
    loss : average training loss of each epoch, over folds and seeds; NaN or infinite if a fold diverged; empty for
        a classical method, which has no epochs
    accuracy : share of held-out clips predicted correctly after each epoch, pooled over folds, averaged over seeds; not
        used to choose an epoch; empty for a classical method
    """

    title: str
    protocol_id: str
    protocol: str
    generated: bool
    class_names: tuple[str, ...]
    seeds: tuple[int, ...]
    n_clips: int
    n_subjects: int
    origin: str
    runs: tuple[str, ...]
    rules: tuple[RuleFigure, ...]
    loss: tuple[float, ...]
    accuracy: tuple[float, ...]
    pictures: tuple[Picture, ...]


def run_figures(groups: Sequence[RunGroup], with_images: bool) -> tuple[RunFigure, ...]:
    """Return a figure for each group that has a finished seed; if whole datasets are held out, one for each of them.

    Parameters
    ----------
    with_images : whether to include the images that `mer explain` wrote into the runs; they show faces
    """
    figures = []
    for group in groups:
        finished = tuple(run for run in group.runs if not run.missing)
        if finished:
            figures += [_run_figure(finished, part, with_images) for part in finished[0].config.pooled_parts]
    return tuple(figures)


def _run_figure(runs: Sequence[Run], dataset: str | None, with_images: bool) -> RunFigure:
    """Return the figure of runs of one configuration; with `dataset`, only of the folds that test on that dataset."""
    config = runs[0].config
    rules = tuple(_rule_figure(runs, rule, dataset) for rule in usable_rules(config))
    scores = evaluate(runs[0], rules[0].rule, dataset)
    return RunFigure(
        title=f"{config.model}, {settings(config)}",
        protocol_id=config.protocol_id,
        protocol=config.protocol([dataset] if dataset else None),
        generated=config.generated,
        class_names=runs[0].class_names,
        seeds=tuple(run.config.seed for run in runs),
        n_clips=scores.n_clips,
        n_subjects=scores.n_subjects,
        origin="; ".join(store_origin(store, named=True) for store in config.stores),
        runs=tuple(run.path.name for run in runs),
        rules=rules,
        loss=_mean_loss(runs) if config.has_epochs else (),
        accuracy=_mean([_held_out_accuracy(run, dataset) for run in runs]) if config.has_epochs else (),
        pictures=tuple(picture for run in runs for picture in _pictures(run)) if with_images else (),
    )


def _rule_figure(runs: Sequence[Run], rule: str, dataset: str | None) -> RuleFigure:
    scores = [evaluate(run, rule, dataset) for run in runs]
    confusion = np.sum([score.confusion for score in scores], axis=0)
    counts = tuple(tuple(int(count) for count in row) for row in confusion)
    return RuleFigure(rule, scores[0].stamp or stated_rule(runs[0].config), counts, per_class(confusion))


def _mean_loss(runs: Sequence[Run]) -> tuple[float, ...]:
    """Return the loss by epoch; empty if a learner of your own logged none."""
    losses = [
        read_history(run.path / "folds" / fold.fold / "history.csv", "loss", run.config.epochs)
        for run in runs
        for fold in run.folds
    ]
    is_logged = runs[0].config.method.is_network or bool(np.isfinite(losses).all())
    return _mean(losses) if is_logged else ()


def _mean(rows: Sequence[Sequence[float]]) -> tuple[float, ...]:
    return tuple(float(mean) for mean in np.mean(rows, axis=0))


def _held_out_accuracy(run: Run, dataset: str | None) -> list[float]:
    """Return the share of held-out clips predicted correctly after each epoch (only clips of `dataset` if given)."""
    right = np.zeros(run.config.epochs, dtype=np.int64)
    n_clips = 0
    for fold in run.folds:
        of_dataset = [dataset in (None, dataset_of(clip_id)) for clip_id in fold.clip_ids]
        truth = np.array([run.labels[clip_id] for clip_id in fold.clip_ids])
        right += (np.argmax(fold.logits, axis=-1) == truth)[:, of_dataset].sum(axis=1)
        n_clips += sum(of_dataset)
    return [float(count) / n_clips for count in right]


def _pictures(run: Run) -> Iterator[Picture]:
    for file in sorted((run.path / EXPLAIN).glob("*.png")):
        try:
            data = file.read_bytes()
        except OSError as error:
            raise RunError(unread(file, error, kept="`mer explain` draws it again.")) from None
        yield Picture(
            f"{file.stem}, seed {run.config.seed}", f"data:image/png;base64,{base64.b64encode(data).decode()}"
        )
