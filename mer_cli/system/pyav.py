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
from mer_cli.system.opencv_video import require_size, why_not_opened

THREADS = 4  # of a decoder
LARGE = 10_000_000  # pixels of frames, larger than 4K, of which not every thread may hold one of its own
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
        if film.codec_context is None:
            raise FaceError(
                f"{path}: its frames are compressed in a way that FFmpeg doesn't know. Convert the video with the "
                "program that recorded it, for example to MP4; or copy the file again, if it is damaged."
            )
        require_size(path, film.width, film.height)
        is_large = film.width * film.height > LARGE
        film.thread_type, film.codec_context.thread_count = ("SLICE" if is_large else "AUTO"), THREADS
        film.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        yield container, film


def packets_of(container: Any, film: Any) -> Iterator[Any]:
    """Yield the packets of a stream up to the last that can be read, without the empty one that PyAV adds."""
    error = find_av().FFmpegError  # type: ignore[union-attr]
    packets = container.demux(film)
    while True:
        try:
            packet = next(packets, None)
        except error:  # the rest of the file can't be read
            return
        if packet is None:
            return
        if packet.size:
            yield packet


def listed_frames(film: Any) -> int:
    """Return the number of frames that a file lists, without those cut off by an edit list; 0 without a list."""
    entries = film.index_entries
    if len(entries) > film.frames:  # the list is only that of the first fragment of a fragmented MP4
        return 0
    cut = sum(entry.is_discard for entry in entries) if len(entries) == film.frames else 0
    return int(film.frames - cut)


def films_of(container: Any) -> list[Any]:
    """Return the streams of moving pictures in a container of PyAV, in the order of the file, as OpenCV takes them."""
    cover = find_av().stream.Disposition.attached_pic  # type: ignore[union-attr]
    return [stream for stream in container.streams.video if not stream.disposition & cover]
