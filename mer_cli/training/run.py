"""The run directory: how a run is made, and written fold by fold (`read_run` reads it back). No torch.

    runs/<datasets>-<scheme>-<model>-<recipe>-s<seed>-<hash8>/
    ├── config.json        every setting, resolved, and the stores with the part that each plays
    ├── environment.json   the sessions that added folds: versions, device name, threads, and the stores as typed
    ├── clips.csv          clip_id, fold, emotion, label, class: for evaluation (`clip_table`)
    └── folds/<dataset>-<subject>/   logits.npz, history.csv, model.safetensors, done

`logits.npz` holds logits and clip_ids of the held-out clips, and of the inner ones where some were set aside.
A fold is written under a temporary name and moved into place, so a folder that is there is whole. Across datasets a
fold is named after its test dataset, and the clips that are only trained on have no fold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_cli.errors import RunError
from mer_cli.records import Fold, FoldPredictions
from mer_cli.training.atomic import write_folder
from mer_cli.training.clip_table import ClipTable, clip_table, read_clips, write_clips
from mer_cli.training.history import write_history
from mer_cli.training.run_config import RunConfig, parse_config
from mer_cli.training.sessions import Session, sessions_text


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
        If the folder holds another configuration or other clips.
    """
    path = root / config.run_name
    clips = clip_table(labels, emotions, folds)
    if path.exists():
        held = parse_config(path)
        if held != config:
            differs = [name for name in RunConfig.model_fields if getattr(held, name) != getattr(config, name)]
            raise RunError(
                f"{path}: holds a run of another configuration ({differs[0]} is {getattr(held, differs[0])!r}) — "
                f"expected {getattr(config, differs[0])!r}. Its config.json was edited: move the folder away, or give "
                "another --out."
            )
        _check_clips(path, read_clips(path / "clips.csv", config), clips)
        return path

    def fill(partial: Path) -> None:
        write_clips(partial / "clips.csv", clips, config.class_names)
        (partial / "environment.json").write_text(sessions_text([session]), encoding="utf-8")
        (partial / "folds").mkdir()
        (partial / "config.json").write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")

    if not write_folder(path, fill, replace=False):
        return open_run(root, config, labels, emotions, folds, session)  # another process made it meanwhile
    return path


def is_finished(path: Path, fold_id: str) -> bool:
    """Whether the run holds this fold, whole."""
    return (path / "folds" / fold_id / "done").exists()


def folds_to_train(path: Path, wanted: Sequence[Fold], *, resume: bool) -> list[Fold]:
    """The wanted folds that the run at `path` lacks, which need not be there yet; all where `resume` is off."""
    return [fold for fold in wanted if not (resume and is_finished(path, fold.id))]


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
        arrays: dict[str, Any] = {"logits": predictions.logits, "clip_ids": _as_array(predictions.clip_ids)}
        if predictions.inner_logits is not None and predictions.inner_clip_ids:
            arrays["inner_logits"] = predictions.inner_logits
            arrays["inner_clip_ids"] = _as_array(predictions.inner_clip_ids)
        np.savez(partial / "logits.npz", **arrays)
        write_history(partial / "history.csv", history)
        if save_weights is not None:
            save_weights(partial / "model.safetensors")
        (partial / "done").touch()

    write_folder(path / "folds" / predictions.fold, fill, replace=True)


def _check_clips(path: Path, held: ClipTable, planned: ClipTable) -> None:
    """The run's clips are those of the stores: their content hashes agree, so only an edit can part them."""
    for what, ours, theirs in (
        ("label", held.labels, planned.labels),
        ("fold", held.fold_of, planned.fold_of),
        ("emotion", held.emotions, planned.emotions),
    ):
        for clip_id in sorted(ours.keys() | theirs.keys()):
            if ours.get(clip_id) != theirs.get(clip_id):
                found = f"the {what} {ours[clip_id]!r}" if clip_id in ours else f"no {what}"
                expected = f"{theirs[clip_id]!r}" if clip_id in theirs else "no such clip"
                raise RunError(
                    f"{path / 'clips.csv'}: clip {clip_id} has {found} — expected {expected}, as the store and the "
                    "scheme say. The file was edited or damaged: restore it, or move the run away and train again."
                )


def _as_array(clip_ids: Sequence[str]) -> NDArray[np.str_]:
    return np.array(clip_ids, dtype=np.str_)
