"""Crop one clip, and keep the crops in a part, the file of one finished clip; `build` does this in worker processes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import cache, partial
from itertools import chain
from pathlib import Path

import numpy as np

from mer_cli.engines.resumable import OK, ClipTask, Computed, digest, failed, read_part
from mer_cli.errors import FaceError
from mer_cli.faces.apex import ApexSearch
from mer_cli.faces.crop import (
    RELEASE_CROP,
    Align,
    Transform,
    box_transform,
    crop_landmarks,
    cut,
    eye_transform,
    picture_transform,
    squeeze_transform,
)
from mer_cli.faces.frames import HALF_WINDOW, Image, needed_frames, read_frames, window
from mer_cli.faces.landmarks import Face, FaceFinder
from mer_cli.faces.pairs import pair_notes
from mer_cli.records import Clip, FrameRef
from mer_cli.store.schema import ARRAYS, NOTE_SEPARATOR, REPAIRED, CroppedClip, apex_notes

RECORD = "record"  # the entry of a part that holds everything but its arrays, as JSON


def clip_fingerprint(clip: Clip, settings: Mapping[str, object]) -> str:
    """Return a SHA-256 of everything that the crops of a clip depend on, including the sizes and times of its files."""
    return digest(
        {
            "settings": settings,
            "clip": asdict(clip) | {"frames": [frame.number for frame in clip.frames]},
            "files": [(path.name, *_size_and_time(path)) for path in dict.fromkeys(f.path for f in clip.frames)],
        }
    )


def _size_and_time(path: Path) -> tuple[int, int] | tuple[()]:
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_size, status.st_mtime_ns


def cut_task(
    clip: Clip, part: Path, predictor: Path, align: Align, bits: int | None = None, *, is_cropped: bool
) -> ClipTask:
    """Return the task of cropping a clip into the file `part`; other parameters as in `FaceFinder` and `cut_clip`."""
    return ClipTask(clip.clip_id, part, partial(_cut, clip, predictor, align, bits, is_cropped))


def _cut(clip: Clip, predictor: Path, align: Align, bits: int | None, is_cropped: bool) -> Computed:
    finder = _finder(predictor, is_cropped)
    try:
        cropped = cut_clip(clip, finder, align, bits)
    except FaceError as error:
        return failed(error)
    record = json.dumps({"columns": cropped.columns, "detector": cropped.detector})
    return Computed({RECORD: np.array(record), **cropped.arrays}, cropped.status)


def read_cut(task: ClipTask) -> CroppedClip:
    """Read a cropped clip back from the part (file) that its task wrote; raise the errors of `read_part`."""
    arrays = read_part(task, [RECORD, *ARRAYS])
    record = json.loads(str(arrays.pop(RECORD)))
    return CroppedClip(record["columns"], arrays, record["detector"])


def cut_clip(clip: Clip, finder: FaceFinder, align: Align, bits: int | None = None) -> CroppedClip:
    """Crop the frames around a clip's onset and apex, all with the transform found for its onset frame.

    Each frame is read once. Whole images are kept only until the face is found. If the apex is searched for in the same
    pass, crops are kept only as long as they may be needed.

    Parameters
    ----------
    bits : as in `read_picture`

    Raises
    ------
    FaceError
        If a frame can't be read or differs in size from the others, no usable face is found, or no frame after the
        onset could be the apex.
    """
    stream = read_frames(needed_frames(clip), bits)
    whole: dict[int, Image] = {}

    def read(frame: FrameRef) -> Image:
        while frame.number not in whole:
            number, image = next(stream)
            whole[number] = image
        return whole[frame.number]

    face = finder.find(clip, read)
    transform = _transform(clip, face, align, whole[clip.onset])
    crops = ((number, cut(image, transform, align)) for number, image in chain(whole.items(), stream))
    apex, kept = _find_apex(clip, face, transform, crops) if clip.apex_rule == "flow" else (clip.apex, dict(crops))
    arrays: dict[str, object] = {"landmarks": face.landmarks, "transforms": transform}
    for name, labelled in (("onset", clip.onset), ("apex", apex)):
        entries = window(clip, labelled)
        arrays[f"{name}_window"] = np.stack([kept[frame.number] for _, frame in entries])
        arrays[f"{name}_window_frames"] = [number for number, _ in entries]
    repairs = (*clip.repairs, *face.notes)
    odd = () if apex == clip.onset else pair_notes(kept[clip.onset], kept[apex])
    return CroppedClip(
        columns={
            "id": clip.clip_id,
            "subject": clip.subject,
            "name": clip.name,
            "emotion": clip.emotion,
            "action_units": clip.action_units,
            "onset": clip.onset,
            "apex": apex,
            "offset": clip.offset,
            "fps": clip.fps,
            "status": REPAIRED if repairs else OK,
            "note": NOTE_SEPARATOR.join([*repairs, *clip.notes, *apex_notes(clip.apex_rule, apex), *odd]),
        },
        arrays={name: np.asarray(arrays[name], dtype) for name, (_, dtype) in ARRAYS.items()},
        detector=face.detector,
    )


def _find_apex(
    clip: Clip, face: Face, transform: Transform, crops: Iterator[tuple[int, Image]]
) -> tuple[int, dict[int, Image]]:
    """Return the number of the frame with the strongest motion, and the crops of its window and the onset's."""
    search = ApexSearch(None if face.detector == RELEASE_CROP else crop_landmarks(face.landmarks, transform))
    onset_window = {frame.number for _, frame in window(clip, clip.onset)}
    numbers: list[int] = []
    kept: dict[int, Image] = {}
    for number, crop in crops:
        numbers.append(number)
        kept[number] = crop
        if clip.onset <= number <= clip.offset:
            search.add(crop)
            # Even if frames are missing, those of a window lie at most three places from its middle.
            middles = [numbers.index(clip.onset) + place for place in search.candidates()]
            near = {n for place in middles for n in numbers[max(place - HALF_WINDOW, 0) : place + HALF_WINDOW + 1]}
            kept = {n: crop for n, crop in kept.items() if n in near | onset_window}
    if not any(clip.onset < number <= clip.offset for number in numbers):
        raise FaceError(
            f"{clip.clip_id}: no frame between onset {clip.onset} and offset {clip.offset} can be the apex. "
            "Restore the images or correct the table."
        )
    return numbers[numbers.index(clip.onset) + search.peak()], kept


def _transform(clip: Clip, face: Face, align: Align, onset: Image) -> Transform:
    if align == "none":
        return squeeze_transform(*onset.shape[:2])
    if face.detector == RELEASE_CROP:  # without a face the landmarks mean nothing
        return picture_transform(*onset.shape[:2])
    try:
        return box_transform(face.landmarks) if align == "box" else eye_transform(face.landmarks)
    except FaceError as error:
        raise FaceError(f"{clip.clip_id}: {error}") from error


@cache
def _finder(predictor: Path, is_cropped: bool) -> FaceFinder:
    """Return the finder with its models, loaded once per process."""
    return FaceFinder(predictor, is_cropped=is_cropped)
