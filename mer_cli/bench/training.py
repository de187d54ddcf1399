"""The parts of `mer bench`: a training step and an epoch, whole folds, and reading a store.

mer's training step and epoch ("ours") are compared with those of a plain script (`bench.reference`). Each has its own
process, because ours changes how memory is kept, and the plain script must not profit from that. The processes
take turns, one action each, so a machine whose speed drifts slows all of them alike.
"""

from __future__ import annotations

import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from mer_cli.bench.ceilings import (
    Ceilings,
    count_layers,
    floor_seconds,
    median_seconds,
    step_bytes,
    step_operations,
)
from mer_cli.bench.reference import N_CLASSES, draw_image, reference_epoch, reference_step, write_clips
from mer_cli.errors import RunError
from mer_cli.faces.frames import HALF_WINDOW
from mer_cli.runs.config import TrainConfig
from mer_cli.store.hdf5 import StoreWriter, read_windows
from mer_cli.store.schema import ARRAYS, COLUMNS, CroppedClip, drawn_attributes
from mer_cli.training.batches import PairBatches, Windows
from mer_cli.training.loop import FoldTrainer
from mer_cli.training.machine import can_compile

Maker = Callable[[TrainConfig], Callable[[], object]]
Rows = NDArray[np.int64]

CLIPS, FOLDS = 249, 26  # of CASME II at five classes
TRAINED, HELD_OUT = 240, 9  # clips of one of those folds
SIZES = {"cpu": ((32, 1), (64, 1), (64, 2)), "cuda": ((128, 16), (248, 16), (248, 32))}  # clips trained on, epochs
LOADED = 100  # clips of the store that `bench_load` reads
NO_ROWS: Rows = np.array([], dtype=np.int64)


def bench_step(config: TrainConfig, repeats: int, ceilings: Ceilings) -> dict[str, float]:
    """Measure a training step of `config.batch_size` pairs: a plain script's, mer's, and mer's compiled if possible.

    Returns
    -------
    reference_s (the plain step), ours_s and their ratio, from medians; with a compiler also compiled_s, compiled_ratio,
    and compile_s, the time of the first compiled step; clips_per_s, operations_per_s and bytes_per_s (the fewest bytes
    possible) of mer's faster step; floor_s, the fewest seconds possible, and its two parts; above_floor, mer's faster
    step as a multiple of the floor
    """
    figures = _compare(reference_step, our_step, config, repeats)
    layers = count_layers(config.method, N_CLASSES, **config.network_options)
    floor = floor_seconds(layers, config.batch_size, config.precision, ceilings)
    best = min(figures["ours_s"], figures.get("compiled_s", figures["ours_s"]))
    return figures | {
        "clips_per_s": config.batch_size / best,
        "operations_per_s": step_operations(layers, config.batch_size) / best,
        "bytes_per_s": step_bytes(layers, config.batch_size, config.precision) / best,
        "floor_s": floor["floor_s"],
        "floor_operations_s": floor["operations_s"],
        "floor_bytes_s": floor["bytes_s"],
        "above_floor": best / floor["floor_s"],
    }


def bench_epoch(config: TrainConfig, repeats: int) -> dict[str, float]:
    """Measure an epoch of 240 clips: a plain script's from JPEG files, and mer's from memory with held-out logits."""
    ours = partial(our_epoch, n_clips=TRAINED, n_held_out=HELD_OUT)
    with tempfile.TemporaryDirectory() as folder:
        plain = partial(reference_epoch, folders=write_clips(Path(folder), TRAINED))
        return {"clips": TRAINED, **_compare(plain, ours, config, repeats)}


def bench_loso(config: TrainConfig, ceilings: Ceilings) -> dict[str, Any]:
    """Measure three folds of growing size, then the whole LOSO experiment, on a CPU projected from the largest fold.

    Returns
    -------
    sizes : for each of the three folds clips, epochs, seconds, and seconds for 1,000 pairs
    first_fold_s : seconds of a fold of one epoch before the three, which compiles and captures
    whole : clips, folds, epochs, pairs, seconds, floor_s; `measured` is False if projected; on a GPU peak memory_bytes
    """
    trainer = make_trainer(config, CLIPS)
    first = _seconds_of_fold(trainer, np.arange(config.batch_size), NO_ROWS, epochs=1)
    sizes = []
    for n_clips, epochs in SIZES[config.device]:
        seconds = _seconds_of_fold(trainer, np.arange(n_clips), NO_ROWS, epochs)
        per_thousand = 1000 * seconds / (n_clips * epochs)
        sizes.append({"clips": n_clips, "epochs": epochs, "seconds": seconds, "s_per_1000_pairs": per_thousand})
    return {"first_fold_s": first, "sizes": sizes, "whole": _whole(trainer, config, ceilings, sizes[-1])}


def bench_load(repeats: int) -> dict[str, float]:
    """Measure reading a store from a warm disk cache, and unpacking the same images from gzip twice.

    Returns
    -------
    megabytes (of the images), store_s, gzip_twice_s, ratio (gzip_twice_s / store_s)
    """
    cpu = torch.device("cpu")
    with tempfile.TemporaryDirectory() as folder:
        store, packed = Path(folder) / "casme2.h5", Path(folder) / "packed.h5"
        ids = _write_store(store, LOADED)
        windows = read_windows(store, ids)
        with h5py.File(packed, "w") as file:
            for name, images in (("onset", windows[0]), ("apex", windows[2])):
                file.create_dataset(name, data=images, chunks=(1, *images.shape[1:]), compression="gzip")

        def unpack_twice() -> None:
            for _ in range(2):
                with h5py.File(packed) as file:
                    for name in ("onset", "apex"):
                        file[name][:]

        reading = median_seconds(lambda: read_windows(store, ids), cpu, repeats)
        unpacking = median_seconds(unpack_twice, cpu, repeats)
    megabytes = (windows[0].nbytes + windows[2].nbytes) / 1e6
    return {"megabytes": megabytes, "store_s": reading, "gzip_twice_s": unpacking, "ratio": unpacking / reading}


# --- Ours beside the plain one ---


def _compare(plain: Maker, ours: Maker, config: TrainConfig, repeats: int) -> dict[str, float]:
    eager, compiled = (config.model_copy(update={"compile": how}) for how in ("off", "on"))
    makers: dict[str, tuple[Maker, TrainConfig]] = {"reference": (plain, eager), "ours": (ours, eager)}
    if can_compile(config.device):
        makers["compiled"] = (ours, compiled)
    seconds = take_turns(makers, repeats)
    figures = {f"{kind}_s": of_kind["median_s"] for kind, of_kind in seconds.items()}
    figures["ratio"] = figures["reference_s"] / figures["ours_s"]
    if "compiled" in seconds:
        figures["compiled_ratio"] = figures["reference_s"] / figures["compiled_s"]
        figures["compile_s"] = seconds["compiled"]["first_s"]
    return figures


def take_turns(makers: Mapping[str, tuple[Maker, TrainConfig]], repeats: int) -> dict[str, dict[str, float]]:
    """Measure actions in turns, each action in its own process.

    Parameters
    ----------
    makers : for each kind a module-level function that returns the action, and the config to call this function with;
        both are sent to the process of the kind
    repeats : number of turns after the first

    Returns
    -------
    for each kind first_s, the seconds of the first turn, which compiles, and median_s of the other turns

    Raises
    ------
    RunError
        If a process dies.
    """
    context = multiprocessing.get_context("spawn")
    turns: dict[str, Connection] = {}
    for kind, (maker, config) in makers.items():
        turns[kind], theirs = context.Pipe()
        context.Process(target=_act_when_told, args=(maker, config, theirs), daemon=True).start()
        theirs.close()
    first = {kind: _turn(kind, turns[kind]) for kind in makers}
    rounds = [{kind: _turn(kind, turns[kind]) for kind in makers} for _ in range(repeats)]
    for connection in turns.values():
        connection.send(False)
    return {
        kind: {"first_s": first[kind], "median_s": statistics.median(seconds[kind] for seconds in rounds)}
        for kind in makers
    }


def _turn(kind: str, connection: Connection) -> float:
    try:
        connection.send(True)
        return float(connection.recv())
    except (EOFError, BrokenPipeError, ConnectionResetError):
        raise RunError(
            f"mer bench: the process that measures '{kind}' died, probably for lack of memory. "
            "Free some memory and run the command again."
        ) from None


def _act_when_told(maker: Maker, config: TrainConfig, connection: Connection) -> None:
    act: Callable[[], object] | None = None
    while connection.recv():
        started = time.perf_counter()
        act = act or maker(config)
        act()
        if config.device == "cuda":
            torch.cuda.synchronize()
        connection.send(time.perf_counter() - started)


# --- What is measured ---


def make_trainer(config: TrainConfig, n_clips: int) -> FoldTrainer:
    """Return a trainer that holds `n_clips` generated clips."""
    return FoldTrainer(PairBatches(draw_windows(n_clips), config, torch.device(config.device)), N_CLASSES, config)


def our_step(config: TrainConfig) -> Callable[[], object]:
    """Return a function that runs a training step as `mer train` does, including the making of its batch."""
    return our_epoch(config, config.batch_size, n_held_out=0)


def our_epoch(config: TrainConfig, n_clips: int, n_held_out: int) -> Callable[[], object]:
    """Return a function that trains an epoch on `n_clips` and predicts `n_held_out` others, as `mer train` does."""
    trainer = make_trainer(config, n_clips + n_held_out)
    rng = np.random.default_rng(0)
    held_out = torch.arange(n_clips, n_clips + n_held_out, device=config.device)
    trainer.steps.prepare(n_clips)

    def epoch() -> object:
        draw = trainer.batches.draw_epoch(np.arange(n_clips), rng)
        loss = trainer.steps.train_epoch(draw, draw.row % N_CLASSES)
        return loss, trainer.steps.plain_logits(held_out) if n_held_out else None

    return epoch


def _whole(
    trainer: FoldTrainer, config: TrainConfig, ceilings: Ceilings, largest: dict[str, float]
) -> dict[str, float | bool]:
    n_pairs = (FOLDS - 1) * CLIPS * config.epochs
    layers = count_layers(config.method, N_CLASSES, **config.network_options)
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


def _seconds_of_fold(trainer: FoldTrainer, rows: Rows, held_out: Rows, epochs: int) -> float:
    started = time.perf_counter()
    trainer.config = trainer.config.model_copy(update={"epochs": epochs, "decay_epochs": 0})
    trainer.train_fold(f"bench-{len(rows)}", rows, rows % N_CLASSES, held_out, NO_ROWS, lambda epoch, loss: None)
    return time.perf_counter() - started


def uneven_folds(n_clips: int, n_folds: int) -> list[Rows]:
    """Return the rows of the clips held out in each fold, up to six times as many as in another, as in CASME II."""
    shares = np.linspace(1, 6, n_folds)
    ends = np.round(np.cumsum(shares) / shares.sum() * n_clips).astype(int)
    return np.split(np.arange(n_clips), ends[:-1])


def draw_windows(n_clips: int) -> Windows:
    """Return windows of `n_clips` generated clips; the apex is 60 frames after the onset, the offset 30 later."""
    rng = np.random.default_rng(0)
    size = 2 * HALF_WINDOW + 1
    images = np.stack([[draw_image(rng) for _ in range(2)] for _ in range(n_clips)]).swapaxes(0, 1)
    windows = np.repeat(images[:, :, None], size, axis=2)
    numbers = np.tile(np.arange(size, dtype=np.int32), (n_clips, 1))
    return Windows(windows[0], windows[1], numbers, numbers + 60, numbers[:, -1] + 90)


def _write_store(path: Path, n_clips: int) -> list[str]:
    windows = draw_windows(n_clips)
    ids = [f"casme2/01/{number:04}" for number in range(n_clips)]
    numbers = {"onset": windows.onset_numbers, "apex": windows.apex_numbers}
    with StoreWriter(path, n_clips) as writer:
        for row, clip_id in enumerate(ids):
            arrays = {name: np.zeros(shape, dtype) for name, (shape, dtype) in ARRAYS.items()}
            for name, images in (("onset", windows.onset), ("apex", windows.apex)):
                arrays |= {f"{name}_window": images[row], f"{name}_window_frames": numbers[name][row].astype("<i4")}
            whole: dict[str, object] = dict.fromkeys(COLUMNS, "")
            whole |= {"id": clip_id, "subject": "01", "name": f"{row:04}", "status": "ok", "fps": 200.0}
            whole |= {"onset": HALF_WINDOW, "apex": HALF_WINDOW + 60, "offset": HALF_WINDOW + 90}
            writer.append(CroppedClip(whole, arrays, "generated"))
        writer.finish(drawn_attributes("casme2"))
    return ids
