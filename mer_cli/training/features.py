"""Takes a plan whose method is classical, gives the descriptor's vectors of its clips: computed once a store.

They lie beside the store's flow: data/casme2.h5 -> data/motion/casme2.lbp-top-1a2b3c4d5e6f7a8b.npz, with the clip ids
(`ids`, sorted) and the vectors (`features`). The name ends in a fingerprint of all that they depend on: the store's
content, its whole clips where those are seen, the descriptor and its settings, the flow's. So what is stale is never
found. A file has the clips that some run's scheme kept, for what a scheme drops may lack landmarks; clips that another
scheme keeps are added to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mer_cli.errors import StoreError
from mer_cli.models.descriptors import DESCRIPTORS, Seen, descriptor_function
from mer_cli.motion.build import build_motion
from mer_cli.motion.by_clip import Array, ByClip, arrays_of, build_by_clip, fingerprint
from mer_cli.motion.cache import read_motion
from mer_cli.motion.flow import flow_settings, grey, optical_flow
from mer_cli.motion.interpolate import interpolate
from mer_cli.store.hdf5 import StoreInfo, read_landmarks
from mer_cli.store.parts import save_arrays
from mer_cli.store.whole_clips import clips_hash, read_clip
from mer_cli.system.jobs import default_jobs
from mer_cli.training.config import TrainConfig
from mer_cli.training.methods import needs_clips, needs_motion
from mer_cli.training.run_config import PROTOCOL_VERSION
from mer_cli.training.run_plan import PlannedStore, RunPlan


def check_features(plan: RunPlan) -> None:
    """Looks whether the stores have what the plan's descriptor takes, before anything is computed.

    Raises
    ------
    StoreError
        If a store lacks whole clips, or a clip that the scheme keeps the landmarks of a face.
    """
    for store in plan.stores:
        wanted = _wanted(store, plan.config)
        if "landmarks" in DESCRIPTORS[plan.config.model].takes:
            read_landmarks(store.info.path, wanted.clip_ids)


def compute_features(plan: RunPlan, on_clip: Callable[[str, str], None]) -> None:
    """Computes the features of all clips that the plan keeps, of which nothing is done again that is there.

    Flow from onset to apex is taken from the store's motion, and computed first where it is not there.

    Parameters
    ----------
    on_clip : of `build_by_clip`, for the features

    Raises
    ------
    StoreError
        As `check_features` or `build_by_clip`.
    """
    config = plan.config
    for store in plan.stores:
        wanted = _wanted(store, config)
        held = _held(wanted)
        missing = replace(wanted, clip_ids=[clip_id for clip_id in wanted.clip_ids if clip_id not in held])
        if missing.clip_ids and needs_motion(config.model, config.span):
            build_motion(store.info, config.flow, jobs=default_jobs(), on_clip=lambda clip_id, status: None)
        build_by_clip(
            missing,
            is_current=partial(_has_all, wanted),
            write=partial(_add, missing),
            jobs=default_jobs(),
            on_clip=on_clip,
        )


def read_features(plan: RunPlan) -> NDArray[np.float32]:
    """Reads the features of the clips of all stores, (N, D), in the order of `plan.labels`.

    Raises
    ------
    StoreError
        If they are not there: `compute_features` comes first.
    """
    parts = []
    for store in plan.stores:
        wanted = _wanted(store, plan.config)
        held = _held(wanted)
        if not held.keys() >= set(wanted.clip_ids):
            raise StoreError(
                f"{wanted.path}: not there, or damaged. Expected {wanted.what} of {store.info.path.name}. "
                "`mer train` computes it: run it again."
            )
        parts.append(np.stack([held[clip_id] for clip_id in wanted.clip_ids]))
    return np.concatenate(parts)


def _wanted(planned: PlannedStore, config: TrainConfig) -> ByClip:
    """What a run needs of a store, and what it is computed from."""
    store = planned.info
    key = fingerprint(
        {
            "store": store.content_hash,
            # Empty, too, where the flow to the apex alone is seen (--span).
            "clips": clips_hash(store.path) if needs_clips(config.model, config.span) else "",
            "descriptor": config.model,
            "clip_frames": config.clip_frames,
            "interpolation": config.interpolation,
            "flow": flow_settings(config.flow) if {"flow", "flows"} & {*DESCRIPTORS[config.model].takes} else {},
            "protocol_version": PROTOCOL_VERSION,
        }
    )
    return ByClip(
        what=f"the {config.model} features",
        path=store.path.parent / "motion" / f"{store.path.stem}.{config.model}-{key}.npz",
        clip_ids=list(planned.clips),
        compute=partial(describe_clip, store, config),
        key=key,
        room="the features",
    )


def describe_clip(store: StoreInfo, config: TrainConfig, clip_id: str) -> NDArray[np.float32]:
    """What the config's descriptor gives for a clip, (D,) float32."""
    inputs = [_see(seen, store, config, clip_id) for seen in DESCRIPTORS[config.model].takes]
    features: NDArray[np.float32] = descriptor_function(config.model)(*inputs)
    return features


def _see(seen: Seen, store: StoreInfo, config: TrainConfig, clip_id: str) -> Array:
    """What a descriptor takes of a clip (`models.descriptors`)."""
    if seen == "landmarks":
        landmarks: Array = read_landmarks(store.path, [clip_id])[0]
        return landmarks
    if seen == "frames":
        return _read_frames(store, config, clip_id)
    if seen == "flows" and config.span == "clip":
        onset, *later = _read_frames(store, config, clip_id)
        return np.stack([optical_flow(onset, frame, config.flow) for frame in later])
    flow = read_motion(store, config.flow, [clip_id]).astype(np.float32)  # (1, 2, H, W)
    return flow if seen == "flows" else flow[0]


def _read_frames(store: StoreInfo, config: TrainConfig, clip_id: str) -> NDArray[np.uint8]:
    """The grey clip, (T, H, W): as recorded, or interpolated where the run or its length asks for it."""
    frames = np.stack([grey(frame) for frame in read_clip(store.path, clip_id)])
    n_frames = config.clip_frames or max(len(frames), DESCRIPTORS[config.model].min_frames)
    return frames if n_frames == len(frames) else interpolate(frames, n_frames, config.interpolation)


def _has_all(wanted: ByClip) -> bool:
    return _held(wanted).keys() >= set(wanted.clip_ids)


def _held(wanted: ByClip) -> dict[str, NDArray[np.float32]]:
    """The vectors that the file has, by clip id; none where it is damaged or was edited: all are computed anew."""
    arrays = arrays_of(wanted.path, "ids", "features")
    if arrays is None:
        return {}
    ids, features = arrays[0].tolist(), arrays[1]
    is_table = features.ndim == 2 and len(features) == len(ids)
    is_whole = is_table and ids == sorted(set(ids)) and bool(np.isfinite(features).all())
    return dict(zip(ids, features, strict=True)) if is_whole else {}


def _add(missing: ByClip, computed: list[Array], temporary: Path) -> None:
    """Put vectors beside those that the file has by now."""
    features = _held(missing) | dict(zip(missing.clip_ids, computed, strict=True))
    ids = sorted(features)
    save_arrays(temporary, {"ids": np.array(ids), "features": np.stack([features[clip_id] for clip_id in ids])})
    temporary.replace(missing.path)
