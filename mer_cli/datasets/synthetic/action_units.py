"""Compute action units as fields over the image: how each pixel of a subject moves and how its shading changes.

A unit is a combination of ARKit face units on the subject's own head, projected by the subject's own camera, so that
the field is exact. AU 5 and 7 move lids; the eyeball itself stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mer_cli.datasets.synthetic.assets import Floats, Part
from mer_cli.datasets.synthetic.render import HEIGHT, SUPERSAMPLING, WIDTH, Light, Map, unit, vertex_normals
from mer_cli.datasets.synthetic.skin import Scene
from mer_cli.system.opencv import cv2

# Face units and their weights; {side} is Left and Right.
FACE_UNITS: dict[int, dict[str, float]] = {
    1: {"browInnerUp": 1},
    2: {"browOuterUp{side}": 1},
    4: {"browDown{side}": 1},
    5: {"eyeWide{side}": 1},
    6: {"cheekSquint{side}": 1, "eyeSquint{side}": 0.4},
    7: {"eyeSquint{side}": 1},
    9: {"noseSneer{side}": 1, "browDown{side}": 0.25},
    10: {"mouthUpperUp{side}": 1},
    12: {"mouthSmile{side}": 1},
    14: {"mouthDimple{side}": 1},
    15: {"mouthFrown{side}": 1},
    17: {"mouthShrugLower": 1, "mouthShrugUpper": 0.3},
    18: {"mouthPucker": 1},
    20: {"mouthStretch{side}": 1},
    24: {"mouthPress{side}": 1, "mouthPucker": 0.15},
    26: {"jawOpen": 1, "mouthLowerDown{side}": 0.35},
    45: {"eyeBlink{side}": 1},
}
ONE_SIDED = (2, 10, 12, 14, 15)  # units that are often seen on one side only
BOTH = "B"
SIDES = {BOTH: ("Left", "Right"), "L": ("Left",), "R": ("Right",)}
CONTRACTION = 0.5  # of a full face unit, at which the fields are computed; they are nearly linear below it
LOWEST_DIFFUSE = 0.05  # in darker places than this, a change of shading means nothing


@dataclass(frozen=True)
class UnitField:
    """How each pixel moves and its shading changes when an action unit moves the face by one frame pixel at most.

    displacement : (HEIGHT, WIDTH, 2) float32, pixels (x, y) · shading : (HEIGHT, WIDTH) float32, relative change
    """

    displacement: Map
    shading: Map


def face_unit_names() -> set[str]:
    """Return the names of all ARKit face units that action units are combined from, such as "mouthSmileLeft"."""
    return {name for number in FACE_UNITS for name in _weights(number, BOTH)}


def unit_field(scene: Scene, light: Light, rest_diffuse: Map, unit_number: int, side: str) -> UnitField:
    """Compute how one action unit moves and shades each pixel of a head.

    Parameters
    ----------
    rest_diffuse : (h, w) diffuse light of the neutral face, drawn pixels
    side : "B" for both sides, "L" or "R" for the subject's left or right
    """
    moved = vertex_motion(scene, unit_number, side) * CONTRACTION
    vertices = scene.identity.vertices
    on_screen = scene.camera.project(vertices + moved)[:, :2] - scene.camera.project(vertices)[:, :2]
    displacement = scene.raster.interpolate(on_screen)
    displacement[(scene.part == Part.EYE) | ~scene.raster.hit] = 0
    displacement = np.asarray(cv2.GaussianBlur(shrink(displacement) / SUPERSAMPLING, (0, 0), 1.2), np.float32)
    to_one_pixel = 1 / float(np.linalg.norm(displacement, axis=2).max())
    normals = _turned_normals(scene, vertices + moved * to_one_pixel)
    is_lit_skin = scene.raster.hit & (scene.part == Part.SKIN)
    ratio = light.diffuse(normals) / np.maximum(rest_diffuse, LOWEST_DIFFUSE)
    shading = cv2.GaussianBlur(shrink(np.where(is_lit_skin, ratio, 1).astype(np.float32)), (0, 0), 0.8) - 1
    return UnitField(np.asarray(displacement * to_one_pixel, np.float32), np.asarray(shading, np.float32))


def scene_normals(scene: Scene, vertices: Floats) -> Floats:
    """Compute vertex normals (V, 3) in the camera's axes; skin, eyes, lashes and teeth are not averaged together."""
    turned = scene.camera.turn(vertices)
    is_skin = scene.assets.parts == Part.SKIN
    normals = vertex_normals(turned, scene.assets.triangles[is_skin])
    others = scene.assets.triangles[~is_skin]
    indices = np.unique(others)
    normals[indices] = vertex_normals(turned, others)[indices]
    return normals


def _turned_normals(scene: Scene, vertices: Floats) -> Map:
    return np.asarray(unit(scene.raster.interpolate(scene_normals(scene, vertices))), np.float32)


def vertex_motion(scene: Scene, unit_number: int, side: str) -> Floats:
    """Return the displacement (V, 3) of all vertices when an action unit is fully contracted, decimetres."""
    motion = np.zeros_like(scene.identity.vertices)
    for name, weight in _weights(unit_number, side).items():
        motion += weight * scene.assets.face_unit(name)
    return motion


def _weights(unit_number: int, side: str) -> dict[str, float]:
    """Return the weights of the face units that make an action unit on one side or both, by name."""
    units = FACE_UNITS[unit_number].items()
    return {pattern.format(side=word): weight for pattern, weight in units for word in SIDES[side]}


def shrink(drawn: Map) -> Map:
    """Scale a map from drawn pixels down to frame pixels."""
    return np.asarray(cv2.resize(drawn, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.float32)
