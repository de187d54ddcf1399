"""Read the head data of this package: the mesh of a head, the targets that shape it, the face units that move it.

`pack_head_data.py` makes the file; HEAD_DATA_LICENSE.md says who made the data (CC0).
Lengths are decimetres; x points to the subject's left, y up, z out of the face.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

HEAD_DATA = Path(__file__).with_name("head_data.npz")
FACE_UNITS_FOLDER = "faceunits"  # begins the names of face units
# The source files are decimal text. Whole numbers of its last digit restore the same floats.
VERTICES_PER_DECIMETRE = 10_000
OFFSETS_PER_DECIMETRE = 1_000


class Part(IntEnum):
    """The part of the head that a triangle of the mesh belongs to."""

    SKIN = 0
    EYE = 1
    LASH = 2
    TEETH = 3


@dataclass(frozen=True)
class HeadAssets:
    """The mesh of a head, and the targets that deform it.

    vertices : (V, 3) float64
    triangles : (T, 3) int64, vertex indices
    parts : (T,) int64, values of `Part`
    targets : name -> the indices (K,) of the moved vertices and their offsets (K, 3), decimetres
    """

    vertices: Floats
    triangles: Ints
    parts: Ints
    targets: Mapping[str, tuple[Ints, Floats]] = field(repr=False)

    def target(self, name: str) -> tuple[Ints, Floats]:
        """Return indices (K,) and offsets (K, 3) of the vertices that a target ("nose/nose-hump-incr") moves."""
        return self.targets[name]

    def face_unit(self, name: str) -> Floats:
        """Return the displacement of all vertices, (V, 3), of a fully contracted face unit ("mouthSmileLeft")."""
        moved = np.zeros_like(self.vertices)
        indices, offsets = self.targets[f"{FACE_UNITS_FOLDER}/{name}"]
        moved[indices] = offsets
        return moved

    def reach(self, *names: str) -> Floats:
        """Return how strongly the named identity targets move each vertex, (V,), 0-1: a soft region of the face."""
        distance = np.zeros(len(self.vertices))
        for name in names:
            indices, offsets = self.target(name)
            distance[indices] = np.maximum(distance[indices], np.linalg.norm(offsets, axis=1))
        return np.asarray(distance / distance.max(), np.float64)


@cache
def load_assets() -> HeadAssets:
    """Return this package's head data, read once per process."""
    return read_head_data(HEAD_DATA)


def read_head_data(path: Path) -> HeadAssets:
    """Read head data from a file that `pack_head_data.py` wrote."""
    with np.load(path) as file:
        packed = {name: file[name] for name in file.files}
    indices = packed["indices"].astype(np.int64)
    offsets = np.ascontiguousarray(packed["offsets"].T) / OFFSETS_PER_DECIMETRE
    ends = np.cumsum(packed["lengths"])
    slices = (slice(end - length, end) for end, length in zip(ends, packed["lengths"], strict=True))
    return HeadAssets(
        packed["vertices"] / VERTICES_PER_DECIMETRE,
        packed["triangles"].astype(np.int64),
        packed["parts"].astype(np.int64),
        {str(name): (indices[rows], offsets[rows]) for name, rows in zip(packed["names"], slices, strict=True)},
    )
