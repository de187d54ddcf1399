"""Paint a head: skin, lips, brows, hair, eyes and clothes as one albedo map, without light or motion.

Places on the face are measured in eye distances from the point between the eyes: `right` (to the subject's left side)
and `up`. Colours are blue, green, red, 0-1, as OpenCV keeps them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_cli.datasets.synthetic.assets import Floats, HeadAssets, Ints, Part
from mer_cli.datasets.synthetic.head import Identity
from mer_cli.datasets.synthetic.render import HEIGHT, SUPERSAMPLING, WIDTH, Camera, Map, Raster, unit
from mer_cli.system.opencv import cv2

SKINS = np.array([[0.20, 0.29, 0.42], [0.50, 0.66, 0.86], [0.58, 0.69, 0.90]])  # in the order of head.ANCESTRIES
IRISES = np.array([[0.10, 0.16, 0.28], [0.30, 0.38, 0.45], [0.55, 0.42, 0.32], [0.25, 0.40, 0.38], [0.05, 0.09, 0.15]])
IRIS_SHARES = (0.35, 0.15, 0.15, 0.1, 0.25)
FARTHEST = 40  # 1 - exp(-40) is 1
# Identity targets that move a region of the face.
LIPS = ("mouth/mouth-upperlip-volume-incr", "mouth/mouth-lowerlip-volume-incr")
EARS = ("ears/l-ear-scale-incr", "ears/r-ear-scale-incr")


@dataclass(frozen=True)
class Scene:
    """A head before the camera, with maps over the drawn pixels.

    position : (h, w, 3), place on the head, decimetres · part : (h, w) values of `Part`, -1 for the background
    right, up : (h, w), eye distances from the point between the eyes
    """

    assets: HeadAssets
    identity: Identity
    camera: Camera
    raster: Raster
    eyes: Floats
    position: Map
    part: Ints
    right: Map
    up: Map

    @property
    def eye_gap(self) -> float:
        """Distance between the eye centres, decimetres."""
        return float(np.linalg.norm(self.eyes[0] - self.eyes[1]))

    def region(self, *targets: str) -> Map:
        """Return a soft map, (h, w), 0-1, of the region that the named identity targets move."""
        return self.raster.interpolate(self.assets.reach(*targets)[:, None])[..., 0]

    def spot(self, right: float, up: float, width: float, height: float) -> Map:
        """Return a map, (h, w), 0-1, of a soft spot on each side of the face; arguments in eye distances."""
        across = (np.abs(self.right) - right) / width
        return np.asarray(np.exp(-(across**2 + ((self.up - up) / height) ** 2) / 2), np.float32)


@dataclass(frozen=True)
class Paint:
    """The colours of a painted head.

    albedo : (h, w, 3) float32 · shine : (h, w), a factor on the gloss
    hair : (3,), its colour · cap : (h, w), 0-1, how much hair covers the head
    iris : (3,), its colour · gaze : (2,), how far the eyes look to the subject's left and up, tangents
    """

    albedo: Map
    shine: Map
    hair: Floats
    cap: Map
    iris: Floats
    gaze: Floats


def paint(scene: Scene, rng: np.random.Generator) -> Paint:
    """Draw the colours of a head at random: skin, lips, brows, hair, eyes and clothes."""
    tone = (
        (scene.identity.ancestry @ SKINS) * rng.uniform(0.85, 1.1) * rng.uniform([0.92, 0.96, 0.98], [1.06, 1.03, 1.02])
    )
    fair = 2.2 if scene.identity.ancestry[2] > 0.5 else 1.2
    hair = rng.uniform(0.02, 0.16) * np.array([0.55, 0.75, 1.0]) * rng.uniform(0.8, fair)
    fine = _texture(rng, 4, 7)
    albedo = _skin(scene, tone, fine, rng)
    albedo = _lips(scene, albedo, tone, fine, rng)
    albedo = _over(albedo, hair, _brows(scene, rng))
    cap = _hair_cap(scene, rng) if rng.random() < 0.85 else np.zeros_like(scene.up)
    strands = cv2.GaussianBlur(_noise(rng), (0, 0), sigmaX=0.8, sigmaY=5) * 3.2
    albedo = _over(albedo, np.clip(hair * (1 + 0.35 * strands)[..., None], 0.01, 1), cap)
    if scene.identity.masculinity > 0.5 and rng.random() < 0.6:
        albedo = _over(albedo, hair * np.clip(1 + 0.3 * strands, 0.3, 2)[..., None], _beard(scene, rng))
    iris, gaze = IRISES[rng.choice(len(IRISES), p=IRIS_SHARES)], np.array([rng.normal(0, 0.03), rng.normal(0, 0.02)])
    for ball, outward in eyeballs(scene):
        albedo[ball] = eye_colours(outward, iris, gaze)
    albedo = np.where((scene.part == Part.LASH)[..., None], hair * 0.5, albedo)
    albedo = np.where((scene.part == Part.TEETH)[..., None], [0.7, 0.8, 0.85], albedo)
    clothed = (scene.part == Part.SKIN) & (scene.up < -2.55)
    albedo = np.where(clothed[..., None], rng.uniform(0.05, 0.8, 3) * (1 + 0.05 * fine)[..., None], albedo)
    shine = np.where(scene.part == Part.EYE, 3.0, np.where(cap > 0.5, 0.15, 1.0))
    return Paint(albedo.astype(np.float32), shine.astype(np.float32), hair, cap, iris, gaze)


def backdrop(rng: np.random.Generator) -> Map:
    """Draw the wall behind the head, of a random colour with a gradient, (h, w, 3)."""
    down, across = np.mgrid[0 : HEIGHT * SUPERSAMPLING, 0 : WIDTH * SUPERSAMPLING]
    slope = rng.uniform(-0.3, 0.3, 2)
    shade = 1 + slope[0] * (across / across.max() - 0.5) + slope[1] * (down / down.max() - 0.5)
    wall = rng.uniform(0.15, 0.75, 3) * (shade * (1 + 0.02 * _texture(rng, 2, 4)))[..., None]
    return np.asarray(wall, np.float32)


def _skin(scene: Scene, tone: Floats, fine: Map, rng: np.random.Generator) -> Floats:
    """Paint tone, blotches, pores, red cheeks, shade under the eyes and moles."""
    pores = cv2.GaussianBlur(_noise(rng), (0, 0), 1.3) * 3
    albedo: Floats = tone * (1 + 0.035 * _texture(rng, 2, 4) + 0.028 * fine + 0.03 * pores)[..., None]
    flush = rng.uniform(0.3, 1.2)
    for spot, color in (
        (scene.spot(0.62, -0.62, 0.22, 0.2), np.array([-0.10, -0.10, 0.02])),
        (scene.spot(0.0, -0.68, 0.14, 0.14), np.array([-0.08, -0.08, 0.02])),
    ):
        albedo *= 1 + flush * spot[..., None] * color
    albedo *= 1 - (scene.spot(0.5, -0.17, 0.2, 0.05) * rng.uniform(0.03, 0.2))[..., None]
    for _ in range(int(rng.integers(3, 30))):
        right, up = rng.normal([0.0, -0.4], [0.7, 0.55])
        size = rng.uniform(0.008, 0.02)
        distance = ((scene.right - right) ** 2 + (scene.up - up) ** 2) / (2 * size**2)
        near = distance < FARTHEST
        albedo[near] *= 1 - (rng.uniform(0.1, 0.45) * np.exp(-distance[near]))[:, None]
    return albedo


def _lips(scene: Scene, albedo: Floats, tone: Floats, fine: Map, rng: np.random.Generator) -> Floats:
    mouth = scene.region(*LIPS)
    cover = np.clip(mouth * 2.2 - 0.35, 0, 1) * (scene.part == Part.SKIN)
    color = tone * rng.uniform([0.62, 0.58, 0.80], [0.85, 0.78, 1.0]) * (1 + 0.03 * fine)[..., None]
    return _over(albedo, color, 0.75 * cover)


def _brows(scene: Scene, rng: np.random.Generator) -> Map:
    """Draw short hairs along an arch over each eye, as lines on the skin; return how much they cover, 0-1."""
    cover = np.zeros(scene.up.shape, np.float32)
    thick, low, arch, tilt = rng.uniform([0.045, 0.24, 0.02, -0.03], [0.085, 0.33, 0.08, 0.04])
    for side in (-1, 1):
        n_hairs = int(rng.uniform(260, 420))
        along = rng.random(n_hairs)
        taper = (1 - 0.65 * along**2) * np.minimum(1, 3.5 * along + 0.45)
        up = low + arch * np.sin(np.pi * np.minimum(1, along * 1.25)) + tilt * along
        up += rng.normal(0, 0.42, n_hairs) * thick * taper
        root = np.column_stack([side * (0.20 + 0.62 * along), up])
        angle = 0.9 - 1.1 * along
        hair = np.column_stack([side * np.cos(angle), np.sin(angle)]) * rng.uniform(0.04, 0.075, (n_hairs, 1))
        starts, ends = (on_screen(scene, points) for points in (root, root + hair))
        for start, end, strength in zip(starts, ends, rng.uniform(0.5, 1, n_hairs), strict=True):
            cv2.line(cover, _sixteenths(start), _sixteenths(end), float(strength), 1, cv2.LINE_AA, 4)
    blurred = cv2.GaussianBlur(cover, (0, 0), 0.6 * SUPERSAMPLING)
    return np.asarray(np.clip(blurred * 1.5, 0, 0.92) * (scene.part == Part.SKIN), np.float32)


def on_screen(scene: Scene, places: Floats) -> Floats:
    """Return screen points (N, 2) of `places` (N, 2), given in eye distances, on the front of the face."""
    between = scene.eyes.mean(axis=0)
    points = between[:2] + places * scene.eye_gap
    front = scene.assets.triangles[scene.assets.parts == Part.SKIN].ravel()
    vertices = scene.identity.vertices[np.unique(front)]
    vertices = vertices[vertices[:, 2] > between[2] - 0.3]
    right, up = (vertices[None, :, axis] - points[:, axis, None] for axis in (0, 1))
    nearest = (right**2 + up**2).argmin(1)
    return scene.camera.project(np.column_stack([points, vertices[nearest, 2]]))[:, :2]


def _sixteenths(point: Floats) -> Sequence[int]:
    """Return a point in sixteenths of a pixel, as `cv2.line` takes it with shift 4."""
    return [int(value * 16) for value in point]


def _hair_cap(scene: Scene, rng: np.random.Generator) -> Map:
    """Draw short hair above a hairline and behind the temples, not over the ears; return how much it covers, 0-1."""
    height, receding = rng.uniform(0.82, 1.15), rng.uniform(0.0, 0.35)
    side = np.abs(scene.right)
    line = height - receding * side**2 * (side < 0.9) - np.clip(side - 0.88, 0, 1) * 5.5
    cap = _sigmoid((scene.up - line + 0.05 * _texture(rng, 5, 8)) / 0.035)
    behind = scene.position[..., 2] < scene.eyes[:, 2].mean() - 1.15 * scene.eye_gap
    cap = np.maximum(cap, behind) * (scene.part == Part.SKIN) * _sigmoid((scene.up + 0.95) / 0.05)
    ears = scene.region(*EARS)
    return np.asarray(cap * (1 - np.clip(ears * 6 - 0.6, 0, 1)), np.float32)


def _beard(scene: Scene, rng: np.random.Generator) -> Map:
    chin, lip, jaw = (
        scene.spot(0, -1.28, 0.62, 0.28),
        scene.spot(0, -0.82, 0.22, 0.05),
        scene.spot(0.75, -0.95, 0.15, 0.35),
    )
    mouth = scene.region(*LIPS)
    bare = 1 - np.clip(mouth * 2.2 - 0.35, 0, 1)
    cover = np.clip(chin + lip + jaw, 0, 1) * bare * (scene.part == Part.SKIN) * rng.uniform(0.1, 0.45)
    return np.asarray(cover, np.float32)


def eyeballs(scene: Scene) -> list[tuple[NDArray[np.bool_], Map]]:
    """Return for each eye which pixels show it, (h, w), and their directions from its centre, (N, 3) unit vectors."""
    found = []
    for centre in scene.eyes:
        ball = (scene.part == Part.EYE) & ((scene.position[..., 0] > 0) == (centre[0] > 0))
        found.append((ball, unit(scene.position[ball] - centre.astype(np.float32))))
    return found


def eye_colours(outward: Map, iris_color: Floats, gaze: Floats) -> Floats:
    """Paint white, iris with a dark rim, and pupil of an eye that looks along `gaze` (2,) at places (N, 3), (N, 3)."""
    angle = np.arccos(np.clip(outward @ unit(np.array([*gaze, 1.0])), -1, 1))
    iris, pupil = _sigmoid((0.47 - angle) / 0.025), _sigmoid((0.19 - angle) / 0.02)
    rim = 1 - 0.5 * ((angle > 0.40) & (angle < 0.5))
    white = np.array([0.80, 0.84, 0.88]) * (1 - iris)[:, None]
    colours: Floats = white + iris_color * (rim * iris * (1 - pupil))[:, None]
    return colours


def _over(below: Floats, color: Floats, cover: Map) -> Floats:
    """Return `below` painted over with `color`; `cover` is the opacity, 0-1."""
    return below * (1 - cover[..., None]) + color * cover[..., None]


def _texture(rng: np.random.Generator, coarsest: int, finest: int) -> Map:
    """Draw noise with mean 0 and deviation 1, summed over cell sizes; the numbers of cells across are powers of two."""
    texture = np.zeros((HEIGHT * SUPERSAMPLING, WIDTH * SUPERSAMPLING), np.float32)
    for octave in range(coarsest, finest + 1):
        cells = rng.normal(size=(2**octave, 2**octave)).astype(np.float32)
        size = (texture.shape[1], texture.shape[0])
        texture += 0.65 ** (octave - coarsest) * cv2.resize(cells, size, interpolation=cv2.INTER_CUBIC)
    return np.asarray(texture / texture.std(), np.float32)


def _noise(rng: np.random.Generator) -> Map:
    return rng.normal(size=(HEIGHT * SUPERSAMPLING, WIDTH * SUPERSAMPLING)).astype(np.float32)


def _sigmoid(x: NDArray[Any]) -> Map:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -60, 60))), np.float32)
