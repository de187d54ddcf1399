"""LBP-TOP: histograms of local binary patterns on three orthogonal planes of a clip.

Each pixel of the clip is compared with its neighbours on an ellipse in the plane of a frame (XY) and in the two planes
along time (XT, YT), and each block of the face counts the patterns.

The defaults are the best settings that Yan et al. 2014 found on CASME II: R_X = R_Y = 1, R_T = 4, 5x5 blocks.
Differences, and what the source leaves open:
- There are 8 neighbours in each plane. Others say that the paper has 4, which could not be verified. Uniform codes are
  counted here; Zhao's public LBP-TOP code, in the copy that we read, has them only for 8, and MEB uses 8 too.
- The whole crop is used, with hair and background, as by every method here.
- The positions on the ellipse are rounded to 2^-20 pixel, so that every sum of an interpolation is exact in float64:
  a neighbour that equals its centre does so on every machine.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Clip = NDArray[np.uint8] | NDArray[np.float64]

Plane = Literal["XY", "XT", "YT"]
PLANES: tuple[Plane, ...] = ("XY", "XT", "YT")

CASME2_RADII = (1, 1, 4)  # along x, y and t
CASME2_BLOCKS = 5
NEIGHBOURS = 8

_AXES = {"T": 0, "Y": 1, "X": 2}  # of a clip
_STEP = 2.0**20  # positions in a pixel: 8 bits of grey and twice 20 of weight stay below the 53 of a float64


def lbp_top(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the LBP-TOP vector of a clip, with the settings for CASME II.

    Parameters
    ----------
    frames : (T, H, W) uint8, grey, 0-255, onset to offset; T at least 9

    Returns
    -------
    (4425,) float32: by plane (XY, XT, YT), then by block, row by row, then by label. The 59 numbers of a block and
    plane sum to 1

    Raises
    ------
    ValueError
        If a clip is too short for R_T on both sides of a frame.

    Source
    ------
    Zhao and Pietikäinen, "Dynamic texture recognition using local binary patterns with an application to facial
    expressions", 2007; the radii and blocks of Yan et al., "CASME II", PLoS ONE 2014.
    """
    return lbp_top_histograms(frames).ravel()


def lbp_top_histograms(
    frames: NDArray[np.uint8],
    *,
    radii: tuple[int, int, int] = CASME2_RADII,
    neighbours: int = NEIGHBOURS,
    blocks: int = CASME2_BLOCKS,
) -> NDArray[np.float32]:
    """Return how often each pattern label occurs in each block and plane, as shares that sum to 1.

    Blocks split the pixels inside the border (`plane_codes`) and span the whole time.

    Parameters
    ----------
    frames : (T, H, W) uint8, grey, 0-255
    radii : R_X, R_Y, R_T, in pixels and frames
    neighbours : number of neighbours of a pixel in each plane, at most 8
    blocks : number of blocks along each side of a frame

    Returns
    -------
    (3, blocks, blocks, labels) float32, each row of labels with sum 1; plane XY, XT, YT

    Raises
    ------
    ValueError
        If a clip is not longer, higher and wider than the border.
    """
    reach = radii[2]
    volume = frames.astype(np.float64)
    _, height, width = _inner_shape(volume, radii)
    n_codes = 2**neighbours
    rows, columns = (np.arange(size) * blocks // size for size in (height, width))
    first_bin = (rows[:, None] * blocks + columns) * n_codes  # of the block of each pixel
    counts = np.zeros((len(PLANES), blocks * blocks * n_codes), dtype=np.int64)
    for centre in range(reach, len(volume) - reach):  # frame by frame, so that what is read stays in the cache
        near = volume[centre - reach : centre + reach + 1]
        for plane, plane_counts in zip(PLANES, counts, strict=True):
            codes = plane_codes(near, plane, radii=radii, neighbours=neighbours)[0]
            plane_counts += np.bincount((first_bin + codes).ravel(), minlength=plane_counts.size)
    labels = uniform_labels(neighbours)
    of_label = np.eye(labels.max() + 1)[labels]  # (codes, labels)
    histograms = counts.reshape(len(PLANES), blocks, blocks, n_codes) @ of_label
    return np.asarray(histograms / histograms.sum(axis=-1, keepdims=True), dtype=np.float32)


def plane_codes(frames: Clip, plane: Plane, *, radii: tuple[int, int, int], neighbours: int) -> NDArray[np.uint8]:
    """Return the local binary pattern of each pixel of a clip in one of the three planes.

    Bit p is 1 if the neighbour at the angle 2 pi p / P is not darker than the centre. The neighbour is at
    R cos along the plane's first axis and -R sin along its second; between pixels it is interpolated bilinearly.

    Parameters
    ----------
    frames : (T, H, W) whole numbers 0-255, grey
    radii : R_X, R_Y, R_T, in pixels and frames
    neighbours : P, at most 8

    Returns
    -------
    (T - 2 R_T, H - 2 R_Y, W - 2 R_X) uint8: every plane leaves out a border as wide as the radius along every axis
    """
    shape = _inner_shape(frames, radii)
    border = tuple(reversed(radii))  # along t, y and x

    def moved(steps: dict[int, int]) -> Clip:
        starts = (width + steps.get(axis, 0) for axis, width in enumerate(border))
        return frames[tuple(slice(start, start + size) for start, size in zip(starts, shape, strict=True))]

    first, second = (_AXES[letter] for letter in plane)
    centre = moved({})
    codes = np.zeros(shape, dtype=np.uint8)
    for bit in range(neighbours):
        angle = 2 * np.pi * bit / neighbours
        corners = [
            (weight * other_weight, moved({first: step, second: other_step}))
            for step, weight in _corners(border[first] * np.cos(angle))
            for other_step, other_weight in _corners(-border[second] * np.sin(angle))
        ]
        neighbour = corners[0][1] if len(corners) == 1 else sum(weight * grey for weight, grey in corners)
        codes |= (neighbour >= centre).view(np.uint8) << bit
    return codes


def uniform_labels(neighbours: int) -> NDArray[np.int64]:
    """Return the "u2" label of each pattern: one with at most two changes round the circle has its own label.

    Returns
    -------
    (2^neighbours,) int64: uniform codes count up from 0 in their order, all others share the last label; 59 labels
    with 8 neighbours, 15 with 4
    """
    codes = np.arange(2**neighbours)
    turned = (codes >> 1) | ((codes & 1) << (neighbours - 1))
    uniform = np.array([int(changes).bit_count() <= 2 for changes in codes ^ turned])
    return np.where(uniform, np.cumsum(uniform) - 1, uniform.sum())


def _corners(offset: float) -> list[tuple[int, float]]:
    """Return the whole steps on either side of an offset with their weights; one step if the offset is whole."""
    offset = round(offset * _STEP) / _STEP
    step = int(np.floor(offset))
    part = offset - step
    return [(step, 1 - part), (step + 1, part)] if part else [(step, 1.0)]


def _inner_shape(frames: Clip, radii: tuple[int, int, int]) -> tuple[int, ...]:
    shape = tuple(size - 2 * radius for size, radius in zip(frames.shape, reversed(radii), strict=True))
    if min(shape) < 1:
        raise ValueError(f"LBP-TOP with the radii {radii} (x, y, t) has no pixel in a clip of shape {frames.shape}")
    return shape
