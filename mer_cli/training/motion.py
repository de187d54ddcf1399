"""Takes a plan whose network sees motion, gives batches of it: computed once a store, normalised fold by fold.

A network on the graph of action units is given that of the fold's training clips. Under `--shuffle-labels` their units
stay as coded: the graph is the same for every clip, and so tells none of their classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mer_cli.datasets.action_units import EXPECTED, parse_units, unreadable_units
from mer_cli.datasets.registry import release_words
from mer_cli.errors import DatasetError, StoreError
from mer_cli.models import motion_input
from mer_cli.motion.build import build_motion
from mer_cli.motion.images import read_images
from mer_cli.motion.inputs import MotionInput
from mer_cli.motion.normalise import normalise
from mer_cli.motion.unit_graph import unit_adjacency
from mer_cli.store.hdf5 import StoreInfo, read_landmarks
from mer_cli.system.jobs import default_jobs
from mer_cli.training.config import TrainConfig
from mer_cli.training.methods import is_classical, needs_motion
from mer_cli.training.run_plan import RunPlan

Units = frozenset[int]


@dataclass(frozen=True)
class Order:
    """row : (n,) int64, rows of the training clips in the order of an epoch; nothing else of it is random."""

    row: Tensor


@dataclass(frozen=True)
class CodedUnits:
    """The action units `named`, which the network's graph is of, and those that are coded of each training clip.

    by_row : by row; a clip that no fold trains on has no entry
    """

    named: tuple[int, ...]
    by_row: dict[int, Units]


class MotionBatches:
    """All clips of a run, normalised anew for every fold, and how a batch is made from them."""

    def __init__(
        self, images: NDArray[np.float32], config: TrainConfig, device: torch.device, units: CodedUnits | None = None
    ) -> None:
        self.images = images  # (N, P, S, S)
        self.config = config
        self.device = device
        self.units = units
        # Filled anew for every fold, never replaced: a captured step reads them where they lie.
        self.normalised = torch.zeros(images.shape, device=device)
        self.shared: tuple[Tensor, ...] = ()  # what the network takes beside the clips, the same for all of a fold
        if units is not None:
            self.shared = (torch.zeros(len(units.named), len(units.named), device=device),)

    def __len__(self) -> int:
        return len(self.images)

    def start_fold(self, train_rows: NDArray[np.int64]) -> None:
        """Normalises all clips by the clips that the fold trains on, inner and held-out ones left out.

        The graph of action units, where the network takes one, is that of the same clips.
        """
        images = normalise(self.images, self.config.normalisation, train_rows)
        self.normalised.copy_(torch.from_numpy(images))
        if self.units is not None:
            coded = [self.units.by_row[row] for row in train_rows.tolist()]
            self.shared[0].copy_(torch.from_numpy(unit_adjacency(coded, self.units.named)))

    def draw_epoch(self, rows: NDArray[np.int64], rng: np.random.Generator) -> Order:
        """Shuffles the clips of `rows`."""
        return Order(torch.from_numpy(rng.permutation(rows)).to(self.device, non_blocking=True))

    def training_batch(self, draw: Order, batch: slice | Tensor) -> tuple[Tensor, ...]:
        """As `plain_batch`, of the clips `batch` of the order."""
        return self.plain_batch(draw.row[batch])

    def plain_batch(self, rows: Tensor) -> tuple[Tensor, ...]:
        """The clips in `rows`, (B, P, S, S) float32, and the graph of action units, (A, A), where there is one."""
        return (self.normalised[rows], *self.shared)


def check_motion(plan: RunPlan) -> None:
    """Looks whether the stores have what the plan's network takes beside motion, before any of that is computed.

    Whole clips are asked for where the run's config names their hash (`plan`).

    Raises
    ------
    StoreError
        If landmarks are no face's, or a store that is trained on has no action units.
    DatasetError
        If the action units of a clip that is trained on can't be read.
    """
    wanted = motion_input(plan.config.model)
    assert wanted is not None, plan.config.model
    if wanted.needs_landmarks:
        for store in plan.stores:
            read_landmarks(store.info.path, list(store.clips))
    if wanted.units:
        _read_units(plan, wanted.units)


def needs_flow(config: TrainConfig) -> bool:
    """Whether a method sees the flow from onset to apex."""
    if is_classical(config.model):
        return needs_motion(config.model, config.span)
    wanted = motion_input(config.model)
    return wanted is not None and wanted.needs_flow


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
    if needs_flow(plan.config):
        for store in plan.stores:
            build_motion(store.info, plan.config.flow, jobs=default_jobs(), on_clip=on_clip)


def read_motion_batches(plan: RunPlan, wanted: MotionInput, device: torch.device) -> MotionBatches:
    """The clips of all stores in the order of `plan.labels`; flow that is not there yet is computed."""
    compute_motion(plan, lambda clip_id, status: None)
    flow = plan.config.flow
    images = [read_images(store.info, flow, list(store.clips), wanted) for store in plan.stores]
    units = _read_units(plan, wanted.units) if wanted.units else None
    return MotionBatches(np.concatenate(images), plan.config, device, units)


def _read_units(plan: RunPlan, named: tuple[int, ...]) -> CodedUnits:
    """The action units of every clip that is trained on in some fold; the others' are not looked at."""
    trained_on = {clip_id for fold in plan.wanted for clip_id in fold.train}
    cell_of: dict[str, str] = {}
    for store in plan.stores:
        cells = store.info.clips["action_units"].astype(str).to_dict()
        of_store = {clip_id: cells[clip_id] for clip_id in store.clips if clip_id in trained_on}
        _require_units(store.info, of_store, plan.config.model)
        cell_of |= of_store
    rows = {clip_id: row for row, clip_id in enumerate(plan.labels)}
    return CodedUnits(named, {rows[clip_id]: parse_units(cell, clip_id) for clip_id, cell in cell_of.items()})


def _require_units(store: StoreInfo, cells: Mapping[str, str], model: str) -> None:
    """Refuse action units, by clip id, that make no graph."""
    if cells and not any(cell.strip() for cell in cells.values()):
        raise StoreError(
            f"{store.path}: no clip of it has action units, which {model} makes its graph of. Expected a dataset whose "
            "coding table has them; SMIC's has none. Leave this store out, or take another method: --model, or "
            "--methods of a comparison."
        )
    found = unreadable_units(cells)
    if found:
        raise DatasetError(
            f"{store.path}: {found}; {model} makes its graph of them. {EXPECTED} Correct the coding table, and build "
            f"the store again: mer preprocess {release_words(store.dataset)} --out {store.path}."
        )
