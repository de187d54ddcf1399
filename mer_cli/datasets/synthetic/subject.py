"""Draw a generated person: one neutral image, and how each action unit changes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import dlib
import numpy as np

from mer_cli.datasets.synthetic.action_units import UnitField, scene_normals, unit_field
from mer_cli.datasets.synthetic.assets import Part, load_assets
from mer_cli.datasets.synthetic.head import draw_identity
from mer_cli.datasets.synthetic.render import (
    HEIGHT,
    SUPERSAMPLING,
    WIDTH,
    Light,
    Map,
    cavity,
    draw_light,
    place_camera,
    rasterise,
    unit,
)
from mer_cli.datasets.synthetic.skin import Paint, Scene, backdrop, paint
from mer_cli.errors import DatasetError
from mer_cli.system.opencv import cv2

SHADE_OF_LIDS = 0.8  # factor on the brightness of eyeballs
ATTEMPTS = 20  # to draw a head in which Dlib finds a face; it finds none in about one of thirty


Dress = Callable[["Subject", np.random.Generator], "Subject"]


@dataclass(frozen=True)
class Shot:
    """How the neutral picture was made of its colours, so that parts of it can be drawn in other ones.

    painted : the colours
    lit, gloss : (h, w) float32, light on the skin and its reflection, drawn pixels
    exposure, gamma : of the camera
    """

    painted: Paint = field(repr=False)
    lit: Map = field(repr=False)
    gloss: Map = field(repr=False)
    exposure: float
    gamma: float

    def expose(self, colours: Map) -> Map:
        """Return lit colours (..., 3) as the camera records them, 0-1."""
        return np.asarray(np.clip(colours * self.exposure, 0, 1) ** self.gamma, np.float32)


@dataclass(frozen=True)
class Worn:
    """What is worn before the face and keeps its shape when the face moves: glasses, a fringe.

    picture : (HEIGHT, WIDTH, 3) float32, blue green red, 0-255, times its opacity
    cover : (HEIGHT, WIDTH) float32, opacity, 0-1
    """

    picture: Map = field(repr=False)
    cover: Map = field(repr=False)

    def over(self, face: Map) -> Map:
        """Return a picture of the face, (HEIGHT, WIDTH, 3), with it."""
        return np.asarray(face * (1 - self.cover[..., None]) + self.picture, np.float32)


@dataclass(frozen=True)
class Subject:
    """A person before the camera.

    neutral : (HEIGHT, WIDTH, 3) float32, blue green red, 0-255, without what is worn
    scene, light : the head at rest, and the light on it
    rest_diffuse : (h, w) float32, diffuse light of the neutral face, drawn pixels
    drawn : (h, w, 3) float32, the neutral face in drawn pixels, 0-1 · softness : its blur in frame pixels
    shot : how it was made of its colours
    worn : None if nothing is worn
    """

    neutral: Map
    scene: Scene = field(repr=False)
    light: Light = field(repr=False)
    rest_diffuse: Map = field(repr=False)
    drawn: Map = field(repr=False)
    softness: float = field(repr=False)
    shot: Shot | None = field(default=None, repr=False)
    worn: Worn | None = None
    _fields: dict[tuple[int, str], UnitField] = field(default_factory=dict, repr=False)

    def unit_field(self, unit_number: int, side: str) -> UnitField:
        """Return how an action unit moves and shades the face at a peak of one pixel; it is computed only once."""
        key = (unit_number, side)
        if key not in self._fields:
            self._fields[key] = unit_field(self.scene, self.light, self.rest_diffuse, unit_number, side)
        return self._fields[key]


def draw_subject(seed: int, number: int, dress: Dress | None = None) -> Subject:
    """Draw person `number` of a release: heads are drawn from random streams until Dlib finds one face.

    Parameters
    ----------
    dress : adds hair and glasses to a drawn person, from a random stream of its own; None leaves the person as drawn
    """
    detector = _detector()
    for attempt in range(ATTEMPTS):
        subject = _draw(np.random.default_rng([seed, number, attempt]))
        if dress is not None:
            subject = dress(subject, np.random.default_rng([seed, 6, number, attempt]))
        seen = subject.worn.over(subject.neutral) if subject.worn else subject.neutral
        shown = cv2.cvtColor(np.clip(seen, 0, 255).astype(np.uint8), cv2.COLOR_BGR2RGB)
        if len(detector(shown, 0)) == 1:
            return subject
    raise DatasetError(
        f"mer synth: Dlib finds no face in any of {ATTEMPTS} heads drawn for person {number} with seed {seed}. "
        "Give another --seed."
    )


@cache
def _detector() -> dlib.fhog_object_detector:
    """Return Dlib's frontal face detector, made once per process (half a second)."""
    return dlib.get_frontal_face_detector()


def _draw(rng: np.random.Generator) -> Subject:
    scene = _scene(rng)
    light = draw_light(rng)
    normals = np.asarray(unit(scene.raster.interpolate(scene_normals(scene, scene.identity.vertices))), np.float32)
    diffuse = light.diffuse(normals)
    painted = paint(scene, rng)
    lit, gloss = diffuse * cavity(scene.raster), light.specular(normals) * painted.shine
    face = painted.albedo * lit[..., None]
    face += gloss[..., None]
    face[scene.part == Part.EYE] *= SHADE_OF_LIDS
    wall = backdrop(rng)
    hit = scene.raster.hit[..., None]
    soft = cv2.GaussianBlur(scene.raster.hit.astype(np.float32), (0, 0), 0.7 * SUPERSAMPLING)[..., None]
    picture = np.where(hit, face, wall) * soft + wall * (1 - soft)
    exposure, gamma = rng.uniform(0.9, 1.1), rng.uniform(0.8, 0.95)
    exposed = np.clip(picture * exposure, 0, 1) ** gamma
    drawn, softness = exposed.astype(np.float32), float(rng.uniform(0.35, 0.7))
    shot = Shot(painted, lit, gloss, float(exposure), float(gamma))
    return Subject(photograph(drawn, softness), scene, light, diffuse, drawn, softness, shot)


def photograph(drawn: Map, softness: float) -> Map:
    """Return a drawn face, (h, w, 3), 0-1, as the camera shows it: (HEIGHT, WIDTH, 3) float32, 0-255."""
    small = cv2.resize(drawn, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) * 255
    return np.asarray(cv2.GaussianBlur(small, (0, 0), softness), np.float32)


def _scene(rng: np.random.Generator) -> Scene:
    assets = load_assets()
    identity = draw_identity(assets, rng)
    eyeballs = identity.vertices[np.unique(assets.triangles[assets.parts == Part.EYE])]
    eyes = np.array([eyeballs[eyeballs[:, 0] > 0].mean(0), eyeballs[eyeballs[:, 0] < 0].mean(0)])
    camera = place_camera(eyes, rng)
    raster = rasterise(camera.project(identity.vertices), assets.triangles)
    position = raster.interpolate(identity.vertices)
    part = np.where(raster.hit, assets.parts[np.maximum(raster.triangle, 0)], -1)
    from_eyes = (position - eyes.mean(0).astype(np.float32)) / np.linalg.norm(eyes[0] - eyes[1])
    right, up = (np.asarray(from_eyes[..., axis], np.float32) for axis in (0, 1))
    return Scene(assets, identity, camera, raster, eyes, position, part, right, up)
