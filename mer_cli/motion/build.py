"""Computes the flow of all clips of a store, in parallel processes, once; a killed build goes on where it was.

Each finished clip is kept as a part beside the file, under a name that ends in a fingerprint of the store's content
and of the flow's settings; the parts go once the whole file has taken its place (`cache`).
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np

from mer_cli.errors import StoreError
from mer_cli.faces.frames import HALF_WINDOW
from mer_cli.motion.cache import FLOW_SHAPE, StoredFlow, is_current, motion_path, write_motion
from mer_cli.motion.flow import flow_settings, grey, optical_flow
from mer_cli.motion.inputs import Backend
from mer_cli.store.hdf5 import StoreInfo, read_windows
from mer_cli.store.lock import lock_store
from mer_cli.store.parts import parts_dir
from mer_cli.store.schema import OK, RESUMED
from mer_cli.store.workers import run_in_workers


@dataclass(frozen=True)
class FlowTask:
    """One clip of the store, in its row `row`, and where its part goes."""

    store: Path
    clip_id: str
    row: int
    backend: Backend
    part: Path


def build_motion(store: StoreInfo, backend: Backend, *, jobs: int, on_clip: Callable[[str, str], None]) -> Path:
    """See to it that the store's flow is there; what is there but stale or damaged is computed anew.

    Parameters
    ----------
    jobs : number of worker processes
    on_clip : called with a clip id and "ok" or "resumed" as each clip ends; not at all where nothing is to be done

    Returns
    -------
    the file, for `cache.read_motion`

    Raises
    ------
    StoreError
        If the store cannot be read, the disk is full or cannot be written, or another process is at it.
    """
    path = motion_path(store.path, backend)
    if is_current(store, backend):  # looked at first without the lock: the folder may be read-only
        return path
    with _disk_errors(path, len(store.clips)):
        path.parent.mkdir(exist_ok=True)
        with lock_store(path):
            if not is_current(store, backend):
                parts = parts_dir(path)
                parts.mkdir(exist_ok=True)
                write_motion(store, backend, _all_flows(store, backend, parts, jobs, on_clip), parts / path.name)
                shutil.rmtree(parts)
    return path


def _all_flows(
    store: StoreInfo, backend: Backend, parts: Path, jobs: int, on_clip: Callable[[str, str], None]
) -> StoredFlow:
    """The flow of every clip, in the store's order: from its part, or computed."""
    inputs = json.dumps([store.content_hash, flow_settings(backend)], sort_keys=True)
    key = hashlib.sha256(inputs.encode()).hexdigest()[:16]
    flows = np.empty((len(store.clips), *FLOW_SHAPE), np.float16)
    tasks = []
    for row, clip_id in enumerate(map(str, store.clips.index)):
        part = parts / f"{quote(clip_id, safe='')}-{key}.npz"
        held = _read_part(part)
        if held is None:
            tasks.append(FlowTask(store.path, clip_id, row, backend, part))
        else:
            flows[row] = held
            on_clip(clip_id, RESUMED)

    def keep(result: tuple[FlowTask, StoredFlow]) -> None:
        task, flow = result
        flows[task.row] = flow
        on_clip(task.clip_id, OK)

    try:
        run_in_workers(_flow_to_part, tasks, jobs, keep)
    except BrokenProcessPool as error:
        raise StoreError(
            f"{motion_path(store.path, backend)}: a worker process died while the flow was computed. Expected it to "
            "live; memory may have run out. Run the same command again: finished clips are kept."
        ) from error
    return flows


def _flow_to_part(task: FlowTask) -> tuple[FlowTask, StoredFlow]:
    """Compute a clip's flow between its labelled frames and save it as a part, whole or not at all."""
    onset, _, apex, _ = read_windows(task.store, [task.clip_id])
    flow = optical_flow(grey(onset[0, HALF_WINDOW]), grey(apex[0, HALF_WINDOW]), task.backend).astype(np.float16)
    temporary = task.part.with_name(f"{task.part.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, flow=flow)
        temporary.replace(task.part)
    finally:
        temporary.unlink(missing_ok=True)
    return task, flow


def _read_part(path: Path) -> StoredFlow | None:
    """The flow of a part; None where there is none, or a damaged one."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as part:
            flow: StoredFlow = part["flow"]
            return flow
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


@contextmanager
def _disk_errors(path: Path, n_clips: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        megabytes = math.ceil(n_clips * math.prod(FLOW_SHAPE) * np.dtype(np.float16).itemsize / 1e6)
        raise StoreError(
            f"{path}: cannot be written ({reason}). Expected room for {megabytes} MB of flow and as much again of "
            "parts. Make room, then run the same command again: finished clips are kept."
        ) from error
