"""Compute the flow of a store once and keep it: data/casme2.h5 -> data/motion/casme2.flow-tvl1.h5.

Canonical flow (`canonical`) has a file of its own, which names the steps: casme2.flow-fast-head+face.h5.

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
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from mer_cli.engines.engine import Engine
from mer_cli.engines.resumable import ByClip, build_by_clip, fingerprint
from mer_cli.errors import FaceError, StoreError
from mer_cli.faces.crop import CROP_SIZE, Landmarks
from mer_cli.faces.mean_face import NOT_A_FACE, is_a_face
from mer_cli.faces.pictures import Image
from mer_cli.motion.canonical import canonical_flow, canonical_settings, pairs_of_frames
from mer_cli.motion.flow import flow_settings, grey, optical_flow
from mer_cli.motion.inputs import Backend, Step, text_of_steps
from mer_cli.store.checked import Checked, UnreadStoreError, open_checked
from mer_cli.store.hdf5 import LIBRARY_VERSIONS, StoreInfo, read_landmarks, read_windows, rows_of
from mer_cli.store.schema import CHECKSUMS, CONTENT_HASH, TEXT, has_face
from mer_cli.store.seal import DamageError, write_seal

FLOW = "flow"
WITHOUT_STEPS = (
    "Look at the clip in the audit of its store. Take fewer steps (--input crop takes none), or leave the clip out "
    "with a label scheme of your own (leave_out in docs/labels.md)."
)
FLOW_SHAPE = (2, CROP_SIZE, CROP_SIZE)
SETTINGS_ATTRIBUTE = "settings"

Steps = Sequence[Step]
StoredFlow = NDArray[np.float16]  # a thousandth of a pixel at 2 pixels, finer below


def motion_path(store: Path, backend: Backend, steps: Steps = ()) -> Path:
    """Return the path of a store's flow file: data/casme2.h5 -> data/motion/casme2.flow-tvl1.h5."""
    of_steps = f"-{text_of_steps(steps)}" if steps else ""
    return store.parent / "motion" / f"{store.stem}.flow-{backend}{of_steps}.h5"


def motion_settings(backend: Backend, steps: Steps = ()) -> dict[str, Any]:
    """Return everything that a stored flow depends on except the frames, as plain values for JSON."""
    return flow_settings(backend) | ({"canonical": canonical_settings(steps)} if steps else {})


def read_motion(store: StoreInfo, backend: Backend, clip_ids: Sequence[str], steps: Steps = ()) -> StoredFlow:
    """Read the stored flow from onset to apex of some clips, in the order of `clip_ids`.

    Parameters
    ----------
    steps : taken after the flow was computed (`canonical`)

    Returns
    -------
    (n, 2, 224, 224) float16, u and v in pixels

    Raises
    ------
    StoreError
        If the file is absent, stale or damaged (a number is not finite, for instance), or a clip is not in it.
    """
    path = motion_path(store.path, backend, steps)
    with _open_motion(path, store, backend, steps) as (checked, stored):
        rows = rows_of(list(map(str, store.clips.index)), path, clip_ids)
        flows = np.empty((len(clip_ids), *FLOW_SHAPE), np.float16)
        for position, (clip_id, row) in enumerate(zip(clip_ids, rows, strict=True)):
            checked.read_row(stored, row, flows[position])
            if np.isfinite(flows[position]).all():
                continue
            if _has_none(store, clip_id, steps):
                raise not_a_face(store.path, clip_id)
            raise StoreError(f"{path}: damaged, the flow of clip {clip_id} is not finite. {_again(store)}")
    return flows


def is_current(store: StoreInfo, backend: Backend, steps: Steps = ()) -> bool:
    """Tell whether the store's flow file is there, up to date and undamaged; every number in it is checked.

    Of a clip whose landmarks are not those of a face it may hold NaN (`build_motion`).
    """
    path = motion_path(store.path, backend, steps)
    try:
        with _open_motion(path, store, backend, steps) as (checked, stored):
            flow = np.empty(FLOW_SHAPE, np.float16)
            for row, clip_id in enumerate(map(str, store.clips.index)):
                checked.read_row(stored, row, flow)
                if not np.isfinite(flow).all() and not _has_none(store, clip_id, steps):
                    return False
        return True
    except UnreadStoreError:
        raise
    except StoreError:
        return False


def write_motion(store: StoreInfo, backend: Backend, flows: StoredFlow, path: Path, steps: Steps = ()) -> None:
    """Write the flow of all clips of a store, (N, 2, 224, 224) float16, to the file `path`."""
    image = io.BytesIO()  # a full disk makes the process crash inside HDF5
    with h5py.File(image, "w", libver=LIBRARY_VERSIONS) as file:
        file.create_dataset("id", data=list(map(str, store.clips.index)), dtype=h5py.string_dtype())
        file.create_dataset(FLOW, data=flows, chunks=(1, *FLOW_SHAPE))
        file.attrs[CONTENT_HASH] = store.content_hash
        file.attrs[SETTINGS_ATTRIBUTE] = json.dumps(motion_settings(backend, steps), sort_keys=True)
        file.attrs[CHECKSUMS] = 1
    path.write_bytes(image.getbuffer())
    write_seal(path, {FLOW: 1})


def _has_none(store: StoreInfo, clip_id: str, steps: Steps) -> bool:
    """Tell whether a clip can have no flow with these steps, because its landmarks are not those of a face."""
    if not steps:
        return False
    return not has_face(str(store.clips["note"][clip_id])) or not is_a_face(read_landmarks(store.path, [clip_id])[0])


def not_a_face(path: Path, clip_id: str) -> StoreError:
    """Return the error that the steps of `--input` can't be taken with a clip of the store at `path`."""
    return StoreError(f"{path}: clip {clip_id}: {NOT_A_FACE}. {WITHOUT_STEPS}")


def _again(store: StoreInfo) -> str:
    return f"Training a network on motion with {store.path} computes it."


@contextmanager
def _open_motion(
    path: Path, store: StoreInfo, backend: Backend, steps: Steps
) -> Iterator[tuple[Checked, h5py.Dataset]]:
    """Open the flow file of a store, checked but for the flow itself, and yield it with the dataset of the flow."""
    again = _again(store)
    if not path.is_file():
        raise StoreError(f"{path}: no such file, so {store.path.name} has no flow yet. {again}")
    with open_checked(path, again) as checked:
        yield checked, _check(checked, path, store, motion_settings(backend, steps))


def _check(checked: Checked, path: Path, store: StoreInfo, wanted: Mapping[str, Any]) -> h5py.Dataset:
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
    expected = json.dumps(wanted, sort_keys=True)
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
    steps: Steps = (),
    needed: Collection[str] | None = None,
) -> Path:
    """Compute the flow of a store unless its file is there, undamaged and up to date; return the path of that file.

    Parameters
    ----------
    jobs, on_clip, engine : as in `build_by_clip`
    steps : taken after the flow was computed (`canonical`)
    needed : clips whose flow must be computed. Of another clip whose landmarks are not those of a face, NaN is kept; a
        label scheme leaves it out. None: all clips

    Raises
    ------
    StoreError
        If the store can't be read, steps can't be taken with a needed clip, or for a reason that `build_by_clip` names.
    """
    clip_ids = list(map(str, store.clips.index))
    wanted = ByClip(
        what="the flow",
        path=motion_path(store.path, backend, steps),
        clip_ids=clip_ids,
        compute=partial(_flow_of, store, backend, steps, None if needed is None else frozenset(needed)),
        key=fingerprint({"store": store.content_hash, "flow": motion_settings(backend, steps)}),
        room=f"{math.ceil(len(clip_ids) * math.prod(FLOW_SHAPE) * np.dtype(np.float16).itemsize / 1e6)} MB of flow",
    )
    build_by_clip(
        wanted,
        is_current=lambda: is_current(store, backend, steps),
        write=lambda flows, path: write_motion(store, backend, np.stack(flows), path, steps),
        jobs=jobs,
        engine=engine,
        on_clip=on_clip,
    )
    return wanted.path


def _flow_of(
    store: StoreInfo, backend: Backend, steps: Steps, needed: frozenset[str] | None, clip_id: str
) -> StoredFlow:
    """Return the flow of a clip, between its labelled frames or averaged over more; NaN as in `build_motion`."""
    is_needed = needed is None or clip_id in needed
    nothing = np.full(FLOW_SHAPE, np.nan, np.float16)
    if steps and not is_needed and not has_face(str(store.clips["note"][clip_id])):
        return nothing
    landmarks = read_landmarks(store.path, [clip_id])[0] if steps else None
    try:
        return kept_flow(read_near(store, clip_id), landmarks, backend, steps)
    except FaceError:
        if is_needed:
            raise not_a_face(store.path, clip_id) from None
        return nothing


def read_near(store: StoreInfo, clip_id: str) -> list[tuple[Image, Image]]:
    """Read onset and apex of a clip, and the further pairs of frames near them, each (224, 224, 3) uint8 RGB.

    Raises
    ------
    StoreError
        As `read_windows`.
    """
    onset, onset_numbers, apex, apex_numbers = (held[0] for held in read_windows(store.path, [clip_id]))
    places = pairs_of_frames(onset_numbers, apex_numbers, int(store.clips["offset"][clip_id]))
    return [(onset[first], apex[second]) for first, second in places]


def kept_flow(
    pairs: Sequence[tuple[Image, Image]], landmarks: Landmarks | None, backend: Backend, steps: Steps = ()
) -> StoredFlow:
    """Compute the flow of a clip in the float16 in which a flow file keeps it (`canonical_flow`).

    Parameters
    ----------
    landmarks : of the onset; may be None if there are no steps
    """
    if not steps:
        onset, apex = pairs[0]
        return optical_flow(grey(onset), grey(apex), backend).astype(np.float16)
    assert landmarks is not None, steps
    return canonical_flow(pairs, landmarks, backend, steps).astype(np.float16)
