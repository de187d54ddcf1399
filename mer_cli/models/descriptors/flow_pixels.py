"""Raw flow: the motion from onset to apex itself, at a small size.

The plainest baseline of Varanka, Li, Peng, Zhao, "Data leakage and evaluation issues in micro-expression analysis",
IEEE Transactions on Affective Computing 2023 (tvaranka/meb at f731b0a, optical flow and an SVM).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mer_cli.motion.flow import Flow, strain
from mer_cli.motion.images import resize

SIZE = 32  # rows and columns


def flow_pixels(flow: Flow) -> NDArray[np.float32]:
    """Return u, v and strain of a flow at 32x32, as one vector, plane after plane.

    Parameters
    ----------
    flow : (2, H, W) float32, u and v in pixels

    Returns
    -------
    (3072,) float32
    """
    return np.stack([resize(plane, SIZE) for plane in (*flow, strain(flow))]).ravel()
