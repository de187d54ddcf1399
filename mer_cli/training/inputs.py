"""Compute what a method sees of each clip, once for each store: the flow, a descriptor's vectors, batches of motion.

The vectors are kept beside the store's flow: data/casme2.h5 -> data/motion/casme2.lbp-top-1a2b3c4d5e6f7a8b.npz, with
the clip ids (`ids`, sorted) and the vectors (`features`). The name ends in a fingerprint of everything that they depend
on: the store's content, its whole clips if they are used, the descriptor and its settings, and those of the flow. So a
stale file is never found. A file has only the clips that a run's scheme kept, because other clips may lack landmarks;
clips that another scheme keeps are added to it.

Motion is normalised fold by fold. A network on the graph of action units gets the graph of the fold's training clips.
`--shuffle-labels` leaves their units as coded: the graph is the same for every clip, so it reveals no clip's class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mer_cli.engines.engine import Engine
from mer_cli.engines.resumable import (
    Array,
    ByClip,
    OnClip,
    build_by_clip,
    fingerprint,
    ignore_clip,
    load_arrays,
    save_arrays,
)
from mer_cli.errors import StoreError
from mer_cli.motion.cache import build_motion, motion_settings
from mer_cli.motion.cache import read_motion as read_flow
from mer_cli.motion.flow import grey, optical_flow
from mer_cli.motion.images import normalise, read_images, unit_adjacency
from mer_cli.motion.inputs import DescriptorInput, MotionInput, Seen
from mer_cli.motion.interpolate import interpolate
from mer_cli.runs.config import TrainConfig
from mer_cli.runs.plan import PlannedStore, RunPlan
from mer_cli.runs.run_config import PROTOCOL_VERSION
from mer_cli.store.hdf5 import StoreInfo, read_landmarks
from mer_cli.store.labels import Units, units_of
from mer_cli.store.whole_clips import clips_hash, read_clip
from mer_cli.system.workers import default_jobs


@dataclass(frozen=True)
class Order:
    """The shuffled order in which an epoch trains on its clips; nothing else in the epoch is random.

    row : (n,) int64, the row of each training clip among all clips of the run
    """

    row: Tensor


@dataclass(frozen=True)
class Motion:
    """What a network on motion sees of the N clips of a run.

    images : (N, P, S, S), P planes of motion for each clip, not normalised
    units : action units of every clip that a fold trains on, by the clip's row; None if the network needs no graph
    """

    images: NDArray[np.float32]
    units: Mapping[int, Units] | None = None


class MotionBatches:
    """The motion of all clips of a run, normalised for each fold, from which batches are made (a `loop.Batches`)."""

    def __init__(self, motion: Motion, wanted: MotionInput, config: TrainConfig, device: torch.device) -> None:
        self.images, self.units = motion.images, motion.units
        self.wanted, self.config, self.device = wanted, config, device
        # Filled again for every fold, never replaced: captured steps keep the addresses.
        self.normalised = torch.zeros(self.images.shape, device=device)
        self.shared: tuple[Tensor, ...] = ()  # further inputs of the network, the same for all clips of a fold
        if self.units is not None:
            self.shared = (torch.zeros(len(wanted.units), len(wanted.units), device=device),)

    def __len__(self) -> int:
        return len(self.images)

    def start_fold(self, train_rows: NDArray[np.int64]) -> None:
        """Normalise all clips by the fold's training clips, and make the graph of action units from the same clips."""
        images = normalise(self.images, self.config.normalisation, train_rows)
        self.normalised.copy_(torch.from_numpy(images))
        if self.units is not None:
            coded = [self.units[row] for row in train_rows.tolist()]
            self.shared[0].copy_(torch.from_numpy(unit_adjacency(coded, self.wanted.units)))

    def draw_epoch(self, rows: NDArray[np.int64], rng: np.random.Generator) -> Order:
        """Return the clips of `rows` in a shuffled order."""
        return Order(torch.from_numpy(rng.permutation(rows)).to(self.device, non_blocking=self.device.type == "cuda"))

    def training_batch(self, draw: Order, batch: slice | Tensor) -> tuple[Tensor, ...]:
        """Return the inputs for some clips of an epoch's order, as `plain_batch` does; motion is not augmented."""
        return self.plain_batch(draw.row[batch])

    def plain_batch(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Return the clips in `rows`, (B, P, S, S) float32; then the graph, (A, A), if the network needs it."""
        return (self.normalised[rows], *(held.clone() for held in self.shared))  # a network may change its inputs


def check_inputs(plan: RunPlan) -> None:
    """Check that the stores have the landmarks and action units that the method needs.

    Whole clips are not checked here: `plan_run` does that when it reads their hash.

    Raises
    ------
    StoreError
        If landmarks are missing, or a store that is trained on has no action units.
    DatasetError
        If the action units of a clip that is trained on can't be read.
    """
    sees = plan.config.method.sees
    if sees.needs_landmarks or plan.config.steps:
        for store in plan.stores:
            read_landmarks(store.info.path, list(store.clips))
    if isinstance(sees, MotionInput) and sees.units:
        _read_units(plan)


def compute_inputs(plan: RunPlan) -> None:
    """Compute the flow and vectors that a planned run needs and that are not on disk, before its folds are trained."""
    compute_flow(plan, ignore_clip)
    compute_features(plan, ignore_clip)


def compute_flow(plan: RunPlan, on_clip: OnClip, engine: Engine | None = None) -> None:
    """Compute the flow that the plan needs and that is not on disk; call `on_clip` for each clip.

    Parameters
    ----------
    engine : computes it on other machines, which need the store at the same path; None computes it here
    """
    config = plan.config
    is_described = isinstance(config.method.sees, DescriptorInput)
    if config.method.sees.needs_flow(config.span):
        for store in plan.stores:
            if is_described and _has_all(_wanted(store, config)):
                continue  # its vectors are there
            build_motion(
                store.info,
                config.flow,
                jobs=default_jobs(),
                on_clip=on_clip,
                engine=engine,
                steps=config.steps,
                needed=store.clips,
            )


def compute_features(plan: RunPlan, on_clip: OnClip, engine: Engine | None = None) -> None:
    """Compute the descriptor's vectors that are not on disk (none for a network); call `compute_flow` before."""
    if not isinstance(plan.config.method.sees, DescriptorInput):
        return
    for store in plan.stores:
        wanted = _wanted(store, plan.config)
        held = _held(wanted)
        missing = replace(wanted, clip_ids=[clip_id for clip_id in wanted.clip_ids if clip_id not in held])
        is_current, write = partial(_has_all, wanted), partial(_add, missing)
        build_by_clip(missing, is_current=is_current, write=write, jobs=default_jobs(), on_clip=on_clip, engine=engine)


def read_motion(plan: RunPlan, wanted: MotionInput) -> Motion:
    """Return the motion of all clips of a run, in the order of `plan.labels`; call `compute_inputs` before."""
    flow, steps = plan.config.flow, plan.config.steps
    images = [read_images(store.info, flow, list(store.clips), wanted, steps) for store in plan.stores]
    return Motion(np.concatenate(images), _read_units(plan) if wanted.units else None)


def _read_units(plan: RunPlan) -> dict[int, Units]:
    """Return the action units of every clip that some fold trains on, by the clip's row."""
    trained_on = {clip_id for fold in plan.wanted for clip_id in fold.train}
    stores = {store.info.dataset: store.info for store in plan.stores}
    found = graph_units(stores, [clip_id for clip_id in plan.labels if clip_id in trained_on], plan.config.model)
    rows = {clip_id: row for row, clip_id in enumerate(plan.labels)}
    return {rows[clip_id]: units for clip_id, units in found.items()}


def graph_units(stores: Mapping[str, StoreInfo], clip_ids: Sequence[str], model: str) -> dict[str, Units]:
    """Return the action units of clips for a method's graph (`store.labels.units_of`); `model` is the method's name."""
    instead = "take another method: --model, or --methods of a comparison"
    return units_of(stores, clip_ids, f"{model} needs them for its graph", instead)


def read_features(plan: RunPlan) -> NDArray[np.float32]:
    """Return the descriptor's vectors of all clips of a run, (N, D), in the order of `plan.labels`.

    Raises
    ------
    StoreError
        If vectors are missing or damaged; `compute_inputs` computes them.
    """
    parts = []
    for store in plan.stores:
        wanted = _wanted(store, plan.config)
        held = _held(wanted)
        if not held.keys() >= set(wanted.clip_ids):
            raise StoreError(
                f"{wanted.path}: missing or damaged; it holds {wanted.what} of {store.info.path.name}. "
                "`mer train` computes it: run it again."
            )
        parts.append(np.stack([held[clip_id] for clip_id in wanted.clip_ids]))
    return np.concatenate(parts)


def _wanted(planned: PlannedStore, config: TrainConfig) -> ByClip:
    """Return the vectors that a run needs of a store, with what they are computed from."""
    store, sees = planned.info, _descriptor_input(config)
    name = config.foreign.features if config.foreign else config.model
    key = fingerprint(
        {
            "store": store.content_hash,
            # Also empty if only the flow to the apex is used (--span).
            "clips": clips_hash(store.path) if sees.needs_clips(config.span) else "",
            "descriptor": name,
            "clip_frames": config.clip_frames,
            "interpolation": config.interpolation,
            "flow": motion_settings(config.flow, config.steps) if {"flow", "flows"} & {*sees.arrays} else {},
            "protocol_version": PROTOCOL_VERSION,
        }
    )
    return ByClip(
        what=f"the {name} features",
        path=store.path.parent / "motion" / f"{store.path.stem}.{name}-{key}.npz",
        clip_ids=list(planned.clips),
        compute=partial(describe_clip, store, config),
        key=key,
        room="the features",
    )


def describe_clip(store: StoreInfo, config: TrainConfig, clip_id: str) -> NDArray[np.float32]:
    """Return the vector, (D,) float32, that the config's descriptor computes from a clip of the store."""
    return describe(_StoredClip(store, config, clip_id), config)


class ClipArrays(Protocol):
    """The arrays of one clip, of a store or of a new video, each read or computed when it is asked for."""

    def landmarks(self) -> NDArray[np.float32]:
        """Return the landmarks of the onset, (68, 2) float32, (x, y) in pixels of the crop."""

    def frames(self) -> NDArray[np.uint8]:
        """Return the whole clip, (T, 224, 224, 3) uint8, RGB, onset to offset."""

    def flow(self) -> NDArray[np.float32]:
        """Return the flow from onset to apex, (2, 224, 224) float32, rounded to float16 as a flow file keeps it."""


class _StoredClip:
    """The arrays of a clip of a store."""

    def __init__(self, store: StoreInfo, config: TrainConfig, clip_id: str) -> None:
        self.store, self.config, self.clip_id = store, config, clip_id

    def landmarks(self) -> NDArray[np.float32]:
        landmarks: NDArray[np.float32] = read_landmarks(self.store.path, [self.clip_id])[0]
        return landmarks

    def frames(self) -> NDArray[np.uint8]:
        return read_clip(self.store.path, self.clip_id)

    def flow(self) -> NDArray[np.float32]:
        config = self.config
        flow: NDArray[np.float32] = read_flow(self.store, config.flow, [self.clip_id], config.steps)[0]
        return flow.astype(np.float32)


def describe(clip: ClipArrays, config: TrainConfig) -> NDArray[np.float32]:
    """Return the vector, (D,) float32, that the config's descriptor computes from a clip."""
    inputs = [_see(seen, clip, config) for seen in _descriptor_input(config).arrays]
    features: NDArray[np.float32] = config.method.describe(*inputs)
    return features


def _descriptor_input(config: TrainConfig) -> DescriptorInput:
    assert isinstance(config.method.sees, DescriptorInput), config.model
    return config.method.sees


def _see(seen: Seen, clip: ClipArrays, config: TrainConfig) -> Array:
    """Return one of the arrays of a clip that a descriptor takes (`models.descriptors`)."""
    if seen == "landmarks":
        return clip.landmarks()
    if seen == "frames":
        return _grey_frames(clip, config)
    if seen == "flows" and config.span == "clip":
        onset, *later = _grey_frames(clip, config)
        return np.stack([optical_flow(onset, frame, config.flow) for frame in later])
    flow = clip.flow()
    return flow[None] if seen == "flows" else flow


def _grey_frames(clip: ClipArrays, config: TrainConfig) -> NDArray[np.uint8]:
    """Return the grey clip, (T, H, W), interpolated if the run asks for it or the clip is too short."""
    frames = np.stack([grey(frame) for frame in clip.frames()])
    n_frames = config.clip_frames or max(len(frames), _descriptor_input(config).min_frames)
    return frames if n_frames == len(frames) else interpolate(frames, n_frames, config.interpolation)


def _has_all(wanted: ByClip) -> bool:
    return _held(wanted).keys() >= set(wanted.clip_ids)


def _held(wanted: ByClip) -> dict[str, NDArray[np.float32]]:
    """Return the vectors in the file by clip id; none if it is damaged or was edited, so all are computed again."""
    arrays = load_arrays(wanted.path, ["ids", "features"])
    if arrays is None:
        return {}
    ids, features = arrays["ids"].tolist(), arrays["features"]
    is_table = features.ndim == 2 and len(features) == len(ids)
    is_whole = is_table and ids == sorted(set(ids)) and bool(np.isfinite(features).all())
    return dict(zip(ids, features, strict=True)) if is_whole else {}


def _add(missing: ByClip, computed: list[Array], temporary: Path) -> None:
    """Write vectors together with those that the file already has."""
    features = _held(missing) | dict(zip(missing.clip_ids, computed, strict=True))
    ids = sorted(features)
    save_arrays(temporary, {"ids": np.array(ids), "features": np.stack([features[clip_id] for clip_id in ids])})
