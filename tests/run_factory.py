"""Writes small run directories as `mer train` does, with logits that are drawn instead of learnt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_cli.datasets.schemes import SCHEMES, protocol_id
from mer_cli.records import Fold, FoldPredictions
from mer_cli.runs.directory import Session, open_run, write_fold
from mer_cli.runs.fold_files import FoldFacts
from mer_cli.runs.folds import cross_folds, dataset_folds, list_folds, loso_folds, set_aside
from mer_cli.runs.run_config import Role, RunConfig, RunStore
from mer_cli.runs.variants import VARIANTS

CLASSES = {
    "mmnet3": ("happiness", "surprise", "negative"),
    "megc3": ("negative", "positive", "surprise"),
    "casme2-5": ("happiness", "repression", "disgust", "surprise", "others"),
}


def write_run(
    root: Path,
    scheme: str = "mmnet3",
    *,
    datasets: Sequence[str] = ("casme2",),
    trained_on: Sequence[str] = (),
    lists: Mapping[str, tuple[str, ...]] | None = None,
    by_dataset: bool = False,
    subjects: int = 4,
    counts: Sequence[int] = (),
    finished: int | None = None,
    skill: float = 1.0,
    table_version: str = "20190701",
    generated: bool = False,
    out: str = "runs",
    machines: Sequence[FoldFacts] = (),
    **changes: Any,
) -> Path:
    """Write a run of 2 to 4 clips a subject; `finished` folds of it, all by default; returns its directory.

    Where a `protocol_id` is given there are as many clips as it says, of as many subjects; `counts` are those of each
    class instead.
    It is LOSO over `datasets`, or with `trained_on` tested on each of them; `lists` of subjects are held out instead of
    single ones, or with `by_dataset` whole datasets. `skill` is added to the true class's logit:
    0 is a guesser. `out` is the folder that the session is said to have been given. `machines` are those that trained
    the first folds; the others recorded none.
    """
    class_names = CLASSES[scheme]
    labels = {
        f"{dataset}/{subject:02d}/EP{clip:02d}": (subject + clip) % len(class_names)
        for dataset in (*datasets, *trained_on)
        for subject in range(1, subjects + 1)
        for clip in range(2 + subject % 3)
    }
    for extra in range(int(changes.get("protocol_id", "/0").rpartition("/")[2]) - len(labels)):
        subject, clip = 1 + extra % subjects, 10 + extra // subjects
        labels[f"{datasets[0]}/{subject:02d}/EP{clip:02d}"] = (subject + clip * clip) % len(class_names)  # uneven
    if counts:
        by_class = [label for label, n_clips in enumerate(counts) for _ in range(n_clips)]
        labels = {
            f"{datasets[0]}/{1 + place % subjects:02d}/EP{place:03d}": label for place, label in enumerate(by_class)
        }
    if trained_on:
        is_trained_on = {clip_id: clip_id.partition("/")[0] in trained_on for clip_id in labels}
        folds = cross_folds(*([clip for clip in labels if is_trained_on[clip] is side] for side in (True, False)))
        n_clips = "-to-".join(str(list(is_trained_on.values()).count(side)) for side in (True, False))
        name = f"{'+'.join(trained_on)}-to-{'+'.join(datasets)}-{scheme}/{n_clips}"
    else:
        folds = dataset_folds(labels) if by_dataset else list_folds(labels, lists) if lists else loso_folds(labels)
        named = replace(SCHEMES[scheme], composite="") if by_dataset or lists else SCHEMES[scheme]
        name = protocol_id(named, datasets, len(labels))
    held_out: Role = "test" if trained_on else "dataset" if by_dataset else "list" if lists else "loso"
    roles: dict[str, Role] = dict.fromkeys(datasets, held_out) | dict.fromkeys(trained_on, "train")
    fields: dict[str, Any] = {
        "scheme": scheme,
        "epochs": 6,
        "decay_epochs": 6,
        "device": "cpu",
        "precision": "fp32",
        "compile": "off",
        "stores": tuple(
            RunStore(
                dataset=dataset,
                role=role,
                content_hash="0" * 64,
                table_sha256="1" * 64,
                table_version=table_version,
                generated=generated,
            )
            for dataset, role in roles.items()
        ),
        "protocol_id": name,
        "class_names": class_names,
        "fold_lists": lists,
    }
    config = RunConfig(**(fields | VARIANTS[changes.get("variant", "mmnet")] | changes))
    config = config.model_copy(update={"revision": config.method.revision})
    emotions = {clip_id: _emotion(scheme, clip_id, label) for clip_id, label in labels.items()}
    paths = {role: tuple(f"data/{name}.h5" for name in sorted(roles) if roles[name] == role) for role in roles.values()}
    session = Session(paths["train" if trained_on else held_out], paths.get("test", ()), out, {"torch": "0"})
    path = open_run(root, config, labels, emotions, folds, session)
    random = np.random.default_rng(config.seed)
    history = dict.fromkeys(config.method.history_columns, 1.0)
    for place, fold in enumerate(folds[: len(folds) if finished is None else finished]):
        if config.inner_val:
            fold = set_aside(fold, labels, config.inner_val, config.seed)
        predictions = draw_predictions(fold, labels, config, random, skill)
        machine = machines[place] if place < len(machines) else None
        write_fold(path, predictions, [history] * config.epochs, None, machine)
    return path


def _emotion(scheme: str, clip_id: str, label: int) -> str:
    """The first emotion that the scheme puts into the clip's class."""
    emotions = SCHEMES[scheme].class_of[clip_id.partition("/")[0]]
    return next(emotion for emotion in emotions if SCHEMES[scheme].label(clip_id, emotion) == label)


def draw_predictions(
    fold: Fold, labels: dict[str, int], config: RunConfig, random: np.random.Generator, skill: float
) -> FoldPredictions:
    held_out = _draw(fold.test, labels, config, random, skill)
    if not fold.inner:
        return FoldPredictions(fold.id, fold.test, held_out)
    return FoldPredictions(fold.id, fold.test, held_out, fold.inner, _draw(fold.inner, labels, config, random, skill))


def _draw(
    clip_ids: Sequence[str], labels: dict[str, int], config: RunConfig, random: np.random.Generator, skill: float
) -> NDArray[np.float32]:
    logits = random.normal(size=(config.epochs, len(clip_ids), len(config.class_names))).astype(np.float32)
    for index, clip_id in enumerate(clip_ids):
        logits[:, index, labels[clip_id]] += skill
    return logits


def forget_checksum(path: Path) -> None:
    """Make a run's clips as they were in runs from before there were checksums."""
    file = path / "config.json"
    held = json.loads(file.read_text(encoding="utf-8"))
    del held["clips_sha256"], held["config_sha256"]
    file.write_text(json.dumps(held), encoding="utf-8")
