"""Measure how the regions of a face move over a recording, once the head's own motion is taken away.

Each crop is compared by optical flow with a reference, a crop of at most a second before. The affine motion of the head
is fitted and subtracted, and the rest is averaged over each region. The chain of references gives a path for each
region: where it is at each time, so that the motion within a window of any length is a difference of two places.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mer_cli.faces.crop import BOX_SCALE, CROP_SIZE, Landmarks, warp
from mer_cli.faces.face_motion import SIDE, head_motion, hulls
from mer_cli.faces.pictures import Image
from mer_cli.spotting.follow import Stretch
from mer_cli.system.opencv import cv2

Floats = NDArray[np.float64]

# Regions of the face: hulls of landmarks, and by how many crop pixels each is widened. Right is the subject's right.
REGIONS: dict[str, tuple[Sequence[int], int]] = {
    "right outer brow": ((17, 18, 19), 8),
    "right inner brow": ((19, 20, 21), 8),
    "left inner brow": ((22, 23, 24), 8),
    "left outer brow": ((24, 25, 26), 8),
    "right eye": (range(36, 42), 5),
    "left eye": (range(42, 48), 5),
    "nose": ((28, 31, 33, 35), 6),
    "right cheek": ((36, 39, 31, 2), 0),
    "left cheek": ((45, 42, 35, 14), 0),
    "right mouth corner": ((48, 49, 59), 8),
    "left mouth corner": ((54, 53, 55), 8),
    "upper lip": ((50, 51, 52, 61, 62, 63), 5),
    "lower lip": ((56, 57, 58, 65, 66, 67), 5),
    "chin": ((6, 7, 8, 9, 10), 8),
}
EYES = [index for index, name in enumerate(REGIONS) if "eye" in name]
MOUTH = [index for index, name in enumerate(REGIONS) if "mouth" in name or "lip" in name or name == "chin"]
HEAD_POINTS = [1, 8, 15, 27]  # landmarks at which the head's motion is noted
REFERENCE_SECONDS = 1.0  # after which the reference is replaced
REFERENCE_MOTION = 4.0  # pixels of the flow that the head has moved, after which it is replaced, too
TO_CROP = CROP_SIZE / SIDE  # pixels of the crop in a pixel of the flow
LARGEST_FLOW = 40.0  # pixels; larger is an error of the flow


@dataclass(frozen=True)
class Measured:
    """The motion of a face over a recording, at T of its frames.

    numbers : (T,) int32, of the frames · seconds : (T,) of each
    paths : (T, regions, 2), where each region is once the head's motion is taken away, pixels of the crop
    head : (T, points, 2), where the head is, pixels of the crop
    eyes : (T, 2), contrast of the right and the left eye, whose dark and light parts a lid hides: deviation / mean
    faces : (T,) int32, number of the face, 0 where there was none; places of different faces can't be compared
    n_faces : (T,) int8, faces at the last search
    size : median longer side of the face, brows to chin or ear to ear, pixels of the frame; 0 if there was none
    """

    numbers: NDArray[np.int32]
    seconds: Floats
    paths: Floats
    head: Floats
    eyes: Floats
    faces: NDArray[np.int32]
    n_faces: NDArray[np.int8]
    size: float


class MotionMeter:
    """A meter of the motion of a followed face; frames are added one by one, in their order."""

    def __init__(self) -> None:
        self._engine = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._stretch: Stretch | None = None
        self._reference: Image | None = None
        self._since = 0.0
        self._weights: NDArray[np.float32] = np.zeros((0, 0), np.float32)
        self._face: NDArray[np.bool_] = np.zeros(0, bool)
        self._points: NDArray[np.intp] = np.zeros((0, 2), np.intp)
        self._start = self._place = np.zeros((len(REGIONS) + len(HEAD_POINTS), 2))
        self._numbers, self._faces, self._n_faces = array("i"), array("i"), array("b")
        self._seconds, self._places, self._sizes, self._eyes = array("d"), array("f"), array("f"), array("f")
        self._contrast = [0.0, 0.0]

    def add(self, number: int, seconds: float, image: Image, stretch: Stretch | None, n_faces: int) -> None:
        """Add a frame, (H, W, 3) uint8 RGB, and the stretch that it belongs to."""
        if stretch is not None:
            grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
            self._follow(grey, seconds, stretch)
            self._sizes.append(CROP_SIZE / float(np.hypot(*stretch.transform[0, :2])) / BOX_SCALE)
        self._stretch = stretch
        self._numbers.append(number)
        self._seconds.append(seconds)
        self._faces.append(stretch.face if stretch else 0)
        self._n_faces.append(min(n_faces, 127))
        self._places.extend(self._place.ravel().tolist())
        self._eyes.extend(self._contrast)

    def measured(self) -> Measured:
        """Return what was measured at the frames so far."""
        places = np.frombuffer(self._places, np.float32).reshape(-1, len(REGIONS) + len(HEAD_POINTS), 2)
        return Measured(
            numbers=np.array(self._numbers, np.int32),
            seconds=np.array(self._seconds),
            paths=places[:, : len(REGIONS)].astype(np.float64),
            head=places[:, len(REGIONS) :].astype(np.float64),
            eyes=np.frombuffer(self._eyes, np.float32).reshape(-1, 2).astype(np.float64),
            faces=np.array(self._faces, np.int32),
            n_faces=np.array(self._n_faces, np.int8),
            size=float(np.median(self._sizes)) if self._sizes else 0.0,
        )

    def _follow(self, grey: Image, seconds: float, stretch: Stretch) -> None:
        """Note where the regions and the head are in a frame; replace the reference if it is old or far."""
        if self._stretch is None or stretch.face != self._stretch.face:
            self._begin(grey, seconds, stretch)
            return
        assert self._reference is not None
        crop = _reduced(grey, self._stretch)
        moved = self._compare(self._reference, crop)
        self._look_at_eyes(crop)
        self._place = self._start + moved
        is_far = np.abs(moved[len(REGIONS) :]).max() > REFERENCE_MOTION * TO_CROP
        if stretch is not self._stretch or is_far or seconds - self._since > REFERENCE_SECONDS:
            self._begin(grey, seconds, stretch)

    def _begin(self, grey: Image, seconds: float, stretch: Stretch) -> None:
        """Make a frame the reference; the regions are now where they are."""
        self._reference, self._since, self._start = _reduced(grey, stretch), seconds, self._place
        if stretch is not self._stretch:
            self._weights, self._face = _region_weights(stretch.landmarks), _face_mask(stretch.landmarks)
            at = np.rint(stretch.landmarks[HEAD_POINTS] / TO_CROP).astype(np.intp)
            self._points = np.clip(at, 0, SIDE - 1)
            self._look_at_eyes(self._reference)

    def _look_at_eyes(self, crop: Image) -> None:
        self._contrast = [_contrast(crop.ravel()[self._weights[eye] > 0]) for eye in EYES]

    def _compare(self, reference: Image, now: Image) -> Floats:
        """Return how far each region, without the head's motion, and the head at its points have moved."""
        flow = np.asarray(self._engine.calc(reference, now, np.empty(0, np.float32)), dtype=np.float32)
        head = head_motion(np.clip(flow, -LARGEST_FLOW, LARGEST_FLOW), self._face)
        left = (flow - head).reshape(-1, 2)
        return np.concatenate([self._weights @ left, head[self._points[:, 1], self._points[:, 0]]]) * TO_CROP


def _reduced(grey: Image, stretch: Stretch) -> Image:
    """Return the crop of a grey frame at the size of the flow, (112, 112) uint8."""
    crop = warp(grey, stretch.transform)
    return np.asarray(cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def _contrast(pixels: NDArray[np.uint8]) -> float:
    return float(pixels.std() / max(float(pixels.mean()), 1.0))


def _region_weights(landmarks: Landmarks) -> NDArray[np.float32]:
    """Return a row of weights over the flow's pixels for each region, whose sum is 1; the eyes are theirs alone."""
    masks = [np.asarray(hulls(landmarks, [part]), np.float32) for part in REGIONS.values()]
    eyes = np.maximum.reduce([masks[index] for index in EYES])
    rows = []
    for index, mask in enumerate(masks):
        own = mask if index in EYES else np.where(eyes > 0, 0, mask)
        row = cv2.resize(own.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA).ravel()
        rows.append(row / max(float(row.sum()), 1.0))
    return np.asarray(rows, np.float32)


def _face_mask(landmarks: Landmarks) -> NDArray[np.bool_]:
    """Return a mask over the flow's pixels, (112, 112), that is true inside the face, where the head is rigid."""
    mask = hulls(landmarks, [(range(27), 10)])
    return np.asarray(cv2.resize(mask, (SIDE, SIDE), interpolation=cv2.INTER_AREA) > 0, bool)
