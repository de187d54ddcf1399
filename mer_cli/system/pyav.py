"""Open video files with PyAV, if it is installed (extra `video`), and show only what is a film in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from mer_cli.errors import FaceError
from mer_cli.system.opencv import MAX_PIXELS

THREADS = 4  # of a decoder; each holds frames of its own
# FFmpeg also takes text for pictures of a terminal, and play lists, which name other files and addresses.
FORMATS = (
    "asf,avi,dv,flv,h264,hevc,ivf,m4v,matroska,mjpeg,mov,mpeg,mpegts,mpegvideo,mxf,nut,ogg,rm,webm,wtv,yuv4mpegpipe"
)
OPTIONS = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}


@cache
def find_av() -> ModuleType | None:
    """Return PyAV, or None if it can't be imported."""
    try:
        import av
    except ImportError:
        return None
    av.logging.set_level(None)  # our own errors say what is wrong with a damaged video
    return av


@contextmanager
def open_film(path: Path) -> Iterator[tuple[Any, Any]]:
    """Open a video for a `with` block.

    Yields
    ------
    PyAV's container and its first stream of moving pictures; the picture on the cover of a sound file is not one

    Raises
    ------
    FaceError
        If PyAV can't open the file, it holds no video, or its frames are too large.
    """
    av = find_av()
    assert av is not None
    try:
        container = av.open(str(path.absolute()), options=OPTIONS, metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        raise FaceError(f"{path}: {why_not_opened(path)}") from error
    with container:
        films = films_of(container)
        if not films:
            raise FaceError(
                f"{path}: holds sound or pictures, but no video. Give the file of the camera; a recording of sound "
                "shows no face."
            )
        film = films[0]
        require_size(path, film.width, film.height)
        film.thread_type, film.codec_context.thread_count = "AUTO", THREADS
        film.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        yield container, film


def films_of(container: Any) -> list[Any]:
    """Return the streams of moving pictures in a container of PyAV, the default one first."""
    flag = find_av().stream.Disposition  # type: ignore[union-attr]
    films = [stream for stream in container.streams.video if not stream.disposition & flag.attached_pic]
    return sorted(films, key=lambda stream: not stream.disposition & flag.default)


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
    if head[4:8] == b"ftyp":
        return (
            "the video is cut short: the index of its frames (moov), which a camera writes last, is missing. Copy the "
            "file again. If the recording was interrupted, a tool such as untrunc may repair it."
        )
    if head.isascii() and b"\0" not in head:
        return "is a text file, not a video. Give the recording itself."
    return "is not a video that can be opened. Copy the file again, or write its frames into a folder as images."
