"""Turn the mesh of a head into maps over pixels: camera, z-buffer, normals and light. There is no colour yet.

Everything is drawn at twice the image's size and averaged down. Screen x runs right, y down; the subject's left is at
the right of the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_cli.datasets.synthetic.assets import Floats, Ints
from mer_cli.system.opencv import cv2

WIDTH, HEIGHT = 320, 360  # pixels of a frame; the real release has 640x480 with the face in part of it
EYE_DISTANCE = 80.0  # pixels between the eye centres in a frame
SUPERSAMPLING = 2
EYE_LEVEL = 0.46  # of the height, so that hair and chin are in the image

PIECES = 8  # the triangles are drawn in this many parts, which limits the memory to some 40 MB

Map = NDArray[np.float32]


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that looks at `centre` from `distance`; `focal` and `middle` are in drawn pixels."""

    rotation: Floats
    centre: Floats
    distance: float
    focal: float
    middle: Floats

    def turn(self, vertices: Floats) -> Floats:
        """Turn vertices (V, 3) into the axes of the camera, (V, 3)."""
        turned: Floats = (vertices - self.centre) @ self.rotation.T
        return turned

    def project(self, vertices: Floats) -> Floats:
        """Return screen x, y (drawn pixels) and depth of vertices (V, 3), as (V, 3)."""
        turned = self.turn(vertices)
        depth = self.distance - turned[:, 2]
        scale = self.focal / depth
        return np.column_stack([self.middle[0] + scale * turned[:, 0], self.middle[1] - scale * turned[:, 1], depth])


def place_camera(eyes: Floats, rng: np.random.Generator) -> Camera:
    """Draw a nearly frontal camera at random that shows the eyes (2, 3) at a fixed distance and level in the image."""
    yaw, pitch, roll = np.clip(rng.normal([0.0, 0.02, 0.0], [0.05, 0.05, 0.02]), -0.1, 0.1)
    rotation = _axis(2, roll) @ _axis(0, pitch) @ _axis(1, yaw)
    between = eyes.mean(axis=0)
    size = np.array([WIDTH, HEIGHT]) * SUPERSAMPLING
    camera = Camera(rotation, between + np.array([0.0, -0.35, -0.6]), float(rng.uniform(9, 14)), 1.0, np.zeros(2))
    seen = camera.project(eyes)[:, :2]
    focal = EYE_DISTANCE * SUPERSAMPLING / float(np.hypot(*(seen[0] - seen[1])))
    seen_between = focal * camera.project(between[None])[0, :2]
    middle = size * [0.5, EYE_LEVEL] - seen_between
    return Camera(rotation, camera.centre, camera.distance, focal, middle)


def _axis(axis: int, angle: float) -> Floats:
    """Return the rotation about one axis, (3, 3)."""
    i, j = [(1, 2), (2, 0), (0, 1)][axis]
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = np.cos(angle)
    matrix[i, j], matrix[j, i] = -np.sin(angle), np.sin(angle)
    return matrix


@dataclass(frozen=True)
class Raster:
    """Which triangle of the mesh each drawn pixel shows.

    corners : (h, w, 3) vertex indices · weights : (h, w, 3) float32, barycentric
    triangle : (h, w) int, -1 for the background · depth : (h, w) float, infinite there
    """

    corners: Ints
    weights: Map
    triangle: Ints
    depth: Floats

    @cached_property
    def hit(self) -> NDArray[np.bool_]:
        return self.triangle >= 0

    @cached_property
    def _shown(self) -> tuple[Ints, Ints, Map]:
        """Return flat indices (N,) of the pixels that show a triangle, its corners (3, N) and their weights (3, N)."""
        return (
            np.flatnonzero(self.hit),
            np.ascontiguousarray(self.corners[self.hit].T),
            np.ascontiguousarray(self.weights[self.hit].T),
        )

    def interpolate(self, values: Floats) -> Map:
        """Spread a vertex attribute (V, k) over the pixels, (h, w, k); zero in the background."""
        pixels, corners, weights = self._shown
        shown = np.zeros((self.hit.size, values.shape[1]), np.float32)
        for axis, of_vertices in enumerate(np.ascontiguousarray(values.T, np.float32)):
            first, second, third = of_vertices[corners] * weights
            shown[pixels, axis] = first + second + third
        return shown.reshape(*self.hit.shape, -1)


def rasterise(screen: Floats, triangles: Ints) -> Raster:
    """Find the nearest front-facing triangle at each pixel, of screen points (V, 3); of equally near ones the first."""
    width, height = WIDTH * SUPERSAMPLING, HEIGHT * SUPERSAMPLING
    depth = np.full(height * width, np.inf)
    shown = np.full(height * width, -1, np.int64)
    weights = np.zeros((height * width, 3), np.float32)
    points = screen[triangles]  # (T, 3, 3)
    a, b, c = points[:, 0], points[:, 1], points[:, 2]
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    low = np.maximum(np.floor(points[..., :2].min(1)).astype(int), 0)
    high = np.minimum(np.ceil(points[..., :2].max(1)).astype(int), [width - 1, height - 1])
    drawn = np.flatnonzero((area < -1e-9) & (low <= high).all(1))  # y runs down, so a front face has a negative area
    for some in np.array_split(drawn, PIECES):
        x, y, row = _pixels_in(low[some], high[some])
        ax, ay, az, bx, by, bz, cx, cy, cz = (coordinate[row] for coordinate in points[some].reshape(-1, 9).T)
        second = ((x - ax) * (cy - ay) - (y - ay) * (cx - ax)) / area[some][row]
        third = ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / area[some][row]
        first = 1 - second - third
        z = first * az + second * bz + third * cz
        pixel = y * width + x
        near = np.flatnonzero((first >= -1e-6) & (second >= -1e-6) & (third >= -1e-6) & (z < depth[pixel]))
        np.minimum.at(depth, pixel[near], z[near])
        nearest = near[z[near] == depth[pixel[near]]][::-1]  # the last one written stays, which is the first triangle
        shown[pixel[nearest]] = some[row[nearest]]
        weights[pixel[nearest]] = np.column_stack([first[nearest], second[nearest], third[nearest]])
    corners = triangles[np.maximum(shown, 0)]
    size = (height, width)
    return Raster(corners.reshape(*size, 3), weights.reshape(*size, 3), shown.reshape(size), depth.reshape(size))


def _pixels_in(low: Ints, high: Ints) -> tuple[Ints, Ints, Ints]:
    """Return x, y and the rectangle's number for each pixel of rectangles (N, 2), both corners included."""
    size = high + 1 - low
    n_pixels = size.prod(1)
    row = np.repeat(np.arange(len(size)), n_pixels)
    within = np.arange(len(row)) - np.repeat(n_pixels.cumsum() - n_pixels, n_pixels)
    down, across = np.divmod(within, size[row, 0])
    return low[row, 0] + across, low[row, 1] + down, row


def vertex_normals(points: Floats, triangles: Ints) -> Floats:
    """Return the unit normals (V, 3) of points (V, 3), each averaged over the triangles at the point."""
    a, b, c = (points[triangles[:, corner]] for corner in range(3))
    faces = np.cross(b - a, c - a)
    normals = np.zeros_like(points)
    for corner in range(3):
        for axis in range(3):
            normals[:, axis] += np.bincount(triangles[:, corner], faces[:, axis], len(points))
    return unit(normals)


def unit(vectors: NDArray[Any]) -> NDArray[Any]:
    """Scale vectors (..., 3) to length one; a zero vector stays zero."""
    x, y, z = np.moveaxis(vectors, -1, 0)  # np.linalg.norm takes four times as long along so short an axis
    unit_vectors: NDArray[Any] = vectors / np.maximum(np.sqrt(x * x + y * y + z * z), 1e-9)[..., None]
    return unit_vectors


@dataclass(frozen=True)
class Light:
    """A key light, a fill light from the other side and ambient light from above."""

    key: Floats
    fill: Floats
    key_strength: float
    fill_strength: float
    ambient: float
    gloss: float

    def diffuse(self, normals: Map) -> Map:
        """Return the diffuse light on a surface with these unit normals (h, w, 3), (h, w) float32."""
        sky = self.ambient * (0.75 + 0.25 * normals[..., 1])
        key = self.key_strength * _wrapped(normals @ self.key.astype(np.float32))
        fill = self.fill_strength * _wrapped(normals @ self.fill.astype(np.float32))
        return np.asarray(sky + key + fill, np.float32)

    def specular(self, normals: Map) -> Map:
        """Return the specular light on a surface with these unit normals (h, w, 3), (h, w) float32."""
        half = unit(self.key + np.array([0.0, 0.0, 1.0])).astype(np.float32)
        return np.asarray(self.gloss * np.clip(normals @ half, 0, 1) ** 22, np.float32)


def draw_light(rng: np.random.Generator) -> Light:
    """Draw a light at a random place in front of the face."""
    side, height = rng.uniform(-0.7, 0.7), rng.uniform(0.2, 0.8)
    key = np.array([np.sin(side) * np.cos(height), np.sin(height), np.cos(side) * np.cos(height)])
    fill = np.asarray(unit(np.array([-0.8 * np.sign(side), 0.1, 0.6])), np.float64)
    strengths = rng.uniform([0.5, 0.1, 0.28, 0.04], [0.75, 0.3, 0.42, 0.14])
    return Light(key, fill, *(float(strength) for strength in strengths))


def _wrapped(cosine: Map) -> Map:
    """Return the light on skin for the cosine of its angle to the normal; it reaches a little beyond 90 degrees."""
    return np.asarray(np.clip((cosine + 0.25) / 1.25, 0, 1), np.float32)


def cavity(raster: Raster) -> Map:
    """Return a factor on the light, (h, w) float32: 1 on open surfaces, less in hollows such as eye sockets."""
    far = raster.depth[raster.hit].max()
    depth = np.where(raster.hit, raster.depth, far).astype(np.float32)
    hollow = np.zeros_like(depth)
    for sigma in (3, 8, 20):
        blurred = cv2.GaussianBlur(depth, (0, 0), sigma * SUPERSAMPLING)
        hollow += np.clip((depth - blurred) / (0.035 * sigma), 0, 1)
    return np.asarray(1 - 0.38 * np.clip(hollow, 0, 1.3), np.float32)
