"""Takes folds and how one of them is trained, gives them trained: several at once where that pays, a process each.

A fold is trained and written whole wherever it runs, so the order in which folds end moves nothing. The sums of a
network are rounded by the number of threads that share them, so that number depends on the network, not on how many
folds run at once: a network on motion has one thread a fold, which wastes nothing, and several folds fill the cores.
A fold of MMNet fills a GPU; networks on motion leave most of it idle, so several share it. Of several GPUs each worker
has one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Protocol, TypeVar

import torch

from mer_cli.errors import ConfigError, RunError
from mer_cli.records import Fold
from mer_cli.runs.config import TrainConfig
from mer_cli.system.workers import available_memory, run_in_workers

# What ResNet-18 on dynamic images took with 33 clips, the largest of the networks on motion, and .3 GB for 250 clips.
WORKER_MEMORY = 2_300_000_000
# A process needs some 4 s to import torch and read the clips: the time in which STSTNet, the smallest of these
# networks, is trained on 10,000 pairs.
PAIRS_THAT_REPAY_WORKERS = 10_000

Task = TypeVar("Task")


class Listener(Protocol):
    """Told how a run goes on; it changes nothing. `on_start` is given the number of folds that are to be trained.

    Of folds that are trained at once it hears when they have ended, of each one epoch, the last.
    """

    def on_start(self, n_folds: int) -> None: ...

    def on_fold(self, fold: Fold) -> None: ...

    def on_epoch(self, epoch: int, loss: float) -> None: ...

    def on_fold_end(self) -> None: ...


@dataclass(frozen=True)
class EndedFold:
    """A fold that is trained and written; of a classical method it has no loss."""

    fold: Fold
    n_epochs: int
    loss: float | None


def has_one_thread(config: TrainConfig) -> bool:
    """Whether the method is a network on motion: two threads win it less than a second fold does."""
    return config.method.sees_motion


def choose_folds_at_once(
    config: TrainConfig, todo: Sequence[Fold], wanted: int | None, n_cores: int, n_devices: int = 1
) -> int:
    """How many folds are trained at once; more than one run in processes of their own.

    Parameters
    ----------
    config : resolved, so that its device is settled
    wanted : for each device, the processor being one; None takes one a core for a network on motion, fewer where memory
        is short, and one otherwise
    n_cores : threads of torch before a fold was given its own (`threads_of`)
    """
    if wanted is not None:
        return max(1, min(wanted * n_devices, len(todo)))
    n_pairs = sum(len(fold.train) for fold in todo) * config.epochs
    if not config.method.sees_motion or n_pairs < PAIRS_THAT_REPAY_WORKERS:
        return min(n_devices, len(todo))
    memory = available_memory()
    n_fitting = len(todo) if memory is None else memory // WORKER_MEMORY
    return max(1, min(max(n_cores, n_devices), len(todo), n_fitting))


def parse_folds_at_once(text: str) -> int | None:
    """The number in "2"; None, for "auto", lets `choose_folds_at_once` decide.

    Raises
    ------
    ConfigError
        If it is neither.
    """
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) == 0:
        raise ConfigError(f"--folds-at-once must be auto, or a number of at least 1, got {text!r}.")
    return int(text)


@contextmanager
def threads_of(config: TrainConfig, wanted: int | None) -> Iterator[int]:
    """Gives torch the threads that a fold is trained with, and takes them back.

    Parameters
    ----------
    wanted : folds at once, as in `choose_folds_at_once`; those of a network on pictures share the cores
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1 if has_one_thread(config) else max(1, before // (wanted or 1)))
    try:
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)


def resolve_gpus(config: TrainConfig, wanted: Sequence[int] | None) -> tuple[int, ...]:
    """CUDA numbers of the GPUs to train on; none on the processor, and the first where none is named.

    Raises
    ------
    ConfigError
        If GPUs are named on the processor, or one that is not there.
    """
    if config.device != "cuda":
        if wanted:
            raise ConfigError(
                f"--gpus has no effect with --device {config.device}. Leave it out; `mer doctor` says why."
            )
        return ()
    there = range(torch.cuda.device_count())
    absent = [gpu for gpu in wanted or () if gpu not in there]
    if absent:
        raise ConfigError(f"--gpus: there is no GPU {absent[0]}. Available: {', '.join(map(str, there))}.")
    return tuple(dict.fromkeys(wanted or (0,)))


def train_at_once(
    train: Callable[[Task], EndedFold],
    tasks: Iterable[Task],
    n_at_once: int,
    path: Path,
    on_end: Callable[[EndedFold], None],
    gpus: Sequence[int] = (),
) -> None:
    """Trains folds in processes of their own. Ctrl-C ends them at once: a fold is there whole or not at all.

    Parameters
    ----------
    train : trains and writes the fold of a task; of a module, so that a worker can import it
    tasks : each is taken when a worker is free for it
    path : the run directory
    on_end : told of each fold that is trained and written
    gpus : workers take these in turn, one each

    Raises
    ------
    RunError
        If a worker dies. What `train` raises is raised here as it is, after the folds at work have ended.
    """
    free = get_context("spawn").SimpleQueue()
    for number in range(n_at_once if gpus else 0):
        free.put(gpus[number % len(gpus)])
    take = partial(_take_gpu, free) if gpus else None
    try:
        run_in_workers(train, tasks, n_at_once, on_end, drop_on_interrupt=True, on_start=take)
    except BrokenProcessPool:
        raise RunError(
            f"{path}: a worker process was killed while training folds, probably for lack of memory. "
            "Finished folds are kept: run the same command again with --folds-at-once 1."
        ) from None


def _take_gpu(free: SimpleQueue[int]) -> None:
    """What this worker calls `cuda` from now on."""
    torch.cuda.set_device(free.get())
