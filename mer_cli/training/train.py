"""Train the folds that a run directory lacks; each is written whole as soon as it ends.

All clips are read, and the network is made, once for all folds.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from mer_cli.errors import RunError
from mer_cli.motion.inputs import MotionInput
from mer_cli.records import Fold, FoldPredictions, subject_of
from mer_cli.runs.directory import Session, folds_to_train, is_finished, open_run, record_session, write_fold
from mer_cli.runs.folds import training_labels
from mer_cli.runs.plan import RunPlan
from mer_cli.runs.run_config import RunConfig
from mer_cli.store.hdf5 import empty_windows, read_windows
from mer_cli.training.batches import PairBatches, Windows
from mer_cli.training.executor import EndedFold, Listener, choose_folds_at_once, resolve_gpus, threads_of, train_at_once
from mer_cli.training.hardware import count_memory, describe_environment, require_memory
from mer_cli.training.inputs import read_features, read_motion_batches
from mer_cli.training.loop import Batches, FoldTrainer, TrainedFold
from mer_cli.training.tensorboard_log import log_folder, require_tensorboard, write_log
from mer_cli.training.time_limit import TimeLimit

if TYPE_CHECKING:
    from mer_cli.training.classical import ClassicalTrainer


Trainer: TypeAlias = "FoldTrainer | ClassicalTrainer"


class Trainers:
    """The trainer of the last plan, taken again for one that differs in the seed alone: nothing is compiled twice."""

    def __init__(self) -> None:
        self.plan: RunPlan | None = None
        self.trainer: Trainer | None = None

    def of(self, plan: RunPlan) -> Trainer:
        if self.trainer is None or _without_seed(plan) != _without_seed(self.plan):
            self.trainer = None  # its memory is needed
            self.trainer = make_trainer(plan)
        self.plan, self.trainer.config = plan, plan.config
        return self.trainer


def make_trainer(plan: RunPlan) -> Trainer:
    """What trains the plan's folds, all clips in it."""
    config = plan.config
    if not config.method.is_network:
        from mer_cli.training.classical import ClassicalTrainer  # and with it scikit-learn, which takes a second

        subjects = [subject_of(clip_id) for clip_id in plan.labels]
        return ClassicalTrainer(read_features(plan), subjects, len(config.class_names), config)
    return FoldTrainer(_read_batches(plan, torch.device(config.device)), len(config.class_names), config)


def _without_seed(plan: RunPlan | None) -> tuple[Any, ...] | None:
    """What decides which clips are read, and what the network is and how it is trained."""
    if plan is None:
        return None
    trained_on = frozenset(clip_id for fold in plan.wanted for clip_id in fold.train)
    return plan.config.model_copy(update={"seed": 0}), plan.paths("loso", "train", "test"), trained_on


def _read_batches(plan: RunPlan, device: torch.device) -> Batches:
    wanted = plan.config.method.sees
    if isinstance(wanted, MotionInput):
        return read_motion_batches(plan, wanted, device)
    return PairBatches(_read_windows(plan), plan.config, device)


def _read_windows(plan: RunPlan) -> Windows:
    """The clips of all stores in the order of `plan.labels`; each store is read straight into its part."""
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


@dataclass(frozen=True)
class FoldTask:
    """A fold that another process is to train and write.

    plan : the run's plan, pickled · path : the run directory · threads : of torch
    """

    plan: bytes
    path: Path
    fold: Fold
    save_weights: bool
    tensorboard: bool
    threads: int


def train_run(
    plan: RunPlan,
    out: Path,
    listener: Listener,
    *,
    resume: bool = True,
    save_weights: Literal["last", "none"] = "last",
    tensorboard: bool = False,
    folds_at_once: int | None = None,
    gpus: Sequence[int] | None = None,
    trainers: Trainers | None = None,
    time_limit: TimeLimit | None = None,
) -> Path:
    """Train the wanted folds that are not finished, or those of them that the time limit allows; return the run's path.

    Parameters
    ----------
    out : folder of all runs
    resume : False trains finished folds again
    tensorboard : leaves an event file of every finished fold, of those too that were finished before
    folds_at_once : for each device; None lets the network and the machine decide (`executor.choose_folds_at_once`)
    gpus : CUDA numbers; None takes the first
    trainers : shared by runs that differ in the seed alone
    time_limit : shared by the runs of a command, and updated; what it leaves out, the same call trains later. None
        trains all

    Raises
    ------
    ConfigError
        If TensorBoard is wanted and not installed, a GPU is not there, or the folds would not fit into its memory.
    RunError
        If the run directory can't be used or written, or the device runs out of memory all the same.
    """
    config, labels = plan.config, plan.labels
    if tensorboard:
        require_tensorboard()
    keeps_weights = save_weights == "last" and config.method.is_network
    devices, n_cores = resolve_gpus(config, gpus), torch.get_num_threads()
    with threads_of(config, folds_at_once) as threads:
        session = Session(
            plan.paths("loso", "train"), plan.paths("test"), str(out), describe_environment(config.device)
        )
        path = open_run(out, config, labels, plan.emotions, plan.folds, session)
        todo = folds_to_train(path, plan.wanted, resume=resume)
        if tensorboard:
            _log_finished_folds(plan, path)
        listener.on_start(len(todo))
        if not todo:
            return path
        record_session(path, session)
        n_at_once = choose_folds_at_once(config, todo, folds_at_once, n_cores, len(devices) or 1)
        if devices:
            n_at_once = _fit_into_memory(plan, devices, n_at_once, is_asked_for=folds_at_once is not None)
            torch.cuda.set_device(devices[0])
        limit = time_limit or TimeLimit(math.inf)
        begun = limit.allowed(config.model, todo)
        if n_at_once == 1:
            trainer_of = (trainers or Trainers()).of
            _train_in_turn(
                plan, path, begun, limit, listener, trainer_of, save_weights=keeps_weights, tensorboard=tensorboard
            )
        else:
            pickled = pickle.dumps(plan)
            tasks = (FoldTask(pickled, path, fold, keeps_weights, tensorboard, threads) for fold in begun)
            train_at_once(_train_task, tasks, n_at_once, path, partial(_tell, listener, limit, config.model), devices)
    return path


def _fit_into_memory(plan: RunPlan, gpus: Sequence[int], n_at_once: int, *, is_asked_for: bool) -> int:
    """Folds at once that the GPUs have memory for: fewer than chosen, unless they are asked for and so refused."""
    needed = count_memory(plan.config, len(plan.labels), len(plan.config.class_names))
    # What this process holds is that of a run before, which this one uses again or drops.
    free = min(torch.cuda.mem_get_info(gpu)[0] + torch.cuda.memory_reserved(gpu) for gpu in gpus)
    on_each = math.ceil(n_at_once / len(gpus))
    if not is_asked_for:
        on_each = max(1, min(on_each, free // needed.total(plan.config.batch_size)))
    require_memory(plan.config, needed, free, on_each)
    return min(n_at_once, on_each * len(gpus))


def _train_in_turn(
    plan: RunPlan,
    path: Path,
    begun: Iterable[Fold],
    limit: TimeLimit,
    listener: Listener,
    trainer_of: Callable[[RunPlan], Trainer],
    *,
    save_weights: bool,
    tensorboard: bool,
) -> None:
    """One fold after the other, in this process."""
    try:
        trainer = trainer_of(plan)
        for fold in begun:
            listener.on_fold(fold)
            trained = _train_fold(trainer, fold, plan.labels, listener.on_epoch)
            _write(plan, path, fold, trained, save_weights=save_weights, tensorboard=tensorboard)
            listener.on_fold_end()
            limit.ended(plan.config.model, fold)
    except torch.OutOfMemoryError as error:
        raise RunError(
            f"{path}: the device ran out of memory ({str(error).splitlines()[0]}) — expected room for "
            f"{len(plan.labels)} clips and a batch of {plan.config.batch_size}. Finished folds are kept; lower "
            "--batch-size (another run, since BatchNorm sees the batch) or use --device cpu."
        ) from None


def _tell(listener: Listener, limit: TimeLimit, method: str, ended: EndedFold) -> None:
    """Pass on that a fold has ended in another process."""
    listener.on_fold(ended.fold)
    if ended.loss is not None:
        listener.on_epoch(ended.n_epochs, ended.loss)
    listener.on_fold_end()
    limit.ended(method, ended.fold)


def _train_task(task: FoldTask) -> EndedFold:
    """Trains and writes a fold in a process that does nothing else."""
    torch.set_num_threads(task.threads)
    plan, trainer = _plan_and_trainer(task.plan)
    trained = _train_fold(trainer, task.fold, plan.labels, lambda epoch, loss: None)
    _write(plan, task.path, task.fold, trained, save_weights=task.save_weights, tensorboard=task.tensorboard)
    return EndedFold(task.fold, len(trained.history), trained.history[-1].get("loss"))


@cache
def _plan_and_trainer(pickled: bytes) -> tuple[RunPlan, Trainer]:
    """What all tasks of a worker share: the clips are read, and the network is made, once."""
    plan: RunPlan = pickle.loads(pickled)
    return plan, make_trainer(plan)


def _write(
    plan: RunPlan, path: Path, fold: Fold, trained: TrainedFold, *, save_weights: bool, tensorboard: bool
) -> None:
    """Puts a trained fold into the run."""
    predictions = FoldPredictions(fold.id, fold.test, trained.logits, fold.inner, trained.inner_logits)
    save = _weight_saver(trained.weights, plan.config, fold) if save_weights else None
    write_fold(path, predictions, trained.history, save)
    if tensorboard:
        write_log(path, fold.id, plan.config)


def _train_fold(
    trainer: Trainer,
    fold: Fold,
    labels: Mapping[str, int],
    on_epoch: Callable[[int, float], None],
) -> TrainedFold:
    """The trainer knows rows; the clips of `labels` are theirs, in its order. Of the held-out ones it gets no label."""
    row_of = {clip_id: row for row, clip_id in enumerate(labels)}
    label_of = training_labels(fold.id, fold.train, labels, trainer.config)
    train_rows, test_rows, inner_rows = (
        np.array([row_of[clip] for clip in clips], dtype=np.int64) for clips in (fold.train, fold.test, fold.inner)
    )
    train_labels = np.array([label_of[clip] for clip in fold.train])
    if isinstance(trainer, FoldTrainer):
        return trainer.train_fold(fold.id, train_rows, train_labels, test_rows, inner_rows, on_epoch)
    return trainer.train_fold(train_rows, train_labels, test_rows)


def _log_finished_folds(plan: RunPlan, path: Path) -> None:
    """Event files of the folds that were trained without."""
    for fold in plan.folds:
        if is_finished(path, fold.id) and not log_folder(path, fold.id).exists():
            write_log(path, fold.id, plan.config)


def _weight_saver(weights: dict[str, Tensor], config: RunConfig, fold: Fold) -> Callable[[Path], None]:
    """Writes the weights with the config and the fold in the file, so that it explains itself."""
    metadata = {"config": config.model_dump_json(), "fold": fold.id}

    def save(path: Path) -> None:
        try:
            save_file(weights, path, metadata)
        except SafetensorError as error:  # its word for a full disk, among others
            raise OSError(str(error)) from error

    return save
