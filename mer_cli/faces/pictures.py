"""Read image files, and say what is wrong with those that can't be read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_cli.errors import FaceError
from mer_cli.system.files import read_bounded
from mer_cli.system.opencv import cv2

Image = NDArray[np.uint8]

JPEG_START = b"\xff\xd8"
JPEG_SCAN = b"\xff\xda"
JPEG_END = b"\xff\xd9"
PNG_START = b"\x89PNG\r\n\x1a\n"
PNG_END = b"IEND\xaeB`\x82"
PNG_DEPTH = 24  # the byte that holds the bits of a channel
BMP_START = b"BM"
BMP_SIZE = slice(2, 6)  # the bytes that hold a bitmap's size
RIFF_START = b"RIFF"  # of WebP
RIFF_SIZE = slice(4, 8)  # the bytes that hold the size of all that follows them
JP2_START = b"\x00\x00\x00\x0cjP  "

DEEPEST = 16  # bits a channel

HEAD = 32  # bytes at the start, which tell the format
TAIL = 4096  # bytes at the end, with a JPEG's end mark, unless a camera wrote more after it
MAX_BYTES = 512 << 20  # the largest image that OpenCV is allowed to decode has 402 MB in 16 bits without compression


def read_picture(path: Path, bits: int | None = None) -> Image:
    """Read one image.

    Parameters
    ----------
    bits : number of bits used by the release's images of 16 bits a channel (`depth.deep_bits`), which the upper eight
        are taken from; None if the release has no such images

    Returns
    -------
    (H, W, 3) uint8, RGB, 0-255; a grey image has three equal channels

    Raises
    ------
    FaceError
        If the file is absent, empty, truncated, not an image, or has more bits a channel than `bits`.
    """
    data = _read_bytes(path)
    if may_be_deep(data[:HEAD]):
        values = decode_deep(path, data)
        return _rgb(values if values.dtype == np.uint8 else _upper_eight(path, values, bits))
    return np.asarray(_decode(path, data, cv2.IMREAD_COLOR_RGB), dtype=np.uint8)


def may_be_deep(head: bytes) -> bool:
    """Return whether an image may have more than eight bits a channel, judging by its first 32 bytes."""
    if head.startswith(PNG_START):
        return len(head) > PNG_DEPTH and head[PNG_DEPTH] > 8
    return not head.startswith((JPEG_START, BMP_START, RIFF_START))


def read_deep(path: Path) -> NDArray[Any] | None:
    """Return the values of an image as they are in its file; None if it has eight bits or fewer a channel."""
    data = _read_bytes(path)
    if not may_be_deep(data[:HEAD]):
        return None
    values = decode_deep(path, data)
    return None if values.dtype == np.uint8 else values


def decode_deep(path: Path, data: bytes) -> NDArray[Any]:
    """Return the values in an image file's bytes, (H, W) or (H, W, 3) BGR, of any dtype."""
    # IMREAD_COLOR would spoil a TIFF of 16 bits and three channels (OpenCV 5.0).
    return _decode(path, data, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)


def _rgb(values: NDArray[Any]) -> Image:
    """Return 8-bit values, (H, W) grey or (H, W, 3) BGR, as RGB."""
    rgb = np.dstack([values] * 3) if values.ndim == 2 else values[:, :, ::-1]
    return np.ascontiguousarray(rgb, dtype=np.uint8)


def _upper_eight(path: Path, values: NDArray[Any], bits: int | None) -> NDArray[Any]:
    """Return the upper eight of `bits` bits of each value."""
    if values.dtype != np.uint16:
        raise FaceError(
            f"{path}: holds values of the kind {values.dtype}. Expected whole numbers of 8 or 16 bits. Convert the "
            "images, all with one factor."
        )
    if bits is None:
        raise FaceError(
            f"{path}: has 16 bits a channel, but no onset or apex of the release has more than 8. Convert the images "
            "in the same way."
        )
    largest = int(values.max(initial=0))
    if largest >> bits:
        raise FaceError(
            f"{path}: holds the value {largest}, which needs more than the {bits} bits of all onsets and apexes of the "
            "release. Look at the image; convert the images all with one factor."
        )
    return np.asarray(np.right_shift(values, bits - 8), np.uint8)


def _read_bytes(path: Path) -> bytes:
    """Return the bytes of an image file, if it seems to hold a whole image."""
    try:
        # Decoded from memory: cv2.imread can't open paths outside the system's character set.
        data = read_bounded(path, MAX_BYTES)
    except OSError as error:
        raise _unreadable(path, f"cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise _unreadable(path, str(error)) from None
    if not data:
        raise _unreadable(path, "the file is empty (0 bytes)")
    if _is_cut_jpeg(data):
        raise _unreadable(path, f"the JPEG is truncated (its {len(data)} bytes have no end mark)")
    return data


def _decode(path: Path, data: bytes, flags: int) -> NDArray[Any]:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        raise _unreadable(path, f"cannot be decoded ({len(data)} bytes)")
    return np.asarray(image)


def check_picture(path: Path) -> None:
    """Raise the FaceError of `read_picture`, judging by a file's first and last bytes; other damage is not seen."""
    if not _looks_whole(path):
        read_picture(path, DEEPEST)  # raises, unless the format is rare or a long note follows the end mark


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
    if head.startswith(RIFF_START):
        return int.from_bytes(head[RIFF_SIZE], "little") + RIFF_SIZE.stop == n_bytes
    if head.startswith(JP2_START):
        return tail.endswith(JPEG_END)
    return head.startswith(BMP_START) and int.from_bytes(head[BMP_SIZE], "little") == n_bytes


def _is_cut_jpeg(data: bytes) -> bool:
    """Return whether the last scan of a JPEG lacks its end mark; OpenCV 4 silently fills the missing part with grey."""
    return data.startswith(JPEG_START) and data.rfind(JPEG_END) < data.rfind(JPEG_SCAN)


def _unreadable(path: Path, what: str) -> FaceError:
    return FaceError(f"{path}: {what}. Copy the file from the release again.")
