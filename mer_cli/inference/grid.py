"""Where the cells of a map lie in the crop: maps are enlarged to crop pixels, and pictures reduced to maps. Pure numpy.

Every step of the network that halves a map is a window of 3 with a margin of 1, centred on every second cell. So cell i
of a map of S cells is centred on crop pixel i * 224 / S, not on the middle of the i-th of S equal parts: half a cell
beside it, which is 7.5 pixels in the last map.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_cli.faces.crop import CROP_SIZE

Maps = NDArray[np.float64]


def to_crop(maps: NDArray[Any]) -> Maps:
    """Maps (..., S, S) enlarged to (..., 224, 224), linear between the centres of cells and constant beyond the last.

    Parameters
    ----------
    maps : S must divide 224
    """
    weights = _weights(maps.shape[-1])
    return np.asarray(weights @ maps.astype(np.float64) @ weights.T)


def to_grid(pictures: NDArray[Any], size: int) -> Maps:
    """Pictures (..., 224, 224) reduced to maps (..., size, size): means, weighted as `to_crop` spreads a cell."""
    weights = _weights(size)
    means = (weights / weights.sum(axis=0)).T
    return np.asarray(means @ pictures.astype(np.float64) @ means.T)


@lru_cache
def _weights(size: int) -> Maps:
    """What each cell counts for each crop pixel along one axis, (224, size); rows sum to 1."""
    place = np.arange(CROP_SIZE) * size / CROP_SIZE
    distance = np.abs(np.minimum(place, size - 1)[:, None] - np.arange(size))
    weights: Maps = np.maximum(1 - distance, 0)
    weights.setflags(write=False)
    return weights
