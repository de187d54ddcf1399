"""Compute the flow of a store once and keep it: data/casme2.h5 -> data/motion/casme2.flow-tvl1.h5.

The file lies in a folder of its own, because every .h5 file in the store's folder counts as a store.

| path | shape, dtype | meaning |
|---|---|---|
| /id | (N,) text | clip ids, in the store's order |
| /flow | (N, 2, 224, 224) float16, chunked per clip | u and v from the labelled onset to the labelled apex, pixels |
| attributes | | the store's content hash; how the flow was computed, as JSON; whether it has checksums (`store.seal`) |

A file is stale, and never read, if its content hash differs from the store's or its settings from this program's.
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

from mer_cli.engines.engine import Engine
from mer_cli.engines.resumable import ByClip, build_by_clip, fingerprint
from mer_cli.errors import StoreError
from mer_cli.faces.crop import CROP_SIZE
from mer_cli.faces.frames import HALF_WINDOW
from mer_cli.faces.pictures import Image
from mer_cli.motion.flow import flow_settings, grey, optical_flow
from mer_cli.motion.inputs import Backend
from mer_cli.store.checked import Checked, UnreadStoreError, open_checked
from mer_cli.store.hdf5 import LIBRARY_VERSIONS, StoreInfo, read_windows, rows_of
from mer_cli.store.schema import CHECKSUMS, CONTENT_HASH, TEXT
from mer_cli.store.seal import DamageError, write_seal

FLOW = "flow"
FLOW_SHAPE = (2, CROP_SIZE, CROP_SIZE)
SETTINGS_ATTRIBUTE = "settings"

StoredFlow = NDArray[np.float16]  # a thousandth of a pixel at 2 pixels, finer below


def motion_path(store: Path, backend: Backend) -> Path:
    """Return the path of a store's flow file: data/casme2.h5 -> data/motion/casme2.flow-tvl1.h5."""
    return store.parent / "motion" / f"{store.stem}.flow-{backend}.h5"


def read_motion(store: StoreInfo, backend: Backend, clip_ids: Sequence[str]) -> StoredFlow:
    """Read the stored flow from onset to apex of some clips, in the order of `clip_ids`.

    Returns
    -------
    (n, 2, 224, 224) float16, u and v in pixels

    Raises
    ------
    StoreError
        If the file is absent, stale or damaged (a number is not finite, for instance), or a clip is not in it.
    """
    path = motion_path(store.path, backend)
    with _open_motion(path, store, backend) as (checked, stored):
        rows = rows_of(list(map(str, store.clips.index)), path, clip_ids)
        flows = np.empty((len(clip_ids), *FLOW_SHAPE), np.float16)
        for position, (clip_id, row) in enumerate(zip(clip_ids, rows, strict=True)):
            checked.read_row(stored, row, flows[position])
            _check_finite(flows[position], path, clip_id, store)
    return flows


def is_current(store: StoreInfo, backend: Backend) -> bool:
    """Tell whether the store's flow file is there, up to date and undamaged; every number in it is checked."""
    path = motion_path(store.path, backend)
    try:
        with _open_motion(path, store, backend) as (checked, stored):
            flow = np.empty(FLOW_SHAPE, np.float16)
            for row, clip_id in enumerate(map(str, store.clips.index)):
                checked.read_row(stored, row, flow)
                _check_finite(flow, path, clip_id, store)
        return True
    except UnreadStoreError:
        raise
    except StoreError:
        return False


def write_motion(store: StoreInfo, backend: Backend, flows: StoredFlow, path: Path) -> None:
    """Write the flow of all clips of a store, (N, 2, 224, 224) float16, to the file `path`."""
    image = io.BytesIO()  # a full disk makes the process crash inside HDF5
    with h5py.File(image, "w", libver=LIBRARY_VERSIONS) as file:
        file.create_dataset("id", data=list(map(str, store.clips.index)), dtype=h5py.string_dtype())
        file.create_dataset(FLOW, data=flows, chunks=(1, *FLOW_SHAPE))
        file.attrs[CONTENT_HASH] = store.content_hash
        file.attrs[SETTINGS_ATTRIBUTE] = json.dumps(flow_settings(backend), sort_keys=True)
        file.attrs[CHECKSUMS] = 1
    path.write_bytes(image.getbuffer())
    write_seal(path, {FLOW: 1})


def _check_finite(flow: StoredFlow, path: Path, clip_id: str, store: StoreInfo) -> None:
    if not np.isfinite(flow).all():
        raise StoreError(f"{path}: damaged, the flow of clip {clip_id} is not finite. {_again(store)}")


def _again(store: StoreInfo) -> str:
    return f"Training a network on motion with {store.path} computes it."


@contextmanager
def _open_motion(path: Path, store: StoreInfo, backend: Backend) -> Iterator[tuple[Checked, h5py.Dataset]]:
    """Open the flow file of a store, checked but for the flow itself, and yield it with the dataset of the flow."""
    again = _again(store)
    if not path.is_file():
        raise StoreError(f"{path}: no such file, so {store.path.name} has no flow yet. {again}")
    with open_checked(path, again) as checked:
        yield checked, _check(checked, path, store, backend)


def _check(checked: Checked, path: Path, store: StoreInfo, backend: Backend) -> h5py.Dataset:
    again = _again(store)
    made_from = str(checked.attribute(CONTENT_HASH, str))
    if made_from != store.content_hash:
        raise StoreError(
            f"{path}: flow of another store (content hash {made_from[:12]}; {store.path.name} has "
            f"{store.content_hash[:12]}). {again}"
        )
    stored = checked.dataset(FLOW, (len(store.clips), *FLOW_SHAPE), "<f2")
    if checked.column("id", len(store.clips), TEXT).tolist() != list(map(str, store.clips.index)):
        raise DamageError("/id doesn't name the store's clips.")
    expected = json.dumps(flow_settings(backend), sort_keys=True)
    settings = checked.attribute(SETTINGS_ATTRIBUTE, str)
    if settings != expected:
        raise StoreError(f"{path}: computed with {settings}, not with {expected}. {again}")
    if checked.is_changed:
        raise DamageError("another program has changed it since `mer` wrote it.")
    return stored


def build_motion(
    store: StoreInfo,
    backend: Backend,
    *,
    jobs: int,
    on_clip: Callable[[str, str], None],
    engine: Engine | None = None,
) -> Path:
    """Compute the flow of a store unless its file is there, undamaged and up to date; return the path of that file.

    Parameters
    ----------
    jobs, on_clip, engine : as in `build_by_clip`

    Raises
    ------
    StoreError
        If the store can't be read, or for a reason that `build_by_clip` names.
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
        engine=engine,
        on_clip=on_clip,
    )
    return wanted.path


def _flow_of(store: Path, backend: Backend, clip_id: str) -> StoredFlow:
    """Return the flow of a clip between its labelled frames."""
    onset, _, apex, _ = read_windows(store, [clip_id])
    return kept_flow(onset[0, HALF_WINDOW], apex[0, HALF_WINDOW], backend)


def kept_flow(onset: Image, apex: Image, backend: Backend) -> StoredFlow:
    """Compute the flow between two crops, (224, 224, 3) uint8 RGB, in the float16 in which a flow file keeps it."""
    return optical_flow(grey(onset), grey(apex), backend).astype(np.float16)
