"""Frames of a clip: a frame number comes in, pictures as arrays go out. Nothing else turns a number into a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mer_cli.errors import FaceError
from mer_cli.opencv import cv2
from mer_cli.records import Clip, FrameRef

Image = NDArray[np.uint8]

WINDOW = 7  # frames kept around a labelled one; it stands in the middle, at index 3
HALF_WINDOW = WINDOW // 2
NO_FRAME = -1  # the number of a window's entry that the release has no frame for

JPEG_START = b"\xff\xd8"
JPEG_SCAN = b"\xff\xda"
JPEG_END = b"\xff\xd9"


def read_frame(path: Path) -> Image:
    """Read one picture.

    Returns
    -------
    (H, W, 3) uint8, RGB, 0-255; a grey picture has three equal channels

    Raises
    ------
    FaceError
        If the file is absent, empty, cut short, or no picture.
    """
    try:
        # Decoded from memory: cv2.imread knows no path outside the system's character set.
        data = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, f"cannot be read ({error.strerror})") from error
    if not data:
        raise _unreadable(path, "the file is empty (0 bytes)")
    if _is_cut_jpeg(data):
        raise _unreadable(path, f"the JPEG is cut short (its {len(data)} bytes have no end mark)")
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        bgr = None
    if bgr is None:
        raise _unreadable(path, f"cannot be decoded ({len(data)} bytes)")
    return np.ascontiguousarray(bgr[:, :, ::-1], dtype=np.uint8)


def window(clip: Clip, number: int) -> list[tuple[int, FrameRef]]:
    """List the labelled frame `number` (index 3) and its neighbours at -3..+3.

    Where the clip has no such frame, the entry is `NO_FRAME` with the nearest frame that exists (the earlier of two
    equally near), so that a window always holds seven pictures.

    Raises
    ------
    FaceError
        If the clip has no picture of `number` itself.
    """
    frames = {frame.number: frame for frame in clip.frames}
    if number not in frames:
        raise FaceError(
            f"{clip.clip_id}: frame {number} has no picture. Expected one of {min(frames, default=None)}.."
            f"{max(frames, default=None)}. Restore the picture or correct the table."
        )
    wanted = range(number - HALF_WINDOW, number + HALF_WINDOW + 1)
    return [
        (n, frames[n])
        if n in frames
        else (NO_FRAME, min(clip.frames, key=lambda frame: (abs(frame.number - n), frame.number)))
        for n in wanted
    ]


def _is_cut_jpeg(data: bytes) -> bool:
    """Whether a JPEG's last scan has no end mark: OpenCV 4 fills what is missing with grey and says nothing."""
    return data.startswith(JPEG_START) and data.rfind(JPEG_END) < data.rfind(JPEG_SCAN)


def _unreadable(path: Path, what: str) -> FaceError:
    return FaceError(f"{path}: {what}. Expected a whole picture. Copy the file from the release again.")
