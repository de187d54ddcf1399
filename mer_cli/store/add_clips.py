"""Adds whole clips to a built store: the release it was built of comes in, the store with the group `/clip` goes out.

Clips are cropped in worker processes, each finished one is kept as a part; then a copy of the store gets the group and
takes the store's place in one step. So the pass may be killed at any moment: the store stays whole, and the next pass
uses the parts and ends in the same bytes. The store's own hash stays what it is, so no run is orphaned.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mer_cli import __version__
from mer_cli.datasets.registry import release_words
from mer_cli.errors import FaceError, StoreError
from mer_cli.faces.crop import Transform
from mer_cli.faces.frames import whole_clip
from mer_cli.records import Clip, Release
from mer_cli.store.hdf5 import read_store, read_transforms
from mer_cli.store.parts import fingerprint, part_path
from mer_cli.store.schema import FAILED, OK, RESUMED
from mer_cli.store.whole_clips import (
    FRAME_BYTES,
    GZIP_LEVEL,
    State,
    append_clips,
    clips_state,
    copy_without_clips,
    encode_clip,
    load_clip,
    load_sizes,
    save_clip,
)
from mer_cli.system.files import reserve, unwritten
from mer_cli.system.lock import lock_store
from mer_cli.system.opencv import cv2
from mer_cli.system.workers import run_in_workers

INDEX_BYTES = 256  # what HDF5 notes of a chunk, at most

Done = Literal["added", "mended", "were there already"]


@dataclass(frozen=True)
class ClipTask:
    """One clip of the store to crop as a whole, how, and where its part goes."""

    clip: Clip
    transform: Transform = field(repr=False)
    part_path: Path


@dataclass(frozen=True)
class ClipResult:
    """How a clip ended; `reason` says why there is no part, and is empty where there is one."""

    clip_id: str
    reason: str


def clip_parts_dir(out: Path) -> Path:
    """Give the folder beside a store that parts of whole clips lie in: a build clears the folder of its own."""
    return out.with_name(f"{out.name}.clip-parts")


def add_clips(release: Release, out: Path, *, jobs: int, resume: bool, on_clip: Callable[[str, str], None]) -> Done:
    """See to it that a store holds its clips whole: all frames onset to offset, through the transforms of the windows.

    Parameters
    ----------
    release : the one that the store was built of
    jobs : number of worker processes
    resume : use the clips that a pass before finished
    on_clip : called with a clip id and "ok", "failed" or "resumed" as each clip ends

    Returns
    -------
    what was done; whole clips that are damaged are cropped anew

    Raises
    ------
    StoreError
        If a clip's frames cannot be read (all others are finished first, and kept), the store is of another release,
        the disk is full or cannot be written, or another process works on the store.
    """
    parts = clip_parts_dir(out)
    with _disk_errors(release, out), lock_store(out):
        before = clips_state(out)
        if before == "whole" or not resume:
            shutil.rmtree(parts, ignore_errors=True)  # in the first case a process was killed before it came to that
        if before == "whole":
            return "were there already"
        tasks = _plan(release, out)
        parts.mkdir(exist_ok=True)
        _crop_all(tasks, out, jobs, on_clip)
        _write(tasks, out, before)
        shutil.rmtree(parts)
    return "added" if before == "absent" else "mended"


def _plan(release: Release, out: Path) -> list[ClipTask]:
    """One task for each clip of the store, in its order."""
    store = read_store(out)
    clips = {clip.clip_id: clip for clip in release.clips}
    clip_ids = list(map(str, store.clips.index))
    # All that the frames depend on beside the clip itself and its transform.
    settings = {
        "crop": store.attributes["crop"],
        "tools": {"mer": __version__, "opencv": cv2.__version__},
        "gzip": GZIP_LEVEL,
    }
    tasks = []
    for clip_id, transform in zip(clip_ids, read_transforms(out, clip_ids), strict=True):
        stored = store.clips.loc[clip_id]
        clip = clips.get(clip_id)
        if clip is None or (clip.onset, clip.offset) != (stored["onset"], stored["offset"]):
            found = f"frames {clip.onset} to {clip.offset}" if clip else "no such clip"
            raise StoreError(
                f"{out}: clip {clip_id} is frames {stored['onset']} to {stored['offset']}, the release has {found}. "
                f"Expected the release that the store was built of. Build it again: mer preprocess "
                f"{release_words(store.dataset)} --clips --out {out}."
            )
        key = fingerprint(clip, settings | {"transform": transform.tolist()})
        tasks.append(ClipTask(clip, transform, part_path(clip_parts_dir(out), clip, key)))
    return tasks


def _crop_all(tasks: Sequence[ClipTask], out: Path, jobs: int, on_clip: Callable[[str, str], None]) -> None:
    """See to it that each task has its part."""
    open_tasks, failed = [], []
    for task in tasks:
        if _has_part(task):
            on_clip(task.clip.clip_id, RESUMED)
        else:
            open_tasks.append(task)

    def note(result: ClipResult) -> None:
        if result.reason:
            failed.append(result)
        on_clip(result.clip_id, FAILED if result.reason else OK)

    try:
        run_in_workers(_crop_to_part, open_tasks, jobs, note)
    except BrokenProcessPool as error:
        raise StoreError(
            f"{out}: a worker process died while whole clips were cropped. Expected it to live; memory may have run "
            "out. Run the same command again with --jobs 1: finished clips are kept."
        ) from error
    if failed:
        first = min(failed, key=lambda result: result.clip_id)
        raise StoreError(
            f"{out}: whole clips not added, {len(failed)} of {len(tasks)} cannot be read. Expected every frame from "
            f"onset to offset. The first is {first.clip_id}: {first.reason} Then run the same command again: finished "
            "clips are kept. A frame that the release lacks is left out."
        )


def _crop_to_part(task: ClipTask) -> ClipResult:
    """Crop a clip and save it as a part; a clip that cannot be read leaves none."""
    try:
        encoded = encode_clip(task.clip, task.transform)
    except FaceError as error:
        return ClipResult(task.clip.clip_id, str(error))
    save_clip(task.part_path, encoded)
    return ClipResult(task.clip.clip_id, "")


def _has_part(task: ClipTask) -> bool:
    try:
        load_clip(task.part_path)
    except StoreError:
        return False
    return True


def _write(tasks: Sequence[ClipTask], out: Path, before: State) -> None:
    """Put the parts into a copy of the store, which then takes its place."""
    sizes = [load_sizes(task.part_path) for task in tasks]
    lengths = [len(size) for size in sizes]
    temporary = clip_parts_dir(out) / out.name
    try:
        if before == "damaged":
            copy_without_clips(out, temporary)
        else:
            shutil.copyfile(out, temporary)
        with temporary.open("rb+") as file:
            # What is left over HDF5 gives back.
            room = sum(int(size.sum()) for size in sizes) + sum(lengths) * INDEX_BYTES + FRAME_BYTES
            reserve(file, temporary.stat().st_size + room)
        clips = (load_clip(task.part_path) for task in tasks)
        append_clips(temporary, [task.clip.clip_id for task in tasks], lengths, clips)
        # On the disk before it takes the store's place: a power cut must not leave half a store under its name.
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _disk_errors(release: Release, out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        clips = sum(len(whole_clip(clip)) for clip in release.clips) * FRAME_BYTES
        store = out.stat().st_size if out.is_file() else 0
        room = f"{math.ceil((store + clips) / 1e6)} MB of a new store and {math.ceil(clips / 1e6)} MB of parts, at most"
        elsewhere = "copy the store to a folder of your own and name that copy with --out"
        message = unwritten(out, error, what="whole clips cannot be added", room=room, elsewhere=elsewhere)
        raise StoreError(message) from error
