"""Turn a generated head: how each pixel of the neutral image moves, and how its light changes.

Each pixel's place on the head is known, so that near parts move more than far ones. Shoulders and wall stay; the motion
fades towards them, which the plain wall doesn't show.
"""

from __future__ import annotations

import numpy as np

from mer_cli.datasets.synthetic.action_units import LOWEST_DIFFUSE, scene_normals, shrink
from mer_cli.datasets.synthetic.assets import Floats, Part
from mer_cli.datasets.synthetic.render import HEIGHT, SUPERSAMPLING, WIDTH, Map, unit
from mer_cli.datasets.synthetic.subject import Subject
from mer_cli.system.opencv import cv2

NECK = np.array([0.0, -1.2, -1.6])  # the joint, eye distances from the point between the eyes
FADE = 45.0  # pixels over which the motion fades beside the head
STILL = (300.0, 355.0)  # rows between which it fades towards the shoulders
DEEPEST = 0.8  # eye distances behind the eyes; what lies farther back moves like that, so that no ear folds
SOFT = 6.0  # pixels over which near and far parts are joined, so that no edge folds


class Turning:
    """The turns of one subject's head."""

    def __init__(self, subject: Subject) -> None:
        scene = subject.scene
        self.camera = scene.camera
        between = scene.eyes.mean(0)
        self.neck = self.camera.turn((between + NECK * scene.eye_gap)[None])[0].astype(np.float32)
        hit = scene.raster.hit[::SUPERSAMPLING, ::SUPERSAMPLING]
        position = scene.position[::SUPERSAMPLING, ::SUPERSAMPLING].astype(np.float64)
        depths = self.camera.turn(position.reshape(-1, 3))[:, 2].reshape(HEIGHT, WIDTH)
        deepest = self.camera.turn(between[None])[0, 2] - DEEPEST * scene.eye_gap
        depth = np.maximum(depths, deepest).astype(np.float32)
        self.depth = _spread(depth, hit)
        self.weight = _weight(hit)
        self.light = subject.light
        normals = np.asarray(unit(scene.raster.interpolate(scene_normals(scene, scene.identity.vertices))), np.float32)
        self.normals = np.stack([shrink(normals[..., axis]) for axis in range(3)], axis=-1)
        self.is_skin = shrink((scene.raster.hit & (scene.part == Part.SKIN)).astype(np.float32))
        self.rest = np.maximum(shrink(subject.rest_diffuse), LOWEST_DIFFUSE)

    def displacement(self, yaw: float, pitch: float) -> Map:
        """Return how far each pixel of the neutral image moves, (HEIGHT, WIDTH, 2) float32; angles in degrees."""
        focal, distance = self.camera.focal / SUPERSAMPLING, self.camera.distance
        middle = self.camera.middle / SUPERSAMPLING
        down, across = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
        scale = (distance - self.depth) / focal
        point = np.stack([(across - middle[0]) * scale, (middle[1] - down) * scale, self.depth], axis=-1)
        turned = (point - self.neck) @ _rotation(yaw, pitch).T.astype(np.float32) + self.neck
        seen = focal / (distance - turned[..., 2])
        moved = np.stack(
            [middle[0] + seen * turned[..., 0] - across, middle[1] - seen * turned[..., 1] - down], axis=-1
        )
        return np.asarray(moved * self.weight[..., None], np.float32)

    def shading(self, yaw: float, pitch: float) -> Map:
        """Return the factor on the neutral image's brightness, (HEIGHT, WIDTH) float32."""
        normals = self.normals @ _rotation(yaw, pitch).T.astype(np.float32)
        ratio = np.clip(self.light.diffuse(normals) / self.rest, 0.5, 2)
        return np.asarray(1 + (ratio - 1) * self.is_skin * self.weight, np.float32)


def _rotation(yaw: float, pitch: float) -> Floats:
    """Return the rotation (3, 3) of a head in the camera's axes; positive angles turn it right and down."""
    (sin_y, sin_p), (cos_y, cos_p) = np.sin(np.radians([yaw, pitch])), np.cos(np.radians([yaw, pitch]))
    about_y = np.array([[cos_y, 0, sin_y], [0, 1, 0], [-sin_y, 0, cos_y]])
    about_x = np.array([[1, 0, 0], [0, cos_p, -sin_p], [0, sin_p, cos_p]])
    turned: Floats = about_y @ about_x
    return turned


def _spread(depth: Map, hit: np.ndarray) -> Map:
    """Give each background pixel the depth of the nearest pixel of the head, and soften all."""
    _, labels = cv2.distanceTransformWithLabels(
        (~hit).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    of_label = np.zeros(int(labels.max()) + 1, np.float32)
    of_label[labels[hit]] = depth[hit]
    return np.asarray(cv2.GaussianBlur(of_label[labels], (0, 0), SOFT), np.float32)


def _weight(hit: np.ndarray) -> Map:
    """Return how much each pixel takes part in a turn, 0-1."""
    outside = cv2.distanceTransform((~hit).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    top, bottom = STILL
    height = np.clip((bottom - np.arange(HEIGHT)) / (bottom - top), 0, 1)
    height = height * height * (3 - 2 * height)
    weight = np.exp(-((outside / FADE) ** 2)) * height[:, None]
    return np.asarray(cv2.GaussianBlur(weight, (0, 0), SOFT), np.float32)
