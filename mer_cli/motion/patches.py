"""A plane and the landmarks of a face come in, small patches at brows and mouth go out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mer_cli.motion.inputs import BROW_POINTS, MOUTH_POINTS, PATCH_SIZE


def cut_patches(plane: NDArray[np.float32], landmarks: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    """Cut the patches around 10 points of the brows and 20 of the mouth.

    A patch is centred on the pixel that its landmark lies in; one that would reach over the border is moved inside,
    which keeps its pixels those of a face and its place as near as can be.

    Parameters
    ----------
    plane : (S, S) float32
    landmarks : (68, 2) float32, (x, y) in pixels of another picture of the same square
    scale : that picture's pixels times this are the plane's

    Returns
    -------
    (30, 7, 7) float32, the brows first, each in the order of the landmarks
    """
    at = (landmarks[[*BROW_POINTS, *MOUTH_POINTS]] + 0.5) * scale  # from the picture's edge: pixel i covers i to i + 1
    corners = np.floor(at).astype(int) - PATCH_SIZE // 2
    corners = np.clip(corners, 0, len(plane) - PATCH_SIZE)
    return np.stack([plane[y : y + PATCH_SIZE, x : x + PATCH_SIZE] for x, y in corners])
