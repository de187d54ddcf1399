"""Takes a plan, gives what trains its folds: all clips are read, and the network is made, once for all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from mer_cli.models import motion_input
from mer_cli.store.hdf5 import empty_windows, read_windows
from mer_cli.training.batches import PairBatches, Windows
from mer_cli.training.features import compute_features, read_features
from mer_cli.training.folds import subject_of
from mer_cli.training.loop import FoldTrainer
from mer_cli.training.methods import is_classical
from mer_cli.training.motion import compute_motion, read_motion_batches
from mer_cli.training.run_plan import RunPlan
from mer_cli.training.steps import Batches

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


def compute_inputs(plan: RunPlan) -> None:
    """The features or the motion of the plan's clips, of which nothing is done again that is there."""
    compute = compute_features if is_classical(plan.config.model) else compute_motion
    compute(plan, lambda clip_id, status: None)


def make_trainer(plan: RunPlan) -> Trainer:
    """What trains the plan's folds, all clips in it."""
    config = plan.config
    compute_inputs(plan)
    if is_classical(config.model):
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
