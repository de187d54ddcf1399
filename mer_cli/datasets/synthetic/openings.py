"""Draw a subject with closing lids or a dropping jaw: pictures of the moved mesh, some of them from rest to the end.

A field over the neutral image can't show what it hides: the lid over the eye, the inside of the mouth. So the moved
head is drawn anew, with the colours of the neutral face, and a frame between two pictures is a mix of both.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mer_cli.datasets.synthetic.action_units import LOWEST_DIFFUSE, scene_normals, shrink, vertex_motion
from mer_cli.datasets.synthetic.assets import Part
from mer_cli.datasets.synthetic.render import HEIGHT, SUPERSAMPLING, WIDTH, Map, rasterise, unit
from mer_cli.datasets.synthetic.skin import Scene
from mer_cli.datasets.synthetic.subject import Subject, photograph
from mer_cli.system.opencv import cv2

FARTHEST = 99.0  # decimetres, beyond the head
BEHIND = 0.05  # decimetres; what lies farther behind the neutral face is hidden there
MOUTH = (0.75, -2.0, -0.55)  # eye distances from the point between the eyes: half the width, lowest, highest
INSIDE = np.array([0.07, 0.06, 0.16], np.float32)  # colour inside the mouth, blue green red
LARGEST_RATIO = 2.5  # of the light on moved skin to that on the skin at rest
UNSEEN = 0.5  # a change of the picture, of 255, that nobody sees
LEAST_SEEN = 0.05  # of a pixel: less than this of an eyeball is not seen


@dataclass(frozen=True)
class Opening:
    """How a face looks with one action unit, from rest to its largest: the difference from the neutral image.

    top, left : corner of the changed part, frame pixels
    changes : (pictures, h, w, 3) float32, 0-255; the first is zero
    eyes : (pictures, h, w) float32, 0-1, how much of each pixel shows an eyeball
    """

    top: int
    left: int
    changes: NDArray[np.float32] = field(repr=False)
    eyes: NDArray[np.float32] = field(repr=False)

    def add(self, picture: Map, share: float) -> None:
        """Change a neutral picture, (HEIGHT, WIDTH, 3), in place; `share` 0-1 says how far the unit is contracted."""
        change = self._between(self.changes, share)
        height, width = change.shape[:2]
        picture[self.top : self.top + height, self.left : self.left + width] += change

    def seen(self, share: float) -> Map:
        """Return how much of each eyeball that is seen at rest is seen now, (HEIGHT, WIDTH) float32, 0-1."""
        seen = np.ones((HEIGHT, WIDTH), np.float32)
        now, rest = self._between(self.eyes, share), self.eyes[0]
        height, width = rest.shape
        covered = np.minimum(now / np.maximum(rest, LEAST_SEEN), 1)
        seen[self.top : self.top + height, self.left : self.left + width] = np.where(rest > LEAST_SEEN, covered, 1)
        return seen

    def _between(self, maps: NDArray[np.float32], share: float) -> Map:
        """Return the mix of the two pictures' maps that are nearest to a share of the largest contraction."""
        place = float(np.clip(share, 0, 1)) * (len(maps) - 1)
        below = min(int(place), len(maps) - 2)
        part = place - below
        return np.asarray(cv2.addWeighted(maps[below], 1 - part, maps[below + 1], part, 0), np.float32)


def draw_opening(subject: Subject, unit_number: int, largest: float, n_pictures: int) -> Opening:
    """Draw a subject with an action unit at even steps from 0 to `largest` (1: fully contracted)."""
    pictures, eyes = [], []
    for step in np.linspace(0, largest, n_pictures):
        drawn, is_eye = _draw(subject, unit_number, step)
        pictures.append(photograph(drawn, subject.softness))
        eyes.append(shrink(is_eye.astype(np.float32)))
    changes = np.stack(pictures) - pictures[0]
    seen = np.argwhere(np.abs(changes).max(axis=(0, 3)) > UNSEEN)
    (top, left), (bottom, right) = seen.min(0), seen.max(0) + 1
    part = np.s_[:, top:bottom, left:right]
    return Opening(int(top), int(left), np.ascontiguousarray(changes[part]), np.stack(eyes)[part].copy())


def _draw(subject: Subject, unit_number: int, amount: float) -> tuple[Map, NDArray[np.bool_]]:
    """Draw a moved head with the colours of the neutral one.

    Returns
    -------
    the picture, (h, w, 3), 0-1, and which of its pixels show an eyeball, (h, w); both in drawn pixels
    """
    scene = subject.scene
    vertices = scene.identity.vertices + amount * vertex_motion(scene, unit_number, "B")
    raster = rasterise(scene.camera.project(vertices), scene.assets.triangles)
    at_rest = raster.interpolate(scene.camera.project(scene.identity.vertices))
    down, across = np.mgrid[0 : HEIGHT * SUPERSAMPLING, 0 : WIDTH * SUPERSAMPLING].astype(np.float32)
    x, y = (np.where(raster.hit, at_rest[..., axis], still) for axis, still in enumerate((across, down)))
    picture = cv2.remap(subject.drawn, x, y, cv2.INTER_CUBIC)
    depth = np.where(scene.raster.hit, scene.raster.depth, FARTHEST).astype(np.float32)
    is_hidden = raster.hit & (at_rest[..., 2] > cv2.remap(depth, x, y, cv2.INTER_NEAREST) + BEHIND)
    part = np.where(raster.hit, scene.assets.parts[np.maximum(raster.triangle, 0)], -1)
    normals = np.asarray(unit(raster.interpolate(scene_normals(scene, vertices))), np.float32)
    rest_light = cv2.remap(subject.rest_diffuse, x, y, cv2.INTER_LINEAR)
    ratio = subject.light.diffuse(normals) / np.maximum(rest_light, LOWEST_DIFFUSE)
    ratio = np.where(part == Part.SKIN, np.clip(ratio, 1 / LARGEST_RATIO, LARGEST_RATIO), 1)
    picture *= ratio[..., None].astype(np.float32)
    is_inside = is_hidden & _mouth(scene, raster.interpolate(scene.identity.vertices))
    cover = cv2.GaussianBlur(is_inside.astype(np.float32), (0, 0), 0.7)[..., None]
    return np.asarray(picture * (1 - cover) + INSIDE * cover, np.float32), part == Part.EYE


def _mouth(scene: Scene, position: Map) -> NDArray[np.bool_]:
    """Return which places on the head, (h, w, 3) decimetres, lie about the mouth, (h, w)."""
    from_eyes = (position - scene.eyes.mean(0).astype(np.float32)) / scene.eye_gap
    width, lowest, highest = MOUTH
    inside: NDArray[np.bool_] = (
        (np.abs(from_eyes[..., 0]) < width) & (from_eyes[..., 1] > lowest) & (from_eyes[..., 1] < highest)
    )
    return inside
