"""Turns a run into scores, printable facts and tables of text, and rows of predictions. Nothing is printed here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mer_cli.errors import RunError
from mer_cli.evaluation import metrics
from mer_cli.evaluation.chance import chance_rows
from mer_cli.evaluation.epoch_rules import Scores, apply_rule
from mer_cli.training.config import TrainConfig, resolve_config
from mer_cli.training.run import Run

TextTable = tuple[tuple[str, ...], ...]  # rows of cells of equal number, the header first

# Where the numbers were computed, not what was asked for: left out where a run's settings are named.
_NOT_A_VARIANT = frozenset({"scheme", "model", "recipe", "seed", "device", "precision", "compile"})


@dataclass(frozen=True)
class Summary:
    """One run under one rule as text: facts are (name, value) pairs, the tables carry their header."""

    title: str
    facts: tuple[tuple[str, str], ...]
    classes: TextTable
    confusion: TextTable
    chance: TextTable


def evaluate(run: Run, rule: str) -> Scores:
    """Score a finished run under an epoch rule.

    Raises
    ------
    RunError
        If a fold is missing (a part of the subjects is not the protocol, and its score would not compare), or a
        fold's predictions cannot be scored.
    """
    if run.missing:
        raise RunError(
            f"{run.path}: {progress(run)} are finished — expected all of them, or the score is not that of "
            f"{run.config.protocol_id}. Continue with: {train_command(run.config)}"
        )
    try:
        return apply_rule(rule, run.folds, run.labels, len(run.class_names))
    except RunError as error:
        raise RunError(f"{run.path}, {error}") from None


def summarise(run: Run, scores: Scores) -> Summary:
    """Give what `mer evaluate` shows of a run that was scored."""
    config = run.config
    rule = f"{scores.rule}: {scores.stamp}" if scores.stamp else scores.rule
    f1_name = "F1 of the released script" if scores.selected_on_test else "UF1"
    facts = (
        *([("faces", "generated: not a result on any dataset")] if config.generated else []),
        ("protocol", f"{config.protocol_id}, leave one subject out"),
        ("coding table", config.table_version or "unknown"),
        ("epoch rule", f"{rule} ({scores.n_epochs} epochs)"),
        ("clips, subjects", f"{scores.n_clips}, {scores.n_subjects}"),
        ("model, settings", f"{config.model}, {settings(config)}"),
        ("seed", str(config.seed)),
        ("accuracy", f"{percent(scores.accuracy)} %"),
        (f1_name, fraction(scores.uf1)),
        ("UAR", fraction(scores.uar)),
    )
    chance = chance_rows(scores.rule, run.labels, run.fold_of, scores.n_epochs, len(run.class_names))
    return Summary(
        title=run.path.name,
        facts=facts,
        classes=class_table(scores, run.class_names),
        confusion=confusion_table(scores, run.class_names),
        chance=(
            ("guesser", "accuracy %", f1_name, "UAR"),
            *((row.name, percent(row.accuracy), fraction(row.uf1), fraction(row.uar)) for row in chance),
        ),
    )


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
    """Give the recipe's name and every setting that departs from it: "released recipe, epochs 10"."""
    changes = (f", {name.replace('_', ' ')} {value}" for name, value in _changes(config).items())
    return f"{config.recipe} recipe{''.join(changes)}"


def train_command(config: TrainConfig) -> str:
    """Give the command line that starts or continues a run of these settings."""
    named = {"scheme": config.scheme, "recipe": config.recipe, "seed": config.seed, **_changes(config)}
    machine = {"device": config.device, "precision": config.precision, "compile": config.compile}
    flags = (f"--{name.replace('_', '-')} {value}" for name, value in {**named, **machine}.items())
    return f"mer train --loso {' '.join(flags)}"


def percent(share: float) -> str:
    """Give .88353 as "88.35"."""
    return f"{100 * share:.2f}"


def fraction(share: float) -> str:
    """Give .86762 as ".8676", the way the field prints F1."""
    return f"{share:.4f}".removeprefix("0")


def _changes(config: TrainConfig) -> dict[str, Any]:
    standard = resolve_config(config.recipe)
    names = [name for name in TrainConfig.model_fields if name not in _NOT_A_VARIANT]
    return {name: getattr(config, name) for name in names if getattr(config, name) != getattr(standard, name)}
