"""Takes a plan whose network sees motion, gives batches of it: computed once a store, normalised fold by fold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mer_cli.motion.build import build_motion
from mer_cli.motion.images import read_images
from mer_cli.motion.inputs import MotionInput
from mer_cli.motion.normalise import normalise
from mer_cli.store.jobs import default_jobs
from mer_cli.training.config import TrainConfig
from mer_cli.training.plan import RunPlan


@dataclass(frozen=True)
class Order:
    """row : (n,) int64, rows of the training clips in the order of an epoch; nothing else of it is random."""

    row: Tensor


class MotionBatches:
    """All clips of a run, normalised anew for every fold, and how a batch is made from them."""

    def __init__(self, images: NDArray[np.float32], config: TrainConfig, device: torch.device) -> None:
        self.images = images  # (N, P, S, S)
        self.config = config
        self.device = device
        self.normalised = torch.empty(0)

    def __len__(self) -> int:
        return len(self.images)

    def start_fold(self, train_rows: NDArray[np.int64]) -> None:
        """Normalises all clips by the clips that the fold trains on, inner and held-out ones left out."""
        images = normalise(self.images, self.config.normalisation, train_rows)
        self.normalised = torch.from_numpy(images).to(self.device)

    def draw_epoch(self, rows: NDArray[np.int64], rng: np.random.Generator) -> Order:
        """Shuffles the clips of `rows`."""
        return Order(torch.from_numpy(rng.permutation(rows)).to(self.device, non_blocking=True))

    def training_batch(self, draw: Order, batch: slice) -> tuple[Tensor]:
        """The clips `batch` of the order, (B, P, S, S) float32."""
        return self.plain_batch(draw.row[batch])

    def plain_batch(self, rows: Tensor) -> tuple[Tensor]:
        """The clips in `rows`, (B, P, S, S) float32."""
        return (self.normalised[rows],)


def compute_motion(plan: RunPlan, on_clip: Callable[[str, str], None]) -> None:
    """Computes the flow of the plan's stores, of which nothing is done again that is there.

    Parameters
    ----------
    on_clip : of `build_motion`

    Raises
    ------
    StoreError
        As `build_motion`.
    """
    for store in plan.stores:
        build_motion(store.info, plan.config.flow, jobs=default_jobs(), on_clip=on_clip)


def read_motion_batches(plan: RunPlan, wanted: MotionInput, device: torch.device) -> MotionBatches:
    """The clips of all stores in the order of `plan.labels`; flow that is not there yet is computed."""
    compute_motion(plan, lambda clip_id, status: None)
    flow = plan.config.flow
    images = [read_images(store.info, flow, list(store.clips), wanted) for store in plan.stores]
    return MotionBatches(np.concatenate(images), plan.config, device)
