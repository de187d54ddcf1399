"""Writes small runs that predict action units, with logits that are drawn instead of learnt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mer_cli.datasets.unit_masks import bits_of
from mer_cli.records import FoldPredictions
from mer_cli.runs.directory import Session, open_run, write_fold
from mer_cli.runs.folds import dataset_folds, loso_folds, set_aside
from mer_cli.runs.run_config import RunConfig, RunStore

NAMES = ("AU1", "AU4", "AU12", "AU17")  # of the scheme; by default no clip shows AU17


def drawn_labels(datasets=("casme2",), subjects=5, never=3, seed=0):
    """Masks of four units, 3 to 5 clips for each subject; no clip shows the unit at the place `never`."""
    random = np.random.default_rng(seed)
    shares = np.array([0.5, 0.3, 0.2, 0.4])
    return {
        f"{dataset}/{subject:02d}/EP{clip:02d}": int(((random.random(4) < shares) << np.arange(4)).sum())
        & ~(1 << never)
        for dataset in datasets
        for subject in range(1, subjects + 1)
        for clip in range(3 + subject % 3)
    }


def write_unit_run(
    root: Path, labels=None, *, by_dataset=False, skill=1.0, finished=None, scheme="units-1-4-12-17", **changes: Any
) -> Path:
    """Write a run of LOSO, or `by_dataset` with whole datasets held out; `skill` moves each logit to its truth."""
    labels = drawn_labels() if labels is None else labels
    datasets = sorted({clip_id.partition("/")[0] for clip_id in labels})
    folds = dataset_folds(labels) if by_dataset else loso_folds(labels)
    store = {"content_hash": "0" * 64, "table_sha256": "1" * 64, "table_version": "", "generated": False}
    fields = {
        "model": "ststnet",
        "recipe": "published",
        "scheme": scheme,
        "epochs": 4,
        "decay_epochs": 4,
        "device": "cpu",
        "precision": "fp32",
        "compile": "off",
        "class_names": NAMES,
        "protocol_id": f"{'+'.join(datasets)}-{scheme}/{len(labels)}",
        "stores": tuple(
            RunStore(dataset=name, role="dataset" if by_dataset else "loso", **store | changes.pop("store", {}))
            for name in datasets
        ),
    }
    config = RunConfig(**fields | changes)
    paths = tuple(f"data/{name}.h5" for name in datasets)
    path = open_run(root, config, labels, dict.fromkeys(labels, "happiness"), folds, Session(paths, (), "runs", {}))
    random = np.random.default_rng(config.seed)

    def draw(clip_ids):
        truth = bits_of([labels[clip_id] for clip_id in clip_ids], len(config.class_names))
        noise = random.normal(size=(config.epochs, *truth.shape))
        return (noise + skill * np.where(truth, 1, -1)).astype(np.float32)

    for fold in folds[: len(folds) if finished is None else finished]:
        if config.inner_val:
            fold = set_aside(fold, labels, config.inner_val, config.seed, len(config.class_names))
        inner = (fold.inner, draw(fold.inner)) if fold.inner else ()
        history = [dict.fromkeys(config.method.history_columns, 1.0)] * config.epochs
        write_fold(path, FoldPredictions(fold.id, fold.test, draw(fold.test), *inner), history, None, None)
    return path
