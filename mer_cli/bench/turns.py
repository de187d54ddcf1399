"""Processes that take turns, one measured action each: a machine whose speed drifts slows all of them alike.

Each kind has a process of its own, since ours changes how memory is kept, and the plain one must not have that.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection

import torch

from mer_cli.errors import RunError
from mer_cli.training.config import TrainConfig

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
