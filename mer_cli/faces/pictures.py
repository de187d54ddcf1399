"""Read image files, and say what is wrong with those that can't be read."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mer_cli.errors import FaceError
from mer_cli.system.opencv import cv2

Image = NDArray[np.uint8]

JPEG_START = b"\xff\xd8"
JPEG_SCAN = b"\xff\xda"
JPEG_END = b"\xff\xd9"
PNG_START = b"\x89PNG\r\n\x1a\n"
PNG_END = b"IEND\xaeB`\x82"
BMP_START = b"BM"
BMP_SIZE = slice(2, 6)  # the bytes that hold a bitmap's size

HEAD = 16  # bytes at the start, which tell the format
TAIL = 4096  # bytes at the end, with a JPEG's end mark, unless a camera wrote more after it


def read_picture(path: Path) -> Image:
    """Read one image.

    Returns
    -------
    (H, W, 3) uint8, RGB, 0-255; a grey image has three equal channels

    Raises
    ------
    FaceError
        If the file is absent, empty, truncated, or not an image.
    """
    try:
        # Decoded from memory: cv2.imread can't open paths outside the system's character set.
        data = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, f"cannot be read ({error.strerror})") from error
    if not data:
        raise _unreadable(path, "the file is empty (0 bytes)")
    if _is_cut_jpeg(data):
        raise _unreadable(path, f"the JPEG is truncated (its {len(data)} bytes have no end mark)")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error:
        image = None
    if image is None:
        raise _unreadable(path, f"cannot be decoded ({len(data)} bytes)")
    return np.asarray(image, dtype=np.uint8)


def check_picture(path: Path) -> None:
    """Raise the FaceError of `read_picture`, judging by a file's first and last bytes; other damage is not seen."""
    if not _looks_whole(path):
        read_picture(path)  # raises, unless the format is rare or a long note follows the end mark


def _looks_whole(path: Path) -> bool:
    """Return whether a file begins and ends like a whole image."""
    try:
        # Unbuffered: nothing between the ends is read.
        with path.open("rb", buffering=0) as file:
            head = file.read(HEAD)
            n_bytes = file.seek(0, os.SEEK_END)
            file.seek(max(n_bytes - TAIL, 0))
            tail = file.read(TAIL)
    except OSError:
        return False
    if head.startswith(JPEG_START):
        return JPEG_END in tail and not _is_cut_jpeg(head + tail)
    if head.startswith(PNG_START):
        return PNG_END in tail
    return head.startswith(BMP_START) and int.from_bytes(head[BMP_SIZE], "little") == n_bytes


def _is_cut_jpeg(data: bytes) -> bool:
    """Return whether the last scan of a JPEG lacks its end mark; OpenCV 4 silently fills the missing part with grey."""
    return data.startswith(JPEG_START) and data.rfind(JPEG_END) < data.rfind(JPEG_SCAN)


def _unreadable(path: Path, what: str) -> FaceError:
    return FaceError(f"{path}: {what}. Copy the file from the release again.")
