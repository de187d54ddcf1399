"""List the frames of a clip, from a folder of images or a video, sorted by number.

A frame's number is the last run of digits before the extension, in every release; no file name is built by padding.
Names from a coding table are not trusted: one that leads out of the release is refused before any file is touched.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePath

from mer_cli.errors import DatasetError
from mer_cli.records import FrameRef

PICTURE_EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp"})
VIDEO_EXTENSIONS = frozenset({".avi", ".mp4", ".mov", ".mkv", ".mpg", ".wmv", ".webm"})
LONGEST_NAME = 210  # bytes of a subject or clip; a file's name has at most 255, and the files of a run have a name more
FOLDER, FILE = "folder", "file"
LAST_DIGITS = re.compile(r"([0-9]+)[^0-9]*$")


def frame_number(file_name: str) -> int | None:
    """Return the frame number in an image's name: `reg_img46.jpg` -> 46, `006_05562.jpg` -> 5562.

    None for anything else: another kind of file, a name without digits, or a hidden file such as macOS's `._img1.jpg`.
    """
    path = PurePath(file_name)
    stem, extension = path.stem, path.suffix
    if file_name.startswith(".") or extension.casefold() not in PICTURE_EXTENSIONS:
        return None
    digits = LAST_DIGITS.search(stem)
    return int(digits.group(1)) if digits else None


def list_frames(folder: Path) -> tuple[FrameRef, ...]:
    """List the frames (images with a number in their name) in the folder of a clip, sorted by number.

    Raises
    ------
    DatasetError
        If the folder can't be listed, holds no frames, or has two images with the same number.
    """
    names: dict[int, str] = {}
    for name, is_folder in folder_entries(folder):
        number = frame_number(name)
        if number is None or is_folder:
            continue
        if number in names:
            first, second = sorted((names[number], name))
            raise DatasetError(f"{folder}: frame {number} has two images, {first} and {second}. Remove the copy.")
        names[number] = name
    if not names:
        raise DatasetError(f"{folder}: the clip's folder holds no images. Unpack the release again.")
    return tuple(FrameRef(number, folder / names[number]) for number in sorted(names))


def list_video(path: Path) -> tuple[FrameRef, ...]:
    """List the frames of a video, counted from 1, as many as its header says.

    Raises
    ------
    DatasetError
        If OpenCV can't open it as a video.
    """
    from mer_cli.system.opencv import cv2  # not above: the releases, which hold images, are listed without it

    video = cv2.VideoCapture(str(path))
    try:
        n_frames = int(video.get(cv2.CAP_PROP_FRAME_COUNT)) if video.isOpened() else 0
    finally:
        video.release()
    if n_frames < 1:
        raise DatasetError(f"{path}: can't be opened as a video. Copy it again, or write its frames into a folder.")
    return tuple(FrameRef(number, path) for number in range(1, n_frames + 1))


def check_folder_name(name: str, example: str) -> None:
    """Raise an error if a name from a table is not a plain folder name.

    Raises
    ------
    DatasetError
        If it is empty, holds a path, or is too long for a file's name.
    """
    if len(name.encode("utf-8", "replace")) > LONGEST_NAME:
        raise DatasetError(
            f"the clip name of {len(name)} characters, which begins '{name[:20]}', is too long. Expected at most "
            f"{LONGEST_NAME} bytes, in a name like '{example}'. Correct the table."
        )
    if not name or name in {".", ".."} or re.search(r"[/\\:\0]", name):
        raise DatasetError(
            f"the clip name '{name}' is not a folder name and would lead out of the release. "
            f"Expected a name like '{example}'. Correct the table."
        )


def check_inside(path: Path, boundary: Path) -> None:
    """Raise an error if a path, after following its links, leads out of the release.

    Parameters
    ----------
    boundary : the release's folder, with its own links resolved

    Raises
    ------
    DatasetError
        If `path` leads out of `boundary`.
    """
    if not path.resolve().is_relative_to(boundary):
        raise DatasetError(f"{path} leads out of the release, to {path.resolve()}. Copy the frames into {boundary}.")


def folder_entries(folder: Path) -> list[tuple[str, bool]]:
    """List a folder as pairs (name, whether it is a folder); broken links are left out.

    Raises
    ------
    DatasetError
        If `folder` can't be listed.
    """
    try:
        with os.scandir(folder) as entries:
            return [(entry.name, kind == FOLDER) for entry in entries if (kind := _kind(entry))]
    except OSError as error:
        raise DatasetError(f"{folder}: can't be listed ({error.strerror}). Check its permissions.") from error


def _kind(entry: os.DirEntry[str]) -> str:
    try:
        return FOLDER if entry.is_dir() else FILE if entry.is_file() else ""
    except OSError:  # a link to itself
        return ""
