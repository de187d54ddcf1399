"""Takes a plan, gives a run: trains the folds that the run directory lacks, each written whole as soon as it ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from mer_cli.errors import RunError
from mer_cli.models import motion_input
from mer_cli.records import Fold, FoldPredictions
from mer_cli.store.hdf5 import empty_windows, read_windows
from mer_cli.training.batches import PairBatches, Windows
from mer_cli.training.hardware import describe_environment, keep_freed_memory
from mer_cli.training.loop import Batches, FoldTrainer, TrainedFold
from mer_cli.training.motion import read_motion_batches
from mer_cli.training.plan import RunPlan
from mer_cli.training.run import is_finished, open_run, write_fold
from mer_cli.training.run_config import RunConfig
from mer_cli.training.sessions import Session, record_session
from mer_cli.training.shuffle import training_labels
from mer_cli.training.tensorboard_log import log_folder, require_tensorboard, write_log


class Listener(Protocol):
    """Told how a run goes on; it changes nothing. `on_start` is given the number of folds that are to be trained."""

    def on_start(self, n_folds: int) -> None: ...

    def on_fold(self, fold: Fold) -> None: ...

    def on_epoch(self, epoch: int, loss: float) -> None: ...

    def on_fold_end(self) -> None: ...


def train_run(
    plan: RunPlan,
    out: Path,
    listener: Listener,
    *,
    resume: bool = True,
    save_weights: Literal["last", "none"] = "last",
    tensorboard: bool = False,
) -> Path:
    """Trains the wanted folds that are not finished; gives the run directory.

    Parameters
    ----------
    out : folder of all runs
    resume : False trains finished folds again
    tensorboard : leaves an event file of every finished fold, of those too that were finished before

    Raises
    ------
    ConfigError
        If TensorBoard is wanted and not installed.
    RunError
        If the run directory can't be used or written, or the device has too little memory.
    """
    config, labels = plan.config, plan.labels
    if tensorboard:
        require_tensorboard()
    environment = describe_environment(config.device)
    session = Session(plan.paths("loso", "train"), plan.paths("test"), str(out), environment)
    path = open_run(out, config, labels, plan.emotions, plan.folds, session)
    todo = [fold for fold in plan.wanted if not (resume and is_finished(path, fold.id))]
    if tensorboard:
        _log_finished_folds(plan, path)
    if config.device == "cpu":
        keep_freed_memory()
    listener.on_start(len(todo))
    if not todo:
        return path
    record_session(path, session)
    try:
        trainer = FoldTrainer(_read_batches(plan, torch.device(config.device)), len(config.class_names), config)
        for fold in todo:
            listener.on_fold(fold)
            trained = _train_fold(trainer, fold, labels, listener)
            predictions = FoldPredictions(fold.id, fold.test, trained.logits, fold.inner, trained.inner_logits)
            save = _weight_saver(trained.weights, config, fold) if save_weights == "last" else None
            write_fold(path, predictions, trained.history, save)
            if tensorboard:
                write_log(path, fold.id, config.epochs)
            listener.on_fold_end()
    except torch.OutOfMemoryError as error:
        raise RunError(
            f"{path}: the device ran out of memory ({str(error).splitlines()[0]}) — expected room for "
            f"{len(labels)} clips and a batch of {config.batch_size}. Finished folds are kept; lower --batch-size "
            "(another run, since BatchNorm sees the batch) or use --device cpu."
        ) from None
    return path


def _train_fold(trainer: FoldTrainer, fold: Fold, labels: Mapping[str, int], listener: Listener) -> TrainedFold:
    """The trainer knows rows; the clips of `labels` are theirs, in its order. Of the held-out ones it gets no label."""
    row_of = {clip_id: row for row, clip_id in enumerate(labels)}
    label_of = training_labels(fold.id, fold.train, labels, trainer.config)
    return trainer.train_fold(
        fold.id,
        train_rows=np.array([row_of[clip] for clip in fold.train]),
        train_labels=np.array([label_of[clip] for clip in fold.train]),
        test_rows=np.array([row_of[clip] for clip in fold.test]),
        inner_rows=np.array([row_of[clip] for clip in fold.inner], dtype=np.int64),
        on_epoch=listener.on_epoch,
    )


def _log_finished_folds(plan: RunPlan, path: Path) -> None:
    """Event files of the folds that were trained without."""
    for fold in plan.folds:
        if is_finished(path, fold.id) and not log_folder(path, fold.id).exists():
            write_log(path, fold.id, plan.config.epochs)


def _read_batches(plan: RunPlan, device: torch.device) -> Batches:
    wanted = motion_input(plan.config.model)
    if wanted is not None:
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


def _weight_saver(weights: dict[str, Tensor], config: RunConfig, fold: Fold) -> Callable[[Path], None]:
    """Writes the weights with the config and the fold in the file, so that it explains itself."""
    metadata = {"config": config.model_dump_json(), "fold": fold.id}

    def save(path: Path) -> None:
        try:
            save_file(weights, path, metadata)
        except SafetensorError as error:  # its word for a full disk, among others
            raise OSError(str(error)) from error

    return save
