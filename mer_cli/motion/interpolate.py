"""Interpolate a clip to a wanted number of frames at equal steps of time: linear, or TIM.

Both are weighted sums of the given frames, out = W frames, with weights that depend only on the two numbers of frames.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_cli.motion.inputs import Interpolation


def interpolate(frames: NDArray[Any], n_frames: int, how: Interpolation) -> NDArray[Any]:
    """Interpolate a clip to `n_frames` frames; the first and the last stay the same.

    Parameters
    ----------
    frames : (T, ...) with T >= 1, equally spaced in time; floats, or integers, whose results are rounded and clipped
    n_frames : at least 1; with 1, the first frame is returned
    how : "linear" between neighbouring frames; "tim" follows the curve of `tim_weights`, which may overshoot

    Returns
    -------
    (n_frames, ...), of the same dtype
    """
    weights = (linear_weights if how == "linear" else tim_weights)(len(frames), n_frames)
    flat = frames.reshape(len(frames), -1).astype(np.float64)
    mixed = (weights @ flat).reshape(n_frames, *frames.shape[1:])
    if np.issubdtype(frames.dtype, np.integer):
        limits = np.iinfo(frames.dtype)
        mixed = np.clip(np.rint(mixed), limits.min, limits.max)
    return mixed.astype(frames.dtype)


def linear_weights(n_given: int, n_wanted: int) -> NDArray[np.float64]:
    """Return the weights, (n_wanted, n_given), that interpolate linearly between neighbouring frames."""
    at = np.linspace(0, n_given - 1, n_wanted)
    return np.asarray(np.clip(1 - np.abs(at[:, None] - np.arange(n_given)), 0, None))


def tim_weights(n_given: int, n_wanted: int) -> NDArray[np.float64]:
    """Return the weights, (n_wanted, n_given), of temporal interpolation by path-graph embedding (TIM).

    The n frames minus their mean are nodes of a path. The eigenvectors of its Laplacian are samples, at
    t = 1/n, 2/n .. 1, of the n - 1 curves y_k(t) = sin(pi k t + pi (n - k) / (2 n)), k = 1..n - 1. The linear map from
    these samples to the frames yields an image for any t in between.

    The published method maps to coordinates of the frames in a singular value decomposition, and back to pixels. That
    cancels out: the rows of y at the frames are orthogonal to each other, with squared length n/2, and to a constant,
    so they span everything that the frames minus their mean can be.

    Source
    ------
    Zhou, Zhao and Pietikäinen, CVPR 2011, as used by MEB (f731b0a) on clips before LBP-TOP; the weights are ours
    """
    wanted = np.linspace(1 / n_given, 1, n_wanted)
    at_frames, at_wanted = _path_curve(n_given, np.arange(1, n_given + 1) / n_given), _path_curve(n_given, wanted)
    return np.asarray(1 / n_given + 2 / n_given * at_wanted.T @ at_frames)


def _path_curve(n: int, t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the curves of a path of n nodes at times t, (n - 1, len(t))."""
    k = np.arange(1, n)[:, None]
    return np.sin(np.pi * k * t + np.pi * (n - k) / (2 * n))
