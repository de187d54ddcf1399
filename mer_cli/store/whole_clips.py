"""Write and read a store's optional group `/clip`: all frames of every clip from onset to offset.

| path | shape, dtype | meaning |
|---|---|---|
| /clip/frames | (F, 224, 224, 3) uint8 RGB | the frames of all clips, one after another; a chunk each, gzip level 1 |
| /clip/frame_numbers | (F,) int32 | number of each frame; `read_clip` fills in frames that the release lacks |
| /clip/start | (N + 1,) int64 | clip i, in the order of /clips/id, is rows start[i] up to start[i + 1] |
| attribute content_hash | | over frames, numbers and ids of the group; the store's own hash does not cover it |

Unlike the windows it is compressed. Measured on 396 generated faces, one core: with gzip level 1 a frame of 150 KB
shrinks to 64 % and takes 2.4 ms to write, in the workers, and .7 ms to read; with lzf 78 %, 1.4 ms and .6 ms; without
compression .1 ms and .2 ms. `read_clip` takes 32 ms for a clip of 35 frames.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from mer_cli.datasets.registry import release_words
from mer_cli.engines.resumable import ClipTask, read_part
from mer_cli.errors import StoreError
from mer_cli.faces.crop import CROP_SIZE, Align, Transform, cut
from mer_cli.faces.frames import read_frames, whole_clip
from mer_cli.records import Clip
from mer_cli.store.checked import Checked, parsing
from mer_cli.store.hdf5 import LIBRARY_VERSIONS, open_store, read_ids, rows_of
from mer_cli.store.schema import CHECKSUMS, CLIPS_GROUP, CONTENT_HASH, LARGE_ARRAYS
from mer_cli.store.seal import DIFFERS, DamageError, find_wrong_row, write_seal

GZIP_LEVEL = 1  # HDF5's gzip filter has zlib's format, so the workers can compress the frames


@dataclass(frozen=True)
class EncodedClip:
    """The cropped and compressed frames of a clip from onset to offset.

    numbers : (T,) int32, frame numbers, ascending
    sizes : (T,) int64, bytes of each compressed frame
    data : the compressed frames, one after another, (sum of sizes,) uint8
    digest : SHA-256 over the frames before compression
    """

    numbers: NDArray[np.int32]
    sizes: NDArray[np.int64]
    data: NDArray[np.uint8] = field(repr=False)
    digest: str

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the fields as arrays by name, to be saved as the clip's part."""
        return {"numbers": self.numbers, "sizes": self.sizes, "data": self.data, "digest": np.array(self.digest)}


def encode_clip(clip: Clip, transform: Transform, align: Align = "box", bits: int | None = None) -> EncodedClip:
    """Read, crop and compress the frames of a clip from onset to offset, one after another.

    Parameters
    ----------
    transform : (2, 3) float32, source pixel -> crop pixel, for every frame
    align : how the store's windows were cropped
    bits : as in `read_picture`

    Raises
    ------
    FaceError
        If a frame cannot be read.
    """
    numbers, compressed, content = [], [], hashlib.sha256()
    for number, image in read_frames(whole_clip(clip), bits):
        crop = cut(image, transform, align).tobytes()
        content.update(crop)
        numbers.append(number)
        compressed.append(zlib.compress(crop, GZIP_LEVEL))
    return EncodedClip(
        numbers=np.array(numbers, np.int32),
        sizes=np.array([len(frame) for frame in compressed], np.int64),
        data=np.frombuffer(b"".join(compressed), np.uint8),
        digest=content.hexdigest(),
    )


def load_clip(task: ClipTask) -> EncodedClip:
    """Read a compressed clip back from the part (file) that its task wrote; raise the errors of `read_part`."""
    part = read_part(task)
    return EncodedClip(part["numbers"], part["sizes"], part["data"], str(part["digest"]))


def load_sizes(task: ClipTask) -> NDArray[np.int64]:
    """Read only the sizes in bytes of a clip's compressed frames from its part; raise the errors of `read_part`."""
    return read_part(task, ["sizes"])["sizes"]


CLIP_GROUP = "clip"
FRAMES, FRAME_NUMBERS, START = "frames", "frame_numbers", "start"
FRAMES_PATH = f"{CLIP_GROUP}/{FRAMES}"
FRAME_SHAPE = (CROP_SIZE, CROP_SIZE, 3)
FRAME_BYTES = CROP_SIZE * CROP_SIZE * 3  # before it is compressed

State = Literal["absent", "damaged", "whole"]


def clips_state(path: Path) -> State:
    """Tell whether a store's whole clips are absent, damaged or whole; raise the errors of `read_store`.

    Their frames are not read.
    """
    with open_store(path) as checked:
        if not checked.has(CLIP_GROUP):
            return "absent"
        return "whole" if _frames(checked) else "damaged"


def has_damaged_frames(path: Path) -> bool:
    """Read all images of a store, and tell whether the checksum of a frame of its whole clips differs.

    Without checksums, as in stores of older versions, nothing is found. Raise the errors of `read_store`, also for a
    damaged image around an onset or apex.
    """
    with open_store(path) as checked:
        wrong = find_wrong_row(checked.raw, checked.seal) if checked.seal else ""
        if wrong and not wrong.startswith(f"/{FRAMES_PATH}"):
            raise DamageError(f"{wrong} {DIFFERS}")
        return bool(wrong)


def copy_without_clips(path: Path, target: Path) -> None:
    """Copy a store without its group /clip; the group is not read, since it may be damaged."""
    with (
        open_store(path) as checked,
        h5py.File(target, "w", libver=LIBRARY_VERSIONS, locking=False) as copy,
        parsing(""),
    ):
        for name in checked.file:
            if name != CLIP_GROUP:
                checked.file.copy(name, copy)
        for name, value in checked.file.attrs.items():
            copy.attrs[name] = value


def read_clip(path: Path, clip_id: str) -> NDArray[np.uint8]:
    """Read all frames of a clip, onset to offset.

    Returns
    -------
    (T, 224, 224, 3) uint8 RGB, equally spaced in time; a frame that the release lacks is interpolated linearly
        between its neighbours

    Raises
    ------
    StoreError
        As `read_store`, or if the clip is not in the store or the store has no whole clips.
    """
    with open_store(path) as checked:
        held = _require_frames(checked, path)
        ids = read_ids(checked)
        (row,) = rows_of(ids, path, [clip_id])
        first, end = held.start[row : row + 2].tolist()
        with parsing(FRAME_NUMBERS):
            numbers = np.asarray(held.numbers[first:end])
        onset, offset = (checked.column(f"{CLIPS_GROUP}/{name}", len(ids), "<i4")[row] for name in ("onset", "offset"))
        if np.any(np.diff(numbers) <= 0) or numbers[0] < onset or numbers[-1] > offset:
            raise DamageError(f"the frames of the whole clip {clip_id} are not numbered from {onset} to {offset}.")
        frames = np.empty((end - first, *FRAME_SHAPE), np.uint8)
        try:
            for place in range(first, end):
                checked.read_compressed_row(held.frames, place, frames[place - first])
        except DamageError as damage:
            command = _command(checked, path)
            raise StoreError(f"{path}: its whole clips are damaged, {damage} Repair them: {command}.") from None
        return fill_gaps(frames, numbers)


def fill_gaps(frames: NDArray[np.uint8], numbers: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Return the frames with missing ones interpolated linearly between their two neighbours.

    Parameters
    ----------
    frames : (T, ...)
    numbers : (T,) frame numbers, ascending; the greatest common divisor of their gaps is the step between two frames
    """
    steps = np.diff(numbers)
    places = np.cumsum([0, *(steps // np.gcd.reduce(steps, initial=0) if len(steps) else ())])
    if places[-1] == len(frames) - 1:
        return frames
    filled = np.empty((places[-1] + 1, *frames.shape[1:]), frames.dtype)
    for place in range(len(filled)):
        after = int(np.searchsorted(places, place))
        share = (places[after] - place) / (places[after] - places[after - 1]) if places[after] != place else 0.0
        filled[place] = np.rint(share * frames[after - 1] + (1 - share) * frames[after])
    return filled


def clips_hash(path: Path) -> str:
    """Return the content hash of the whole clips of a store; raise the errors of `read_clip`."""
    with open_store(path) as checked:
        return _require_frames(checked, path).content_hash


def check_content(checked: Checked) -> None:
    """Raise DamageError if the whole clips of an open store, if it has any, are not those that were written."""
    if not checked.has(CLIP_GROUP):
        return
    held = _frames(checked)
    if held is None:
        raise DamageError(f"its whole clips (/{CLIP_GROUP}) are not whole.")
    content, frame = hashlib.sha256(), np.empty(FRAME_SHAPE, np.uint8)
    for clip_id, (first, end) in zip(read_ids(checked), pairwise(held.start.tolist()), strict=True):
        images = hashlib.sha256()
        for row in range(first, end):
            checked.read_compressed_row(held.frames, row, frame)
            images.update(frame.tobytes())
        with parsing(FRAME_NUMBERS):
            numbers = held.numbers[first:end].tolist()
        content.update(f"{clip_id} {numbers} {images.hexdigest()}\n".encode())
    if content.hexdigest() != held.content_hash:
        raise DamageError(
            f"its whole clips are not those that were added: their content hash is {content.hexdigest()[:12]}, and "
            f"{held.content_hash[:12]} was recorded."
        )


def clips_size(path: Path) -> tuple[int, int]:
    """Return the number of frames in all whole clips and their size in bytes; raise the errors of `read_clip`."""
    with open_store(path) as checked:
        frames = _require_frames(checked, path).frames
        with parsing(FRAMES_PATH):
            return len(frames), int(frames.id.get_storage_size())


def append_clips(path: Path, clip_ids: Sequence[str], lengths: Sequence[int], clips: Iterable[EncodedClip]) -> None:
    """Add the group /clip to a store that lacks it, changing nothing else in the file.

    Parameters
    ----------
    path : a copy that nobody reads yet: if this is interrupted, the file is damaged
    clip_ids : in the store's order
    lengths : number of frames of each clip
    clips : in the same order; a clip is taken from the iterable only when the previous clip is written
    """
    content = hashlib.sha256()
    start = np.concatenate([[0], np.cumsum(lengths)])
    n_frames = int(start[-1])
    with h5py.File(path, "r+", libver=LIBRARY_VERSIONS, locking=False) as file:
        group = file.create_group(CLIP_GROUP)
        group.create_dataset(START, data=start, dtype="<i8")
        numbers = group.create_dataset(FRAME_NUMBERS, (n_frames,), "<i4")
        frames = group.create_dataset(
            FRAMES,
            (n_frames, *FRAME_SHAPE),
            "|u1",
            chunks=(1, *FRAME_SHAPE),
            compression="gzip",
            compression_opts=GZIP_LEVEL,
        )
        for clip_id, first, clip in zip(clip_ids, start[:-1].tolist(), clips, strict=True):
            content.update(f"{clip_id} {clip.numbers.tolist()} {clip.digest}\n".encode())
            numbers[first : first + len(clip.numbers)] = clip.numbers
            ends = np.cumsum(clip.sizes)
            for row, (end, size) in enumerate(zip(ends.tolist(), clip.sizes.tolist(), strict=True), start=first):
                frames.id.write_direct_chunk((row, 0, 0, 0), clip.data[end - size : end].tobytes())
        group.attrs[CONTENT_HASH] = content.hexdigest()
        has_checksums = CHECKSUMS in file.attrs
    if has_checksums:
        write_seal(path, LARGE_ARRAYS | {FRAMES_PATH: 1})


@dataclass(frozen=True)
class _Held:
    """The group /clip of an open store, checked, but no frame read yet.

    start : (N + 1,) int64
    """

    content_hash: str
    start: NDArray[np.int64]
    numbers: h5py.Dataset
    frames: h5py.Dataset


def _require_frames(checked: Checked, path: Path) -> _Held:
    if not checked.has(CLIP_GROUP):
        raise StoreError(
            f"{path}: holds only the frames around onset and apex, not whole clips. Add them: "
            f"{_command(checked, path)}."
        )
    held = _frames(checked)
    if held is None:
        raise StoreError(
            f"{path}: its whole clips (/{CLIP_GROUP}) are damaged. Repair them: {_command(checked, path)}."
        )
    return held


def _frames(checked: Checked) -> _Held | None:
    """Return the group if it has everything that `append_clips` writes, for one number of frames; else None."""
    n_clips = len(read_ids(checked))
    try:
        content_hash = checked.attribute(CONTENT_HASH, str, CLIP_GROUP)
        start = checked.column(f"{CLIP_GROUP}/{START}", n_clips + 1, "<i8")
        if start[0] != 0 or not np.all(np.diff(start) > 0):
            return None
        n_frames = int(start[-1])
        return _Held(
            content_hash,
            start,
            checked.dataset(f"{CLIP_GROUP}/{FRAME_NUMBERS}", (n_frames,), "<i4"),
            checked.dataset(FRAMES_PATH, (n_frames, *FRAME_SHAPE), "|u1"),
        )
    except DamageError:
        return None


def _command(checked: Checked, path: Path) -> str:
    """Return the command that adds or repairs the group."""
    return f"mer preprocess {release_words(checked.attribute('dataset', str))} --clips --out {path}"
