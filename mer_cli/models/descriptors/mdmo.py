"""MDMO: the main direction of the motion in each of 36 regions of the face.

Liu, Zhang, Yan, Wang, Zhao, Fu, "A main directional mean optical flow feature for spontaneous micro-expression
recognition", IEEE Transactions on Affective Computing 7, 2016; its details after tvaranka/meb at 010a379
(`meb/utils/traditional_methods.py`), which is not the authors'.

Deliberate differences from that file:
- vectors are averaged as vectors (there lengths and angles separately, so angles on both sides of zero average to the
  opposite direction);
- all frames have the same weight (there the sum of their angles);
- a pixel that does not move has no direction (there it moves to the right);
- the motion of the head is removed, as in the paper (there the code exists, but is not called);
- points above a brow are raised by a fraction of the distance between the eyes (there by 20 pixels), so a region is the
  same part of every face.

Each region is a quadrilateral between Dlib's 68 points, f0 to f67, and points t0 to t21 that are made of them; the
table is `load_roi_36` of that file.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mer_cli.faces.crop import LEFT_EYE, RIGHT_EYE, Landmarks
from mer_cli.models.descriptors.orientation import direction_bins, magnitudes
from mer_cli.motion.flow import Flow
from mer_cli.system.opencv import cv2

N_BINS = 8
FIRST_EDGE = -0.5 / N_BINS  # turns: the first bin is centred on "to the right"
BETA = 0.8  # weight of a length in the vector; the rest is that of an angle
STILL = 1e-3  # pixels; less does not count as motion, since the stored flow is not finer

# Points of the jaw and the tip of the nose, which expressions move least.
STABLE = (0, 1, 2, 3, 4, 5, 11, 12, 13, 14, 15, 16, 30)

N_REGIONS = 36
NO_REGION = -1

# 20 pixels in that file, in crops of CASME II that are 280 pixels from jaw to jaw; the eyes are then 130 pixels apart.
RISE = 20 / 130  # of the distance between the eye centres

RAISED = {"t0": "f17", "t1": "f19", "t2": "f21", "t4": "f22", "t5": "f24", "t6": "f26"}  # above this point of a brow
MIDDLE = {  # between these two
    "t3": ("t2", "t4"),
    "t7": ("f3", "f29"),
    "t8": ("f13", "f29"),
    "t9": ("f4", "f33"),
    "t10": ("f12", "f33"),
    "t13": ("f5", "f59"),
    "t14": ("f11", "f55"),
    "t15": ("f2", "f41"),
    "t16": ("f14", "f46"),
    "t18": ("f6", "f58"),
    "t19": ("f8", "f57"),
    "t20": ("f10", "f56"),
}
SAME = {"t11": "t9", "t12": "t10", "t17": "t13", "t21": "t14"}  # named twice in the table
CORNERS = """
    f17 t0 t1 f19     f19 t1 t2 f21     f21 t2 t3 f27     f27 t3 t4 f22     f22 t4 t5 f24     f24 t5 t6 f26
    f1 f0 f17 f36     f36 f17 f19 f38   f38 f19 f21 f39   f39 f21 f27 f28   f28 f27 f22 f42   f42 f22 f24 f43
    f43 f24 f26 f45   f45 f26 f16 f15   f3 f2 t15 t7      t7 t15 f41 f39    t7 f39 f28 f29    f29 f28 f42 t8
    t8 f42 f46 t16    t8 t16 f14 f13    t11 t7 f29 f33    f33 f29 t8 t12    t13 t9 f33 f59    f55 f33 t10 t14
    t18 t17 f59 f58   t19 t18 f58 f57   t20 t19 f57 f56   t21 t20 f56 f55   f4 f3 t7 t11      t12 t8 f13 f12
    f5 f4 t9 t13      t14 t10 f12 f11   f6 f5 t17 t18     f8 f6 t18 t19     f10 f8 t19 t20    f11 f10 t20 t21
"""  # four a region

Points = NDArray[np.float64]


def mdmo(flows: Flow, landmarks: Landmarks) -> NDArray[np.float32]:
    """Return the MDMO vector of a clip: length and angle of the main motion in each of 36 regions of the face.

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


def region_corners(landmarks: Landmarks) -> Landmarks:
    """Return the corners of the 36 regions of the face.

    Parameters
    ----------
    landmarks : (68, 2) float32, (x, y) in pixels

    Returns
    -------
    (36, 4, 2) float32, in drawing order; a corner may lie outside the image
    """
    eyes = landmarks[RIGHT_EYE].mean(axis=0) - landmarks[LEFT_EYE].mean(axis=0)
    up = np.array([0, -RISE * float(np.hypot(*eyes))])
    points = {f"f{number}": point for number, point in enumerate(landmarks.astype(np.float64))}
    points |= {name: points[below] + up for name, below in RAISED.items()}
    for name, (one, other) in MIDDLE.items():
        points[name] = (points[one] + points[other]) / 2
    points |= {name: points[other] for name, other in SAME.items()}
    return np.array([points[name] for name in CORNERS.split()], np.float32).reshape(N_REGIONS, 4, 2)


def region_map(landmarks: Landmarks, height: int, width: int) -> NDArray[np.int32]:
    """Return the region of the face that each pixel is in, (H, W) int32: 0 to 35, or -1 outside all regions.

    A pixel on the edge of two regions belongs to the later one.
    """
    regions = np.full((height, width), NO_REGION, np.int32)
    for number, corners in enumerate(np.rint(region_corners(landmarks)).astype(np.int32)):
        cv2.fillPoly(regions, [corners], number)
    return regions
