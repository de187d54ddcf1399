"""Reading a store into memory, and whole folds: how time grows with clips and epochs; on a GPU the whole experiment."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from mer_cli.bench.ceilings import Ceilings, count_layers, floor_seconds, median_seconds
from mer_cli.bench.pictures import N_CLASSES, draw_windows, uneven_folds
from mer_cli.bench.training import make_trainer
from mer_cli.runs.config import TrainConfig
from mer_cli.store.hdf5 import StoreWriter, read_windows
from mer_cli.store.schema import ARRAYS, COLUMNS, JSON_ATTRIBUTES, CroppedClip
from mer_cli.training.loop import FoldTrainer

CLIPS = 100
CPU = torch.device("cpu")


def bench_load(repeats: int) -> dict[str, float]:
    """Seconds of reading a store of generated pictures from a warm disk cache, and of unpacking them from gzip twice.

    Returns
    -------
    megabytes, store_s, gzip_twice_s, ratio
    """
    with tempfile.TemporaryDirectory() as folder:
        store, packed = Path(folder) / "casme2.h5", Path(folder) / "packed.h5"
        ids = _write(store, CLIPS)
        windows = read_windows(store, ids)
        with h5py.File(packed, "w") as file:
            for name, pictures in (("onset", windows[0]), ("apex", windows[2])):
                file.create_dataset(name, data=pictures, chunks=(1, *pictures.shape[1:]), compression="gzip")

        def unpack_twice() -> None:
            for _ in range(2):
                with h5py.File(packed) as file:
                    for name in ("onset", "apex"):
                        file[name][:]

        reading = median_seconds(lambda: read_windows(store, ids), CPU, repeats)
        unpacking = median_seconds(unpack_twice, CPU, repeats)
    megabytes = (windows[0].nbytes + windows[2].nbytes) / 1e6
    return {"megabytes": megabytes, "store_s": reading, "gzip_twice_s": unpacking, "ratio": unpacking / reading}


def _write(path: Path, n_clips: int) -> list[str]:
    windows = draw_windows(n_clips)
    ids = [f"casme2/01/{number:04}" for number in range(n_clips)]
    numbers = {"onset": windows.onset_numbers, "apex": windows.apex_numbers}
    with StoreWriter(path, n_clips) as writer:
        for row, clip_id in enumerate(ids):
            arrays = {name: np.zeros(shape, dtype) for name, (shape, dtype) in ARRAYS.items()}
            for name, pictures in (("onset", windows.onset), ("apex", windows.apex)):
                arrays |= {f"{name}_window": pictures[row], f"{name}_window_frames": numbers[name][row].astype("<i4")}
            whole: dict[str, object] = dict.fromkeys(COLUMNS, "")
            whole |= {"id": clip_id, "onset": 0, "apex": 60, "offset": 90, "fps": 200.0}
            writer.append(CroppedClip(whole, arrays, "generated"))
        writer.finish({name: [] for name in JSON_ATTRIBUTES} | {"dataset": "casme2", "generated": True})
    return ids


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
