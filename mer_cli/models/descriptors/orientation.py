"""Histograms of the directions of flow: which bin a direction falls in, and which block of the face a pixel is in.

An angle runs from u, to the right, towards v, down, as the flow's axes do. A vector on the edge of two bins
belongs to the one of the larger angle.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mer_cli.motion.flow import Flow

BLOCKS = 5  # rows and columns of blocks, as in Bi-WOOF
LEFT = -0.5  # -180 degrees, where the first bin begins in most papers

Bins = NDArray[np.intp]
Sums = NDArray[np.float64]


def direction_bins(flows: Flow, n_bins: int, start: float = LEFT) -> Bins:
    """Return the bin that each vector's direction falls in.

    Parameters
    ----------
    flows : (T, 2, H, W) float32, u and v
    start : lower edge of the first bin, in turns: -0.5 is -180 degrees

    Returns
    -------
    (T, H, W) int, 0 to n_bins - 1; meaningless for a vector of length zero
    """
    u, v = flows[:, 0].astype(np.float64), flows[:, 1].astype(np.float64)  # 45 degrees are an eighth, to the bit
    turns = np.arctan2(v, u) / (2 * np.pi)
    return np.floor((turns - start) * n_bins).astype(np.intp) % n_bins


def magnitudes(flows: Flow) -> Flow:
    """Return the length of each vector of flows, (T, 2, H, W), as (T, H, W) float32."""
    return np.hypot(flows[:, 0], flows[:, 1])


def block_of_pixels(height: int, width: int) -> Bins:
    """Return the number of each pixel's block, (H, W) int: 0 to 24, row by row; blocks differ by a pixel at most."""
    rows, columns = (np.arange(size) * BLOCKS // size for size in (height, width))
    return rows[:, None] * BLOCKS + columns


def block_histograms(flows: Flow, weights: Flow, n_bins: int) -> Sums:
    """Return histograms of flow directions: the sum of `weights` in each frame, block and direction bin.

    Parameters
    ----------
    flows : (T, 2, H, W) float32
    weights : (T, H, W)

    Returns
    -------
    (T, 25, n_bins) float64, bins from -180 degrees on
    """
    n_frames, _, height, width = flows.shape
    cells = np.arange(n_frames)[:, None, None] * BLOCKS**2 + block_of_pixels(height, width)
    indices = cells * n_bins + direction_bins(flows, n_bins)
    shape = (n_frames, BLOCKS**2, n_bins)
    sums = np.bincount(indices.ravel(), weights.ravel(), minlength=math.prod(shape))
    return np.asarray(sums, dtype=np.float64).reshape(shape)


def to_sum_one(histograms: Sums) -> Sums:
    """Divide each histogram, along the last axis, by its sum; a histogram of zeros stays zero."""
    sums = histograms.sum(axis=-1, keepdims=True)
    return histograms / np.where(sums > 0, sums, 1)
