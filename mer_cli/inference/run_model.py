"""A run as a model: each of its finished folds' networks answers.

The networks have seen different people, so how far their answers differ says how much hangs on who was trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mer_cli.engines.resumable import ignore_clip
from mer_cli.errors import RunError
from mer_cli.evaluation.run_text import train_command
from mer_cli.inference.facts import facts_of
from mer_cli.inference.fold_inputs import finished_folds
from mer_cli.inference.quoted_run import quote
from mer_cli.inference.run_files import find_stores, read_weights, weights_file
from mer_cli.inference.seen import Fixed
from mer_cli.inference.trained_model import Member, NetworkModel
from mer_cli.motion.cache import build_motion
from mer_cli.motion.images import plane_statistics, read_images, unit_adjacency
from mer_cli.motion.inputs import MotionInput
from mer_cli.records import dataset_of
from mer_cli.runs.config import TrainConfig
from mer_cli.runs.directory import Run, read_run
from mer_cli.runs.fold_files import check_weights
from mer_cli.runs.run_config import has_all_checksums
from mer_cli.store.hdf5 import StoreInfo
from mer_cli.system.workers import default_jobs
from mer_cli.training.inputs import graph_units


def open_run(path: Path, stores: Sequence[Path]) -> NetworkModel:
    """Return the networks of a run's finished folds as a model.

    Parameters
    ----------
    stores : stores of the run that have moved

    Raises
    ------
    RunError
        If the run can't be read or can't answer, or weights or stores are missing or not the run's.
    """
    run = read_run(path)
    _require_networks(run)
    for fold in run.folds:
        weights_file(run, fold.fold)
    held = find_stores(run, stores, trained_on=True)
    trained_on = {clip: label for clip, label in run.labels.items() if not (run.config.is_across and run.fold_of[clip])}
    quoted = None if run.missing else quote(run)
    facts = facts_of(
        run.config,
        list(held.values()),
        trained_on,
        temperature=quoted.temperature if quoted else None,
        score=quoted.score if quoted else None,
    )
    names = sorted(trained_on)
    fixed = _fixed(run, names, held)
    members = [
        Member(f"fold {fold.fold}", partial(_weights_of, run, fold.fold), of_fold)
        for fold, of_fold in zip(run.folds, fixed, strict=True)
    ]
    return NetworkModel(path, facts, run.config, members)


def _require_networks(run: Run) -> None:
    config = run.config
    if not config.method.is_network:
        raise RunError(
            f"{run.path}: {config.model} keeps nothing of its folds that could answer for a new clip. Fit one model on "
            f"all subjects: mer fit --model {config.model} --calibrate {run.path}."
            if config.method.kind == "classical"
            else f"{run.path}: {config.model} is not a network that mer trained, so it keeps nothing that could answer "
            "for a new clip. Give a run of a network."
        )
    if config.shuffle_labels:
        raise RunError(
            f"{run.path}: was trained on permuted labels, as a null control, so its answers mean nothing. Give a run "
            "without --shuffle-labels."
        )
    if config.init:
        raise RunError(
            f"{run.path}: its networks started from weights {config.init[:8]}, and the run doesn't say whom those had "
            "seen, which an answer depends on. Give a run without --init, or a model that mer fit wrote."
        )
    if not run.folds:
        raise RunError(f"{run.path}: has no finished fold yet. Continue with: {train_command(run)}")


def _weights_of(run: Run, fold_id: str) -> dict[str, Tensor]:
    file = weights_file(run, fold_id)
    check_weights(file, run.config.run_name if has_all_checksums(run.path) else None)
    return read_weights(file, run.config, fold_id)


def _fixed(run: Run, clip_ids: Sequence[str], stores: Mapping[str, StoreInfo]) -> Iterator[Fixed]:
    """Yield what the training clips of each finished fold fix of its network's input.

    Parameters
    ----------
    clip_ids : sorted ids of all clips that some fold trains on
    """
    sees, config = run.config.method.sees, run.config
    if not isinstance(sees, MotionInput):
        yield from (Fixed() for _ in run.folds)
        return
    images = _read_planes(config, sees, clip_ids, stores) if config.normalisation == "standard" else None
    units = graph_units(stores, clip_ids, config.model) if sees.units else {}
    row_of = {clip_id: row for row, clip_id in enumerate(clip_ids)}
    for fold in finished_folds(run):
        rows = np.array([row_of[clip] for clip in fold.train], np.int64)
        mean, deviation = (None, None) if images is None else plane_statistics(images, rows)
        graph = unit_adjacency([units[clip] for clip in fold.train], sees.units) if sees.units else None
        yield Fixed(mean, deviation, graph)


def _read_planes(
    config: TrainConfig, sees: MotionInput, clip_ids: Sequence[str], stores: Mapping[str, StoreInfo]
) -> NDArray[np.float32]:
    """Return what a network on motion sees of clips, not normalised; compute the flow of a store that has none."""
    parts = []
    for dataset in dict.fromkeys(map(dataset_of, clip_ids)):
        store = stores[dataset]
        of_store = [clip for clip in clip_ids if dataset_of(clip) == dataset]
        if sees.needs_flow("apex"):
            build_motion(
                store, config.flow, jobs=default_jobs(), on_clip=ignore_clip, steps=config.steps, needed=of_store
            )
        parts.append(read_images(store, config.flow, of_store, sees, config.steps))
    return np.concatenate(parts)
