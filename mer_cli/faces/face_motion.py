"""Separate the motion of a face from the motion of the head, and mask the regions of a face.

A flow is (H, W, 2) float32: (x, y) in pixels by which what is at a pixel of the first image has moved in the second.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mer_cli.faces.crop import CROP_SIZE, Landmarks
from mer_cli.faces.pictures import Image
from mer_cli.system.opencv import cv2

SIDE = CROP_SIZE // 2  # pixels, side of the images that flow is computed on
FIT_STEP = 7  # pixels; every seventh is enough to fit six numbers
FIT_ROUNDS = 3
FIT_SHARE = 0.7  # of the pixels, those that the fit describes best, are used in the next round

Flow = NDArray[np.float32]
Floats = NDArray[np.float64]


def small_flow(first: Image, second: Image) -> Flow:
    """Return the flow between two crops, (224, 224, 3) uint8 RGB, as (112, 112, 2) float32: x, y in its own pixels."""
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(dis.calc(reduced(first), reduced(second), np.empty(0, np.float32)), dtype=np.float32)


def reduced(crop: Image) -> NDArray[np.uint8]:
    """Return a crop, (224, 224, 3) uint8 RGB, in grey and at the size that flow is computed at, (112, 112) uint8."""
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def head_motion(flow: Flow, of: NDArray[np.bool_] | None = None) -> Floats:
    """Return the affine motion of the head in a flow, (H, W, 2) in pixels: shift, turn, scale and shear.

    It is fitted by least squares to the pixels `of`, (H, W) (None: all), and again to those that it describes best, so
    that it doesn't follow the face's own motion, which is large in few places.
    """
    place, moved = _places(*flow.shape[:2]), flow.reshape(-1, 2)
    chosen = slice(None) if of is None else of.ravel()
    some, moved = place[chosen][::FIT_STEP], moved[chosen][::FIT_STEP]
    fitting = np.ones(len(some), bool)
    for _ in range(FIT_ROUNDS):
        motion = np.linalg.lstsq(some[fitting], moved[fitting], rcond=None)[0]
        residual = np.hypot(*(moved - some @ motion).T)
        fitting = residual <= np.quantile(residual, FIT_SHARE)
    return np.asarray((place @ motion).reshape(flow.shape))


def without_head_motion(flow: Flow) -> Flow:
    """Subtract the affine motion of the head from a flow, (H, W, 2) float32 (`head_motion`)."""
    return np.asarray(flow - head_motion(flow), dtype=np.float32)


@lru_cache(maxsize=4)
def _places(height: int, width: int) -> Floats:
    """Return 1, x and y of each pixel, (H * W, 3); x and y as parts of the width and the height, 0 in the middle."""
    y, x = np.mgrid[:height, :width].reshape(2, -1)
    return np.stack([np.ones(len(x)), x / width - 0.5, y / height - 0.5], axis=1)


def hulls(landmarks: Landmarks, parts: Iterable[tuple[Sequence[int], int]]) -> NDArray[np.uint8]:
    """Return an image, as large as the crop, that is 255 inside some parts of the face and 0 elsewhere.

    Parameters
    ----------
    landmarks : (68, 2) float32, (x, y) in pixels of the crop
    parts : for each part the indices of the landmarks whose convex hull it is, and by how many pixels it is widened
    """
    united = np.zeros((CROP_SIZE, CROP_SIZE), np.uint8)
    for points, margin in parts:
        hull = np.zeros_like(united)
        cv2.fillConvexPoly(hull, cv2.convexHull(np.rint(landmarks[list(points)]).astype(np.int32)), 255)
        united |= np.asarray(cv2.dilate(hull, np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)), dtype=np.uint8)
    return united
