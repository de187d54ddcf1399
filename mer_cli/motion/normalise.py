"""Pictures of motion come in, normalised ones go out: in either of the two ways that the field has."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mer_cli.motion.inputs import Normalisation

Images = NDArray[np.float32]


def normalise(images: Images, how: Normalisation, train_rows: NDArray[np.int64]) -> Images:
    """Normalise the pictures of all clips of a fold.

    Parameters
    ----------
    images : (N, P, S, S) float32
    how : "raw" keeps the size of the motion: each plane's mean and standard deviation over the fold's training clips
        become 0 and 1. "minmax8" throws it away: each plane of each clip is stretched to the integers 0..255, and fed
        like that, as the published code of STSTNet does
    train_rows : (n,) rows of the fold's training clips; "minmax8" looks at no other clip

    Returns
    -------
    (N, P, S, S) float32
    """
    return _minmax8(images) if how == "minmax8" else _standardise(images, train_rows)


def _minmax8(images: Images) -> Images:
    low, high = images.min(axis=(2, 3), keepdims=True), images.max(axis=(2, 3), keepdims=True)
    reach = np.where(high > low, high - low, 1)  # a plane without contrast becomes 0
    return np.asarray(np.rint((images - low) / reach * 255), dtype=np.float32)


def _standardise(images: Images, train_rows: NDArray[np.int64]) -> Images:
    train = images[train_rows]
    mean = train.mean(axis=(0, 2, 3), keepdims=True, dtype=np.float64)
    deviation = train.std(axis=(0, 2, 3), keepdims=True, dtype=np.float64)
    deviation[deviation == 0] = 1
    return np.asarray((images - mean.astype(np.float32)) / deviation.astype(np.float32), dtype=np.float32)
