"""HIGO-TOP: histograms of image gradient orientation on three orthogonal planes of a clip.

It is HOG without weights. In the plane of a frame (XY) and in the two planes along time (XT, YT) each pixel of a block
votes once for the direction of its gradient, whether the gradient is weak or strong.

What others say of the paper (Li et al. 2018), not verified: 8 bins, the gradient [-1, 0, 1], 8x8x2 blocks. Ours:
- Directions are unsigned, 0 to 180 degrees in bins of 22.5: a dark edge on a bright ground and its opposite move alike,
  and the bins are twice as fine. Bins start at 0, so in XT and YT the two ways of moving have different bins.
- A pixel with a gradient of zero in a plane has no direction and does not vote there. A block without votes stays 0.
- There is no motion magnification (EVM).
- The whole crop is used, with hair and background, as by every method here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BINS = 8
BLOCKS = (2, 8, 8)  # along t, y and x


def higo_top(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the HIGO-TOP vector of a clip.

    Parameters
    ----------
    frames : (T, H, W) uint8, grey, 0-255, onset to offset; the method uses clips of 10 interpolated frames. T is at
        least 4, so that both halves of the time have a frame: the first and last have no gradient along time

    Returns
    -------
    (3072,) float32: by plane (XY, XT, YT), then by block (early before late, row by row), then by bin. The 8 numbers
    of a block and plane sum to 1, or are all 0

    Raises
    ------
    ValueError
        If a clip has fewer pixels than blocks, along any axis.

    Source
    ------
    Li et al., "Towards reading hidden emotions", IEEE Transactions on Affective Computing 2018; see the module.
    """
    inner = tuple(size - 2 for size in frames.shape)  # every pixel with both neighbours along all three axes
    if any(size < blocks for size, blocks in zip(inner, BLOCKS, strict=True)):
        raise ValueError(f"HIGO-TOP cannot split a clip of shape {frames.shape} into {BLOCKS} blocks (t, y, x)")
    grey = frames.astype(np.float32)
    along_t, along_y, along_x = (_gradient(grey, axis) for axis in range(3))
    early, row, column = np.ix_(*(np.arange(size) * n // size for size, n in zip(inner, BLOCKS, strict=True)))
    block = (early * BLOCKS[1] + row) * BLOCKS[2] + column
    n_bins = int(np.prod(BLOCKS)) * BINS
    histograms = []
    for first, second in ((along_x, along_y), (along_x, along_t), (along_y, along_t)):
        votes = (first != 0) | (second != 0)
        bins = block[votes] * BINS + orientation_bins(first[votes], second[votes])
        histograms.append(np.bincount(bins, minlength=n_bins).reshape(-1, BINS))
    counts = np.stack(histograms)
    return np.asarray(counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1), dtype=np.float32).ravel()


def orientation_bins(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the bin of each gradient's direction, from the first axis towards the second; opposites share a bin.

    Parameters
    ----------
    first, second : (n,) float32, the two components of each gradient, not both 0

    Returns
    -------
    (n,) int64, 0..7; bin b has the angles from 22.5 b degrees to just below the next bin's
    """
    turn = (second < 0) | ((second == 0) & (first < 0))  # half a turn brings these to 0..180 degrees
    sign = np.where(turn, np.float32(-1), np.float32(1))
    angle = np.arctan2(second * sign, first * sign, dtype=np.float64)
    return np.asarray(np.floor(angle / (np.pi / BINS)), dtype=np.int64)


def _gradient(grey: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Apply [-1, 0, 1] along an axis, at the pixels with both neighbours along all three axes."""
    after, before = ([slice(1, -1)] * 3 for _ in range(2))
    after[axis], before[axis] = slice(2, None), slice(None, -2)
    return grey[tuple(after)] - grey[tuple(before)]
