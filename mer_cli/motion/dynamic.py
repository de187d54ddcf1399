"""The frames of a clip come in, one picture of how it changes goes out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def dynamic_image(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Give the dynamic image of a clip by approximate rank pooling, stretched to 0..255.

    The sum over t = 1..T of (2t - T - 1) I_t: what does not change cancels out, and of a clip of one frame nothing is
    left.

    Parameters
    ----------
    frames : (T, H, W, 3) uint8, RGB, onset to offset

    Returns
    -------
    (3, H, W) float32, 0..255, red, green and blue stretched together; all 0 where nothing changes

    Source
    ------
    Bilen et al., "Dynamic image networks for action recognition", CVPR 2016; the stretch is ours
    """
    n_frames = len(frames)
    total = np.zeros(frames.shape[1:], np.int64)
    for t, frame in enumerate(frames, start=1):  # one by one: a clip of 300 frames takes 360 MB as int64
        total += (2 * t - n_frames - 1) * frame.astype(np.int64)
    low, high = total.min(), total.max()
    reach = max(high - low, 1)
    return np.asarray(((total - low) / reach * 255).transpose(2, 0, 1), dtype=np.float32)  # (3, H, W)
