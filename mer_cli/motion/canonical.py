"""Make the motion of different people comparable: the canonical input.

Four steps, each of which can be left out. They take away what differs between people and clips and isn't the
expression:

- `head`: the head's own motion, fitted as an affine motion of the face, is taken away;
- `face`: what isn't the face (hair, background) counts as still, with a soft edge;
- `shape`: the face is brought to the shape of one mean face (`faces.mean_face`), so that everybody's brow is at the
  same pixels;
- `average`: the flow is the average over pairs of frames around onset and apex, which takes away noise.

For networks that see images the apex is moved back onto the onset's head pose, both are drawn in the shape of the mean
face, and what isn't the face is grey. There the frames are not averaged.

Source
------
ours
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_cli.faces.crop import CROP_SIZE, Landmarks
from mer_cli.faces.face_motion import FIT_ROUNDS, FIT_SHARE, FIT_STEP, head_motion
from mer_cli.faces.frames import HALF_WINDOW, NO_FRAME
from mer_cli.faces.mean_face import (
    LEAST_SIZE,
    MEAN_FACE,
    Places,
    derivatives,
    inside_face,
    mean_face_settings,
    places_of_mean_face,
    soft_face,
)
from mer_cli.faces.pictures import Image
from mer_cli.motion.flow import Flow, grey, optical_flow
from mer_cli.motion.inputs import Backend, Step
from mer_cli.system.opencv import cv2

VERSION = 1  # counts the versions of these steps that give other numbers
NEAR = 4  # frames count as onset or apex within a quarter of the rise, after the apex within one of the fall
GREY = (124.0, 116.0, 104.0)  # ImageNet's mean colour, 0..255: 0 once an image is normalised
IN_ORDER = sorted(range(2 * HALF_WINDOW + 1), key=lambda place: (abs(place - HALF_WINDOW), place))

Pair = tuple[int, int]


def pairs_of_frames(onset_numbers: NDArray[np.int32], apex_numbers: NDArray[np.int32], offset: int) -> list[Pair]:
    """Return the pairs of frames, as places in the windows of a clip, over which its flow is averaged.

    The labelled frames come first. A frame up to a quarter of the rise after the onset still shows the resting face; a
    frame within a quarter of the rise before the apex, or of the fall after it, nearly the apex. Every such frame in
    the windows is in some pair.

    Parameters
    ----------
    onset_numbers, apex_numbers : (7,) int32, numbers of the frames in the windows; -1 where the release has none
    offset : number of the offset frame

    Returns
    -------
    pairs of places in the onset's window and in the apex's, (3, 3) first
    """
    onset, apex = int(onset_numbers[HALF_WINDOW]), int(apex_numbers[HALF_WINDOW])
    rise, fall = max(apex - onset, 0), max(offset - apex, 0)
    onsets = _within(onset_numbers, onset, 0, rise)
    apexes = _within(apex_numbers, apex, -rise, fall)
    n_pairs = max(len(onsets), len(apexes))
    return [(onsets[pair % len(onsets)], apexes[pair % len(apexes)]) for pair in range(n_pairs)]


def _within(numbers: NDArray[np.int32], labelled: int, before: int, after: int) -> list[int]:
    """Return the places of a window's frames that are near the labelled one, the nearest first."""
    return [
        at for at in IN_ORDER if numbers[at] != NO_FRAME and before <= NEAR * (int(numbers[at]) - labelled) <= after
    ]


def canonical_settings(steps: Sequence[Step]) -> dict[str, Any]:
    """Return everything that the steps depend on except the clip, as plain values for JSON."""
    return {
        "version": VERSION,
        "steps": list(steps),
        "near": NEAR,
        "mean_face": mean_face_settings(),
        "head": [FIT_STEP, FIT_ROUNDS, FIT_SHARE],
        "opencv": cv2.__version__,
    }


def canonical_flow(
    pairs: Sequence[tuple[Image, Image]], landmarks: Landmarks, backend: Backend, steps: Sequence[Step]
) -> Flow:
    """Compute the flow from onset to apex, and take the steps.

    Parameters
    ----------
    pairs : onset and apex, each (224, 224, 3) uint8 RGB; the labelled frames first. The others are used only if
        `steps` has "average"
    landmarks : (68, 2) float32, of the onset, (x, y) in pixels of the crop

    Returns
    -------
    (2, 224, 224) float32, u and v in pixels; of the mean face, if `steps` has "shape"

    Raises
    ------
    FaceError
        If the landmarks can't be brought to the mean face.
    """
    used = pairs if "average" in steps else pairs[:1]
    flows = [optical_flow(grey(onset), grey(apex), backend) for onset, apex in used]
    return take_steps(np.asarray(np.mean(flows, axis=0), np.float32), landmarks, steps)


def take_steps(flow: Flow, landmarks: Landmarks, steps: Sequence[Step]) -> Flow:
    """Take the steps `head`, `shape` and `face` with a flow, (2, 224, 224) float32 in pixels, those that are named."""
    moved = np.ascontiguousarray(flow.transpose(1, 2, 0), dtype=np.float32)  # (H, W, 2)
    if "head" in steps:
        moved = np.asarray(moved - head_motion(moved, inside_face(landmarks)), dtype=np.float32)
    if "shape" in steps:
        moved = _onto_mean_face(moved, places_of_mean_face(landmarks))
    if "face" in steps:
        moved = moved * soft_face(MEAN_FACE if "shape" in steps else landmarks)[..., None]
    return np.ascontiguousarray(moved.transpose(2, 0, 1))


def _onto_mean_face(flow: Places, places: Places) -> Places:
    """Return a flow, (H, W, 2), as motion of the mean face: at its pixels, and in its pixels.

    A step on the mean face is a longer step on a larger face. With the map's derivative J at a pixel, a motion f of the
    face is the motion J^-1 f of the mean face.
    """
    at = _drawn_at(places, flow)
    across, down, area = derivatives(places)
    size = np.maximum(area, LEAST_SIZE)  # beside the face the map may be anything
    u = (down[..., 1] * at[..., 0] - down[..., 0] * at[..., 1]) / size
    v = (across[..., 0] * at[..., 1] - across[..., 1] * at[..., 0]) / size
    return np.stack([u, v], axis=-1).astype(np.float32)


def _drawn_at(places: Places, drawn: NDArray[Any]) -> NDArray[Any]:
    """Return the values of an image or a field, (224, 224, ...), at places; beyond its edge those of the edge."""
    x, y = places[..., 0], places[..., 1]
    return np.asarray(cv2.remap(drawn, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def canonical_images(images: Image, onset: Image, landmarks: Landmarks, steps: Sequence[Step]) -> Image:
    """Draw images of a clip as the steps `head`, `shape` and `face` have them, those that are named.

    Parameters
    ----------
    images : (n, 224, 224, 3) uint8, RGB
    onset : (224, 224, 3) uint8, RGB, the labelled onset, onto whose head pose they are moved
    landmarks : (68, 2) float32, of the onset

    Returns
    -------
    (n, 224, 224, 3) uint8, RGB

    Raises
    ------
    FaceError
        As `canonical_flow`.
    """
    face = inside_face(landmarks)
    own = np.stack(np.meshgrid(*2 * [np.arange(CROP_SIZE, dtype=np.float32)]), axis=-1)
    places = places_of_mean_face(landmarks) if "shape" in steps else own
    weight = soft_face(MEAN_FACE if "shape" in steps else landmarks)[..., None]
    drawn = np.empty_like(images)
    for row, image in enumerate(images):
        at = places
        if "head" in steps:
            flow = optical_flow(grey(onset), grey(image), "fast").transpose(1, 2, 0)
            head = head_motion(flow, face).astype(np.float32)
            at = places + _drawn_at(places, head)
        moved = image
        if at is not own:
            moved = np.asarray(_drawn_at(at, image), np.uint8)
        if "face" in steps:
            moved = np.rint(weight * moved + (1 - weight) * np.array(GREY, np.float32)).astype(np.uint8)
        drawn[row] = moved
    return drawn
