"""Find what a trained run can be asked about: its held-out clips, the stores of its clips, the weights of its folds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from mer_cli.errors import RunError, did_you_mean
from mer_cli.evaluation.run_text import trained_with
from mer_cli.runs.directory import Run
from mer_cli.runs.fold_files import WEIGHTS
from mer_cli.runs.run_config import RunConfig
from mer_cli.store.hdf5 import StoreInfo, read_store


def find_clips(run: Run, names: Sequence[str]) -> tuple[str, ...]:
    """Return the ids of the clips that `names` mean, each once, in that order; all held-out clips if `names` is empty.

    Parameters
    ----------
    names : clip ids, or unambiguous ends of them: "casme2/01/EP02_01f", "01/EP02_01f", "EP02_01f"

    Raises
    ------
    RunError
        If a name fits several held-out clips or none, or a clip's fold is not finished.
    """
    held_out = sorted(clip_id for clip_id, fold in run.fold_of.items() if fold)
    found = [_find_clip(run, held_out, name) for name in names] or held_out
    for clip_id in found:
        if run.fold_of[clip_id] in run.missing:
            raise RunError(
                f"{run.path}: fold {run.fold_of[clip_id]}, which holds out {clip_id}, is not finished "
                f"({len(run.folds)} of {len(run.folds) + len(run.missing)} folds are). Give the same `mer train` "
                "command again, or name clips of finished folds."
            )
    return tuple(dict.fromkeys(found))


def _find_clip(run: Run, held_out: Sequence[str], name: str) -> str:
    fits = [clip_id for clip_id in held_out if clip_id == name or clip_id.endswith(f"/{name}")]
    if len(fits) == 1:
        return fits[0]
    if len(fits) > 1:
        raise RunError(f"{run.path}: '{name}' fits {len(fits)} clips. Name {' or '.join(fits[:2])}.")
    if name in run.labels:
        raise RunError(
            f"{run.path}: {name} was trained on, and maps are shown only for faces that the network does not know. "
            f"Name a clip of a test dataset, for example {held_out[0]}."
        )
    raise RunError(
        f"{run.path}: this run has no clip '{name}' among its {len(held_out)} held-out clips."
        f"{did_you_mean(name, held_out)} See them in {run.path / 'clips.csv'}."
    )


def find_stores(run: Run, given: Sequence[Path], *, trained_on: bool = False) -> dict[str, StoreInfo]:
    """Return the stores of a run's held-out clips, by dataset.

    Parameters
    ----------
    given : stores that have moved; for the other datasets, the path given to the run's last `mer train` is used
    trained_on : whether to return the stores that were trained on instead; they are the same unless across datasets

    Raises
    ------
    RunError
        If a store is not the one that the run was trained on, or generated clips were added to the run's own.
    StoreError
        If a store is absent or damaged.
    """
    if run.config.added:
        raise RunError(
            f"{run.path}: {trained_with(run.config)}, which fix a part of its networks' input and are in no store of "
            "the run. Give a run without --pretrain."
        )
    last = run.sessions[-1]
    wanted = [store for store in run.config.stores if store.role != ("test" if trained_on else "train")]
    typed = last.test_stores if run.config.is_across and not trained_on else last.stores
    paths = dict(zip((store.dataset for store in wanted), map(Path, typed), strict=True))
    by_dataset = {info.dataset: info for info in map(read_store, given)}
    if unknown := sorted(by_dataset.keys() - paths.keys()):
        raise RunError(
            f"--store {by_dataset[unknown[0]].path}: this is a store of {unknown[0]}, and {run.path} was "
            f"{'trained' if trained_on else 'tested'} on {' and '.join(paths)}. Give a store of that."
        )
    for store in wanted:
        dataset = store.dataset
        if dataset not in by_dataset:
            if not paths[dataset].is_file():
                raise RunError(
                    f"{run.path}: its {dataset} store {paths[dataset]} can't be found from this folder. "
                    "Say where it is: --store PATH."
                )
            by_dataset[dataset] = read_store(paths[dataset])
        info = by_dataset[dataset]
        if info.content_hash != store.content_hash:
            raise RunError(
                f"{info.path}: this is not the store that {run.path} was trained on: its content hash is "
                f"{info.content_hash[:12]}, not {store.content_hash[:12]}. Say where that store is: --store PATH."
            )
    return by_dataset


def weights_file(run: Run, fold_id: str) -> Path:
    """Return the file of a fold's weights; raise a RunError if they were not kept."""
    file = run.path / "folds" / fold_id / WEIGHTS
    if not file.exists():
        raise RunError(
            f"{file}: the fold's weights were not kept (`mer ablate` and --save-weights none keep none). Train again "
            "with the same settings and: mer train ... --save-weights last --no-resume."
        )
    return file


def read_weights(file: Path, config: RunConfig, fold_id: str) -> dict[str, torch.Tensor]:
    """Read the state dict of a fold, after `check_weights`; the file must say that it is of this run and fold."""
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
        weights = load_file(file)
        written_for = RunConfig.model_validate_json(metadata.get("config", ""))
    except (OSError, SafetensorError, ValidationError) as error:
        raise RunError(
            f"{file}: can't be read as weights that `mer train` wrote ({str(error).splitlines()[0]}). "
            f"Delete {file.parent} and train again: only this fold is repeated."
        ) from None
    if written_for != config or metadata.get("fold") != fold_id:
        raise RunError(
            f"{file}: these are the weights of fold {metadata.get('fold')} of {written_for.run_name}, not of fold "
            f"{fold_id} of {config.run_name}, and may have been trained on these clips. Delete {file.parent} and train "
            "again: only this fold is repeated."
        )
    return weights
