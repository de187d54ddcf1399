"""Takes a store and a configuration, gives a run: the folds of leave-one-subject-out that it lacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from mer_cli.datasets.schemes import check_counts, default_scheme, get_scheme, protocol_id
from mer_cli.errors import ConfigError, RunError
from mer_cli.models import build_model
from mer_cli.records import Fold, FoldPredictions
from mer_cli.store.hdf5 import StoreInfo, read_store, read_windows
from mer_cli.training.batches import PairBatches, Windows
from mer_cli.training.config import TrainConfig
from mer_cli.training.folds import loso_folds, select_folds
from mer_cli.training.hardware import describe_environment, keep_freed_memory, resolve_hardware
from mer_cli.training.loop import FoldTrainer
from mer_cli.training.run import RunConfig, is_finished, open_run, write_fold


@dataclass(frozen=True)
class LosoPlan:
    """What a run will do, settled before anything is trained.

    labels, emotions : by clip id, for the clips that the scheme keeps
    folds : all folds of the protocol · wanted : those to be trained here
    warning : what the clip counts say against the published ones, or ""
    weight_bytes : size of one fold's weights
    """

    store: Path
    config: RunConfig
    labels: dict[str, int]
    emotions: dict[str, str]
    folds: tuple[Fold, ...]
    wanted: tuple[Fold, ...]
    warning: str
    weight_bytes: int


class Listener(Protocol):
    """Told how a run goes on; it changes nothing. `on_start` is given the number of folds that are to be trained."""

    def on_start(self, n_folds: int) -> None: ...

    def on_fold(self, fold: Fold) -> None: ...

    def on_epoch(self, epoch: int, loss: float) -> None: ...

    def on_fold_end(self) -> None: ...


def plan_loso(store: Path, config: TrainConfig, wanted: list[str] | None = None) -> LosoPlan:
    """Reads the store's table (no pictures) and settles scheme, clips, folds, device, precision and compilation.

    Parameters
    ----------
    wanted : subjects or fold ids to train; all where left out

    Raises
    ------
    MerError
        If the store can't be read, the scheme does not fit it, or a fold is unknown.
    """
    info = read_store(store)
    scheme = get_scheme(default_scheme(info.dataset) if config.scheme == "auto" else config.scheme)
    labels, emotions = _labels(info, scheme.label)
    if not labels:
        raise ConfigError(
            f"{store}: no clip of it belongs to scheme '{scheme.name}' — expected clips labelled "
            f"{', '.join(sorted(scheme.class_of))}. Choose another --scheme."
        )
    folds = loso_folds(labels)
    n_pairs = sum(len(fold.train) for fold in folds) * config.epochs
    resolved = resolve_hardware(config.model_copy(update={"scheme": scheme.name}), n_pairs)
    run_config = RunConfig(
        **resolved.model_dump(),
        dataset=info.dataset,
        protocol_id=protocol_id(scheme, len(labels)),
        class_names=scheme.class_names,
        content_hash=info.content_hash,
        table_sha256=info.table_sha256,
        table_version=info.table_version,
        generated=info.generated,
    )
    warning = check_counts(scheme, info.dataset, info.table_version, list(labels.values()))
    network = build_model(run_config.model, len(scheme.class_names))
    weight_bytes = sum(tensor.nbytes for tensor in network.state_dict().values())
    selected = select_folds(folds, wanted)
    return LosoPlan(store, run_config, labels, emotions, tuple(folds), tuple(selected), warning or "", weight_bytes)


def train_loso(
    plan: LosoPlan,
    out: Path,
    listener: Listener,
    *,
    resume: bool = True,
    save_weights: Literal["last", "none"] = "last",
) -> Path:
    """Trains the wanted folds that are not finished, each written whole as soon as it ends; gives the run directory.

    Parameters
    ----------
    out : folder of all runs
    resume : False trains finished folds again

    Raises
    ------
    RunError
        If the run directory can't be used or written, or the device has too little memory.
    """
    config = plan.config
    path = open_run(out, config, plan.labels, plan.emotions, plan.folds, describe_environment(config.device))
    todo = [fold for fold in plan.wanted if not (resume and is_finished(path, fold.id))]
    if config.device == "cpu":
        keep_freed_memory()
    listener.on_start(len(todo))
    if not todo:
        return path
    clip_ids = sorted(plan.labels)
    row_of = {clip_id: row for row, clip_id in enumerate(clip_ids)}
    onset, onset_numbers, apex, apex_numbers = read_windows(plan.store, clip_ids)
    windows = Windows(onset, apex, onset_numbers, apex_numbers)
    try:
        batches = PairBatches(windows, config, torch.device(config.device))
        trainer = FoldTrainer(batches, len(config.class_names), config)
        for fold in todo:
            listener.on_fold(fold)
            trained = trainer.train_fold(
                fold.id,
                train_rows=np.array([row_of[clip] for clip in fold.train]),
                train_labels=np.array([plan.labels[clip] for clip in fold.train]),
                test_rows=np.array([row_of[clip] for clip in fold.test]),
                on_epoch=listener.on_epoch,
            )
            predictions = FoldPredictions(fold.id, fold.test, trained.logits)
            save = _weight_saver(trained.weights, config, fold) if save_weights == "last" else None
            write_fold(path, predictions, trained.history, save)
            listener.on_fold_end()
    except torch.OutOfMemoryError as error:
        raise RunError(
            f"{path}: the device ran out of memory ({str(error).splitlines()[0]}) — expected room for "
            f"{len(clip_ids)} clips and a batch of {config.batch_size}. Finished folds are kept; lower --batch-size "
            "(another run, since BatchNorm sees the batch) or use --device cpu."
        ) from None
    return path


def _labels(info: StoreInfo, label_of: Callable[[str, str, str], int | None]) -> tuple[dict[str, int], dict[str, str]]:
    """Class and emotion of every clip that the scheme keeps."""
    labels, emotions = {}, {}
    for clip_id, clip in info.clips.iterrows():
        label = label_of(clip["subject"], clip["name"], clip["emotion"])
        if label is not None:
            labels[str(clip_id)], emotions[str(clip_id)] = label, str(clip["emotion"])
    return labels, emotions


def _weight_saver(weights: dict[str, Tensor], config: RunConfig, fold: Fold) -> Callable[[Path], None]:
    """Writes the weights with the config and the fold in the file, so that it explains itself."""
    metadata = {"config": config.model_dump_json(), "fold": fold.id}

    def save(path: Path) -> None:
        try:
            save_file(weights, path, metadata)
        except SafetensorError as error:  # its word for a full disk, among others
            raise OSError(str(error)) from error

    return save
