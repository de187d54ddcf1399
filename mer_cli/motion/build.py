"""Computes the flow of all clips of a store, once (`by_clip`), into the file that `cache` reads."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from mer_cli.faces.frames import HALF_WINDOW
from mer_cli.motion.by_clip import ByClip, build_by_clip, fingerprint
from mer_cli.motion.cache import FLOW_SHAPE, StoredFlow, is_current, motion_path, write_motion
from mer_cli.motion.flow import flow_settings, grey, optical_flow
from mer_cli.motion.inputs import Backend
from mer_cli.store.hdf5 import StoreInfo, read_windows


def build_motion(store: StoreInfo, backend: Backend, *, jobs: int, on_clip: Callable[[str, str], None]) -> Path:
    """See to it that the store's flow is there; what is there but stale or damaged is computed anew.

    Parameters
    ----------
    jobs, on_clip : of `build_by_clip`

    Returns
    -------
    the file, for `cache.read_motion`

    Raises
    ------
    StoreError
        If the store cannot be read, or as `build_by_clip`.
    """
    clip_ids = list(map(str, store.clips.index))
    wanted = ByClip(
        what="the flow",
        path=motion_path(store.path, backend),
        clip_ids=clip_ids,
        compute=partial(_flow_of, store.path, backend),
        key=fingerprint({"store": store.content_hash, "flow": flow_settings(backend)}),
        room=f"{math.ceil(len(clip_ids) * math.prod(FLOW_SHAPE) * np.dtype(np.float16).itemsize / 1e6)} MB of flow",
    )
    build_by_clip(
        wanted,
        is_current=lambda: is_current(store, backend),
        write=lambda flows, temporary: write_motion(store, backend, np.stack(flows), temporary),
        jobs=jobs,
        on_clip=on_clip,
    )
    return wanted.path


def _flow_of(store: Path, backend: Backend, clip_id: str) -> StoredFlow:
    """A clip's flow between its labelled frames."""
    onset, _, apex, _ = read_windows(store, [clip_id])
    flow = optical_flow(grey(onset[0, HALF_WINDOW]), grey(apex[0, HALF_WINDOW]), backend)
    return flow.astype(np.float16)
