"""Flow at a small size, without anything computed from it: what `canonical-svm` learns from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mer_cli.motion.flow import Flow
from mer_cli.motion.images import resize

SIZE = 16  # rows and columns


def flow_grid(flow: Flow) -> NDArray[np.float32]:
    """Return u and v of a flow at 16x16, as one vector.

    Parameters
    ----------
    flow : (2, H, W) float32, u and v in pixels

    Returns
    -------
    (512,) float32
    """
    return np.stack([resize(plane, SIZE) for plane in flow]).ravel()
