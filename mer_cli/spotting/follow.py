"""Follow the largest face of a recording, and place the crop anew only when the head has moved away.

Landmarks jump by 0.7 pixels from noise alone, so a crop that moved with them would add motion to every frame. One
transform therefore serves a stretch of frames. Finding faces takes longer than all the rest, so it is done every two
seconds, and at once when the picture changes as it does at a cut; between, landmarks are found where the face was.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import dlib
import numpy as np

from mer_cli.errors import FaceError
from mer_cli.faces.crop import Landmarks, Transform, box_transform, crop_landmarks, is_large
from mer_cli.faces.detect import FaceDetector, choose
from mer_cli.faces.landmarks import load_predictor
from mer_cli.faces.pictures import Image
from mer_cli.system.opencv import cv2

SEARCH_SECONDS = 2.0  # between two searches for faces
LOST_SECONDS = 0.5  # between two searches while there is no face
LANDMARK_SECONDS = 0.2  # between two looks at where the face is
MOVED = 0.06  # of the face's size, after which a new stretch begins
SCALED = 0.08  # relative change of its size, too
SAME = 0.3  # overlap of two boxes of one face, at least
THUMB = 24  # pixels, side of the small image that shows a cut
CUT = 20.0  # grey levels by which it changes at a cut, on average


@dataclass(frozen=True)
class Stretch:
    """Frames with one transform, in which the face nearly stays where it is.

    face : number of the face, which is another one if it was lost between
    transform : (2, 3) float32, source pixel -> crop pixel
    landmarks : (68, 2) float32, pixels of the crop
    """

    face: int
    transform: Transform = field(repr=False)
    landmarks: Landmarks = field(repr=False)


@dataclass(frozen=True)
class _Placed:
    """Where a face is: its landmarks, and their centre and size, in pixels of the frame."""

    landmarks: Landmarks

    @property
    def centre(self) -> Landmarks:
        return np.asarray(self.landmarks.mean(axis=0), np.float32)

    @property
    def size(self) -> float:
        return float(np.ptp(self.landmarks, axis=0).max())


class FaceFollower:
    """A follower of the largest face in the frames of a recording.

    n_faces : number of faces at the last search
    """

    def __init__(self, predictor: Path) -> None:
        self._predictor = load_predictor(predictor)
        self._detector = FaceDetector(None)
        self._searched = self._looked = -np.inf
        self._thumb: Image | None = None
        self._box: dlib.rectangle | None = None  # where the last search found the face
        self._at_search: _Placed | None = None
        self._at_start: _Placed | None = None  # of the stretch
        self._now: _Placed | None = None
        self._stretch: Stretch | None = None
        self._n_seen = 0
        self.n_faces = 0

    def look(self, image: Image, seconds: float) -> Stretch | None:
        """Return the stretch that a frame belongs to, the one of the frame before or a new one; None without a face.

        Parameters
        ----------
        image : (H, W, 3) uint8, RGB
        seconds : since the first frame; frames come in their order
        """
        wait = SEARCH_SECONDS if self._stretch else LOST_SECONDS
        if self._is_cut(image) or seconds - self._searched >= wait:
            self._search(image, seconds)
        elif self._stretch and seconds - self._looked >= LANDMARK_SECONDS:
            self._place(image, self._moved_box(), seconds)
        return self._stretch

    def _is_cut(self, image: Image) -> bool:
        thumb = np.asarray(cv2.resize(image, (THUMB, THUMB), interpolation=cv2.INTER_AREA), np.uint8)
        before, self._thumb = self._thumb, thumb
        return before is not None and float(cv2.absdiff(before, thumb).mean()) > CUT

    def _search(self, image: Image, seconds: float) -> None:
        """Find the faces of a frame, and go on with the one that is followed if it is among them."""
        self._searched = seconds
        at_own_size = 2 if is_large(image) else 1  # the searches before the one that enlarges the image
        found = next((faces for _, faces in islice(self._detector.try_hog(image), at_own_size) if faces), ())
        self.n_faces = len(found)
        near = [face for face in found if self._stretch and _overlap(face.box, self._moved_box()) > SAME]
        if not near:
            self._stretch = None
        if found:
            self._box = (near or [choose(found)[0]])[0].box
            self._place(image, self._box, seconds)
            self._at_search = self._now

    def _moved_box(self) -> dlib.rectangle:
        """Return the box of the last search, moved as the landmarks have moved since."""
        assert self._box
        assert self._now
        assert self._at_search
        x, y = np.rint(self._now.centre - self._at_search.centre).astype(int).tolist()
        return dlib.translate_rect(self._box, dlib.point(x, y))

    def _place(self, image: Image, box: dlib.rectangle, seconds: float) -> None:
        """Find the landmarks in a box; begin a new stretch if there is none, or if the face has moved away."""
        self._looked = seconds
        points = self._predictor(image, box).parts()
        self._now = _Placed(np.array([(point.x, point.y) for point in points], dtype=np.float32))
        if self._stretch is None:
            self._n_seen += 1
        elif self._at_start and not _has_moved(self._at_start, self._now):
            return
        self._at_start = self._now
        try:
            transform = box_transform(self._now.landmarks)
        except FaceError:  # smaller than the crop allows
            self._stretch = None
            return
        self._stretch = Stretch(self._n_seen, transform, crop_landmarks(self._now.landmarks, transform))


def _has_moved(before: _Placed, now: _Placed) -> bool:
    shift = float(np.hypot(*(now.centre - before.centre)))
    return shift > MOVED * before.size or abs(now.size / before.size - 1) > SCALED


def _overlap(one: dlib.rectangle, other: dlib.rectangle) -> float:
    """Return the area that two boxes share as a part of the area that they cover together."""
    shared = one.intersect(other).area()
    return float(shared / (one.area() + other.area() - shared))
