"""MDMO: the main direction of the motion in each of 36 regions of the face.

Liu, Zhang, Yan, Wang, Zhao, Fu, "A main directional mean optical flow feature for spontaneous micro-expression
recognition", IEEE Transactions on Affective Computing 7, 2016; its details after tvaranka/meb at 010a379
(`meb/utils/traditional_methods.py`), which is not the authors'.

Deliberate differences from that file:
- vectors are averaged as vectors (there lengths and angles separately, so angles on both sides of zero average to the
  opposite direction);
- all frames have the same weight (there the sum of their angles);
- a pixel that does not move has no direction (there it moves to the right);
- the motion of the head is removed, as in the paper (there the code exists, but is not called).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mer_cli.faces.crop import Landmarks
from mer_cli.models.descriptors.face_regions import N_REGIONS, NO_REGION, region_map
from mer_cli.models.descriptors.orientation import direction_bins, magnitudes
from mer_cli.motion.flow import Flow

N_BINS = 8
FIRST_EDGE = -0.5 / N_BINS  # turns: the first bin is centred on "to the right"
BETA = 0.8  # weight of a length in the vector; the rest is that of an angle
STILL = 1e-3  # pixels; less does not count as motion, since the stored flow is not finer

# Points of the jaw and the tip of the nose, which expressions move least.
STABLE = (0, 1, 2, 3, 4, 5, 11, 12, 13, 14, 15, 16, 30)

Points = NDArray[np.float64]


def mdmo(flows: Flow, landmarks: Landmarks) -> NDArray[np.float32]:
    """Return the length and the angle of the main motion of each region.

    Parameters
    ----------
    flows : (T, 2, H, W) float32, u and v from the onset to each later frame
    landmarks : (68, 2) float32, (x, y) of the onset, in pixels of the flow

    Returns
    -------
    (72,) float32: 36 lengths as fractions of the longest, times 0.8, then 36 angles, -pi to pi, times 0.2. Both are
    zero for a region that does not move or is outside the image.
    """
    regions = region_map(landmarks, *flows.shape[2:])
    y, x = np.nonzero(regions != NO_REGION)
    moved = flows[:, :, y, x] + _against_head(flows, landmarks, np.stack([x, y], axis=1))
    u, v = _main_motions(moved.astype(np.float32), regions[y, x]).mean(axis=0)  # (2, 36)
    lengths = np.hypot(u, v)
    angles = np.arctan2(v, u)
    return np.concatenate([BETA * lengths / (lengths.max() or 1), (1 - BETA) * angles]).astype(np.float32)


def _main_motions(flows: Flow, regions: NDArray[np.int32]) -> Points:
    """Return the average of the vectors in each region's fullest bin.

    Parameters
    ----------
    flows : (T, 2, P) float32, at pixels of the regions
    regions : (P,), 0 to 35

    Returns
    -------
    (T, 2, 36) float64
    """
    shape = (len(flows), N_REGIONS, N_BINS)
    cells = (np.arange(len(flows))[:, None] * N_REGIONS + regions) * N_BINS
    cells += direction_bins(flows, N_BINS, FIRST_EDGE)
    moves = magnitudes(flows) > STILL
    counts, u, v = (
        np.bincount(cells[moves], weights, minlength=math.prod(shape)).reshape(shape)
        for weights in (None, flows[:, 0][moves], flows[:, 1][moves])
    )
    fullest = counts.argmax(axis=2, keepdims=True)
    counts, u, v = (np.take_along_axis(sums, fullest, axis=2)[..., 0] for sums in (counts, u, v))  # (T, 36)
    return np.stack([u, v], axis=1) / np.maximum(counts, 1)[:, None]


def _against_head(flows: Flow, landmarks: Landmarks, at: NDArray[np.intp]) -> Points:
    """Return the motion that puts the head back: the affine one that fits best for 13 points that should not move.

    Parameters
    ----------
    flows : (T, 2, H, W)
    at : (P, 2) int, (x, y), the pixels at which it is computed

    Returns
    -------
    (T, 2, P) float64, pixels, to be added to the flow; zero where the 13 points do not move
    """
    height, width = flows.shape[2:]
    stable = np.clip(np.rint(landmarks[list(STABLE)]).astype(np.intp), 0, (width - 1, height - 1))
    backs = []
    for flow in flows:
        moved = flow[:, stable[:, 1], stable[:, 0]].T  # (13, 2)
        back = np.linalg.lstsq(_with_one(stable + moved), -moved, rcond=None)[0]  # (3, 2)
        backs.append((_with_one(at + flow[:, at[:, 1], at[:, 0]].T) @ back).T)
    return np.stack(backs)


def _with_one(points: Points) -> Points:
    """Append a third coordinate of 1 to points (P, 2), by which an affine motion shifts."""
    return np.column_stack([points, np.ones(len(points))])
