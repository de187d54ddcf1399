"""Measures speed side by side: our training step against a plain one of the same network.

Plain is float32, NCHW, eager, on pictures that lie ready, in a process as torch leaves it; ours makes its batch as
well. Each has a process of its own, since ours changes how memory is kept; they take turns step by step, so that a
machine whose speed drifts slows all of them.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

import numpy as np
import torch
import torch.nn.functional as F

from mer_cli.models import build_model
from mer_cli.training.batches import PairBatches, Windows
from mer_cli.training.config import TrainConfig, resolve_config
from mer_cli.training.hardware import can_compile, resolve_hardware
from mer_cli.training.loop import FoldTrainer

N_CLASSES = 5


def bench_step(repeats: int = 5, device: str = "auto") -> dict[str, object]:
    """Seconds of a training step of 32 pairs: plain, ours, and ours compiled where the machine can.

    Returns
    -------
    device, threads, precision; step: medians reference_s, ours_s, ratio, and with a compiler compiled_s,
    compiled_ratio and compile_s, what the first compiled step took
    """
    config = resolve_hardware(resolve_config(device=device, compile="off"), n_pairs=0)
    kinds = ["reference", "ours", *(["compiled"] if can_compile(config.device) else [])]
    context = multiprocessing.get_context("spawn")
    turns: dict[str, Connection] = {}
    for kind in kinds:
        turns[kind], theirs = context.Pipe()
        context.Process(target=_take_turns, args=(kind, config, theirs), daemon=True).start()
        theirs.close()
    first = {kind: _turn(turns[kind]) for kind in kinds}
    rounds = [{kind: _turn(turns[kind]) for kind in kinds} for _ in range(repeats)]
    for connection in turns.values():
        connection.send(False)
    medians = {kind: statistics.median(seconds[kind] for seconds in rounds) for kind in kinds}
    figures = {f"{kind}_s": median for kind, median in medians.items()}
    figures["ratio"] = medians["reference"] / medians["ours"]
    if "compiled" in medians:
        figures |= {"compiled_ratio": medians["reference"] / medians["compiled"], "compile_s": first["compiled"]}
    return {
        "device": torch.cuda.get_device_name() if config.device == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "precision": config.precision,
        "step": {name: round(value, 3) for name, value in sorted(figures.items())},
    }


def _turn(connection: Connection) -> float:
    connection.send(True)
    return float(connection.recv())


def _take_turns(kind: str, config: TrainConfig, connection: Connection) -> None:
    """A process that runs one step whenever it is told to, and answers with its seconds."""
    if kind == "reference":
        torch.backends.cudnn.allow_tf32 = False
        step = _reference_step(config)
    else:
        step = _our_step(config.model_copy(update={"compile": "on" if kind == "compiled" else "off"}))
    while connection.recv():
        started = time.perf_counter()
        step()
        if config.device == "cuda":
            torch.cuda.synchronize()
        connection.send(time.perf_counter() - started)


def _reference_step(config: TrainConfig) -> Callable[[], None]:
    device = torch.device(config.device)
    network = build_model(config.model, N_CLASSES, **config.network_options).to(device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    onset, apex = torch.randn(2, config.batch_size, 3, 224, 224, device=device)
    labels = torch.arange(config.batch_size, device=device) % N_CLASSES

    def step() -> None:
        loss = F.cross_entropy(network(onset, apex), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step


def _our_step(config: TrainConfig) -> Callable[[], None]:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (2, config.batch_size, 7, 224, 224, 3), dtype=np.uint8)
    numbers = np.tile(np.arange(7, dtype=np.int32), (config.batch_size, 1))
    windows = Windows(pictures[0], pictures[1], numbers, numbers + 60, numbers[:, -1] + 90)
    batches = PairBatches(windows, config, torch.device(config.device))
    trainer = FoldTrainer(batches, N_CLASSES, config)
    labels = torch.arange(config.batch_size, device=config.device) % N_CLASSES

    def step() -> None:
        draw = batches.draw_epoch(np.arange(config.batch_size), rng)
        trainer.train_epoch(draw, labels)

    return step
