"""List the frames of a clip, from a folder of images or a video, sorted by number.

A frame's number is the last run of digits before the extension, unless the names of the whole release say otherwise
(`frame_names`); no file name is built by padding.
A folder may also hold just onset.jpg and apex.jpg: see `named_frames`.
Names from a coding table are not trusted: one that leads out of the release is refused before any file is touched.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from mer_cli.datasets.annotation import Field
from mer_cli.datasets.frame_names import are_copies, number_of, number_runs, runs_of, shape_of
from mer_cli.errors import DatasetError, FaceError
from mer_cli.records import FrameRef

USUAL_EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp"})
# Read only in a folder without the usual ones: elsewhere they may be depth maps, masks or copies.
RARE_EXTENSIONS = frozenset({".tif", ".tiff", ".webp", ".pgm", ".ppm", ".pnm", ".jp2"})
PICTURE_EXTENSIONS = USUAL_EXTENSIONS | RARE_EXTENSIONS
VIDEO_EXTENSIONS = frozenset(
    {".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ts", ".webm", ".wmv"}
)
FOLDER, FILE = "folder", "file"
# Images named after what they show, without a number; numbered so that the windows around them don't meet.
ROLE_NUMBERS: Mapping[Field, int] = {"onset": 1, "apex": 8, "offset": 15}
ROLE = re.compile(r"(?:.*[^a-z])?(onset|apex|offset)", re.IGNORECASE | re.DOTALL)
LAST_DIGITS = re.compile(r"([0-9]+)[^0-9]*$")


def frame_number(file_name: str) -> int | None:
    """Return the frame number in an image's name: `reg_img46.jpg` -> 46, `006_05562.jpg` -> 5562.

    None for anything else: another kind of file, a name without digits, or a hidden file such as macOS's `._img1.jpg`.
    """
    digits = LAST_DIGITS.search(PurePath(file_name).stem) if _is_picture(file_name) else None
    return int(digits.group(1)) if digits else None


def is_video(path: Path) -> bool:
    """Return whether a file name has the extension of a video."""
    return path.suffix.casefold() in VIDEO_EXTENSIONS


def frame_role(file_name: str) -> Field | None:
    """Return what an image shows by its name: "onset" for `onset.jpg` and `s01_Onset.png`; None for other names."""
    word = ROLE.fullmatch(PurePath(file_name).stem) if _is_picture(file_name) else None
    return next((role for role in ROLE_NUMBERS if word and word[1].casefold() == role), None)


def list_frames(folder: Path) -> tuple[FrameRef, ...]:
    """List the frames (images with a number in their name) in the folder of a clip, sorted by number.

    Images in rarer formats count only if there are no others. If all images are named onset, apex and perhaps offset,
    their numbers are 1, 8 and 15.

    Raises
    ------
    DatasetError
        If the folder can't be listed, holds no frames, or has two images with the same number.
    """
    names = _image_numbers(folder)
    return _numbered(folder, names, number_runs([names]))


@dataclass(frozen=True)
class Listed:
    """The frames of all clips of a release, by the clip's folder or video.

    frames : the frames, sorted by number
    errors : why a folder or video has no frames
    notes : a sentence for each kind of file name whose frame number is not the last run of digits
    """

    frames: Mapping[Path, tuple[FrameRef, ...]]
    errors: Mapping[Path, DatasetError]
    notes: tuple[str, ...]


def list_release(places: Iterable[Path]) -> Listed:
    """List the frames of all clips, and decide over all of them where the frame number stands in a file's name.

    Parameters
    ----------
    places : the clips' folders and videos; each is read once, however often it is named
    """
    names: dict[Path, dict[str, int]] = {}
    frames: dict[Path, tuple[FrameRef, ...]] = {}
    errors: dict[Path, DatasetError] = {}
    for place in dict.fromkeys(places):
        try:
            if is_video(place) and place.is_file():
                frames[place] = list_video(place)
            else:
                names[place] = _image_numbers(place)
        except DatasetError as error:
            errors[place] = error
    runs = number_runs(names.values())
    for folder, held in names.items():
        try:
            frames[folder] = _numbered(folder, held, runs)
        except DatasetError as error:
            errors[folder] = error
    return Listed(frames, errors, _notes(names.values(), runs))


def _image_numbers(folder: Path) -> dict[str, int]:
    """Return the names of the images in a folder, sorted, each with its last run of digits or the number of its role.

    Raises
    ------
    DatasetError
        If the folder can't be listed, or no image has a number in its name.
    """
    pictures = sorted(name for name, is_folder in folder_entries(folder) if not is_folder and _is_picture(name))
    names = _numbers(pictures)
    if pictures and not names:
        raise DatasetError(
            f"{folder}: no image has a number in its name; the first is {pictures[0]}. Expected names like "
            "img46.jpg, or onset.jpg and apex.jpg. Rename the images, or unpack the release again."
        )
    return names


def _numbered(folder: Path, names: Mapping[str, int], runs: Mapping[str, int]) -> tuple[FrameRef, ...]:
    by_number: dict[int, str] = {}
    for name, last_digits in names.items():
        number = number_of(name, runs) if shape_of(name) in runs else last_digits
        if number in by_number:
            first, second = by_number[number], name
            todo = (
                "Remove the copy."
                if are_copies(first, second)
                else "By their names they are not copies: keep both. Rename the images so that the last run of digits "
                "is the frame number, or move images of another clip out of the folder."
            )
            raise DatasetError(f"{folder}: frame {number} has two images, {first} and {second}. {todo}")
        by_number[number] = name
    if not by_number:
        raise DatasetError(f"{folder}: the clip's folder holds no images. Unpack the release again.")
    return tuple(FrameRef(number, folder / by_number[number]) for number in sorted(by_number))


def _notes(folders: Iterable[Iterable[str]], runs: Mapping[str, int]) -> tuple[str, ...]:
    examples: dict[str, str] = {}
    for names in folders if runs else ():
        for name in names:
            examples.setdefault(shape_of(name), name)
    return tuple(
        f"in images named like {examples[shape]} the frame number is {runs_of(examples[shape])[runs[shape]]}: the last "
        "run of digits is the same in several images of a folder"
        for shape in sorted(runs)
    )


def _is_picture(file_name: str) -> bool:
    return not file_name.startswith(".") and PurePath(file_name).suffix.casefold() in PICTURE_EXTENSIONS


def _numbers(pictures: Sequence[str]) -> dict[str, int]:
    """Return the frame number of each image that has one, by its name."""
    roles = {name: role for name in pictures if (role := frame_role(name))}
    if len(roles) == len(pictures) and {"onset", "apex"} <= set(roles.values()):
        return {name: ROLE_NUMBERS[role] for name, role in roles.items()}
    numbers = {name: number for name in pictures if (number := frame_number(name)) is not None}
    usual = {name: n for name, n in numbers.items() if PurePath(name).suffix.casefold() in USUAL_EXTENSIONS}
    return usual or numbers


def list_video(path: Path) -> tuple[FrameRef, ...]:
    """List the frames of a video, counted from 1.

    Raises
    ------
    DatasetError
        If it can't be opened as a video, or has no frames.
    """
    from mer_cli.datasets.video_index import count_frames  # not above: the releases, which hold images, need no OpenCV

    try:
        n_frames = count_frames(path)
    except FaceError as error:
        raise DatasetError(str(error)) from error
    if n_frames < 1:
        raise DatasetError(f"{path}: the video has no frames. Copy it again, or write its frames into a folder.")
    return tuple(FrameRef(number, path) for number in range(1, n_frames + 1))


def check_folder_name(name: str, example: str) -> None:
    """Raise an error if a name from a table is not a plain folder name.

    Raises
    ------
    DatasetError
        If it is empty or holds a path.
    """
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
