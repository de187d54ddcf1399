"""Finished clips kept on disk until the store is packed, so that a killed build goes on where it was.

A part's name ends in a fingerprint of all that its crops depend on: the clip's annotation, its pictures' sizes and
times, the crop's settings and the landmark model. A part of anything else has another name and is never found.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from mer_cli.errors import StoreError
from mer_cli.records import Clip
from mer_cli.store.schema import ARRAYS, CroppedClip

RECORD = "record"  # the entry of a part that holds all but its arrays, as JSON


def parts_dir(out: Path) -> Path:
    """Give the folder beside a store that its parts lie in while it is built."""
    return out.with_name(f"{out.name}.parts")


def part_path(folder: Path, clip: Clip, key: str) -> Path:
    """Give the path of a clip's part, `key` being its fingerprint; a quoted name stays in `folder` whatever it is."""
    return folder / f"{quote(clip.clip_id, safe='')}-{key[:16]}.npz"


def fingerprint(clip: Clip, settings: Mapping[str, object]) -> str:
    """Give a SHA-256 over all that a clip's crops depend on."""
    facts = {
        "settings": settings,
        "clip": asdict(clip) | {"frames": [frame.number for frame in clip.frames]},
        "files": [(path.name, *_size_and_time(path)) for path in dict.fromkeys(frame.path for frame in clip.frames)],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def write_part(path: Path, clip: CroppedClip) -> None:
    """Write a part under a temporary name and move it into place.

    Raises
    ------
    OSError
        If the disk is full or cannot be written.
    """
    record = json.dumps({"columns": clip.columns, "detector": clip.detector})
    save_arrays(path, {RECORD: np.array(record), **clip.arrays})


def read_part(path: Path) -> CroppedClip:
    """Read a part.

    Raises
    ------
    StoreError
        If it is absent or damaged.
    """
    text, *arrays = load_arrays(path, (RECORD, *ARRAYS))
    record = json.loads(str(text))
    return CroppedClip(record["columns"], dict(zip(ARRAYS, arrays, strict=True)), record["detector"])


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays into one file, under a temporary name that is moved into place.

    Raises
    ------
    OSError
        If the disk is full or cannot be written.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load_arrays(path: Path, names: Iterable[str]) -> list[NDArray[Any]]:
    """Read some of the arrays that `save_arrays` wrote; each has a checksum, which is looked at.

    Raises
    ------
    StoreError
        If the file is absent or damaged.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as part:
            return [part[name] for name in names]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise StoreError(
            f"{path}: the part is damaged ({error}). Expected a finished clip. Run the same command again."
        ) from error


def _size_and_time(path: Path) -> tuple[int, int] | tuple[()]:
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_size, status.st_mtime_ns
