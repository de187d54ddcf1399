"""Finds a clip's folder and lists its frames: names come in, `FrameRef`s sorted by number go out.

A frame's number is the last run of digits before the extension, in every release; nothing is ever built by padding.
Names from a coding table are not trusted: one that would lead out of the release is refused before any file is touched.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Literal

from mer_cli.errors import DatasetError
from mer_cli.records import FrameRef

Source = Literal["raw", "cropped"]

PICTURE_EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp"})
LAST_DIGITS = re.compile(r"([0-9]+)[^0-9]*$")


def frame_number(file_name: str) -> int | None:
    """Give the frame number in a picture's name: `reg_img46.jpg` -> 46, `006_05562.jpg` -> 5562.

    None for anything that is not a frame: no picture, no digits, or a hidden file such as macOS's `._img1.jpg`.
    """
    path = PurePath(file_name)
    stem, extension = path.stem, path.suffix
    if file_name.startswith(".") or extension.casefold() not in PICTURE_EXTENSIONS:
        return None
    digits = LAST_DIGITS.search(stem)
    return int(digits.group(1)) if digits else None


def list_frames(folder: Path) -> tuple[FrameRef, ...]:
    """List the frames of a clip's folder, sorted by number.

    Raises
    ------
    DatasetError
        If the folder cannot be listed, holds no frames, or has two pictures of one number.
    """
    names: dict[int, str] = {}
    for name, is_folder in _entries(folder):
        number = frame_number(name)
        if number is None or is_folder:
            continue
        if number in names:
            first, second = sorted((names[number], name))
            raise DatasetError(
                f"{folder}: frame {number} has two pictures, {first} and {second}. Expected one. Remove the copy."
            )
        names[number] = name
    if not names:
        raise DatasetError(f"{folder}: the clip's folder holds no pictures. Expected its frames. Unpack it again.")
    return tuple(FrameRef(number, folder / names[number]) for number in sorted(names))


def child_folders(folder: Path) -> dict[str, Path]:
    """Give the folders inside `folder` by name, in the order of their names; hidden ones are left out.

    Raises
    ------
    DatasetError
        If `folder` cannot be listed.
    """
    names = sorted(name for name, is_folder in _entries(folder) if is_folder and not name.startswith("."))
    return {name: folder / name for name in names}


def clip_folder(siblings: Mapping[str, Path], name: str, boundary: Path) -> Path:
    """Find the folder of the clip `name`, without regard to case where no folder has the exact name.

    Parameters
    ----------
    siblings : the folders of the clip's subject, by name (`child_folders`)
    name : the clip's name as in the table
    boundary : the folder that no clip may lie outside of, with its own links resolved

    Raises
    ------
    DatasetError
        If `name` is no plain folder name, has no folder, or is a link that leads out of `boundary`.
    """
    if not name or name in {".", ".."} or re.search(r"[/\\:\0]", name):
        raise DatasetError(
            f"the clip name '{name}' is no folder name and would lead out of the release. "
            "Expected a name like 'EP02_01f'. Correct the table."
        )
    folder = siblings.get(name) or next(
        (path for other, path in siblings.items() if other.casefold() == name.casefold()), None
    )
    if folder is None:
        raise DatasetError(f"no folder '{name}' for this clip. Expected one a row. Unpack the release again.")
    if not folder.resolve().is_relative_to(boundary):
        raise DatasetError(
            f"{folder} is a link to {folder.resolve()}, outside the release. Expected a folder in {boundary}. "
            "Copy the frames there."
        )
    return folder


def _entries(folder: Path) -> list[tuple[str, bool]]:
    """Names of what a folder holds, and whether each is a folder itself; links to nothing are left out."""
    try:
        with os.scandir(folder) as entries:
            return [(entry.name, entry.is_dir()) for entry in entries if entry.is_dir() or entry.is_file()]
    except OSError as error:
        raise DatasetError(
            f"{folder}: cannot be listed ({error.strerror}). Expected a readable folder. Check its permissions."
        ) from error
