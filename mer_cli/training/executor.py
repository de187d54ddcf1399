"""Takes folds and how one of them is trained, gives them trained: several at once where that pays, a process each.

A fold is trained and written whole wherever it runs, so the order in which folds end moves nothing. The sums of a
network are rounded by the number of threads that share them, so that number depends on the network, not on how many
folds run at once: a network on motion has one thread a fold, which wastes nothing, and several folds fill the cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import torch

from mer_cli.errors import ConfigError, RunError
from mer_cli.records import Fold
from mer_cli.store.jobs import available_memory
from mer_cli.store.workers import run_in_workers
from mer_cli.training.config import TrainConfig
from mer_cli.training.methods import is_on_motion

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
    """Whether the method is a network on motion, on the CPU: two threads win it less than a second fold does."""
    return config.device == "cpu" and is_on_motion(config.model)


def choose_folds_at_once(config: TrainConfig, todo: Sequence[Fold], wanted: int | None) -> int:
    """How many folds are trained at once; more than one run in processes of their own.

    Parameters
    ----------
    config : resolved, so that its device is settled
    wanted : None takes one a core for a network on motion, fewer where memory is short, and one otherwise
    """
    if wanted is not None:
        return max(1, min(wanted, len(todo)))
    n_pairs = sum(len(fold.train) for fold in todo) * config.epochs
    if not has_one_thread(config) or n_pairs < PAIRS_THAT_REPAY_WORKERS:
        return 1
    memory = available_memory()
    n_fitting = len(todo) if memory is None else memory // WORKER_MEMORY
    return max(1, min(torch.get_num_threads(), len(todo), n_fitting))


@contextmanager
def threads_of(config: TrainConfig, wanted: int | None) -> Iterator[int]:
    """Gives torch the threads that a fold is trained with, and takes them back.

    Parameters
    ----------
    wanted : folds at once, as in `choose_folds_at_once`; those of a network on pictures share the cores

    Raises
    ------
    ConfigError
        If several folds at once are wanted on a GPU.
    """
    if wanted is not None and wanted > 1 and config.device == "cuda":
        raise ConfigError(
            f"--folds-at-once: {wanted} can't share the GPU — expected 1 with --device cuda. "
            "Leave it out, or use --device cpu."
        )
    before = torch.get_num_threads()
    torch.set_num_threads(1 if has_one_thread(config) else max(1, before // (wanted or 1)))
    try:
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)


def train_at_once(
    train: Callable[[Task], EndedFold], tasks: Sequence[Task], n_at_once: int, path: Path, listener: Listener
) -> None:
    """Trains folds in processes of their own. Ctrl-C ends them at once: a fold is there whole or not at all.

    Parameters
    ----------
    train : trains and writes the fold of a task; of a module, so that a worker can import it
    path : the run directory

    Raises
    ------
    RunError
        If a worker dies. What `train` raises is raised here as it is, after the folds at work have ended.
    """

    def tell(ended: EndedFold) -> None:
        listener.on_fold(ended.fold)
        if ended.loss is not None:
            listener.on_epoch(ended.n_epochs, ended.loss)
        listener.on_fold_end()

    try:
        run_in_workers(train, tasks, n_at_once, tell, drop_on_interrupt=True)
    except BrokenProcessPool:
        raise RunError(
            f"{path}: a worker process died while folds were trained — expected it to live; memory may have run out. "
            "Finished folds are kept: run the same command again with --folds-at-once 1."
        ) from None
