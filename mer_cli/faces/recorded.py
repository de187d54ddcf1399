"""One frame of a recording, and the errors that all readers of recordings share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mer_cli.errors import FaceError
from mer_cli.faces.pictures import Image


@dataclass(frozen=True)
class Frame:
    """One frame of a recording.

    number : counted from 1 in a video; the number in the file's name in a folder
    seconds : since the first frame, by the video's time stamps; NaN in a folder of which nobody knows the frame rate
    image : (H, W, 3) uint8, RGB, upright
    """

    number: int
    seconds: float
    image: Image = field(repr=False)


def no_frame(path: Path) -> FaceError:
    """Return the error for a video of which nothing can be shown."""
    return FaceError(f"{path}: no frame of the video can be decoded. Copy the file again, or record anew.")


def ends_early(path: Path, last: int, wanted: int) -> FaceError:
    """Return the error for a recording that ends before a wanted frame."""
    return FaceError(
        f"{path}: the video ends after frame {last}, before frame {wanted}. Copy the file again or correct the table."
    )


def undecodable(path: Path, number: int) -> FaceError:
    """Return the error for a wanted frame that is damaged."""
    return FaceError(f"{path}: frame {number} can't be decoded. Copy the file again.")


def damaged(path: Path, last: int, wanted: int) -> FaceError:
    """Return the error for a wanted frame behind one that can't be decoded: nobody can be sure of its number."""
    return FaceError(
        f"{path}: the frame after frame {last} can't be decoded, so it can't be told which one is frame {wanted}. Copy "
        "the file again."
    )


def other_size(path: Path, number: int, size: Sequence[int], first: Sequence[int]) -> FaceError:
    """Return the error for a recording whose frames change their size, (H, W), on the way."""
    return FaceError(
        f"{path}: frame {number} has {size[1]}x{size[0]} pixels, and the first {first[1]}x{first[0]}. Expected one "
        "size. Scale all frames to one size, or split the recording."
    )
