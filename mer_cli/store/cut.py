"""One clip: its frames come in, its crops go out. `build` runs it in worker processes."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from functools import cache
from multiprocessing import parent_process
from pathlib import Path

import numpy as np

from mer_cli.errors import FaceError
from mer_cli.faces.crop import Align, Transform, box_transform, eye_transform, picture_transform, warp
from mer_cli.faces.frames import HALF_WINDOW, Image, read_frame, window
from mer_cli.faces.landmarks import RELEASE_CROP, Face, FaceFinder
from mer_cli.opencv import cv2
from mer_cli.records import Clip
from mer_cli.store.parts import write_part
from mer_cli.store.schema import ARRAYS, FAILED, OK, REPAIRED, CroppedClip


@dataclass(frozen=True)
class CutTask:
    """One clip to crop, how, and where its part goes."""

    clip: Clip
    part_path: Path
    predictor: Path
    align: Align
    is_cropped: bool


@dataclass(frozen=True)
class CutResult:
    """How a clip ended; `reason` says why there is no part, and is empty where there is one."""

    clip_id: str
    status: str
    reason: str = ""


def start_worker() -> None:
    """Set up a worker process: one thread, gone when its parent is."""
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def cut_to_part(task: CutTask) -> CutResult:
    """Crop a clip and save it as a part; a clip that cannot be cropped leaves none."""
    finder = _finder(task.predictor, task.is_cropped)
    try:
        cropped = cut_clip(task.clip, finder, task.align)
    except FaceError as error:
        return CutResult(task.clip.clip_id, FAILED, str(error))
    write_part(task.part_path, cropped)
    return CutResult(cropped.clip_id, cropped.status)


def cut_clip(clip: Clip, finder: FaceFinder, align: Align) -> CroppedClip:
    """Crop the frames around a clip's onset and apex, all with the one transform of its onset frame.

    Raises
    ------
    FaceError
        If a frame cannot be read or no usable face is found.
    """
    read = cache(read_frame)  # the face finder and both windows share frames; each is decoded once
    windows = {"onset": window(clip, clip.onset), "apex": window(clip, clip.apex)}
    face = finder.find(clip, read)
    transform = _transform(clip, face, align, read(windows["onset"][HALF_WINDOW][1].path))
    crop = cache(lambda path: warp(read(path), transform))
    arrays: dict[str, object] = {"landmarks": face.landmarks, "transforms": transform}
    for name, entries in windows.items():
        arrays[f"{name}_window"] = np.stack([crop(frame.path) for _, frame in entries])
        arrays[f"{name}_window_frames"] = [number for number, _ in entries]
    notes = (*clip.repairs, *face.notes)
    return CroppedClip(
        columns={
            "id": clip.clip_id,
            "subject": clip.subject,
            "name": clip.name,
            "emotion": clip.emotion,
            "action_units": clip.action_units,
            "onset": clip.onset,
            "apex": clip.apex,
            "offset": clip.offset,
            "fps": clip.fps,
            "status": REPAIRED if notes else OK,
            "note": "; ".join(notes),
        },
        arrays={name: np.asarray(arrays[name], dtype) for name, (_, dtype) in ARRAYS.items()},
        detector=face.detector,
    )


def _transform(clip: Clip, face: Face, align: Align, onset: Image) -> Transform:
    if face.detector == RELEASE_CROP:  # landmarks of a face that was not found place nothing
        return picture_transform(*onset.shape[:2])
    try:
        return box_transform(face.landmarks) if align == "box" else eye_transform(face.landmarks)
    except FaceError as error:
        raise FaceError(f"{clip.clip_id}: {error}") from error


@cache
def _finder(predictor: Path, is_cropped: bool) -> FaceFinder:
    """Load the models once per process."""
    return FaceFinder(predictor, is_cropped=is_cropped)


def _end_with_parent() -> None:
    """Wait for the parent's end, however it comes: after a `kill -9` a pool's workers would wait for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
