"""Make the inputs of a run's networks again, fold by fold, as training made them.

What training computed of a fold's training clips (mean and deviation of the planes, the graph of action units) is
computed again from the run's stores, from the same clips.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mer_cli.engines.resumable import ignore_clip
from mer_cli.faces.mean_face import MEAN_FACE, on_own_face
from mer_cli.inference.on_crop import show_motion
from mer_cli.motion.images import redraw_windows
from mer_cli.motion.inputs import MotionInput
from mer_cli.records import Fold, dataset_of
from mer_cli.runs.directory import Run
from mer_cli.runs.folds import cross_folds, recorded_folds
from mer_cli.runs.plan import PlannedStore, RunPlan
from mer_cli.store.hdf5 import StoreInfo, empty_windows, read_landmarks, read_windows
from mer_cli.training.batches import CENTRE, PairBatches, Windows
from mer_cli.training.inputs import MotionBatches, compute_flow, read_motion


def plan_of(run: Run, stores: Mapping[str, StoreInfo]) -> RunPlan:
    """Return the plan of a run that was trained, with its finished folds only.

    Parameters
    ----------
    stores : by dataset; a dataset that is left out has no clips in the plan
    """
    planned = tuple(
        PlannedStore(
            stores[store.dataset],
            store.role,
            {
                clip_id: (run.emotions[clip_id], run.labels[clip_id])
                for clip_id in sorted(run.labels)
                if dataset_of(clip_id) == store.dataset
            },
        )
        for store in run.config.stores
        if store.dataset in stores
    )
    folds = tuple(finished_folds(run))
    return RunPlan(planned, run.config, folds, folds, warnings=())


def finished_folds(run: Run) -> Iterator[Fold]:
    """Yield the finished folds of a run, whose training clips are in the order in which they were trained."""
    if not run.config.is_across:
        folds = recorded_folds(run.fold_of)
    else:  # what is only trained on has no fold, and all that has one is tested on
        sides = ([clip for clip, fold in run.fold_of.items() if bool(fold) is held_out] for held_out in (False, True))
        folds = cross_folds(*sides)
    train_of = {fold.id: fold.train for fold in folds}
    for fold in run.folds:
        inner = frozenset(fold.inner_clip_ids)
        train = tuple(clip for clip in train_of[fold.fold] if clip not in inner)
        yield Fold(fold.fold, train, tuple(sorted(inner)), tuple(sorted(fold.clip_ids)))


class FoldInputs:
    """What the networks of a run see of its clips, and the frames: one fold at a time, after `start_fold`."""

    def __init__(self, plan: RunPlan, device: torch.device) -> None:
        self.plan, self.device = plan, device
        self.stores = {store.info.dataset: store.info for store in plan.stores}
        self.row_of = {clip_id: row for row, clip_id in enumerate(plan.labels)}
        self.sees = plan.config.method.sees
        self.motion: MotionBatches | None = None
        if isinstance(self.sees, MotionInput):
            compute_flow(plan, ignore_clip)
            self.motion = MotionBatches(read_motion(plan, self.sees), self.sees, plan.config, device)

    def start_fold(self, fold: Fold) -> None:
        """Read the frames of the fold's held-out clips, and normalise motion by its training clips."""
        onset, onset_numbers, apex, apex_numbers = windows = empty_windows(len(fold.test))
        offsets, parts = [], []
        start = 0
        for dataset, of_dataset in groupby(fold.test, dataset_of):  # of several in a list of subjects; test is sorted
            clip_ids, store = list(of_dataset), self.stores[dataset]
            part = slice(start, start := start + len(clip_ids))
            read_windows(store.path, clip_ids, (windows[0][part], windows[1][part], windows[2][part], windows[3][part]))
            offsets.append(store.clips.loc[clip_ids, "offset"].to_numpy(np.int32))
            parts.append((store, clip_ids, part))
        self.place_of = {clip_id: place for place, clip_id in enumerate(fold.test)}
        self.onset, self.apex = onset[:, CENTRE].copy(), apex[:, CENTRE].copy()  # a view would keep the whole windows
        if self.motion is None:
            for store, clip_ids, part in parts:
                redraw_windows(store.path, clip_ids, onset[part], apex[part], self.plan.config.steps)
            held_out = Windows(onset, apex, onset_numbers, apex_numbers, np.concatenate(offsets))
            self.pairs = PairBatches(held_out, self.plan.config, self.device)
        else:
            self.motion.start_fold(np.array([self.row_of[clip_id] for clip_id in fold.train], dtype=np.int64))

    def of(self, clip_ids: Sequence[str]) -> tuple[Tensor, ...]:
        """Return what the network takes of some held-out clips of the fold."""
        if self.motion is None:
            return self.pairs.plain_batch(torch.tensor([self.place_of[clip] for clip in clip_ids], device=self.device))
        return self.motion.plain_batch(torch.tensor([self.row_of[clip] for clip in clip_ids], device=self.device))

    def frames(self, clip_id: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return onset and apex of a held-out clip of the fold, each (224, 224, 3) uint8, RGB."""
        place = self.place_of[clip_id]
        return self.onset[place], self.apex[place]

    def landmarks(self, clip_id: str) -> NDArray[np.float32] | None:
        """Return the landmarks of a clip's onset, (68, 2) float32, if the network needs them."""
        if not self.sees.needs_landmarks:
            return None
        if "shape" in self.plan.config.steps:
            return MEAN_FACE
        landmarks: NDArray[np.float32] = read_landmarks(self.stores[dataset_of(clip_id)].path, [clip_id])[0]
        return landmarks

    def on_crop(self, image: NDArray[np.float32], clip_id: str) -> NDArray[np.float32]:
        """Return an image of what the network sees, (224, 224) float32, as it lies on the crop of a held-out clip."""
        if "shape" not in self.plan.config.steps:
            return image
        return on_own_face(image, read_landmarks(self.stores[dataset_of(clip_id)].path, [clip_id])[0])

    def shown_motion(self, clip_id: str) -> dict[str, NDArray[np.float32]]:
        """Return the planes of motion that the network sees of a clip, not normalised, each on the crop."""
        if self.motion is None or not isinstance(self.sees, MotionInput):
            return {}
        shown = show_motion(self.motion.images[self.row_of[clip_id]], self.sees, self.landmarks(clip_id))
        return {name: self.on_crop(plane, clip_id) for name, plane in shown.items()}
