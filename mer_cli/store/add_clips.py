"""Add whole clips to a built store, in its group `/clip`, from the release that the store was built from.

Clips are cropped in worker processes and kept as parts (`engines.resumable`); then a copy of the store gets the group
and takes the store's place in one step. If the command is killed, the store stays whole, and the next one uses the
parts and ends with the same bytes. The store's own hash stays the same, so its runs remain valid.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from mer_cli import __version__
from mer_cli.datasets.registry import release_words
from mer_cli.engines.engine import Engine
from mer_cli.engines.resumable import ClipTask, Computed, OnClip, Resumable, failed, part_path
from mer_cli.errors import FaceError, StoreError
from mer_cli.faces.crop import Align, Transform
from mer_cli.faces.depth import BITS
from mer_cli.faces.frames import whole_clip
from mer_cli.faces.videos import decoder_of
from mer_cli.records import Clip, Release
from mer_cli.store.cut import clip_fingerprint
from mer_cli.store.hdf5 import read_store, read_transforms
from mer_cli.store.whole_clips import (
    FRAME_BYTES,
    GZIP_LEVEL,
    State,
    append_clips,
    clips_state,
    copy_without_clips,
    encode_clip,
    has_damaged_frames,
    load_clip,
    load_sizes,
)
from mer_cli.system.files import reserve
from mer_cli.system.opencv import cv2

CLIP_PARTS = "clip-parts"  # a build clears the folder of its own parts
INDEX_BYTES = 256  # what HDF5 stores about a chunk, at most

Done = Literal["added", "repaired", "kept"]


def add_clips(
    release: Release, out: Path, *, jobs: int, resume: bool, on_clip: OnClip, engine: Engine | None = None
) -> Done:
    """Add all frames from onset to offset of each clip to a store, cropped by the transform stored for the clip.

    Parameters
    ----------
    release : the release that the store was built from
    out : the store
    jobs, engine : as in `build_store`
    resume : use the clips that an earlier command finished
    on_clip : called with a clip id and "ok", "failed" or "resumed" as each clip ends

    Returns
    -------
    "added"; "repaired", if damaged whole clips were cropped again; "kept", if the store had undamaged whole clips

    Raises
    ------
    StoreError
        If a clip's frames can't be read (all others are finished first, and kept), the store was built from another
        release, the disk is full or can't be written, or another process works on the store.
    """
    work = _plan_work(release, out)
    with work.alone():
        before = _state(out)
        if before == "whole" or not resume:
            work.clear()  # in the first case a process was killed just before it did this
        if before == "whole":
            return "kept"
        tasks = _plan_tasks(release, work)
        _require_all(work, tasks, work.make_parts(tasks, jobs, on_clip, engine))
        _write(work, tasks, before)
        work.clear()
    return "added" if before == "absent" else "repaired"


def _state(out: Path) -> State:
    """Return the state of the whole clips, every frame checked; refuse a store with other damaged images."""
    return "damaged" if has_damaged_frames(out) else clips_state(out)  # before new checksums are written


def _plan_work(release: Release, out: Path) -> Resumable:
    clips = sum(len(whole_clip(clip)) for clip in release.clips) * FRAME_BYTES
    store = out.stat().st_size if out.is_file() else 0
    return Resumable(
        path=out,
        doing="cropping whole clips",
        problem="whole clips cannot be added",
        room=f"a new store of {math.ceil((store + clips) / 1e6)} MB and {math.ceil(clips / 1e6)} MB of parts, at most",
        elsewhere="copy the store to a folder of your own and name that copy with --out",
        retry="Run the same command again with --jobs 1",
        parts_suffix=CLIP_PARTS,
    )


def _plan_tasks(release: Release, work: Resumable) -> list[ClipTask]:
    """Return a task for each clip, in the order of the store."""
    out = work.path
    store = read_store(out)
    clips = {clip.clip_id: clip for clip in release.clips}
    clip_ids = list(map(str, store.clips.index))
    crop = store.attributes["crop"]
    # Everything that the frames depend on except the clip itself and its transform.
    settings = {
        "crop": crop,
        "tools": {"mer": __version__, "opencv": cv2.__version__, **decoder_of(release.clips)},
        "gzip": GZIP_LEVEL,
    }
    tasks = []
    for clip_id, transform in zip(clip_ids, read_transforms(out, clip_ids), strict=True):
        stored = store.clips.loc[clip_id]
        clip = clips.get(clip_id)
        if clip is None or (clip.onset, clip.offset) != (stored["onset"], stored["offset"]):
            found = f"has frames {clip.onset} to {clip.offset}" if clip else "doesn't have this clip"
            raise StoreError(
                f"{out}: clip {clip_id} is frames {stored['onset']} to {stored['offset']}, but the release {found}. "
                f"Give the release that the store was built of, or build it again: mer preprocess "
                f"{release_words(store.dataset)} --clips --out {out}."
            )
        key = clip_fingerprint(clip, settings | {"transform": transform.tolist()})
        encode = partial(_encode, clip, transform, crop["align"], crop.get(BITS))
        tasks.append(ClipTask(clip_id, part_path(work.parts, clip_id, key), encode))
    return tasks


def _encode(clip: Clip, transform: Transform, align: Align, bits: int | None) -> Computed:
    try:
        return Computed(encode_clip(clip, transform, align, bits).arrays())
    except FaceError as error:
        return failed(error)


def _require_all(work: Resumable, tasks: Sequence[ClipTask], reasons: dict[str, str]) -> None:
    if reasons:
        first = min(reasons)
        raise StoreError(
            f"{work.path}: whole clips not added, because {len(reasons)} of {len(tasks)} can't be read. The first is "
            f"{first}: {reasons[first]} Then run the same command again: finished clips are kept. Frames that the "
            "release doesn't have are left out."
        )


def _write(work: Resumable, tasks: Sequence[ClipTask], before: State) -> None:
    """Write a copy of the store with the parts added, and replace the store by this copy."""
    sizes = [load_sizes(task) for task in tasks]
    lengths = [len(size) for size in sizes]
    with work.replacing() as temporary:
        if before == "damaged":
            copy_without_clips(work.path, temporary)
        else:
            shutil.copyfile(work.path, temporary)
        # HDF5 frees what is left over.
        room = sum(int(size.sum()) for size in sizes) + sum(lengths) * INDEX_BYTES + FRAME_BYTES
        reserve(temporary, temporary.stat().st_size + room)
        append_clips(temporary, [task.clip_id for task in tasks], lengths, map(load_clip, tasks))
