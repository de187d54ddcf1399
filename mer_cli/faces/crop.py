"""Compute, from the landmarks of a face, the transform that cuts the face out of a frame; and cut the crop.

A transform maps (x, y) of the source frame to (x, y) of the crop and keeps the aspect. There are two ways to place a
face: an upright square around the landmarks, or a similarity that also turns the face so that the eye centres fall on
two fixed points. An image that is cropped already can be taken whole instead (`squeeze`). One transform serves every
frame of a clip, because landmarks jump by about 0.7 px from noise alone, as much as a micro-expression moves.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mer_cli.errors import FaceError
from mer_cli.faces.pictures import Image
from mer_cli.system.opencv import cv2

Align = Literal["box", "eyes", "none"]
Landmarks = NDArray[np.float32]
Transform = NDArray[np.float32]

CROP_SIZE = 224  # pixels, both sides
N_LANDMARKS = 68

# The 68 points reach from brow to chin. The box is wider and higher, to include the forehead, where action units 1, 2
# and 4 fold the skin: 18 % of it lies above the brows and 6 % below the chin.
BOX_SCALE = 1.3  # side of the box / longer side of the landmarks' extent
BOX_SHIFT_UP = 0.06  # of the side of the box

# Eye centres in the crop, (x, y) as parts of its side: the chin comes to about .95, as in the box.
RIGHT_EYE_AT = (0.33, 0.35)  # the subject's right eye, left in the image
LEFT_EYE_AT = (0.67, 0.35)
RIGHT_EYE = slice(36, 42)
LEFT_EYE = slice(42, 48)

LARGE = 960  # pixels, longer side; smaller images are treated as in the first version, to the byte
BLUR_REACH = 4  # OpenCV's Gaussian of 8-bit images ends within this many sigma

RELEASE_CROP = "release-crop"  # the "detector" of an image that is taken whole because no face was found in it
FOUND_NOTE = "face found by {}"  # in a clip's note if the first means failed; the store's content hash covers it
NO_FACE_NOTE = FOUND_NOTE.format(RELEASE_CROP)

MIN_FACE = 16  # pixels; a smaller face would be noise enlarged fourteen times
MIN_EYE_DISTANCE = 2  # pixels

CROP_SETTINGS: dict[str, object] = {
    "size": CROP_SIZE,
    "box_scale": BOX_SCALE,
    "box_shift_up": BOX_SHIFT_UP,
    "right_eye_at": RIGHT_EYE_AT,
    "left_eye_at": LEFT_EYE_AT,
    "interpolation": "linear after a Gaussian where the picture shrinks",
    "border": "replicate",
}
SQUEEZE_SETTINGS: dict[str, object] = {"size": CROP_SIZE, "interpolation": "Pillow's bilinear filter, aspect not kept"}


def box_transform(landmarks: Landmarks) -> Transform:
    """Return the transform that maps an upright square around the landmarks, with margins, to the crop.

    Parameters
    ----------
    landmarks : (68, 2) float32, (x, y) in pixels of the source frame

    Returns
    -------
    (2, 3) float32, source pixel -> crop pixel

    Raises
    ------
    FaceError
        If the landmarks span less than 16 pixels or are not finite.

    Source
    ------
    this project; MMNet says "Dlib landmarks" and gives no margins
    """
    low, high = landmarks.min(axis=0).astype(np.float64), landmarks.max(axis=0).astype(np.float64)
    extent = float((high - low).max())
    if not extent >= MIN_FACE:  # NaN fails, too
        raise FaceError(
            f"the landmarks span {extent:.1f} pixels. Expected a face of at least {MIN_FACE}. "
            "Look at the clip's onset frame; use larger images."
        )
    side = BOX_SCALE * extent
    centre = (low + high) / 2 - (0.0, BOX_SHIFT_UP * side)
    return square_transform(centre - side / 2, side)


def eye_transform(landmarks: Landmarks) -> Transform:
    """Return the similarity that puts the two eye centres on their fixed points in the crop.

    Parameters
    ----------
    landmarks : (68, 2) float32, (x, y) in pixels of the source frame

    Returns
    -------
    (2, 3) float32, source pixel -> crop pixel

    Raises
    ------
    FaceError
        If the eyes are closer than 2 pixels, which can't fix a rotation, or not finite.

    Source
    ------
    this project
    """
    right = landmarks[RIGHT_EYE].mean(axis=0, dtype=np.float64)
    left = landmarks[LEFT_EYE].mean(axis=0, dtype=np.float64)
    distance = float(np.hypot(*(left - right)))
    if not distance >= MIN_EYE_DISTANCE:
        raise FaceError(
            f"the eyes are {distance:.1f} pixels apart. Expected at least {MIN_EYE_DISTANCE}. "
            "Look at the clip's onset frame, or take the upright box crop."
        )
    # As complex numbers a similarity is z -> a z + b, fixed by two points.
    source = complex(*right), complex(*left)
    target = complex(*RIGHT_EYE_AT) * CROP_SIZE, complex(*LEFT_EYE_AT) * CROP_SIZE
    a = (target[1] - target[0]) / (source[1] - source[0])
    b = target[0] - a * source[0]
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]], dtype=np.float32)


def picture_transform(height: int, width: int) -> Transform:
    """Return the transform (2, 3) float32 that maps the smallest square around a whole image to the crop, centred."""
    side = float(max(height, width))
    corner = np.array([width - side, height - side]) / 2
    return square_transform(corner, side)


def squeeze_transform(height: int, width: int) -> Transform:
    """Return the transform (2, 3) float32 of `squeeze`, which maps a whole image to the crop, its aspect not kept."""
    across, down = CROP_SIZE / width, CROP_SIZE / height
    return np.array([[across, 0, across / 2 - 0.5], [0, down, down / 2 - 0.5]], dtype=np.float32)


def square_transform(corner: NDArray[np.float64], side: float) -> Transform:
    """Return the transform (2, 3) float32 that maps an upright square of the source frame to the crop.

    Parameters
    ----------
    corner : (2,), (x, y) of the square's upper left corner
    side : length of its side, in pixels of the source frame
    """
    scale = CROP_SIZE / side
    return np.array([[scale, 0, -scale * corner[0]], [0, scale, -scale * corner[1]]], dtype=np.float32)


def crop_landmarks(landmarks: Landmarks, transform: Transform) -> Landmarks:
    """Convert landmarks (68, 2) float32 from pixels of the source frame to pixels of the crop."""
    return np.asarray(landmarks @ transform[:, :2].T + transform[:, 2], dtype=np.float32)


def is_large(image: Image) -> bool:
    """Return whether an image is so large that it is reduced for detection and blurred only where it is cropped."""
    return bool(max(image.shape[:2]) > LARGE)


def cut(image: Image, transform: Transform, align: Align) -> Image:
    """Return the crop of a source frame; with "none" the whole frame (`squeeze`), else what the transform cuts out."""
    return squeeze(image) if align == "none" else warp(image, transform)


def squeeze(image: Image) -> Image:
    """Resize a whole image to the crop as Pillow's bilinear filter does, to the byte; the aspect is not kept.

    Parameters
    ----------
    image : (H, W, 3) uint8, RGB

    Returns
    -------
    (224, 224, 3) uint8, RGB

    Source
    ------
    MMNet's released script, `transforms.Resize` on Pillow images; the filter as in Pillow's Resample.c, rows first.
    Pillow 13 begins with the columns of a tall image, which changes some values by one.
    """
    across = _resize_rows(image.transpose(0, 2, 1))  # (H, 3, 224)
    down = _resize_rows(across.transpose(2, 1, 0))  # (224, 3, 224), x first
    return np.ascontiguousarray(down.transpose(2, 0, 1))


FIXED_POINT = 1 << 22  # Pillow's weights are whole multiples of a part in so many


def _resize_rows(values: Image) -> Image:
    """Resize the last axis of 8-bit values to 224; float64 holds the sums without error."""
    rows = values.reshape(-1, values.shape[-1]).astype(np.float64)
    sums = np.floor((rows @ _triangle_weights(rows.shape[1]).T + FIXED_POINT / 2) / FIXED_POINT)
    return sums.clip(0, 255).astype(np.uint8).reshape(*values.shape[:-1], CROP_SIZE)


@lru_cache(maxsize=8)
def _triangle_weights(size: int) -> NDArray[np.float64]:
    """Return the weights (224, size) with which Pillow's bilinear filter resizes a row of `size` pixels."""
    step = size / CROP_SIZE
    reach = max(step, 1.0)
    centres = (np.arange(CROP_SIZE)[:, None] + 0.5) * step
    pixels = np.arange(size)
    weights = np.clip(1 - np.abs((pixels - centres + 0.5) / reach), 0, None)
    inside = (pixels >= (centres - reach + 0.5).astype(int)) & (pixels < (centres + reach + 0.5).astype(int))
    weights = np.where(inside, weights, 0)
    return np.asarray(np.floor(weights / weights.sum(axis=1, keepdims=True) * FIXED_POINT + 0.5))


def warp(image: Image, transform: Transform) -> Image:
    """Cut the crop out of a source frame.

    Interpolation is linear. If the image shrinks, a Gaussian of sigma (shrink - 1) / 2 pixels is applied first, because
    fine texture would flicker between onset and apex. Outside the frame its edge is repeated, because a black border
    would be a stronger edge than any in a face.

    Parameters
    ----------
    image : (H, W, 3) uint8, RGB
    transform : (2, 3) float32, source pixel -> crop pixel

    Returns
    -------
    (224, 224, 3) uint8, RGB
    """
    shrink = 1 / float(np.hypot(transform[0, 0], transform[1, 0]))
    matrix = transform.astype(np.float64)
    if shrink > 1:
        sigma = (shrink - 1) / 2
        if is_large(image):
            # Blurring all of it would cost as much as decoding it.
            corner, image = _needed_part(image, matrix, margin=math.ceil(BLUR_REACH * sigma) + 2)
            matrix[:, 2] += matrix[:, :2] @ corner
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), sigmaX=sigma), dtype=np.uint8)
    crop = cv2.warpAffine(
        image, matrix, (CROP_SIZE, CROP_SIZE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(crop, dtype=np.uint8)


def _needed_part(image: Image, matrix: NDArray[np.float64], margin: int) -> tuple[tuple[int, int], Image]:
    """Return the upper left corner (x, y) and the pixels of the part of an image that a crop needs, with a margin.

    The part includes the edge that a crop outside the image repeats.
    """
    end = CROP_SIZE - 1
    corners = np.array([(0, 0), (end, 0), (0, end), (end, end)]) - matrix[:, 2]
    at = np.linalg.solve(matrix[:, :2], corners.T)
    limits = np.array(image.shape[1::-1])
    inside = np.clip([np.floor(at.min(axis=1)), np.ceil(at.max(axis=1))], 0, limits - 1)
    left, top = np.maximum(inside[0] - margin, 0).astype(int).tolist()
    right, bottom = np.minimum(inside[1] + margin + 1, limits).astype(int).tolist()
    return (left, top), image[top:bottom, left:right]
