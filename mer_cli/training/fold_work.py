"""The work of a run: each task trains one fold and writes it into the run directory (`engines.engine.Work`).

The clips are read once for all folds, and the network is made once, for all runs that differ only in the seed. The
order in which folds end changes no number.
"""

from __future__ import annotations

import os
import platform
import re
import tempfile
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from mer_cli.engines.engine import TRIES, Needs, OnStep
from mer_cli.errors import MerError, RunError
from mer_cli.motion.images import redraw_windows
from mer_cli.motion.inputs import MotionInput
from mer_cli.records import Fold, FoldPredictions, is_added, subject_of
from mer_cli.runs.claims import Claims
from mer_cli.runs.config import TrainConfig
from mer_cli.runs.directory import is_finished, write_fold
from mer_cli.runs.failures import note_failure, read_failures
from mer_cli.runs.fold_files import FoldFacts, read_history
from mer_cli.runs.folds import training_labels
from mer_cli.runs.own_code import Origin, Sources, import_again, is_known
from mer_cli.runs.plan import RunPlan
from mer_cli.runs.run_config import TRAINED_ON, RunConfig
from mer_cli.store.hdf5 import empty_windows, read_windows
from mer_cli.system.files import write_text
from mer_cli.training.batches import PairBatches, Windows
from mer_cli.training.hardware import resolve_hardware, torch_threads
from mer_cli.training.inputs import MotionBatches, read_features, read_motion
from mer_cli.training.learner import LearnerArrays, LearnerTrainer
from mer_cli.training.loop import FoldTrainer, TrainedFold
from mer_cli.training.machine import cluster_job, describe_fold, this_machine
from mer_cli.training.own_network import blamed_on_own_code, require_finite

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


class Trainers:
    """A cache of the last plan's arrays and trainer, used again if only the seed differs: nothing is compiled twice."""

    def __init__(self) -> None:
        self.key: tuple[Any, ...] = ()
        self.arrays: Any = None
        self.trainer: Trainer | None = None

    def read(self, plan: RunPlan) -> Any:
        """Return what the plan's method sees of all clips: the cached arrays if they fit, otherwise read anew."""
        self._keep_only(plan)
        if self.arrays is None:
            self.arrays = read_arrays(plan)
        return self.arrays

    def of(self, plan: RunPlan, arrays: Any = None) -> Trainer:
        """Return a trainer for the plan: the cached trainer, with the plan's seed, if it fits, otherwise a new one.

        Parameters
        ----------
        arrays : what `read_arrays` returned for the plan, here or on another machine; None reads them
        """
        self._keep_only(plan)
        if self.trainer is None:
            self.trainer = make_trainer(plan, self.read(plan) if arrays is None else arrays)
        self.trainer.config = plan.config
        return self.trainer

    def _keep_only(self, plan: RunPlan) -> None:
        """Drop what is of another plan, because its memory is needed."""
        trained_on = frozenset(clip_id for fold in plan.wanted for clip_id in fold.train)
        key = (plan.config.model_copy(update={"seed": 0}), plan.paths(*TRAINED_ON, "test"), trained_on)
        if key != self.key:
            self.key, self.arrays, self.trainer = key, None, None


def read_arrays(plan: RunPlan) -> Any:
    """Return what the plan's method sees of all its clips, in the order of `plan.labels`; call `compute_inputs` before.

    Returns
    -------
    `Windows` of a network on images, `Motion` of a network on motion, vectors (N, D) of a descriptor, or
    `LearnerArrays`, which read when they are asked
    """
    config = plan.config
    if config.method.kind == "learner":
        return LearnerArrays(plan)
    if not config.method.is_network:
        return read_features(plan)
    sees = config.method.sees
    return read_motion(plan, sees) if isinstance(sees, MotionInput) else _read_windows(plan)


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
        redraw_windows(store.info.path, list(store.clips), arrays[0][part], arrays[2][part], plan.config.steps)
    onset, onset_numbers, apex, apex_numbers = arrays
    offsets = [store.info.clips.loc[list(store.clips), "offset"].to_numpy(np.int32) for store in plan.stores]
    return Windows(onset, apex, onset_numbers, apex_numbers, np.concatenate(offsets))


def make_trainer(plan: RunPlan, arrays: Any) -> Trainer:
    """Return a new trainer for the plan's folds, with the arrays from `read_arrays`."""
    config, sees = plan.config, plan.config.method.sees
    n_classes, device = len(config.class_names), torch.device(config.device)
    if config.method.kind == "learner":
        return LearnerTrainer(plan, arrays)
    if not config.method.is_network:
        from mer_cli.training import classical  # and with it scikit-learn, which takes a second

        if config.method.kind == "estimator":
            return classical.EstimatorTrainer(arrays, n_classes, config)
        subjects = ["" if is_added(clip_id) else subject_of(clip_id) for clip_id in plan.labels]
        if config.predicts_units:
            from mer_cli.training.unit_machines import UnitTrainer

            return UnitTrainer(arrays, subjects, n_classes, config)
        return classical.ClassicalTrainer(arrays, subjects, n_classes, config)
    if isinstance(sees, MotionInput):
        return FoldTrainer(MotionBatches(arrays, sees, config, device), n_classes, config, plan.initial)
    return FoldTrainer(PairBatches(arrays, config, device), n_classes, config, plan.initial)


@dataclass(frozen=True)
class EndedFold:
    """A fold that was trained and written, with its last average loss (None for a classical method)."""

    fold: Fold
    n_epochs: int
    loss: float | None


@dataclass(eq=False)
class FoldWork:
    """The folds of a run, each trained on its own and written into the run directory.

    path : the run directory · engine : name of the engine · save_weights : whether each fold's weights are kept
    resume : False trains finished folds again
    origin : where your own code lies · sources : its files, for a machine that lacks them
    trainers : a cache that this process shares with other runs · is_ready : whether `_get_ready` was called
    """

    plan: RunPlan
    path: Path
    needs: Needs
    engine: str
    save_weights: bool = True
    resume: bool = True
    origin: Origin | None = None
    sources: Sources = field(default_factory=dict)
    trainers: Trainers = field(default_factory=Trainers)
    is_ready: bool = True

    def __getstate__(self) -> dict[str, Any]:
        """Return the work without what this process keeps."""
        return {name: value for name, value in vars(self).items() if name != "trainers"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the caches of the process that the work was sent to."""
        vars(self).update(state, trainers=_OF_WORKER, is_ready=False)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def folder(self) -> str:
        return str(self.path)

    def read(self) -> Any:
        """Return what the folds share (`read_arrays`): the cached arrays if they fit, otherwise read anew."""
        self._get_ready()
        return self.trainers.read(self.plan)

    def do(self, shared: Any, item: Fold, on_step: OnStep) -> tuple[TrainedFold, FoldFacts]:
        """Train a fold on the labels of its training clips; a trainer never gets a held-out label.

        Returns
        -------
        the trained fold, and facts about the machine that trained it

        Raises
        ------
        RunError
            If the device runs out of memory.
        """
        self._get_ready()
        config = self.plan.config
        try:
            with torch_threads(self.needs.threads or _threads_of_job()):
                trained = train_fold(self.trainers.of(self.plan, shared), item, self.plan.labels, on_step)
                return trained, describe_fold(config.device)
        except torch.OutOfMemoryError as error:
            raise RunError(
                f"{self.path}: the device ran out of memory ({str(error).splitlines()[0]}) with "
                f"{len(self.plan.labels)} clips and a batch of {config.batch_size}. Finished folds are kept. Lower "
                "--batch-size (another run, since BatchNorm sees the batch) or use --device cpu."
            ) from None

    def keep(self, item: Fold, result: tuple[TrainedFold, FoldFacts]) -> EndedFold:
        """Write a trained fold into the run.

        Raises
        ------
        RunError
            If the run was removed meanwhile, or can't be written to.
        """
        if not self.path.is_dir():
            raise RunError(f"{self.path}: the run directory is no longer there. Run the same command again.")
        trained, facts = result
        predictions = FoldPredictions(item.id, item.test, trained.logits, item.inner, trained.inner_logits)
        save = partial(_save_weights, trained.weights, self.plan.config, item) if self.save_weights else None
        write_fold(self.path, predictions, trained.history, save, facts)
        return EndedFold(item, len(trained.history), trained.history[-1].get("loss"))

    def kept(self, item: Fold) -> EndedFold | None:
        """Return a finished fold, or None if it is not finished."""
        if not is_finished(self.path, item.id):
            return None
        config = self.plan.config
        history = self.path / "folds" / item.id / "history.csv"
        has_loss = "loss" in config.method.history_columns
        loss = read_history(history, "loss", config.epochs)[-1] if has_loss else None
        return EndedFold(item, config.epochs, loss)

    def begin(self, item: Fold, place: str = "") -> bool:
        """Claim a fold; return False if another process has claimed it or, unless it is trained again, finished it."""
        job = cluster_job()
        return _claims(self.engine).take(self.path, item.id, where=place, job=job, again=not self.resume)

    def end(self, item: Fold) -> None:
        """Give back the claim on a fold."""
        _claims(self.engine).give_back(self.path, item.id)

    def fail(self, item: Fold, error: BaseException, log: str) -> int:
        """Note why a fold failed, with the traceback in a log if it is a mistake of the program."""
        if not self.path.is_dir():  # it was removed: a new folder of this name would only be in the way
            return TRIES
        if not log and not isinstance(error, MerError):
            file = self.path / "logs" / f"{item.id}.log"
            write_text(file, "".join(traceback.format_exception(error)))
            log = str(file)
        return note_failure(self.path, item.id, spell(error), log, platform.node())

    def failure(self, item: Fold) -> str | None:
        """Return why a fold failed for the last time, or None."""
        failure = read_failures(self.path).get(item.id)
        if failure is None or failure.times < TRIES:
            return None
        return f"{failure.error.rstrip('.')}. Log: {failure.log}" if failure.log else failure.error

    def _get_ready(self) -> None:
        """Import your own code, and look for the device, in a process that neither named the code nor chose the device.

        Raises
        ------
        ConfigError
            If this machine lacks the device, or your own code is absent or not the planned one.
        """
        if self.is_ready:
            return
        config = self.plan.config
        resolve_hardware(config, 0, this_machine(config.device))
        if config.foreign and self.origin and not is_known(config.foreign):
            import_again(config.foreign, self._origin_here(self.origin))
        self.is_ready = True

    def _origin_here(self, origin: Origin) -> Origin:
        """Return where your own code lies on this machine; if it isn't here as it was planned, a copy of it is made."""
        if origin.file is None or not self.sources or self.engine == "local" or self._is_here(origin.file):
            return origin
        folder = Path(tempfile.mkdtemp(prefix="mer-own-"))
        for name, content in self.sources.items():
            copy = folder / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)
        return replace(origin, file=folder / origin.file.name)

    def _is_here(self, file: Path) -> bool:
        """Return whether a file, and all beside it that it imports, are on this machine as they were planned."""
        try:
            here = {name: (file.parent / name).read_bytes().replace(b"\r\n", b"\n") for name in self.sources}
        except OSError:
            return False
        return here == self.sources


def _threads_of_job() -> int | None:
    """Return the threads that a cluster's job has for each task; None if there is no job, or it doesn't say."""
    return int(os.environ.get("SLURM_CPUS_PER_TASK", "0")) or None


@cache
def _claims(engine: str) -> Claims:
    """Return the claims of this process, which last as long as it does."""
    return Claims(engine)


def spell(error: BaseException) -> str:
    """Return the text of an error as one line; with the name of its class if it is a mistake of the program."""
    text = " ".join(str(error).split())
    return text if isinstance(error, MerError) else f"{type(error).__name__}: {text}".removesuffix(": ")


_OF_WORKER = Trainers()  # of the works that were sent to this process


def train_fold(
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
