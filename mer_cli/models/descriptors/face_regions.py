"""MDMO's 36 regions of the face, from its landmarks: their corners, and the region of each pixel.

The table is that of tvaranka/meb at 010a379 (`meb/utils/traditional_methods.py`, `load_roi_36`). Each region is a
quadrilateral between Dlib's 68 points, f0 to f67, and points t0 to t21 that are made of them.

Deliberate difference: 20 pixels there are a fraction of the distance between the eyes here, so a region is the same
part of every face.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mer_cli.faces.crop import LEFT_EYE, RIGHT_EYE, Landmarks
from mer_cli.system.opencv import cv2

N_REGIONS = 36
NO_REGION = -1

# There it is 20 pixels, in crops of CASME II that are 280 pixels from jaw to jaw; the eyes are then 130 pixels apart.
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


def region_corners(landmarks: Landmarks) -> Landmarks:
    """Return the corners of the regions.

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
    """Return the region of each pixel, (H, W) int32: 0 to 35, or -1 outside all of them.

    A pixel on the edge of two regions belongs to the later one.
    """
    regions = np.full((height, width), NO_REGION, np.int32)
    for number, corners in enumerate(np.rint(region_corners(landmarks)).astype(np.int32)):
        cv2.fillPoly(regions, [corners], number)
    return regions
