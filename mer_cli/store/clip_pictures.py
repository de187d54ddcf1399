"""What a clip looks like in the audit: onset with its landmarks, onset, apex, and what moved between them. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mer_cli.faces.crop import Landmarks, crop_landmarks
from mer_cli.faces.frames import HALF_WINDOW, Image
from mer_cli.opencv import cv2
from mer_cli.store.schema import CroppedClip

DIFFERENCE_GAIN = 5
DOT = (0, 255, 120)  # seen on any skin; the rim keeps it apart from a green background
RIM = (0, 0, 0)
DOT_RADIUS = 0.0065  # of the picture's side
RIM_WIDTH = 0.6  # pixels
SUBPIXEL_BITS = 4


@dataclass(frozen=True)
class ClipPictures:
    """Three pictures of one size, (side, side, 3) uint8 RGB, and one more with dots on the onset."""

    landmarks: Image
    onset: Image
    apex: Image
    difference: Image


def draw_clip(clip: CroppedClip, side: int) -> ClipPictures:
    """Draw a clip's pictures, `side` pixels wide and high.

    The landmarks are stored in pixels of the source frame and go through the clip's transform, so that dots beside the
    face mean that either is wrong.
    """
    onset, apex = (_scaled(_labelled(clip, name), side) for name in ("onset_window", "apex_window"))
    size = clip.arrays["onset_window"].shape[1]
    landmarks, transform = (np.asarray(clip.arrays[name], np.float32) for name in ("landmarks", "transforms"))
    points = crop_landmarks(landmarks, transform)
    difference = difference_image(_labelled(clip, "onset_window"), _labelled(clip, "apex_window"))
    return ClipPictures(
        landmarks=draw_dots(onset, (points + 0.5) * side / size - 0.5),
        onset=onset,
        apex=apex,
        difference=_scaled(difference, side),
    )


def difference_image(onset: Image, apex: Image) -> Image:
    """Show what moved: grey where nothing did, 128 + 5 (apex - onset) elsewhere, clipped to 0-255."""
    difference = DIFFERENCE_GAIN * (apex.astype(np.int16) - onset) + 128
    return difference.clip(0, 255).astype(np.uint8)


def draw_dots(image: Image, points: Landmarks) -> Image:
    """Give a copy of a picture, (H, W, 3) uint8 RGB, with a dot at each of (n, 2) points that lies near it."""
    drawn = np.ascontiguousarray(image.copy())
    side = max(image.shape)
    near = points[(np.abs(points) < 2 * side).all(axis=1)]  # OpenCV's fixed-point numbers end somewhere
    for radius, colour in ((DOT_RADIUS * side + RIM_WIDTH, RIM), (DOT_RADIUS * side, DOT)):
        for x, y in _fixed_point(near):
            cv2.circle(drawn, (x, y), round(radius * 2**SUBPIXEL_BITS), colour, -1, cv2.LINE_AA, SUBPIXEL_BITS)
    return drawn


def encode(image: Image, extension: str, *parameters: int) -> bytes:
    """Give a picture, (H, W, 3) uint8 RGB, as a file's bytes; `parameters` are OpenCV's."""
    # Not by a reversed view, which costs as much again as the encoding.
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(extension, bgr, parameters)[1].tobytes())


def _fixed_point(points: Landmarks) -> list[list[int]]:
    rounded: list[list[int]] = np.rint(points * 2**SUBPIXEL_BITS).astype(int).tolist()
    return rounded


def _labelled(clip: CroppedClip, name: str) -> Image:
    picture: Image = clip.arrays[name][HALF_WINDOW]
    return picture


def _scaled(image: Image, side: int) -> Image:
    if image.shape[0] == side:
        return image
    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8)
