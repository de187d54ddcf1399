"""A training step and an epoch, ours beside the plain ones, and beside the floor that the machine's ceilings set.

They are measured in processes that take turns, one action each: a machine whose speed drifts slows all of them alike.
Each kind has a process of its own, because ours changes how memory is kept, and the plain one must not have that.
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

import numpy as np
import torch

from mer_cli.bench.ceilings import Ceilings, count_layers, floor_seconds, step_bytes, step_operations
from mer_cli.bench.pictures import N_CLASSES, draw_windows
from mer_cli.bench.reference import reference_epoch, reference_step, write_clips
from mer_cli.errors import RunError
from mer_cli.runs.config import TrainConfig
from mer_cli.training.batches import PairBatches
from mer_cli.training.hardware import can_compile
from mer_cli.training.loop import FoldTrainer

Maker = Callable[[TrainConfig], Callable[[], object]]


def take_turns(makers: Mapping[str, tuple[Maker, TrainConfig]], repeats: int) -> dict[str, dict[str, float]]:
    """Seconds of each kind: `first_s`, what the first turn took, compilation and all, and the median of the others.

    Parameters
    ----------
    makers : what makes the action to measure, of a module, and the config that it is given; both travel to a process

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
            f"mer bench: the process that measures '{kind}' died — expected its seconds; memory may have run out. Free "
            "some and run the command again."
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


def make_trainer(config: TrainConfig, n_clips: int) -> FoldTrainer:
    return FoldTrainer(PairBatches(draw_windows(n_clips), config, torch.device(config.device)), N_CLASSES, config)


def our_step(config: TrainConfig) -> Callable[[], object]:
    """A step, its batch made as well."""
    return our_epoch(config, config.batch_size, n_held_out=0)


def our_epoch(config: TrainConfig, n_clips: int, n_held_out: int) -> Callable[[], object]:
    """An epoch of `n_clips`, and the logits of held-out clips after it."""
    trainer = make_trainer(config, n_clips + n_held_out)
    rng = np.random.default_rng(0)
    held_out = torch.arange(n_clips, n_clips + n_held_out, device=config.device)
    trainer.steps.prepare(n_clips)

    def epoch() -> object:
        draw = trainer.batches.draw_epoch(np.arange(n_clips), rng)
        loss = trainer.steps.train_epoch(draw, draw.row % N_CLASSES)
        return loss, trainer.steps.plain_logits(held_out) if n_held_out else None

    return epoch


TRAINED, HELD_OUT = 240, 9  # clips of a fold of CASME II's 249


def bench_step(config: TrainConfig, repeats: int, ceilings: Ceilings) -> dict[str, float]:
    """A training step of `batch_size` pairs: plain, ours, and ours compiled where the machine can.

    Returns
    -------
    medians reference_s, ours_s, ratio; with a compiler compiled_s, compiled_ratio, and compile_s, what the first
    compiled step took; of the faster of ours clips_per_s, operations_per_s, bytes_per_s (the fewest that there can be);
    floor_s, and above_floor, how many times as long as that it takes
    """
    figures = _beside_each_other(reference_step, our_step, config, repeats)
    layers = count_layers(config.model, N_CLASSES, **config.network_options)
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
    """An epoch of 240 clips, data included: plain from JPEG files, ours from memory, held-out logits too."""
    ours = partial(our_epoch, n_clips=TRAINED, n_held_out=HELD_OUT)
    with tempfile.TemporaryDirectory() as folder:
        plain = partial(reference_epoch, folders=write_clips(Path(folder), TRAINED))
        return {"clips": TRAINED, **_beside_each_other(plain, ours, config, repeats)}


def _beside_each_other(plain: Maker, ours: Maker, config: TrainConfig, repeats: int) -> dict[str, float]:
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
