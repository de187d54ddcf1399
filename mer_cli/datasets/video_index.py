"""Find out when each frame of a video is shown, and how many frames it has, by its packets, without decoding them."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mer_cli.errors import FaceError
from mer_cli.system.opencv import cv2
from mer_cli.system.opencv_video import open_video
from mer_cli.system.pyav import find_av, listed_frames, open_film, packets_of

# In others, such as VP8, a packet may hold a picture that is never shown.
ONE_FRAME_EACH = frozenset(
    {"av1", "ffv1", "flv", "h264", "hevc", "mjpeg", "mpeg1video", "mpeg2video", "mpeg4", "prores", "vp9", "wmv2"}
)


@dataclass(frozen=True)
class VideoIndex:
    """The time stamps of all frames of a video.

    stamps : (n_frames,) int64, ascending, in units of `tick`; frame number n has stamp n - 1
    keys : (n_keys,) int64, ascending numbers of the frames that are stored whole
    tick : seconds
    """

    stamps: NDArray[np.int64] = field(repr=False)
    keys: NDArray[np.int64] = field(repr=False)
    tick: float

    def key_before(self, number: int) -> int:
        """Return the number of the last frame up to `number` that is stored whole; 0 if there is none."""
        place = int(np.searchsorted(self.keys, number, side="right"))
        return int(self.keys[place - 1]) if place else 0

    def number_at(self, stamp: int | None) -> int:
        """Return the number of the frame with this time stamp; 0 if there is none."""
        number = 0 if stamp is None else int(np.searchsorted(self.stamps, stamp)) + 1
        return number if 0 < number <= len(self.stamps) and self.stamps[number - 1] == stamp else 0

    def key_at(self, stamp: int | None) -> int:
        """Return the number of the frame with this time stamp if it is stored whole; otherwise 0."""
        number = self.number_at(stamp)
        return number if self.key_before(number) == number else 0


def read_index(path: Path) -> VideoIndex | None:
    """Return the index of a video; None without PyAV, or if the packets don't tell.

    Raises
    ------
    FaceError
        If the file can't be opened as a video.
    """
    state = _state(path)
    return None if find_av() is None else _read_index(path, *state)


@lru_cache(maxsize=64)  # the clips of one recording ask one after the other
def _read_index(path: Path, _size: int, _time: int) -> VideoIndex | None:
    with open_film(path) as (container, film):
        if film.codec_context.name not in ONE_FRAME_EACH or not film.time_base:
            return None
        stamps, is_key = array("q"), bytearray()  # of an hour at 200 frames a second there are 720,000
        for packet in packets_of(container, film):
            if packet.is_discard:  # cut off by an edit list
                continue
            if packet.pts is None:
                return None
            stamps.append(packet.pts)
            is_key.append(packet.is_keyframe)
        tick = float(film.time_base)
    order = np.argsort(stamps, kind="stable")
    ordered = np.asarray(stamps, dtype=np.int64)[order]
    if not len(ordered) or np.any(np.diff(ordered) == 0):
        return None
    return VideoIndex(ordered, np.flatnonzero(np.frombuffer(is_key, dtype=np.uint8)[order]) + 1, tick)


@lru_cache(maxsize=8)
def _read_times(path: Path, size: int, time: int) -> NDArray[np.float64]:
    index = None if find_av() is None else _read_index(path, size, time)
    if index is not None:
        return _since_first(index.stamps, index.tick)
    if find_av() is not None:
        with open_film(path) as (container, film):
            stamps = [frame.pts for frame in container.decode(film)]
            if stamps and None not in stamps:
                return _since_first(stamps, float(film.time_base))
    seconds: list[float] = []
    with open_video(path) as video:
        step = 1 / (video.get(cv2.CAP_PROP_FPS) or 1)
        while video.grab():
            stamp = video.get(cv2.CAP_PROP_POS_MSEC) / 1000
            # OpenCV has no time stamp for the last frames of some formats.
            seconds.append(stamp if not seconds or stamp > seconds[-1] else seconds[-1] + step)
    return _since_first(seconds, 1.0)


def _since_first(stamps: ArrayLike, tick: float) -> NDArray[np.float64]:
    """Return the seconds since the first of some time stamps, which are in units of `tick`."""
    counted = np.asarray(stamps)
    return np.asarray((counted - counted[:1]) * tick, dtype=np.float64)


def read_times(path: Path) -> NDArray[np.float64]:
    """Return when each frame of a video is shown, in seconds since its first frame; without PyAV it may be inexact.

    Raises
    ------
    FaceError
        If the file can't be opened as a video.
    """
    return _read_times(path, *_state(path))


def _state(path: Path) -> tuple[int, int]:
    """Return the size of a file and when it was written, by which a result is kept."""
    try:
        status = path.stat()
    except OSError as error:
        raise FaceError(f"{path}: cannot be read ({error.strerror}). Check the path and its permissions.") from error
    return status.st_size, status.st_mtime_ns


def count_frames(path: Path) -> int:
    """Return the number of frames of a video: that of the header if it lists them, else counted.

    Raises
    ------
    FaceError
        If the file can't be opened as a video.
    """
    return _count_frames(path, *_state(path))


@lru_cache(maxsize=64)  # it is called for each frame of a clip
def _count_frames(path: Path, size: int, time: int) -> int:
    if find_av() is not None:
        with open_film(path) as (_, film):
            listed = listed_frames(film)
        if listed:
            return min(listed, size)  # a damaged header may say millions; each frame takes a byte at least
        index = _read_index(path, size, time)
        if index is not None:
            return len(index.stamps)
    with open_video(path) as video:
        n_frames = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        if n_frames < 1:  # a recording of a browser
            n_frames = 0
            while video.grab():
                n_frames += 1
        return min(n_frames, size)
