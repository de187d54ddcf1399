"""Read frames of video files, numbered from 1, in one pass that keeps no frame in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np

from mer_cli.datasets.frame_files import VIDEO_EXTENSIONS
from mer_cli.errors import FaceError
from mer_cli.faces.pictures import Image
from mer_cli.system.opencv import cv2


def is_video(path: Path) -> bool:
    """Return whether a file name has the extension of a video."""
    return path.suffix.casefold() in VIDEO_EXTENSIONS


def read_video(path: Path, numbers: Iterable[int]) -> Iterator[tuple[int, Image]]:
    """Read some frames of a video in one pass that ends at the last wanted frame.

    Frames are counted from the start, because a jump to a frame number may land on another frame in some codecs.

    Parameters
    ----------
    numbers : the wanted frame numbers, ascending; the first frame has number 1

    Yields
    ------
    a number and the frame with that number, (H, W, 3) uint8, RGB, 0-255

    Raises
    ------
    FaceError
        If the video can't be opened, or ends before a wanted frame.
    """
    at = 0
    with _opened(path) as video:
        for number in numbers:
            while at < number:
                if not video.grab():
                    raise _ends_early(path, at, number)
                at += 1
            is_read, bgr = video.retrieve()
            if not is_read:
                raise _ends_early(path, at - 1, number)
            yield number, np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def check_video(path: Path, number: int) -> None:
    """Raise the FaceError that reading frame `number` would raise, judging by the video's header only."""
    status = _status(path)
    n_frames = _count_frames(path, status.st_size, status.st_mtime_ns)
    if number > n_frames:
        raise _ends_early(path, n_frames, number)


@lru_cache(maxsize=64)  # it is called for each frame of a clip
def _count_frames(path: Path, _size: int, _time: int) -> int:
    with _opened(path) as video:
        return int(video.get(cv2.CAP_PROP_FRAME_COUNT))


@contextmanager
def _opened(path: Path) -> Iterator[cv2.VideoCapture]:
    _status(path)
    video = cv2.VideoCapture(str(path))
    try:
        if not video.isOpened():
            raise _unreadable(path, "the video cannot be opened")
        yield video
    finally:
        video.release()


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise _unreadable(path, f"cannot be read ({error.strerror})") from error


def _ends_early(path: Path, n_frames: int, number: int) -> FaceError:
    return FaceError(
        f"{path}: the video ends after frame {n_frames}, before frame {number}. Copy the file again or correct the "
        "table."
    )


def _unreadable(path: Path, what: str) -> FaceError:
    return FaceError(
        f"{path}: {what}. Expected a video ({', '.join(sorted(VIDEO_EXTENSIONS))}). Copy the file again, or write its "
        "frames into a folder."
    )
