"""Bring a face to the shape of one mean face, by its landmarks, and tell the face from what is around it.

People's faces differ in shape by more than they move, so the same action unit lies at different pixels. On the mean
face a brow is where everybody's brow is. The mean face is that of the 26 generated people of `mer synth casme2 --seed
10`, left and right averaged; nobody's face is in it, and no score was computed on those people but to choose settings.

The map between two faces is a thin-plate spline through the landmarks. It doesn't follow them to the last pixel,
because landmarks jump by about 0.7 px from noise alone.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_cli.errors import FaceError
from mer_cli.faces.crop import CROP_SIZE, Landmarks
from mer_cli.system.opencv import cv2

Places = NDArray[np.float32]

# Landmarks of the mean face, (x, y) in pixels of the crop.
_POINTS = (
    *((26.6, 69.4), (27.6, 92.2), (30.6, 115), (35.4, 137.5), (43.4, 158.8), (55.6, 177.7)),
    *((71.2, 193.6), (90.2, 205), (111.5, 208.1), (132.8, 205), (151.8, 193.6), (167.4, 177.7)),
    *((179.6, 158.8), (187.6, 137.5), (192.4, 115), (195.4, 92.2), (196.4, 69.4), (41.8, 54.9)),
    *((53.1, 46.6), (67.5, 44.5), (82.5, 46.3), (96.5, 51.8), (126.5, 51.8), (140.5, 46.3)),
    *((155.5, 44.5), (169.9, 46.6), (181.2, 54.9), (111.5, 70.8), (111.5, 85.9), (111.5, 100.8)),
    *((111.5, 116.2), (94.7, 125.4), (102.7, 128.3), (111.5, 130.9), (120.3, 128.3), (128.3, 125.4)),
    *((57.6, 71.7), (67.2, 66.8), (78.7, 67.4), (87.9, 75.2), (77.4, 77.8), (65.9, 77.3)),
    *((135.1, 75.2), (144.3, 67.4), (155.8, 66.8), (165.4, 71.7), (157.1, 77.3), (145.6, 77.8)),
    *((83.8, 158.5), (94, 151.6), (104.2, 147.3), (111.5, 149.4), (118.8, 147.3), (129, 151.6)),
    *((139.2, 158.5), (129.5, 168), (119.5, 171.9), (111.5, 172.6), (103.5, 171.9), (93.5, 168)),
    *((88.9, 158.5), (104.1, 156.9), (111.5, 157.7), (118.9, 156.9), (134.1, 158.5), (119, 158)),
    *((111.5, 158.8), (104, 158)),
)
MEAN_FACE: Landmarks = np.array(_POINTS, np.float32)
MEAN_FACE.flags.writeable = False

NOT_A_FACE = "its landmarks don't lie as those of a face, so it can't be compared with the mean face"
FOREHEAD = 0.25  # of the distance from brows to chin, by which the face reaches above the brows
CHIN, BROWS = 8, slice(17, 27)
EDGE = 6.0  # pixels, sigma of the face's soft edge
STEP = 8  # pixels between the points at which the spline is computed; between them it is linear
LEAST_SIZE = 0.1  # pixels of a face in a pixel of the mean face; below, landmarks lie on each other
# The inner edge of the lips is left out: on the mean face, whose mouth is closed, its upper and lower points coincide,
# and a mouth that shows teeth would fold the map.
NODES = slice(0, 60)
LOOSENESS = 10.0  # how far the spline may miss the landmarks (SciPy's `smoothing`); 0 goes through them


def inside_face(landmarks: Landmarks) -> NDArray[np.bool_]:
    """Return where the face is: inside the landmarks' convex hull and a forehead of a quarter of the face's height.

    Parameters
    ----------
    landmarks : (68, 2) float32, (x, y) in pixels of the crop

    Returns
    -------
    (224, 224) bool

    Raises
    ------
    FaceError
        If the face lies outside the crop.
    """
    forehead = landmarks[BROWS].copy()
    forehead[:, 1] -= FOREHEAD * (landmarks[CHIN, 1] - forehead[:, 1].mean())
    outline = cv2.convexHull(np.rint(np.concatenate([landmarks, forehead])).astype(np.int32))
    drawn = np.zeros((CROP_SIZE, CROP_SIZE), np.uint8)
    cv2.fillConvexPoly(drawn, outline, 1)
    if not drawn.any():
        raise FaceError(NOT_A_FACE)
    return drawn.astype(bool)


def soft_face(landmarks: Landmarks) -> NDArray[np.float32]:
    """Return how much each pixel belongs to the face, (224, 224) float32 in 0..1: `inside_face` with a soft edge."""
    inside = inside_face(landmarks).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(inside, (0, 0), EDGE), dtype=np.float32)


def places_on(face: Landmarks, of: Landmarks) -> Places:
    """Return where on `face` each pixel of an image of the face `of` lies.

    Parameters
    ----------
    face, of : (68, 2) float32, (x, y) in pixels of the crop

    Returns
    -------
    (224, 224, 2) float32, (x, y) in pixels of the crop; cv2.remap with it draws `face` in the shape of `of`
    """
    from scipy.interpolate import RBFInterpolator  # a tenth of a second

    grid, n_points = _grid()
    spline = RBFInterpolator(
        of[NODES].astype(np.float64), face[NODES].astype(np.float64), kernel="thin_plate_spline", smoothing=LOOSENESS
    )
    coarse = spline(grid).reshape(n_points, n_points, 2).astype(np.float32)
    at = np.arange(CROP_SIZE, dtype=np.float32) / STEP
    across, down = np.meshgrid(at, at)
    return np.asarray(cv2.remap(coarse, across, down, cv2.INTER_LINEAR), dtype=np.float32)


def places_of_mean_face(landmarks: Landmarks) -> Places:
    """Return where on a face each pixel of the mean face lies, (224, 224, 2) float32, as `places_on`.

    Raises
    ------
    FaceError
        If the landmarks don't lie as those of a face: the map would fold it, or draw much of it from one point.
    """
    places = places_on(landmarks, of=MEAN_FACE)
    *_, area = derivatives(places)
    if not (area[inside_face(MEAN_FACE)] >= LEAST_SIZE).all():  # NaN fails, too
        raise FaceError(NOT_A_FACE)
    return places


def is_a_face(landmarks: Landmarks) -> bool:
    """Tell whether landmarks, (68, 2) float32 in pixels of the crop, lie as those of a face in the crop."""
    try:
        inside_face(landmarks)
        places_of_mean_face(landmarks)
    except FaceError:
        return False
    return True


def derivatives(places: Places) -> tuple[Places, Places, NDArray[np.float32]]:
    """Return how places change from pixel to pixel: across and down, each (224, 224, 2), and the area of each pixel.

    The area, (224, 224), is negative where the map is folded.
    """
    down, across = np.asarray(np.gradient(places, axis=(0, 1)))  # each has the derivatives of x and of y
    return across, down, np.asarray(across[..., 0] * down[..., 1] - down[..., 0] * across[..., 1], np.float32)


def mean_face_settings() -> dict[str, Any]:
    """Return everything that a map to the mean face and the face's outline depend on, as plain values for JSON."""
    digest = hashlib.sha256(MEAN_FACE.astype("<f4").tobytes()).hexdigest()
    return {
        "points": digest,
        "nodes": NODES.stop,
        "forehead": FOREHEAD,
        "edge": EDGE,
        "step": STEP,
        "looseness": LOOSENESS,
    }


def on_own_face(image: NDArray[np.float32], landmarks: Landmarks) -> NDArray[np.float32]:
    """Draw an image of the mean face, (224, 224) float32, in the shape of a person's face with these landmarks.

    Raises
    ------
    FaceError
        As `places_of_mean_face`.
    """
    places_of_mean_face(landmarks)  # refuses what is not a face
    places = places_on(MEAN_FACE, of=landmarks)
    return np.asarray(cv2.remap(image, places[..., 0], places[..., 1], cv2.INTER_LINEAR), dtype=np.float32)


@lru_cache(maxsize=1)
def _grid() -> tuple[NDArray[np.float64], int]:
    """Return the points at which the spline is computed, (n * n, 2), (x, y), and n."""
    at = np.arange(0, CROP_SIZE + STEP, STEP, dtype=np.float64)
    return np.stack(np.meshgrid(at, at), axis=-1).reshape(-1, 2), len(at)
