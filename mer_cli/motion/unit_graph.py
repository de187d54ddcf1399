"""Action units of the training clips come in, the normalised graph of how they come together goes out."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray


def unit_adjacency(clips: Sequence[Collection[int]], units: Sequence[int]) -> NDArray[np.float32]:
    """Give the adjacency of `units`, from how often they are coded in the same clip.

    With P[i, j] the share of the clips with unit i that have unit j as well, 0 on the diagonal and where no clip has
    unit i: A = P + I, of row sums D, and the result is D^-1/2 A^T D^-1/2.

    Parameters
    ----------
    clips : the units of each training clip; others than `units` are left out

    Returns
    -------
    (A, A) float32, in the order of `units`

    Source
    ------
    Lei et al., CVPR Workshops 2021; raying777/FGRMER `utils.py`, Justin900429's `compute_adj.py`
    """
    coded = np.array([[unit in clip for unit in units] for clip in clips], dtype=np.float64).reshape(-1, len(units))
    together = coded.T @ coded  # (A, A), and how often each is there in the diagonal
    there = together.diagonal()[:, None]
    share = np.divide(together, there, out=np.zeros_like(together), where=there > 0)
    np.fill_diagonal(share, 1)
    root = share.sum(axis=1) ** -0.5
    return np.asarray(root[:, None] * share.T * root, dtype=np.float32)
