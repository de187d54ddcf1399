"""Open video files with OpenCV, and say what is wrong with those that can't be opened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mer_cli.errors import FaceError
from mer_cli.system.opencv import MAX_PIXELS, cv2


@contextmanager
def open_video(path: Path) -> Iterator[cv2.VideoCapture]:
    """Open a video for a `with` block, so that its frames are turned upright.

    Raises
    ------
    FaceError
        If OpenCV can't open it, or its frames are too large.
    """
    video = cv2.VideoCapture(str(path))
    try:
        if not video.isOpened():
            raise FaceError(f"{path}: {why_not_opened(path)}")
        require_size(path, int(video.get(cv2.CAP_PROP_FRAME_WIDTH)), int(video.get(cv2.CAP_PROP_FRAME_HEIGHT)))
        video.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        yield video
    finally:
        video.release()


def require_size(path: Path, width: int, height: int) -> None:
    """Raise a FaceError if frames have more pixels than the memory of a usual machine can hold several of."""
    if width * height > MAX_PIXELS:
        raise FaceError(
            f"{path}: has frames of {width}x{height} pixels. Expected at most {MAX_PIXELS:,} pixels, which is twice "
            "8K. Make the video smaller, for example with `ffmpeg -i IN -vf scale=1920:-2 OUT`."
        )


def why_not_opened(path: Path) -> str:
    """Say why a file is not a video, by looking at it, and what to do."""
    try:
        with path.open("rb") as file:
            head = file.read(1 << 12)
    except OSError as error:
        return f"cannot be read ({error.strerror}). Check the path and its permissions."
    if not head:
        return "the file is empty (0 bytes). Copy the video again."
    if head[4:8] == b"ftyp" and not _has_index(path):
        return (
            "the video is cut short: the index of its frames (moov), which a camera writes last, is missing. Copy the "
            "file again. If the recording was interrupted, a tool such as untrunc may repair it."
        )
    if head.isascii() and b"\0" not in head:
        return "is a text file, not a video. Give the recording itself."
    return (
        "is not a video, or holds no moving pictures that can be read. Copy the file again, or write its frames into a "
        "folder as images."
    )


def _has_index(path: Path) -> bool:
    """Return whether an MP4 or QuickTime file has the box `moov`, by the boxes that it consists of."""
    with path.open("rb") as file:
        while len(head := file.read(16)) >= 8:
            size, name = int.from_bytes(head[:4], "big"), head[4:8]
            if name == b"moov":
                return True
            if size == 1:  # a large box has its size behind its name
                size = int.from_bytes(head[8:], "big")
            if size < 8:
                return False
            file.seek(size - len(head), 1)
    return False
