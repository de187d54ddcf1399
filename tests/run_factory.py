"""Writes small run directories as `mer train` does, with logits that are drawn instead of learnt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mer_cli.records import Fold, FoldPredictions
from mer_cli.training.folds import loso_folds
from mer_cli.training.run import RunConfig, open_run, write_fold

CLASSES = {
    "mmnet3": ("happiness", "surprise", "negative"),
    "casme2-5": ("happiness", "repression", "disgust", "surprise", "others"),
}


def write_run(
    root: Path,
    scheme: str = "mmnet3",
    *,
    subjects: int = 4,
    finished: int | None = None,
    skill: float = 1.0,
    **changes: Any,
) -> Path:
    """Write a run of 2 to 4 clips a subject; `finished` folds of it, all by default; returns its directory.

    `skill` is added to the true class's logit: 0 is a guesser.
    """
    class_names = CLASSES[scheme]
    labels = {
        f"casme2/{subject:02d}/EP{clip:02d}": (subject + clip) % len(class_names)
        for subject in range(1, subjects + 1)
        for clip in range(2 + subject % 3)
    }
    prefix = "" if scheme.startswith("casme2") else "casme2-"
    fields: dict[str, Any] = {
        "scheme": scheme,
        "epochs": 6,
        "decay_epochs": 6,
        "device": "cpu",
        "precision": "fp32",
        "compile": "off",
        "dataset": "casme2",
        "protocol_id": f"{prefix}{scheme}/{len(labels)}",
        "class_names": class_names,
        "content_hash": "0" * 64,
        "table_sha256": "1" * 64,
        "table_version": "20190701",
        "generated": False,
    }
    config = RunConfig(**(fields | changes))
    folds = loso_folds(labels)
    emotions = {clip_id: class_names[label] for clip_id, label in labels.items()}
    path = open_run(root, config, labels, emotions, folds, {"torch": "0"})
    random = np.random.default_rng(config.seed)
    for fold in folds[: len(folds) if finished is None else finished]:
        write_fold(path, draw_predictions(fold, labels, config, random, skill), [{"loss": 1.0}] * config.epochs, None)
    return path


def draw_predictions(
    fold: Fold, labels: dict[str, int], config: RunConfig, random: np.random.Generator, skill: float
) -> FoldPredictions:
    logits = random.normal(size=(config.epochs, len(fold.test), len(config.class_names))).astype(np.float32)
    for index, clip_id in enumerate(fold.test):
        logits[:, index, labels[clip_id]] += skill
    return FoldPredictions(fold.id, fold.test, logits)
