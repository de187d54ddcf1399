"""Attention maps of a run's held-out clips, each from the network of the fold that held the clip out.

That network has seen neither the clip nor its subject. Whole folds go through the network, in batches of one fixed size
and in float32, so a clip's maps do not depend on which other clips are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from mer_cli.errors import RunError, did_you_mean
from mer_cli.models.mmnet import MMNet
from mer_cli.records import dataset_of
from mer_cli.runs.directory import Run
from mer_cli.runs.fold_files import WEIGHTS, check_weights
from mer_cli.runs.methods import MMNET
from mer_cli.runs.run_config import RunConfig, has_all_checksums
from mer_cli.store.hdf5 import StoreInfo, read_store, read_windows
from mer_cli.training.batches import CENTRE, PairBatches, Windows
from mer_cli.training.loop import HELD_OUT_BATCH


@dataclass(frozen=True)
class Attention:
    """Attention maps of held-out clips of a run, and the clips' frames. Row i is the same clip in every array.

    clip_ids : sorted
    maps : for each block, first to last, (N, S, S) float32 in 0..1, with S = 112, 56, 28 and 14
    onset, apex : (N, 224, 224, 3) uint8, RGB, the labelled frames
    """

    clip_ids: tuple[str, ...]
    maps: tuple[NDArray[np.float32], ...] = field(repr=False)
    onset: NDArray[np.uint8] = field(repr=False)
    apex: NDArray[np.uint8] = field(repr=False)


def require_maps(run: Run) -> None:
    """Raise an error if the network of a run has no attention maps.

    Raises
    ------
    RunError
        If the run is not of MMNet, or was trained without attention.
    """
    if run.config.model != MMNET:
        raise RunError(
            f"{run.path}: {run.config.model} has no attention maps; only {MMNET} has. "
            "Train one: mer train --loso --save-weights last."
        )
    if run.config.attention == "none":
        raise RunError(
            f"{run.path}: this run's network has no attention (variant {run.config.variant}). Train one with "
            "--attention continuous or independent: mer train --loso --save-weights last."
        )


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
    trained_on : whether to return the stores that were trained on instead, which are the same under LOSO

    Raises
    ------
    RunError
        If a store is not the one that the run was trained on.
    StoreError
        If a store is absent or damaged.
    """
    last = run.sessions[-1]
    wanted = [store for store in run.config.stores if store.role != ("test" if trained_on else "train")]
    typed = last.stores if run.config.is_loso or trained_on else last.test_stores
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


def read_attention(
    run: Run,
    stores: Mapping[str, StoreInfo],
    clip_ids: Sequence[str],
    device: torch.device,
    on_fold: Callable[[int, int], None],
) -> Attention:
    """Compute the attention maps of held-out clips, each with the weights of its fold after the last epoch.

    Parameters
    ----------
    stores : by dataset
    clip_ids : held-out clips of the run, in any order
    on_fold : called with the number of finished folds and of all folds

    Raises
    ------
    RunError
        If a fold is not finished or has no weights, or they are damaged or not of this run.
    StoreError
        If the crops can't be read.
    """
    wanted = sorted(clip_ids)
    fold_ids = sorted({run.fold_of[clip_id] for clip_id in wanted})
    files = {fold_id: weights_file(run, fold_id) for fold_id in fold_ids}
    network = MMNet(len(run.class_names), **run.config.network_options).to(device).eval()
    by_clip: dict[str, tuple[NDArray[np.generic], ...]] = {}  # maps, onset, apex
    for n_done, fold_id in enumerate(fold_ids, start=1):
        check_weights(files[fold_id], run.config.run_name if has_all_checksums(run.path) else None)
        network.load_state_dict(read_weights(files[fold_id], run.config, fold_id))
        held_out = sorted(clip_id for clip_id, fold in run.fold_of.items() if fold == fold_id)
        arrays = _fold_arrays(network, stores[dataset_of(held_out[0])], held_out, run.config, device)
        by_clip |= dict(zip(held_out, zip(*arrays, strict=True), strict=True))
        on_fold(n_done, len(fold_ids))
    *maps, onset, apex = (
        np.stack(of_clips) for of_clips in zip(*(by_clip[clip_id] for clip_id in wanted), strict=True)
    )
    return Attention(tuple(wanted), tuple(maps), onset, apex)


@torch.no_grad()
def _fold_arrays(
    network: MMNet, store: StoreInfo, clip_ids: Sequence[str], config: RunConfig, device: torch.device
) -> list[NDArray[np.generic]]:
    """Return the maps of the blocks, the onsets and the apexes of a fold's clips, in the order of `clip_ids`."""
    onset, onset_numbers, apex, apex_numbers = read_windows(store.path, clip_ids)
    offsets = store.clips.loc[list(clip_ids), "offset"].to_numpy(np.int32)
    batches = PairBatches(Windows(onset, apex, onset_numbers, apex_numbers, offsets), config, device)
    rows = torch.arange(len(clip_ids), device=device)
    maps: list[list[NDArray[np.float32]]] = []
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        for start in range(0, len(rows), HELD_OUT_BATCH):
            _, of_batch = network.forward_with_maps(*batches.plain_batch(rows[start : start + HELD_OUT_BATCH]))
            maps.append([block[:, 0].cpu().numpy() for block in of_batch])  # each (B, S, S)
    of_fold = [np.concatenate(block) for block in zip(*maps, strict=True)]
    return [*of_fold, onset[:, CENTRE].copy(), apex[:, CENTRE].copy()]  # a view would keep the whole windows


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
