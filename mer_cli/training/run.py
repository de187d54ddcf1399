"""The run directory: how a run is written fold by fold, and read back. No torch.

    runs/<datasets>-<scheme>-<model>-<recipe>-s<seed>-<hash8>/
    ├── config.json        every setting, resolved, and the stores with the part that each plays
    ├── environment.json   the sessions that added folds: versions, device name, threads, and the stores as typed
    ├── clips.csv          clip_id, fold, emotion, label, class: for evaluation; its held-out rows never reach training
    └── folds/<dataset>-<subject>/   logits.npz, history.csv, model.safetensors, done

A fold is written under a temporary name and moved into place, so a folder that is there is whole. Across datasets a
fold is named after its test dataset, and the clips that are only trained on have no fold.
"""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from mer_cli.errors import RunError
from mer_cli.records import Fold, FoldPredictions
from mer_cli.training.atomic import write_folder
from mer_cli.training.run_config import PROTOCOL_VERSION, RunConfig
from mer_cli.training.sessions import Session, read_sessions, sessions_text


@dataclass(frozen=True)
class Run:
    """A run as it stands on disk.

    labels, fold_of, emotions : by clip id, for every clip of the run, finished or not; the fold of a clip that is
        only trained on is ""
    folds : the finished folds, sorted by id · missing : ids of the folds that are not
    sessions : the oldest first
    """

    path: Path
    config: RunConfig
    class_names: tuple[str, ...]
    labels: dict[str, int]
    fold_of: dict[str, str]
    emotions: dict[str, str]
    folds: tuple[FoldPredictions, ...]
    missing: tuple[str, ...]
    sessions: tuple[Session, ...]


def open_run(
    root: Path,
    config: RunConfig,
    labels: Mapping[str, int],
    emotions: Mapping[str, str],
    folds: Sequence[Fold],
    session: Session,
) -> Path:
    """The run's directory under `root`: made, or found and checked to be of this very configuration.

    Parameters
    ----------
    labels, emotions : by clip id, for the clips of all folds, held out or trained on
    session : the first one of a run that is made

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
        fold_of = {clip: fold.id for fold in folds for clip in fold.test}
        rows = [
            (clip, fold_of.get(clip, ""), emotions[clip], labels[clip], config.class_names[labels[clip]])
            for clip in (*fold_of, *sorted(labels.keys() - fold_of.keys()))
        ]
        _write_csv(partial / "clips.csv", ("clip_id", "fold", "emotion", "label", "class"), rows)
        (partial / "environment.json").write_text(sessions_text([session]))
        (partial / "folds").mkdir()
        (partial / "config.json").write_text(config.model_dump_json(indent=2) + "\n")

    if not write_folder(path, fill, replace=False):
        return open_run(root, config, labels, emotions, folds, session)  # another process made it meanwhile
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

    write_folder(path / "folds" / predictions.fold, fill, replace=True)


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
    fold_ids = sorted(set(fold_of.values()) - {""})
    finished = [fold for fold in fold_ids if is_finished(path, fold)]
    folds = []
    for fold in finished:
        held_out = {clip for clip, its_fold in fold_of.items() if its_fold == fold}
        folds.append(_read_fold(path, fold, held_out, config))
    missing = tuple(fold for fold in fold_ids if fold not in finished)
    sessions = tuple(read_sessions(path))
    return Run(path, config, config.class_names, labels, fold_of, emotions, tuple(folds), missing, sessions)


def other_version(path: Path) -> str | None:
    """A sentence where the run was written under another protocol version, so that `read_run` would refuse it.

    Raises
    ------
    RunError
        If it is no run directory, or its config is damaged.
    """
    file = path / "config.json"
    version = _read_json(file).get("protocol_version")
    if version == PROTOCOL_VERSION:
        return None
    return (
        f"{file}: protocol version {version}, this program reads {PROTOCOL_VERSION} — expected a run of this "
        "version. Train again; the old run stays as it is."
    )


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
    if sentence := other_version(path):
        raise RunError(sentence)
    file = path / "config.json"
    try:
        return RunConfig.model_validate(_read_json(file))
    except ValidationError as error:
        raise _no_config(file, error) from None


def _read_json(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise RunError(f"{file.parent}: no run directory — expected a config.json in it. `mer train --loso` makes one.")
    try:
        held = json.loads(file.read_text())
    except ValueError as error:
        raise _no_config(file, error) from None
    return held if isinstance(held, dict) else {}


def _no_config(file: Path, error: ValueError) -> RunError:
    return RunError(
        f"{file}: not a run's config ({str(error).splitlines()[0]}) — expected the file that `mer train` wrote. "
        "Restore it, or move the run away and train again."
    )


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
