"""Turns a run into scores, printable facts and tables of text, and rows of predictions. Nothing is printed here."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mer_cli.errors import RunError
from mer_cli.evaluation import metrics
from mer_cli.evaluation.chance import chance_rows
from mer_cli.evaluation.epoch_rules import Scores, apply_rule
from mer_cli.evaluation.statistics import Metric, bootstrap_interval, count_by_subject
from mer_cli.records import FoldPredictions
from mer_cli.training.config import RECIPE_STAMPS, TrainConfig, resolve_config
from mer_cli.training.run import Run
from mer_cli.training.sessions import DEFAULT_ROOT

TextTable = tuple[tuple[str, ...], ...]  # rows of cells of equal number, the header first

# Where the numbers were computed, not what was asked for: left out where a run's settings are named.
_NOT_A_CHANGE = frozenset({"scheme", "model", "variant", "recipe", "seed", "device", "precision", "compile"})


@dataclass(frozen=True)
class Summary:
    """One score of a run as text: facts are (name, value) pairs, the tables carry their header.

    datasets : where a score pools several datasets, a row for each of them and for the guessers on it; else empty
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    classes: TextTable
    confusion: TextTable
    chance: TextTable
    datasets: TextTable


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
        return apply_rule(rule, _folds_of(run, dataset), run.labels, len(run.class_names))
    except RunError as error:
        raise RunError(f"{run.path}, {error}") from None


def unfinished(run: Run) -> str:
    """Say that folds are missing, and how to go on."""
    return (
        f"{run.path}: {progress(run)} are finished — expected all of them, or the score is not that of "
        f"{run.config.protocol_id}. Continue with: {train_command(run)}"
    )


def summarise(run: Run, rule: str) -> tuple[Summary, ...]:
    """Give what `mer evaluate` shows of a run: one score under LOSO, one for each test dataset across datasets.

    Raises
    ------
    RunError
        As `evaluate`.
    """
    if run.config.is_loso:
        return (_summarise(run, rule, None),)
    return tuple(_summarise(run, rule, dataset) for dataset in run.config.test_datasets)


def _summarise(run: Run, rule: str, dataset: str | None) -> Summary:
    config = run.config
    scores = evaluate(run, rule, dataset)
    f1_name = "F1 of the released script" if scores.selected_on_test else "UF1"
    facts = (
        *([("faces", "generated: not a result on any dataset")] if config.generated else []),
        ("protocol", f"{config.protocol_id}, {config.protocol([dataset] if dataset else None)}"),
        ("coding table", _table_versions(run)),
        ("epoch rule", f"{f'{rule}: {scores.stamp}' if scores.stamp else rule} ({scores.n_epochs} epochs)"),
        ("clips, subjects", f"{scores.n_clips}, {scores.n_subjects}"),
        ("model, settings", f"{config.model}, {settings(config)}"),
        ("seed", str(config.seed)),
        ("accuracy", f"{percent(scores.accuracy)} %{_interval(run, scores, metrics.accuracy, percent)}"),
        (f1_name, f"{fraction(scores.uf1)}{_interval(run, scores, metrics.uf1, fraction)}"),
        ("UAR", f"{fraction(scores.uar)}{_interval(run, scores, metrics.uar, fraction)}"),
    )
    several = dataset is None and len(config.test_datasets) > 1
    return Summary(
        title=run.path.name,
        facts=facts,
        classes=class_table(scores, run.class_names),
        confusion=confusion_table(scores, run.class_names),
        chance=(("guesser", "accuracy %", f1_name, "UAR"), *_chance(run, scores, dataset)),
        datasets=_dataset_table(run, scores, f1_name) if several else (),
    )


def _interval(run: Run, scores: Scores, metric: Metric, text: Callable[[float], str]) -> str:
    """ " (95 % interval over subjects .6121 to .8011)"; "" where the epoch was chosen on them: none covers that."""
    if scores.selected_on_test or scores.n_subjects < 2:
        return ""
    interval = bootstrap_interval([count_by_subject(scores.predicted, run.labels, len(run.class_names))], metric)
    lost = f"; a class has no clip in {percent(interval.lost)} % of the draws" if interval.lost else ""
    return f" (95 % interval over subjects {text(interval.low)} to {text(interval.high)}{lost})"


def _dataset_table(run: Run, scores: Scores, f1_name: str) -> TextTable:
    """The score on all datasets (MEGC's "full"), then on each, pooled over its folds only, with the guessers on it."""
    rows = [_dataset_row(run, "full", scores)]
    for dataset in run.config.test_datasets:
        of_one = evaluate(run, scores.rule, dataset)
        rows.append(_dataset_row(run, dataset, of_one))
        rows += [(dataset, row[0], "", "", *row[1:]) for row in _chance(run, of_one, dataset)]
    return (("dataset", "by", "clips", "subjects", "accuracy %", f1_name, "UAR"), *rows)


def _dataset_row(run: Run, name: str, scores: Scores) -> tuple[str, ...]:
    numbers = (percent(scores.accuracy), fraction(scores.uf1), fraction(scores.uar))
    return (name, run.config.model, str(scores.n_clips), str(scores.n_subjects), *numbers)


def _chance(run: Run, scores: Scores, dataset: str | None) -> TextTable:
    scored = [fold.fold for fold in _folds_of(run, dataset)]
    rows = chance_rows(scores.rule, run.labels, run.fold_of, scores.n_epochs, len(run.class_names), scored)
    return tuple((row.name, percent(row.accuracy), fraction(row.uf1), fraction(row.uar)) for row in rows)


def _folds_of(run: Run, dataset: str | None) -> list[FoldPredictions]:
    return [fold for fold in run.folds if dataset in (None, fold.clip_ids[0].partition("/")[0])]


def _table_versions(run: Run) -> str:
    stores = run.config.stores
    named = [(store.dataset, store.table_version or "unknown") for store in stores]
    return named[0][1] if len(named) == 1 else ", ".join(f"{dataset} {version}" for dataset, version in named)


def class_table(scores: Scores, class_names: Sequence[str]) -> TextTable:
    """Give clips, precision, recall and F1 of every class."""
    rows = zip(class_names, metrics.per_class(scores.confusion), strict=True)
    return (
        ("class", "clips", "precision", "recall", "F1"),
        *((name, str(row.n), fraction(row.precision), fraction(row.recall), fraction(row.f1)) for name, row in rows),
    )


def confusion_table(scores: Scores, class_names: Sequence[str]) -> TextTable:
    """Give the pooled counts, rows true and columns predicted."""
    rows = zip(class_names, scores.confusion, strict=True)
    return (("true \\ predicted", *class_names), *((name, *map(str, counts.tolist())) for name, counts in rows))


def prediction_table(run: Run, scores: Scores) -> TextTable:
    """Give every held-out clip's prediction at the epoch that the rule chose, sorted by clip id.

    The columns are dataset, subject, clip, fold, seed, epoch rule, gt, pred, p_1..p_C: `gt` and `pred` count classes
    from 0, `p_1` is the probability (softmax) of class 0. The epoch is that of the confusion matrix, so under
    `best-test` the rows do not give the rule's accuracy: that comes from other epochs.
    """
    n_classes = len(run.class_names)
    rows = []
    for fold in run.folds:
        logits = fold.logits[scores.epochs[fold.fold] - 1].astype(np.float64)  # (clips, classes)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares = powers / powers.sum(axis=1, keepdims=True)
        for clip_id, clip_logits, clip_shares in zip(fold.clip_ids, logits, shares, strict=True):
            dataset, subject, clip = clip_id.split("/", 2)
            classes = (str(run.labels[clip_id]), str(int(np.argmax(clip_logits))))
            probabilities = (f"{share:.6f}" for share in clip_shares)
            rows.append(
                (dataset, subject, clip, fold.fold, str(run.config.seed), scores.rule, *classes, *probabilities)
            )
    header = ("dataset", "subject", "clip", "fold", "seed", "epoch rule", "gt", "pred")
    return ((*header, *(f"p_{index}" for index in range(1, n_classes + 1))), *sorted(rows))


def progress(run: Run) -> str:
    """Give "14 of 26 folds"."""
    return f"{len(run.folds)} of {len(run.folds) + len(run.missing)} folds"


def settings(config: TrainConfig) -> str:
    """Give variant, recipe and every setting that departs from them: "baseline, released recipe, epochs 10"."""
    variant = "" if config.variant == config.model else f"{config.variant}, "
    stamp = f" ({RECIPE_STAMPS[config.recipe]})" if config.recipe in RECIPE_STAMPS else ""
    changes = (f", {name.replace('_', ' ')} {value}" for name, value in _changes(config).items())
    return f"{variant}{config.recipe} recipe{stamp}{''.join(changes)}"


def train_command(run: Run) -> str:
    """Give the command line that continues a run, with the stores and the folder that its last session was given."""
    config, session = run.config, run.sessions[-1]
    stores = " ".join(shlex.quote(store) for store in session.stores)
    tested = " ".join(f"--test {shlex.quote(store)}" for store in session.test_stores)
    variant = {} if config.variant == config.model else {"variant": config.variant}
    named = {"scheme": config.scheme, **variant, "recipe": config.recipe, "seed": config.seed, **_changes(config)}
    machine = {"device": config.device, "precision": config.precision, "compile": config.compile}
    flags = [_flag(name.replace("_", "-"), value) for name, value in {**named, **machine}.items()]
    if session.out != DEFAULT_ROOT:
        flags.append(f"--out {shlex.quote(session.out)}")
    return f"mer train {stores} {tested or '--loso'} {' '.join(flags)}"


def _flag(name: str, value: object) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name} {value}"


def percent(share: float) -> str:
    """Give .88353 as "88.35"."""
    return f"{100 * share:.2f}"


def fraction(share: float) -> str:
    """Give .86762 as ".8676", the way the field prints F1."""
    return f"{share:.4f}".removeprefix("0")


def _changes(config: TrainConfig) -> dict[str, Any]:
    standard = resolve_config(config.recipe, config.variant)
    names = [name for name in TrainConfig.model_fields if name not in _NOT_A_CHANGE]
    return {name: getattr(config, name) for name in names if getattr(config, name) != getattr(standard, name)}
