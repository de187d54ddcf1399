"""The HDF5 file that keeps the flow of a store, computed once: data/casme2.h5 -> data/motion/casme2.flow-tvl1.h5.

It lies in a folder of its own, as the audit does, because every .h5 file in the store's folder counts as a store.

| path | shape, dtype | meaning |
|---|---|---|
| /id | (N,) text | clip ids, in the store's order |
| /flow | (N, 2, 224, 224) float16, chunked per clip | u and v from the labelled onset to the labelled apex, pixels |
| attributes | | the store's content hash; how the flow was computed, as JSON |

A file whose hash or settings are not those of the store and of this program is stale: it is never read.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from mer_cli.errors import StoreError
from mer_cli.faces.crop import CROP_SIZE
from mer_cli.faces.frames import HALF_WINDOW
from mer_cli.motion.flow import flow_settings, grey, optical_flow
from mer_cli.motion.inputs import Backend
from mer_cli.store.hdf5 import LIBRARY_VERSIONS, StoreInfo, open_hdf5, read_windows
from mer_cli.store.schema import CONTENT_HASH
from mer_cli.system.resumable import ByClip, build_by_clip, fingerprint

FLOW_SHAPE = (2, CROP_SIZE, CROP_SIZE)
SETTINGS_ATTRIBUTE = "settings"

StoredFlow = NDArray[np.float16]  # a thousandth of a pixel at 2 pixels, finer below


def motion_path(store: Path, backend: Backend) -> Path:
    """Give the file of a store's flow."""
    return store.parent / "motion" / f"{store.stem}.flow-{backend}.h5"


def read_motion(store: StoreInfo, backend: Backend, clip_ids: Sequence[str]) -> StoredFlow:
    """Read the flow of some clips, in the order of `clip_ids`.

    Returns
    -------
    (n, 2, 224, 224) float16, u and v in pixels

    Raises
    ------
    StoreError
        If the file is absent, damaged (a number that is not finite counts), or stale, or a clip is not in the store.
    """
    path = motion_path(store.path, backend)
    with _open_motion(path, store, backend) as file:
        row_of = {clip_id: row for row, clip_id in enumerate(file["id"].asstr()[:])}
        missing = [clip_id for clip_id in clip_ids if clip_id not in row_of]
        if missing:
            raise StoreError(
                f"{path}: holds no clip {missing[0]} (and {len(missing) - 1} more that were asked for). "
                f"Expected some of its {len(row_of)} clips. See them with `mer info {store.path}`."
            )
        flows = np.empty((len(clip_ids), *FLOW_SHAPE), np.float16)
        for position, clip_id in enumerate(clip_ids):
            file["flow"].read_direct(flows, row_of[clip_id], position)
            _check_finite(flows[position], path, clip_id, store)
    return flows


def is_current(store: StoreInfo, backend: Backend) -> bool:
    """Whether the store's flow is there, whole, and what would be computed now; every number of it is looked at."""
    path = motion_path(store.path, backend)
    try:
        with _open_motion(path, store, backend) as file:
            for row, clip_id in enumerate(file["id"].asstr()[:]):
                _check_finite(file["flow"][row], path, clip_id, store)
        return True
    except StoreError:
        return False


def write_motion(store: StoreInfo, backend: Backend, flows: StoredFlow, path: Path) -> None:
    """Write the flow of all clips, (N, 2, 224, 224), to a file.

    Raises
    ------
    OSError
        If the disk is full or cannot be written.
    """
    image = io.BytesIO()  # where HDF5 itself meets a full disk, the process crashes when it ends
    with h5py.File(image, "w", libver=LIBRARY_VERSIONS) as file:
        file.create_dataset("id", data=list(map(str, store.clips.index)), dtype=h5py.string_dtype())
        file.create_dataset("flow", data=flows, chunks=(1, *FLOW_SHAPE))
        file.attrs[CONTENT_HASH] = store.content_hash
        file.attrs[SETTINGS_ATTRIBUTE] = json.dumps(flow_settings(backend), sort_keys=True)
    path.write_bytes(image.getbuffer())


def _check_finite(flow: StoredFlow, path: Path, clip_id: str, store: StoreInfo) -> None:
    if not np.isfinite(flow).all():
        raise StoreError(
            f"{path}: damaged, the flow of clip {clip_id} is not finite. Expected numbers of pixels. {_again(store)}"
        )


def _again(store: StoreInfo) -> str:
    return f"`mer train` of a network on motion computes it: run it on {store.path}."


@contextmanager
def _open_motion(path: Path, store: StoreInfo, backend: Backend) -> Iterator[h5py.File]:
    again = _again(store)
    if not path.is_file():
        raise StoreError(f"{path}: no such file. Expected the motion of {store.path.name}. {again}")
    try:
        with open_hdf5(path) as file:
            _check(file, path, store, backend, again)
            yield file
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be read as HDF5, damaged or cut short ({error}). Expected a whole file. {again}"
        ) from error


def _check(file: h5py.File, path: Path, store: StoreInfo, backend: Backend, again: str) -> None:
    made_from = str(file.attrs.get(CONTENT_HASH))
    if made_from != store.content_hash:
        raise StoreError(
            f"{path}: the motion of another store, of content {made_from[:12]}. Expected that of {store.path.name}, "
            f"{store.content_hash[:12]}. {again}"
        )
    if "flow" not in file or file["flow"].shape != (len(store.clips), *FLOW_SHAPE):
        raise StoreError(f"{path}: damaged, /flow is absent or of another shape. Expected that of every clip. {again}")
    if "id" not in file or file["id"].asstr()[:].tolist() != list(map(str, store.clips.index)):
        raise StoreError(f"{path}: damaged, /id does not name the clips. Expected those of the store. {again}")
    expected = json.dumps(flow_settings(backend), sort_keys=True)
    settings = str(file.attrs.get(SETTINGS_ATTRIBUTE))
    if settings != expected:
        raise StoreError(f"{path}: computed with {settings}. Expected {expected}. {again}")


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
        write=lambda flows, path: write_motion(store, backend, np.stack(flows), path),
        jobs=jobs,
        on_clip=on_clip,
    )
    return wanted.path


def _flow_of(store: Path, backend: Backend, clip_id: str) -> StoredFlow:
    """A clip's flow between its labelled frames."""
    onset, _, apex, _ = read_windows(store, [clip_id])
    flow = optical_flow(grey(onset[0, HALF_WINDOW]), grey(apex[0, HALF_WINDOW]), backend)
    return flow.astype(np.float16)
