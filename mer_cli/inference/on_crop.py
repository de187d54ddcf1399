"""Put what is known of each pixel of a network's motion planes back onto the crop that the planes were made from.

The sum is kept: a plane's pixel hands its value to the crop pixels that it was averaged from, each an equal part. So
planes of different scale can be added: a block of the apex, a patch at a landmark, a plane of the whole face.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mer_cli.faces.crop import CROP_SIZE, Landmarks
from mer_cli.motion.images import PATCHED, patch_corners
from mer_cli.motion.inputs import GRID, PATCH_SIZE, Channel, MotionInput, n_planes_of
from mer_cli.system.opencv import cv2

Amounts = NDArray[np.float32]


def put_on_crop(amounts: Amounts, sees: MotionInput, landmarks: Landmarks | None = None) -> Amounts:
    """Add up the planes of a clip where they lie on the crop.

    Parameters
    ----------
    amounts : (P, S, S) float32, not negative, in the order of `sees.channels`
    landmarks : (68, 2) float32, (x, y) in pixels of the crop; needed for "patches" only

    Returns
    -------
    (224, 224) float32, with the same sum
    """
    crop = np.zeros((CROP_SIZE, CROP_SIZE), np.float32)
    for channel, planes in _by_channel(amounts, sees):
        if channel == "apex-grid":
            blocks = [_enlarge(plane, CROP_SIZE // GRID) for plane in planes]
            crop += np.block([blocks[start : start + GRID] for start in range(0, len(blocks), GRID)])
        elif channel == "patches":
            assert landmarks is not None, channel
            crop += _enlarge(_put_patches(planes, landmarks), CROP_SIZE)
        else:
            crop += _enlarge(planes.sum(axis=0), CROP_SIZE)
    return crop


def show_motion(images: Amounts, sees: MotionInput, landmarks: Landmarks | None = None) -> dict[str, Amounts]:
    """Return the planes of motion in the input of a clip, each enlarged to the crop without smoothing.

    Parameters
    ----------
    images : (P, S, S) float32, not normalised, in the order of `sees.channels`
    landmarks : as for `put_on_crop`

    Returns
    -------
    (224, 224) float32 for "u", "v", "strain" and "magnitude" in their own unit, for "patches" in none; (224, 224, 3),
    0..255 RGB, for "dynamic". The apex itself is not motion
    """
    shown: dict[str, Amounts] = {}
    for channel, planes in _by_channel(images, sees):
        if channel == "patches":
            assert landmarks is not None, channel
            shown[channel] = _enlarge(_put_patches(planes, landmarks), CROP_SIZE)
        elif channel not in ("apex", "apex-grid"):
            pixels = planes.transpose(1, 2, 0)  # (S, S, planes)
            size = (CROP_SIZE, CROP_SIZE)
            shown[channel] = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_NEAREST), dtype=np.float32)
    return shown


def _by_channel(images: Amounts, sees: MotionInput) -> Iterator[tuple[Channel, Amounts]]:
    """Yield each channel of an input with its planes."""
    start = 0
    for channel in sees.channels:
        yield channel, images[start : start + n_planes_of(channel)]
        start += n_planes_of(channel)


def _put_patches(planes: Amounts, landmarks: Landmarks) -> Amounts:
    """Add up the patches where they were cut from the plane of the magnitude, (128, 128)."""
    plane = np.zeros((PATCHED, PATCHED), np.float32)
    for patch, (x, y) in zip(planes, patch_corners(landmarks, PATCHED, PATCHED / CROP_SIZE), strict=True):
        plane[y : y + PATCH_SIZE, x : x + PATCH_SIZE] += _enlarge(patch, PATCH_SIZE)
    return plane


def _enlarge(plane: Amounts, size: int) -> Amounts:
    """Resize a plane to (size, size), linearly between the centres of its pixels, and keep its sum."""
    how = cv2.INTER_AREA if len(plane) > size else cv2.INTER_LINEAR
    resized = np.asarray(cv2.resize(plane, (size, size), interpolation=how), dtype=np.float32)
    total = resized.sum(dtype=np.float64)
    return resized * np.float32(plane.sum(dtype=np.float64) / total) if total > 0 else resized
