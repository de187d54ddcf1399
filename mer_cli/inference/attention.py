"""Takes a run and its stores, gives the attention maps of its clips, each from the fold that held the clip out.

The network of a clip's fold has seen neither the clip nor its subject. Whole folds go through the network, in batches
of one fixed size and in float32, so that a clip's maps do not depend on which other clips are asked for.
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

from mer_cli.errors import RunError
from mer_cli.inference.clips import read_crops
from mer_cli.models.mmnet import MMNet
from mer_cli.records import dataset_of
from mer_cli.runs.directory import Run
from mer_cli.runs.methods import MMNET
from mer_cli.runs.run_config import RunConfig
from mer_cli.store.hdf5 import StoreInfo
from mer_cli.training.batches import CENTRE, PairBatches
from mer_cli.training.loop import HELD_OUT_BATCH


@dataclass(frozen=True)
class Attention:
    """What a run's networks look at in clips that they were not trained on. Row i is the same clip in every array.

    clip_ids : sorted
    maps : for each block, first to last, (N, S, S) float32 in 0..1, with S = 112, 56, 28 and 14
    onset, apex : (N, 224, 224, 3) uint8, RGB, the labelled frames
    """

    clip_ids: tuple[str, ...]
    maps: tuple[NDArray[np.float32], ...] = field(repr=False)
    onset: NDArray[np.uint8] = field(repr=False)
    apex: NDArray[np.uint8] = field(repr=False)


def require_maps(run: Run) -> None:
    """Refuses a run whose network has no attention maps.

    Raises
    ------
    RunError
        If it is not of MMNet, or was trained without attention.
    """
    if run.config.model != MMNET:
        raise RunError(
            f"{run.path}: {run.config.model} has no attention maps — expected a run of {MMNET}. "
            "Train one: mer train --loso --save-weights last."
        )
    if run.config.attention == "none":
        raise RunError(
            f"{run.path}: its network has no attention (variant {run.config.variant}) — expected a run with "
            "--attention continuous or independent. Train one: mer train --loso --save-weights last."
        )


def read_attention(
    run: Run,
    stores: Mapping[str, StoreInfo],
    clip_ids: Sequence[str],
    device: torch.device,
    on_fold: Callable[[int, int], None],
) -> Attention:
    """The maps of held-out clips, from the last weights of their folds.

    Parameters
    ----------
    stores : by dataset
    clip_ids : held-out clips of the run, in any order
    on_fold : told the number of folds done and in all

    Raises
    ------
    RunError
        If a fold is not finished or has no weights, or they are damaged or not of this run.
    StoreError
        If the crops can't be read.
    """
    wanted = sorted(clip_ids)
    fold_ids = sorted({run.fold_of[clip_id] for clip_id in wanted})
    files = {fold_id: _weights_file(run, fold_id) for fold_id in fold_ids}
    network = MMNet(len(run.class_names), **run.config.network_options).to(device).eval()
    parts = []
    for n_done, fold_id in enumerate(fold_ids, start=1):
        network.load_state_dict(_read_weights(files[fold_id], run.config, fold_id))
        held_out = sorted(clip_id for clip_id, fold in run.fold_of.items() if fold == fold_id)
        part = _fold_attention(network, stores[dataset_of(held_out[0])], held_out, run.config, device)
        parts.append(_rows(part, [row for row, clip_id in enumerate(held_out) if clip_id in set(wanted)]))
        on_fold(n_done, len(fold_ids))
    joined = Attention(
        tuple(clip_id for part in parts for clip_id in part.clip_ids),
        tuple(np.concatenate(block) for block in zip(*(part.maps for part in parts), strict=True)),
        np.concatenate([part.onset for part in parts]),
        np.concatenate([part.apex for part in parts]),
    )
    return _rows(joined, sorted(range(len(wanted)), key=lambda row: joined.clip_ids[row]))


@torch.no_grad()
def _fold_attention(
    network: MMNet, store: StoreInfo, clip_ids: Sequence[str], config: RunConfig, device: torch.device
) -> Attention:
    windows = read_crops(store, clip_ids)
    batches = PairBatches(windows, config, device)
    rows = torch.arange(len(clip_ids), device=device)
    maps: list[list[NDArray[np.float32]]] = []
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        for start in range(0, len(rows), HELD_OUT_BATCH):
            _, of_batch = network.forward_with_maps(*batches.plain_batch(rows[start : start + HELD_OUT_BATCH]))
            maps.append([block[:, 0].cpu().numpy() for block in of_batch])  # each (B, S, S)
    return Attention(
        tuple(clip_ids),
        tuple(np.concatenate(block) for block in zip(*maps, strict=True)),
        windows.onset[:, CENTRE].copy(),  # not a view, which would keep the whole windows
        windows.apex[:, CENTRE].copy(),
    )


def _rows(attention: Attention, rows: Sequence[int]) -> Attention:
    """Some clips of it, in this order."""
    return Attention(
        tuple(attention.clip_ids[row] for row in rows),
        tuple(block[rows] for block in attention.maps),
        attention.onset[rows],
        attention.apex[rows],
    )


def _weights_file(run: Run, fold_id: str) -> Path:
    file = run.path / "folds" / fold_id / "model.safetensors"
    if not file.is_file():
        raise RunError(
            f"{file}: no weights — expected those that the fold ended with (`mer ablate` and --save-weights none keep "
            "none). Train again with the same settings and: mer train ... --save-weights last --no-resume."
        )
    return file


def _read_weights(file: Path, config: RunConfig, fold_id: str) -> dict[str, torch.Tensor]:
    """The state dict of a fold, from a file that says it is of this run and fold."""
    try:
        with safe_open(file, framework="pt") as opened:
            said = opened.metadata() or {}
        weights = load_file(file)
        written_for = RunConfig.model_validate_json(said.get("config", ""))
    except (OSError, SafetensorError, ValidationError) as error:
        raise RunError(
            f"{file}: not readable as weights ({str(error).splitlines()[0]}) — expected what `mer train` wrote. "
            f"Delete {file.parent} and train again: only this fold is repeated."
        ) from None
    if written_for != config or said.get("fold") != fold_id:
        raise RunError(
            f"{file}: holds the weights of fold {said.get('fold')} of {written_for.run_name} — expected fold {fold_id} "
            f"of {config.run_name}; another fold's network was trained on these clips. Delete {file.parent} and train "
            "again: only this fold is repeated."
        )
    return weights
