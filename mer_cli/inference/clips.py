"""Takes a run and what the user named, gives held-out clips and the stores that hold them, checked to be the run's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mer_cli.errors import RunError, did_you_mean
from mer_cli.runs.directory import Run
from mer_cli.store.hdf5 import StoreInfo, read_store, read_windows
from mer_cli.training.batches import Windows


def find_clips(run: Run, names: Sequence[str]) -> tuple[str, ...]:
    """Held-out clips of a run by their names, in the order of the names and each once; all of them where none is named.

    Parameters
    ----------
    names : clip ids, or their ends where these say enough: "casme2/01/EP02_01f", "01/EP02_01f", "EP02_01f"

    Raises
    ------
    RunError
        If a name fits no held-out clip or several, or a clip's fold is not finished.
    """
    held_out = sorted(clip_id for clip_id, fold in run.fold_of.items() if fold)
    found = [_find_clip(run, held_out, name) for name in names] or held_out
    for clip_id in found:
        if run.fold_of[clip_id] in run.missing:
            raise RunError(
                f"{run.path}: fold {run.fold_of[clip_id]} is not finished, so no network has held {clip_id} out — "
                f"expected all {len(run.folds) + len(run.missing)} folds, {len(run.folds)} are there. Give the same "
                "`mer train` command again, or name clips of finished folds."
            )
    return tuple(dict.fromkeys(found))


def _find_clip(run: Run, held_out: Sequence[str], name: str) -> str:
    fits = [clip_id for clip_id in held_out if clip_id == name or clip_id.endswith(f"/{name}")]
    if len(fits) == 1:
        return fits[0]
    if len(fits) > 1:
        raise RunError(
            f"{run.path}: '{name}' is the end of {len(fits)} clip ids — expected one clip. "
            f"Name {' or '.join(fits[:2])}."
        )
    if name in run.labels:
        raise RunError(
            f"{run.path}: {name} was only trained on — expected a held-out clip, as {held_out[0]}: what a network "
            "looks at is shown on faces that it does not know. Name one of a test dataset."
        )
    raise RunError(
        f"{run.path}: holds no clip '{name}' — expected one of its {len(held_out)} held-out clips, as {held_out[0]}."
        f"{did_you_mean(name, held_out)} See them in {run.path / 'clips.csv'}."
    )


def find_stores(run: Run, given: Sequence[Path]) -> dict[str, StoreInfo]:
    """The stores of a run's held-out clips, by dataset.

    Parameters
    ----------
    given : stores; for a dataset that none is given of, the path that the run's last `mer train` was given

    Raises
    ------
    RunError
        If a store is not the one that the run was trained on.
    StoreError
        If a store is absent or damaged.
    """
    last = run.sessions[-1]
    tested = [store for store in run.config.stores if store.role != "train"]
    typed = last.stores if run.config.is_loso else last.test_stores
    paths = dict(zip((store.dataset for store in tested), map(Path, typed), strict=True))
    by_dataset = {info.dataset: info for info in map(read_store, given)}
    if unknown := sorted(by_dataset.keys() - paths.keys()):
        raise RunError(
            f"--store {by_dataset[unknown[0]].path}: holds {unknown[0]} — expected the store of {' or '.join(paths)}, "
            f"which {run.path} holds clips out of. Give that one."
        )
    for store in tested:
        dataset = store.dataset
        if dataset not in by_dataset:
            if not paths[dataset].is_file():
                raise RunError(
                    f"{run.path}: its store {paths[dataset]} is not there, seen from this folder — expected the "
                    f"{dataset} store that it was trained on. Say where it lies: --store PATH."
                )
            by_dataset[dataset] = read_store(paths[dataset])
        info = by_dataset[dataset]
        if info.content_hash != store.content_hash:
            raise RunError(
                f"{info.path}: content hash {info.content_hash[:12]}, and {run.path} was trained on "
                f"{store.content_hash[:12]} — expected the very store, or the pictures are not those that were scored. "
                "Say where it lies: --store PATH."
            )
    return by_dataset


def read_crops(store: StoreInfo, clip_ids: Sequence[str]) -> Windows:
    """The crops around onset and apex of some clips, in their order."""
    onset, onset_numbers, apex, apex_numbers = read_windows(store.path, clip_ids)
    offsets = store.clips.loc[list(clip_ids), "offset"].to_numpy(np.int32)
    return Windows(onset, apex, onset_numbers, apex_numbers, offsets)
