"""Dress a generated person: hair with volume, long hair, fringes and glasses. Shares and shapes are not measured.

Hair beside the head is part of the neutral picture and moves with it. Fringes and glasses lie before the face and keep
their shape when skin moves under them. Places are in eye distances from the point between the eyes, as in `skin`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mer_cli.datasets.synthetic.action_units import shrink
from mer_cli.datasets.synthetic.assets import Floats, Part
from mer_cli.datasets.synthetic.render import SUPERSAMPLING, Map
from mer_cli.datasets.synthetic.skin import Scene
from mer_cli.datasets.synthetic.subject import Shot, Subject, Worn, photograph
from mer_cli.system.opencv import cv2

GLASSES, FRINGE = 0.3, 0.45  # shares of the subjects, and of those with hair
LONG = (0.65, 0.05)  # share of those with hair whose hair is long: with a more feminine head, with a more masculine one
VOLUME = (3.0, 11.0)  # frame pixels that hair stands off the head
SHADOW = 0.78  # factor on the brightness of skin right below a fringe or the rim of glasses
LENS = 0.4  # half the width of a lens; the bridge between two lenses is 0.26
FRAMES = np.array([[0.02, 0.02, 0.02], [0.03, 0.05, 0.10], [0.10, 0.10, 0.11], [0.08, 0.15, 0.20]])  # black to gold
EDGE = 7  # drawn pixels at the head's edge in which the wall shines through
BEFORE_EYES = 0.42  # from the plane of the eyes' centres to that of the lenses


@dataclass(frozen=True)
class _Canvas:
    """What is painted on: the neutral picture, and the layer before the face.

    drawn, picture : (h, w, 3) float32, 0-1, drawn pixels · cover : (h, w) float32, opacity of the layer, 0-1
    """

    drawn: Map
    picture: Map
    cover: Map

    def put(self, colour: Map, cover: Map) -> None:
        """Paint on the layer before the face, in place."""
        self.picture[:] = self.picture * (1 - cover[..., None]) + colour * cover[..., None]
        self.cover[:] = 1 - (1 - self.cover) * (1 - cover)

    def put_behind(self, colour: Map, cover: Map) -> None:
        """Paint on the neutral picture, in place."""
        self.drawn[:] = self.drawn * (1 - cover[..., None]) + colour * cover[..., None]


def dress(subject: Subject, rng: np.random.Generator) -> Subject:
    """Return the subject with more hair and with glasses, or with either, or as it was."""
    shot, scene = subject.shot, subject.scene
    assert shot is not None
    has_glasses, has_fringe, is_long = rng.random(3) < [
        GLASSES,
        FRINGE,
        LONG[int(scene.identity.masculinity > 0.5)],
    ]
    shape = subject.drawn.shape[:2]
    canvas = _Canvas(subject.drawn.copy(), np.zeros((*shape, 3), np.float32), np.zeros(shape, np.float32))
    if shot.painted.cap.max() > 0.5:  # others are bald
        strands = _strands(rng, shape)
        _volume(canvas, scene, shot, strands, rng, is_long=bool(is_long))
        if has_fringe:
            _fringe(canvas, scene, shot, strands, rng)
    if has_glasses:
        _glasses(canvas, scene, shot, rng)
    cover = np.asarray(cv2.GaussianBlur(shrink(canvas.cover), (0, 0), subject.softness), np.float32)
    worn = Worn(photograph(canvas.picture, subject.softness), cover) if cover.any() else None
    return replace(subject, neutral=photograph(canvas.drawn, subject.softness), drawn=canvas.drawn, worn=worn)


def _strands(rng: np.random.Generator, shape: tuple[int, ...]) -> Map:
    """Draw a factor on the brightness of hair, (h, w, 1): strands from top to bottom."""
    fine, coarse = (rng.normal(size=shape).astype(np.float32) for _ in range(2))
    fine = np.asarray(cv2.GaussianBlur(fine, (0, 0), sigmaX=0.9, sigmaY=9), np.float32)
    coarse = np.asarray(cv2.GaussianBlur(coarse, (0, 0), sigmaX=5, sigmaY=40), np.float32)
    return np.asarray(
        np.clip(1 + 0.22 * fine / fine.std() + 0.2 * coarse / coarse.std(), 0.3, 2)[..., None], np.float32
    )


def _hair(scene: Scene, shot: Shot, strands: Map, brightness: float) -> Map:
    """Return hair as the camera records it in every pixel, (h, w, 3), 0-1, in the average light of the head's top."""
    lit = float(np.median(shot.lit[(shot.painted.cap > 0.5) & scene.raster.hit]))
    return shot.expose(np.asarray(np.clip(shot.painted.hair * strands, 0.01, 1) * lit * brightness, np.float32))


def _volume(
    canvas: _Canvas, scene: Scene, shot: Shot, strands: Map, rng: np.random.Generator, *, is_long: bool
) -> None:
    """Paint hair that stands off the head, and long hair beside face and neck."""
    radius = int(rng.uniform(*VOLUME) * SUPERSAMPLING)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    on_head = ((shot.painted.cap > 0.5) & scene.raster.hit & (scene.up > -0.1)).astype(np.uint8)
    around = np.asarray(cv2.dilate(on_head, kernel), np.float32)
    if is_long:
        lowest, wide = -rng.uniform(1.3, 3.2), rng.uniform(0.08, 0.3)
        profile = [
            (0.6, 1.35),
            (1.05, 0.9),
            (1.2, 0.3),
            (1.2 + wide / 2, -0.5),
            (1.2 + wide, -1.2),
            (1.1 + wide, lowest),
        ]
        half = _half_width(scene)
        outline = [
            (side * half * right, up) for side in (1, -1) for right, up in (profile if side == 1 else profile[::-1])
        ]
        points = _project(scene, np.array([(right, up, -0.6) for right, up in outline]))
        cv2.fillPoly(around, [np.round(points).astype(np.int32)], 1.0)
        around = (cv2.GaussianBlur(around, (0, 0), 9.0 * SUPERSAMPLING) > 0.5).astype(np.float32)  # round corners
    around = np.asarray(cv2.GaussianBlur(around, (0, 0), 1.1 * SUPERSAMPLING), np.float32)
    edge_of_head = cv2.erode(scene.raster.hit.astype(np.float32), np.ones((EDGE, EDGE), np.uint8))
    behind = around * (1 - np.asarray(cv2.GaussianBlur(edge_of_head, (0, 0), EDGE / 3), np.float32))
    canvas.put_behind(_hair(scene, shot, strands, 0.75), behind)
    if is_long:
        side = np.abs(scene.right)
        inner = half * rng.uniform(0.88, 0.98) - 0.12 * np.clip(scene.up, -1, 1) ** 2 + 0.02 * (strands[..., 0] - 1)
        before_ears = _soft((side - inner) / 0.03) * (scene.up > lowest) * _soft((0.95 - scene.up) / 0.1)
        front = before_ears * scene.raster.hit * (scene.part == Part.SKIN) * _soft((scene.up + 1.9) / 0.2)
        canvas.put_behind(_hair(scene, shot, strands, 0.9), np.asarray(front, np.float32))


def _half_width(scene: Scene) -> float:
    """Return half the width of the head at the level of the eyes."""
    level = scene.raster.hit & (np.abs(scene.up) < 0.1)
    return float(np.abs(scene.right[level]).max()) / 1.2


def _fringe(canvas: _Canvas, scene: Scene, shot: Shot, strands: Map, rng: np.random.Generator) -> None:
    """Paint hair over the forehead: straight above the brows, or parted somewhere."""
    lowest, open_by, parting, width = rng.uniform([0.46, 0.0, -0.45, 0.25], [0.62, 0.55, 0.45, 0.5])
    jag = 0.035 * cv2.GaussianBlur(strands[..., 0] - 1, (0, 0), sigmaX=1.5, sigmaY=12) / 0.2
    line = lowest + open_by * np.exp(-(((scene.right - parting) / width) ** 2)) - 0.12 * scene.right**2 + jag
    is_front = scene.raster.hit & (scene.part == Part.SKIN) & (scene.position[..., 2] > scene.eyes[:, 2].mean() - 0.3)
    is_front &= np.abs(scene.right) < 1.05
    inside = is_front * _soft((scene.up - line) / 0.02)
    below = is_front * _soft((scene.up - line + 0.06) / 0.04)
    _shade(canvas, np.asarray(below * (1 - inside), np.float32))
    cover = cv2.GaussianBlur(np.asarray(inside, np.float32), (0, 0), 0.8)
    canvas.put(_hair(scene, shot, strands, 1.0), np.asarray(np.clip(cover, 0, 0.97), np.float32))


def _glasses(canvas: _Canvas, scene: Scene, shot: Shot, rng: np.random.Generator) -> None:
    """Draw glasses with round to angular lenses, a bridge, temples, and a faint reflection."""
    half, tall, corners = rng.uniform([0.9, 0.62, 2.0], [1.1, 0.85, 5.0]) * [LENS, LENS, 1]
    thick = int(rng.uniform(2, 5.5))  # drawn pixels
    colour = shot.expose(np.asarray(FRAMES[rng.integers(len(FRAMES))] * float(np.median(shot.lit)), np.float32))
    rims, lenses = np.zeros_like(canvas.cover), np.zeros_like(canvas.cover)
    turn = np.linspace(0, 2 * np.pi, 80, endpoint=False)
    wave = np.column_stack([np.cos(turn), np.sin(turn)])
    outline = np.sign(wave) * np.abs(wave) ** (2 / corners) * [half, tall]
    centre = half + 0.13
    for side in (-1, 1):
        lens = outline + np.array([side * centre, -0.06])
        points = _project(scene, np.column_stack([lens, BEFORE_EYES - 0.1 * lens[:, 0] ** 2]))
        cv2.polylines(rims, [_sixteenths(points)], True, 1.0, thick, cv2.LINE_AA, 4)
        cv2.fillPoly(lenses, [_sixteenths(points)], 1.0, cv2.LINE_AA, 4)
        hinge = side * (centre + half)
        temple = [(hinge, 0.06, BEFORE_EYES - 0.15), (1.04 * hinge, 0.05, -0.2), (1.06 * hinge, 0.02, -1.0)]
        cv2.polylines(rims, [_sixteenths(_project(scene, np.array(temple)))], False, 1.0, thick, cv2.LINE_AA, 4)
    bridge = [
        (right, 0.04 + 0.05 * (1 - (right / 0.15) ** 2), BEFORE_EYES + 0.03) for right in np.linspace(-0.15, 0.15, 9)
    ]
    cv2.polylines(rims, [_sixteenths(_project(scene, np.array(bridge)))], False, 1.0, thick, cv2.LINE_AA, 4)
    lower = np.array([[1, 0, 0], [0, 1, 5]], np.float32)
    shadow = cv2.warpAffine(cv2.GaussianBlur(rims, (0, 0), 4), lower, rims.shape[::-1])
    _shade(canvas, np.asarray(np.clip(shadow, 0, 1) * scene.raster.hit, np.float32))
    slant = (np.arange(rims.shape[1])[None] + np.arange(rims.shape[0])[:, None]) / rims.shape[1]
    gleam = rng.uniform(0.02, 0.1) * (0.5 + 0.5 * np.sin(2 * np.pi * (rng.uniform(2, 4) * slant + rng.random())))
    canvas.put(np.ones(3, np.float32), np.asarray(lenses * gleam, np.float32))
    canvas.put(colour, np.clip(rims, 0, 1))


def _shade(canvas: _Canvas, where: Map) -> None:
    """Darken the neutral picture, in place, where the map is above 0."""
    canvas.drawn[:] = canvas.drawn * (1 - (1 - SHADOW) * where[..., None])


def _project(scene: Scene, places: Floats) -> Floats:
    """Return screen points (N, 2) of places (N, 3), in eye distances from the point between the eyes."""
    return scene.camera.project(scene.eyes.mean(axis=0) + places * scene.eye_gap)[:, :2]


def _sixteenths(points: Floats) -> NDArray[np.int32]:
    """Return points in sixteenths of a pixel, as OpenCV takes them with shift 4."""
    return np.round(points * 16).astype(np.int32)


def _soft(x: NDArray[np.floating]) -> Map:
    """Return a map that goes from 0 to 1 where `x` passes 0."""
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -60, 60))), np.float32)
