"""Bi-WOOF: bi-weighted oriented optical flow.

Liong, See, Wong, Phan, "Less is more: micro-expression recognition from video using apex frame", Signal Processing:
Image Communication 62, 2018 (arXiv 1606.01721); checked against the authors' `biwoof.m` (christy1206/biwoof at
efa566b). Each of 5x5 blocks has a histogram of directions; magnitude weights the pixels of a block, and strain weights
the blocks of the face.

Deliberate difference: blocks do not overlap. The authors' blocks share a pixel or two with the next one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mer_cli.models.descriptors.orientation import BLOCKS, block_histograms, block_of_pixels, magnitudes, to_sum_one
from mer_cli.motion.flow import Flow, strain

N_BINS = 8  # of 45 degrees


def bi_woof(flow: Flow) -> NDArray[np.float32]:
    """Return the Bi-WOOF vector of a flow: the weighted histograms of 5x5 blocks, row by row, with norm 1.

    Parameters
    ----------
    flow : (2, H, W) float32, u and v from onset to apex

    Returns
    -------
    (200,) float32; zero where nothing moves
    """
    flows = flow[None]
    histograms = to_sum_one(block_histograms(flows, magnitudes(flows), N_BINS))[0]  # (25, 8)
    blocks = block_of_pixels(*flow.shape[1:])
    weights = np.bincount(blocks.ravel(), strain(flow).ravel(), minlength=BLOCKS**2)
    weighted = (histograms * weights[:, None]).ravel()
    length = float(np.linalg.norm(weighted))
    return np.asarray(weighted / (length or 1), dtype=np.float32)
