"""Train the folds that a run directory lacks; each fold is written whole as soon as it ends.

All clips are read, and the network is made, once for all folds. Folds are trained one after the other in this process,
or in parallel in worker processes (`hardware.choose_folds_at_once`). The order in which folds end changes no number.
"""

from __future__ import annotations

import math
import os
import pickle
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from mer_cli.errors import RunError
from mer_cli.motion.inputs import MotionInput
from mer_cli.records import Fold, FoldPredictions, subject_of
from mer_cli.runs.config import TrainConfig
from mer_cli.runs.directory import (
    CODE_GIVEN,
    Session,
    folds_to_train,
    open_run,
    record_session,
    write_fold,
)
from mer_cli.runs.folds import training_labels
from mer_cli.runs.own_code import Origin, import_again, origin_known, sources_of
from mer_cli.runs.plan import RunPlan
from mer_cli.runs.process_state import require_torch_defaults
from mer_cli.runs.run_config import RunConfig
from mer_cli.store.hdf5 import empty_windows, read_windows
from mer_cli.system.workers import end_unguarded_worker, run_in_workers
from mer_cli.training.batches import PairBatches, Windows
from mer_cli.training.hardware import (
    choose_folds_at_once,
    fit_into_memory,
    resolve_gpus,
    threads_of,
)
from mer_cli.training.inputs import compute_inputs, read_features, read_motion_batches
from mer_cli.training.learner import LearnerTrainer
from mer_cli.training.loggers import Loggers
from mer_cli.training.loop import FoldTrainer, TrainedFold
from mer_cli.training.machine import describe_environment, describe_fold
from mer_cli.training.own_network import blamed_on_own_code, require_finite
from mer_cli.training.time_limit import TimeLimit

OS_ERROR = re.compile(r"\(os error (\d+)\)")  # how safetensors names the system's error


class Trainer(Protocol):
    """A trainer of all folds of a run, which has the run's clips in memory or reads them."""

    config: TrainConfig

    def train_fold(
        self,
        fold_id: str,
        train_rows: NDArray[np.int64],
        train_labels: NDArray[np.int64],
        test_rows: NDArray[np.int64],
        inner_rows: NDArray[np.int64],
        on_epoch: Callable[[int, float], None],
    ) -> TrainedFold: ...


class Listener(Protocol):
    """An observer that is told how far the training of a run is; it can't change the training.

    `on_start` gets the number of folds to train. A fold that is trained in a worker is reported only when it has ended,
    with the last epoch's loss. A classical method has no epochs and no loss.
    """

    def on_start(self, n_folds: int) -> None: ...

    def on_fold(self, fold: Fold) -> None: ...

    def on_epoch(self, epoch: int, loss: float) -> None: ...

    def on_fold_end(self) -> None: ...


class _Silent:
    """A listener for callers that show no progress."""

    def on_start(self, n_folds: int) -> None: ...

    def on_fold(self, fold: Fold) -> None: ...

    def on_epoch(self, epoch: int, loss: float) -> None: ...

    def on_fold_end(self) -> None: ...


class Trainers:
    """A cache of the last plan's trainer, used again if only the seed differs, so that nothing is compiled twice."""

    def __init__(self) -> None:
        self.key: tuple[Any, ...] = ()
        self.trainer: Trainer | None = None

    def of(self, plan: RunPlan) -> Trainer:
        """Return a trainer for the plan: the cached trainer, with the plan's seed, if it fits, otherwise a new one."""
        trained_on = frozenset(clip_id for fold in plan.wanted for clip_id in fold.train)
        key = (plan.config.model_copy(update={"seed": 0}), plan.paths("loso", "train", "test"), trained_on)
        if self.trainer is None or key != self.key:
            self.trainer = None  # its memory is needed
            self.trainer = make_trainer(plan)
        self.key, self.trainer.config = key, plan.config
        return self.trainer


def make_trainer(plan: RunPlan) -> Trainer:
    """Return a new trainer for the plan's folds, with all clips of the plan in memory."""
    config, sees = plan.config, plan.config.method.sees
    n_classes, device = len(config.class_names), torch.device(config.device)
    if not config.method.is_network:
        if config.method.kind == "learner":
            return LearnerTrainer(plan)
        from mer_cli.training import classical  # and with it scikit-learn, which takes a second

        if config.method.kind == "estimator":
            return classical.EstimatorTrainer(read_features(plan), n_classes, config)
        subjects = [subject_of(clip_id) for clip_id in plan.labels]
        return classical.ClassicalTrainer(read_features(plan), subjects, n_classes, config)
    if isinstance(sees, MotionInput):
        return FoldTrainer(read_motion_batches(plan, sees, device), n_classes, config)
    return FoldTrainer(PairBatches(_read_windows(plan), config, device), n_classes, config)


def _read_windows(plan: RunPlan) -> Windows:
    """Read the clips of all stores in the order of `plan.labels`, each store straight into its part of the arrays."""
    arrays = empty_windows(len(plan.labels))
    start = 0
    for store in plan.stores:
        part = slice(start, start + len(store.clips))
        read_windows(
            store.info.path, list(store.clips), (arrays[0][part], arrays[1][part], arrays[2][part], arrays[3][part])
        )
        start = part.stop
    onset, onset_numbers, apex, apex_numbers = arrays
    offsets = [store.info.clips.loc[list(store.clips), "offset"].to_numpy(np.int32) for store in plan.stores]
    return Windows(onset, apex, onset_numbers, apex_numbers, np.concatenate(offsets))


def train_run(
    plan: RunPlan,
    out: Path,
    listener: Listener | None = None,
    *,
    resume: bool = True,
    save_weights: Literal["last", "none"] = "last",
    loggers: Loggers | None = None,
    folds_at_once: int | None = None,
    gpus: Sequence[int] | None = None,
    trainers: Trainers | None = None,
    time_limit: TimeLimit | None = None,
    has_inputs: bool = False,
) -> Path:
    """Train the plan's wanted folds that are not finished, until the time limit is over; return the run directory.

    Parameters
    ----------
    out : folder of all runs
    resume : False trains finished folds again
    save_weights : "last" keeps the weights of each fold after its last epoch
    loggers : told of every epoch; of a fold in a worker, when it has ended
    folds_at_once : folds in parallel on each device; None decides by the method and the machine
    gpus : CUDA numbers; None takes the first
    trainers : a cache to share among runs that differ only in the seed
    time_limit : shared by all runs of a command, and updated here; a later call trains the folds that it left out
    has_inputs : whether `compute_inputs` was called for the plan already; otherwise it is called here

    Raises
    ------
    ConfigError
        If a GPU is not there, or the folds would not fit into its memory.
    RunError
        If the run directory can't be used or written, a worker is killed, or the device still runs out of memory.
    """
    end_unguarded_worker()
    require_torch_defaults()
    config, loggers = plan.config, loggers or Loggers({})
    devices, n_cores = resolve_gpus(config, gpus), torch.get_num_threads()
    if not has_inputs and folds_to_train(out / config.run_name, plan.wanted, resume=resume):
        compute_inputs(plan)
    telling = loggers.beside(listener or _Silent(), out / config.run_name, config)
    with threads_of(config, folds_at_once) as threads, telling as listener:
        path, session = _open(plan, out)
        todo = folds_to_train(path, plan.wanted, resume=resume)
        listener.on_start(len(todo))
        if not todo:
            return path
        record_session(path, session)
        n_at_once = choose_folds_at_once(config, todo, folds_at_once, n_cores, len(devices) or 1)
        if devices:
            n_at_once = _fitting(plan, devices, n_at_once, is_asked_for=folds_at_once is not None)
            torch.cuda.set_device(devices[0])
        origin = origin_known(config.foreign) if config.foreign else None
        run = _Run(plan, path, save_weights == "last" and config.method.is_network, origin)
        limit = time_limit or TimeLimit(math.inf)
        begun = limit.allowed(config.model, todo)
        if n_at_once == 1:
            _train_in_turn(run, begun, trainers or Trainers(), listener, limit)
        else:
            _train_in_parallel(run, begun, n_at_once, threads, devices, listener, limit)
    return path


def _fitting(plan: RunPlan, gpus: Sequence[int], n_at_once: int, *, is_asked_for: bool) -> int:
    """Return the number of folds to train in parallel on GPUs, as `fit_into_memory`; a learner knows its need alone."""
    config = plan.config
    if not config.method.is_network:
        return n_at_once
    return fit_into_memory(
        config, len(plan.labels), len(config.class_names), gpus, n_at_once, is_asked_for=is_asked_for
    )


def _open(plan: RunPlan, out: Path) -> tuple[Path, Session]:
    """Return the run's directory, made if it is not there, and the session of this call, which is not recorded yet."""
    config = plan.config
    environment, sources = describe_environment(config.device), None
    if config.foreign:
        environment[CODE_GIVEN] = origin_known(config.foreign).text
        sources = sources_of(config.foreign)
    session = Session(plan.paths("loso", "train"), plan.paths("test"), str(out), environment)
    return open_run(out, config, plan.labels, plan.emotions, plan.folds, session, sources), session


@dataclass(frozen=True)
class _Run:
    """A run in training: its plan, its directory, what is written of each fold, and where your own code lies."""

    plan: RunPlan
    path: Path
    save_weights: bool
    origin: Origin | None = None

    def train(self, trainer: Trainer, fold: Fold, on_epoch: Callable[[int, float], None]) -> TrainedFold:
        """Train a fold and write it into the run."""
        trained = _train_fold(trainer, fold, self.plan.labels, on_epoch)
        predictions = FoldPredictions(fold.id, fold.test, trained.logits, fold.inner, trained.inner_logits)
        save = partial(_save_weights, trained.weights, self.plan.config, fold) if self.save_weights else None
        write_fold(self.path, predictions, trained.history, save, describe_fold(self.plan.config.device))
        return trained


def _train_in_turn(run: _Run, begun: Iterable[Fold], trainers: Trainers, listener: Listener, limit: TimeLimit) -> None:
    """Train one fold after the other in this process."""
    config = run.plan.config
    try:
        trainer = trainers.of(run.plan)
        for fold in begun:
            listener.on_fold(fold)
            run.train(trainer, fold, listener.on_epoch)
            listener.on_fold_end()
            limit.ended(config.model, fold)
    except torch.OutOfMemoryError as error:
        raise RunError(
            f"{run.path}: the device ran out of memory ({str(error).splitlines()[0]}) with {len(run.plan.labels)} "
            f"clips and a batch of {config.batch_size}. Finished folds are kept. Lower --batch-size (another run, "
            "since BatchNorm sees the batch) or use --device cpu."
        ) from None


@dataclass(frozen=True)
class EndedFold:
    """A fold that a worker has trained and written, with its last average loss (None for a classical method)."""

    fold: Fold
    n_epochs: int
    loss: float | None


def _train_in_parallel(
    run: _Run,
    begun: Iterable[Fold],
    n_at_once: int,
    threads: int,
    gpus: Sequence[int],
    listener: Listener,
    limit: TimeLimit,
) -> None:
    """Train folds in worker processes, each of which takes the next one when it is free.

    Ctrl-C stops the workers at once; a fold is written whole or not at all. An error in a fold is raised here as it
    is, after the folds at work have ended.

    Parameters
    ----------
    threads : torch threads of each worker
    gpus : assigned to the workers in turn
    """

    def tell(ended: EndedFold) -> None:
        listener.on_fold(ended.fold)
        if ended.loss is not None:
            listener.on_epoch(ended.n_epochs, ended.loss)
        listener.on_fold_end()
        limit.ended(run.plan.config.model, ended.fold)

    free = get_context("spawn").SimpleQueue()
    for number in range(n_at_once if gpus else 0):
        free.put(gpus[number % len(gpus)])
    pickled = pickle.dumps(run)
    tasks = ((pickled, fold, threads) for fold in begun)
    take = partial(_take_gpu, free) if gpus else None
    try:
        run_in_workers(_train_task, tasks, n_at_once, tell, drop_on_interrupt=True, on_start=take)
    except BrokenProcessPool:
        raise RunError(
            f"{run.path}: a worker process was killed while training folds, probably for lack of memory. "
            "Finished folds are kept: run the same command again with --folds-at-once 1."
        ) from None


def _take_gpu(free: SimpleQueue[int]) -> None:
    """Make a free GPU the one that this worker calls `cuda`."""
    torch.cuda.set_device(free.get())


def _train_task(task: tuple[bytes, Fold, int]) -> EndedFold:
    """Train and write a fold in a worker: the pickled run, the fold, and the number of torch threads."""
    pickled, fold, threads = task
    torch.set_num_threads(threads)
    run, trainer = _run_and_trainer(pickled)
    trained = run.train(trainer, fold, lambda epoch, loss: None)
    return EndedFold(fold, len(trained.history), trained.history[-1].get("loss"))


@cache
def _run_and_trainer(pickled: bytes) -> tuple[_Run, Trainer]:
    """Return what all tasks of a worker share; the clips are read, and the network is made, once."""
    run: _Run = pickle.loads(pickled)
    if run.origin and run.plan.config.foreign:
        import_again(run.plan.config.foreign, run.origin)
    return run, make_trainer(run.plan)


def _train_fold(
    trainer: Trainer, fold: Fold, labels: Mapping[str, int], on_epoch: Callable[[int, float], None]
) -> TrainedFold:
    """Train a fold on the labels of its training clips; the trainer never gets a held-out label.

    Parameters
    ----------
    labels : class by clip id, in the order of the trainer's rows
    """
    row_of = {clip_id: row for row, clip_id in enumerate(labels)}
    label_of = training_labels(fold.id, fold.train, labels, trainer.config)
    train_rows, test_rows, inner_rows = (
        np.array([row_of[clip] for clip in clips], dtype=np.int64) for clips in (fold.train, fold.test, fold.inner)
    )
    train_labels = np.array([label_of[clip] for clip in fold.train])
    with blamed_on_own_code(trainer.config):
        trained = trainer.train_fold(fold.id, train_rows, train_labels, test_rows, inner_rows, on_epoch)
    if trainer.config.foreign:
        require_finite(trainer.config.foreign, fold.id, trained)
    return trained


def _save_weights(weights: dict[str, Tensor], config: RunConfig, fold: Fold, path: Path) -> None:
    """Write the weights with the config and the fold in the file, so that it explains itself."""
    try:
        save_file(weights, path, {"config": config.model_dump_json(), "fold": fold.id})
    except SafetensorError as error:  # raised for a full disk, among others
        number = OS_ERROR.search(str(error))
        raise (OSError(int(number[1]), os.strerror(int(number[1]))) if number else OSError(str(error))) from error
