"""Whole folds: how time grows with clips and epochs, and on a GPU the paper's whole experiment."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mer_cli.bench.ceilings import Ceilings
from mer_cli.bench.floor import count_layers, floor_seconds
from mer_cli.bench.ours import make_trainer
from mer_cli.bench.pictures import N_CLASSES, uneven_folds
from mer_cli.training.config import TrainConfig
from mer_cli.training.loop import FoldTrainer

CLIPS, FOLDS = 249, 26  # of CASME II at five classes
SIZES = {"cpu": ((32, 1), (64, 1), (64, 2)), "cuda": ((128, 16), (248, 16), (248, 32))}  # clips trained on, epochs
NONE: NDArray[np.int64] = np.array([], dtype=np.int64)


def bench_loso(config: TrainConfig, ceilings: Ceilings) -> dict[str, Any]:
    """Three folds of growing size, and the whole experiment: on a GPU measured, on the CPU projected from the largest.

    Returns
    -------
    sizes : clips, epochs, seconds and seconds of 1,000 pairs of each
    first_fold_s : of a fold of one epoch before them, which compiles and captures
    whole : folds, epochs, pairs, seconds, floor_s; `measured` says whether it was; on a GPU memory, the peak of bytes
    """
    trainer = make_trainer(config, CLIPS)
    first = _seconds_of_fold(trainer, np.arange(config.batch_size), NONE, epochs=1)
    sizes = []
    for n_clips, epochs in SIZES[config.device]:
        seconds = _seconds_of_fold(trainer, np.arange(n_clips), NONE, epochs)
        per_thousand = 1000 * seconds / (n_clips * epochs)
        sizes.append({"clips": n_clips, "epochs": epochs, "seconds": seconds, "s_per_1000_pairs": per_thousand})
    return {"first_fold_s": first, "sizes": sizes, "whole": _whole(trainer, config, ceilings, sizes[-1])}


def _whole(
    trainer: FoldTrainer, config: TrainConfig, ceilings: Ceilings, largest: dict[str, float]
) -> dict[str, float | bool]:
    n_pairs = (FOLDS - 1) * CLIPS * config.epochs
    layers = count_layers(config.model, N_CLASSES, **config.network_options)
    floor = floor_seconds(layers, config.batch_size, config.precision, ceilings)["floor_s"] / config.batch_size
    whole: dict[str, float | bool] = {"clips": CLIPS, "folds": FOLDS, "epochs": config.epochs, "pairs": n_pairs}
    if config.device == "cpu":
        seconds = largest["s_per_1000_pairs"] * n_pairs / 1000
        return whole | {"measured": False, "seconds": seconds, "floor_s": floor * n_pairs}
    rows = np.arange(CLIPS)
    seconds = sum(
        _seconds_of_fold(trainer, np.setdiff1d(rows, held_out), held_out, config.epochs)
        for held_out in uneven_folds(CLIPS, FOLDS)
    )
    whole |= {"measured": True, "seconds": seconds, "floor_s": floor * n_pairs}
    return whole | {"memory_bytes": torch.cuda.max_memory_reserved()}


def _seconds_of_fold(trainer: FoldTrainer, rows: NDArray[np.int64], held_out: NDArray[np.int64], epochs: int) -> float:
    started = time.perf_counter()
    trainer.config = trainer.config.model_copy(update={"epochs": epochs, "decay_epochs": 0})
    trainer.train_fold(f"bench-{len(rows)}", rows, rows % N_CLASSES, held_out, NONE, lambda epoch, loss: None)
    return time.perf_counter() - started
