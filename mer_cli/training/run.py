"""The run directory: how a run is written fold by fold, and read back. No torch.

    runs/<dataset>-<scheme>-<model>-<recipe>-s<seed>-<hash8>/
    ├── config.json        every setting, resolved
    ├── environment.json   versions, device name, threads
    ├── clips.csv          clip_id, fold, emotion, label, class: for evaluation; its held-out rows never reach training
    └── folds/<dataset>-<subject>/   logits.npz, history.csv, model.safetensors, done

A fold is written under a temporary name and moved into place, so a folder that is there is whole.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import uuid
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from mer_cli.errors import RunError
from mer_cli.records import Fold, FoldPredictions
from mer_cli.training.config import TrainConfig

PROTOCOL_VERSION = 1  # raised whenever a change of the code can move a stored logit: old runs are then not continued


class RunConfig(TrainConfig):
    """`config.json`: the training settings with device, precision and compile resolved, and what they were used on."""

    dataset: str
    """Dataset of the store."""
    protocol_id: str
    """Scheme and number of clips: "casme2-5/249"."""
    class_names: tuple[str, ...]
    """Classes in label order."""
    content_hash: str
    """The store's hash over all it holds."""
    table_sha256: str
    """SHA-256 of the coding table that the store was built from."""
    table_version: str
    """Published version of that table, or ""."""
    generated: bool
    """Whether the faces were generated: no result on the dataset."""
    protocol_version: int = PROTOCOL_VERSION
    """Version of the code's protocol."""

    @property
    def run_name(self) -> str:
        """The run's folder: readable, and with a hash over every setting."""
        settings = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        digest = hashlib.sha256(settings.encode()).hexdigest()[:8]
        scheme = self.scheme.removeprefix(f"{self.dataset}-")
        return f"{self.dataset}-{scheme}-{self.model}-{self.recipe}-s{self.seed}-{digest}"


@dataclass(frozen=True)
class Run:
    """A run as it stands on disk.

    labels, fold_of, emotions : by clip id, for every clip of the run, finished or not
    folds : the finished folds, sorted by id · missing : ids of the folds that are not
    """

    path: Path
    config: RunConfig
    class_names: tuple[str, ...]
    labels: dict[str, int]
    fold_of: dict[str, str]
    emotions: dict[str, str]
    folds: tuple[FoldPredictions, ...]
    missing: tuple[str, ...]


def open_run(
    root: Path,
    config: RunConfig,
    labels: Mapping[str, int],
    emotions: Mapping[str, str],
    folds: Sequence[Fold],
    environment: Mapping[str, str | int],
) -> Path:
    """The run's directory under `root`: made, or found and checked to be of this very configuration.

    Raises
    ------
    RunError
        If the folder holds another configuration.
    """
    path = root / config.run_name
    if path.exists():
        held = _read_config(path)
        if held != config:
            differs = [name for name in RunConfig.model_fields if getattr(held, name) != getattr(config, name)]
            raise RunError(
                f"{path}: holds a run of another configuration ({differs[0]} is {getattr(held, differs[0])!r}) — "
                f"expected {getattr(config, differs[0])!r}. Its config.json was edited: move the folder away, or give "
                "another --out."
            )
        return path

    def fill(partial: Path) -> None:
        rows = [
            (clip, fold.id, emotions[clip], labels[clip], config.class_names[labels[clip]])
            for fold in folds
            for clip in fold.test
        ]
        _write_csv(partial / "clips.csv", ("clip_id", "fold", "emotion", "label", "class"), rows)
        (partial / "environment.json").write_text(json.dumps(environment, indent=2) + "\n")
        (partial / "folds").mkdir()
        (partial / "config.json").write_text(config.model_dump_json(indent=2) + "\n")

    if not _write_folder(path, fill, replace=False):
        return open_run(root, config, labels, emotions, folds, environment)  # another process made it meanwhile
    return path


def is_finished(path: Path, fold_id: str) -> bool:
    """Whether the run holds this fold, whole."""
    return (path / "folds" / fold_id / "done").exists()


def write_fold(
    path: Path,
    predictions: FoldPredictions,
    history: Sequence[Mapping[str, float]],
    save_weights: Callable[[Path], None] | None,
) -> None:
    """Puts a finished fold into the run, all of it or nothing.

    Parameters
    ----------
    history : a row for each epoch
    save_weights : writes the weights to the path that it is given; None keeps none

    Raises
    ------
    RunError
        If the disk is full or the folder can't be written.
    """

    def fill(partial: Path) -> None:
        clip_ids = np.array(predictions.clip_ids, dtype=np.str_)
        np.savez(partial / "logits.npz", logits=predictions.logits, clip_ids=clip_ids)
        rows = [(epoch, *row.values()) for epoch, row in enumerate(history, start=1)]
        _write_csv(partial / "history.csv", ("epoch", *history[0]), rows)
        if save_weights is not None:
            save_weights(partial / "model.safetensors")
        (partial / "done").touch()

    _write_folder(path / "folds" / predictions.fold, fill, replace=True)


def read_run(path: Path) -> Run:
    """A run directory, with the logits of all finished folds.

    Raises
    ------
    RunError
        If it is no run directory, was written by another version, or a file of it is damaged.
    """
    config = _read_config(path)
    labels, fold_of, emotions = {}, {}, {}
    try:
        with (path / "clips.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                labels[row["clip_id"]] = int(row["label"])
                fold_of[row["clip_id"]] = row["fold"]
                emotions[row["clip_id"]] = row["emotion"]
    except (OSError, KeyError, ValueError) as error:
        raise RunError(
            f"{path / 'clips.csv'}: not readable ({error!r}) — expected clip_id, fold, emotion, label, class. "
            "Move the run away and train again."
        ) from None
    fold_ids = sorted(set(fold_of.values()))
    finished = [fold for fold in fold_ids if is_finished(path, fold)]
    folds = []
    for fold in finished:
        held_out = {clip for clip, its_fold in fold_of.items() if its_fold == fold}
        folds.append(_read_fold(path, fold, held_out, config))
    missing = tuple(fold for fold in fold_ids if fold not in finished)
    return Run(path, config, config.class_names, labels, fold_of, emotions, tuple(folds), missing)


def _read_fold(path: Path, fold: str, held_out: set[str], config: RunConfig) -> FoldPredictions:
    file = path / "folds" / fold / "logits.npz"
    try:
        with file.open("rb") as opened, np.load(opened) as arrays:
            logits: NDArray[np.float32] = arrays["logits"]
            clip_ids = tuple(str(clip) for clip in arrays["clip_ids"])
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(
            f"{file}: not readable ({error}) — expected the logits of a finished fold. "
            f"Delete {file.parent} and train again: only this fold is repeated."
        ) from None
    shape = (config.epochs, len(held_out), len(config.class_names))
    if logits.shape != shape or set(clip_ids) != held_out:
        raise RunError(
            f"{file}: holds logits of shape {logits.shape} for {len(clip_ids)} clips — expected {shape} for the fold's "
            f"clips in clips.csv. Delete {file.parent} and train again: only this fold is repeated."
        )
    return FoldPredictions(fold=fold, clip_ids=clip_ids, logits=logits)


def _read_config(path: Path) -> RunConfig:
    file = path / "config.json"
    if not file.is_file():
        raise RunError(f"{path}: no run directory — expected a config.json in it. `mer train --loso` makes one.")
    try:
        held = json.loads(file.read_text())
        version = held.get("protocol_version") if isinstance(held, dict) else None
        if version != PROTOCOL_VERSION:
            raise RunError(
                f"{file}: protocol version {version}, this program reads {PROTOCOL_VERSION} — expected a run of this "
                "version. Train again; the old run stays as it is."
            )
        return RunConfig.model_validate(held)
    except (ValueError, ValidationError) as error:
        line = str(error).splitlines()[0]
        raise RunError(
            f"{file}: not a run's config ({line}) — expected the file that `mer train` wrote. Restore it, or move "
            "the run away and train again."
        ) from None


def _write_folder(target: Path, fill: Callable[[Path], None], *, replace: bool) -> bool:
    """Makes a folder by filling a temporary one beside it and moving that into place; says whether it did.

    A folder that is there already is replaced, or left alone and ours dropped.
    """
    partial = target.with_name(f".{target.name}-{uuid.uuid4().hex[:8]}.partial")  # several machines may share the disk
    try:
        partial.mkdir(parents=True)
        fill(partial)
        if target.exists():
            if not replace:
                shutil.rmtree(partial)
                return False
            shutil.rmtree(target)
        partial.replace(target)
        return True
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise RunError(
            f"{target}: can't be written ({reason}) — expected a writable folder with room for it. Free space or give "
            "another --out, then run the same command again: finished folds are kept."
        ) from None
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
