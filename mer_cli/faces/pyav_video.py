"""Read a video with PyAV: exact time stamps, any pixel format, turned upright."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mer_cli.faces.pictures import Image
from mer_cli.faces.recorded import Frame, damaged, ends_early, no_frame, other_size, undecodable
from mer_cli.faces.video_pass import Pass
from mer_cli.system.pyav import LARGE, films_of, listed_frames, open_film, packets_of

PROBED = 1000  # time stamps that tell the frame rate where the header doesn't
PROBED_BYTES = 64 << 20  # of compressed video read for them at most
REORDERED = 16  # frames that may be stored after a later one
LIE = 0.01  # share by which the rate of a header may differ from that of the time stamps
UNEVEN = 0.1  # share of the usual distance by which the distances of frames may differ
MISSING = 0.1  # share of the header's duration that may be without pictures
HDR = {16: "PQ", 18: "HLG"}  # FFmpeg's numbers of transfer curves
QUARTER = 90


class PyavVideo:
    """A video, read by PyAV; see `Recording`. Reading it to its end adds notes on damage."""

    numbers: Collection[int] | None = None

    def __init__(self, path: Path) -> None:
        self.path = path
        with Pass(path) as start:
            first = start.to(1)
            if first is None:
                raise no_frame(path)
            self._first_stamp = first.pts
            self._turns = round(first.rotation / QUARTER) % 4
            size = (first.width, first.height)
            self.width, self.height = size[::-1] if self._turns % 2 else size
            seen = _notes_on_pictures(first, start.film, len(films_of(start.container)))
        with open_film(path) as (container, film):
            self.fps, told = _rate(container, film, _timing(container, film))
            self.n_frames = self.last = _count(container, film, self.fps)
            self._n_packets, self._seconds = film.frames, _duration(container, film)
        self.notes: tuple[str, ...] = (*seen, *told)

    def read(self, numbers: Iterable[int] | None = None, step: int = 1) -> Iterator[Frame]:
        """Read frames in one pass; see `Recording.read`. It jumps over many unwanted frames where that is exact."""
        wanted = None if numbers is None else iter(numbers)
        target = 1 if wanted is None else next(wanted, None)
        if target is None:
            return
        with Pass(self.path, self._first_stamp, self.fps) as taken:
            while frame := taken.to(target):
                if wanted is not None and not taken.is_sure:
                    raise damaged(self.path, taken.broken_after[0], target)
                if wanted is not None and taken.n_frames != target:
                    raise undecodable(self.path, target)
                yield Frame(taken.n_frames, taken.seconds, self._image(frame, taken.n_frames))
                target = taken.n_frames + step if wanted is None else next(wanted, None)
                if target is None:
                    return
        if wanted is not None:
            raise ends_early(self.path, taken.n_frames, target)
        self._tell_damage(taken)

    def _image(self, frame: Any, number: int) -> Image:
        """Return the pixels of a frame, (H, W, 3) uint8, RGB, upright; they are those that OpenCV returns."""
        size, first = (frame.height, frame.width), (self.height, self.width)
        if size != (first[::-1] if self._turns % 2 else first):
            raise other_size(self.path, number, size, first)
        # Not rgb24, which rounds frames of ten bits in another way.
        bgr = frame.reformat(format="bgr24", interpolation="BICUBIC").to_ndarray()
        return np.ascontiguousarray(np.rot90(bgr[..., ::-1], self._turns))

    def _tell_damage(self, taken: Pass) -> None:
        """Add notes on frames that could not be decoded, and on a video that ends before its header says."""
        told = []
        if taken.broken_after:
            told.append(
                f"damaged: {len(taken.broken_after)} of its frames can't be decoded and are left out, the first after "
                f"frame {taken.broken_after[0]}"
                + ("" if taken.is_sure else "; frames behind it may have a number that is too small")
            )
        if taken.n_packets < self._n_packets:
            told.append(
                f"cut short: the header says {self._n_packets} frames, and the file ends after frame {taken.n_frames}"
            )
        elif not self._n_packets and taken.seconds < (1 - MISSING) * self._seconds:
            told.append(
                f"cut short: the header says {self._seconds:.1f} s, and the file ends with frame {taken.n_frames} at "
                f"{taken.seconds:.1f} s"
            )
        self.notes = (*self.notes, *(note for note in told if note not in self.notes))


@dataclass(frozen=True)
class _Timing:
    """The time stamps of the first frames.

    distances : seconds from frame to frame, sorted
    n_stamps : number of time stamps that were read
    is_whole : whether all frames were looked at, not only the first
    """

    distances: tuple[float, ...]
    n_stamps: int
    is_whole: bool

    @property
    def fps(self) -> float | None:
        """The average number of frames a second."""
        total = sum(self.distances)
        return len(self.distances) / total if total > 0 else None


def _timing(container: Any, film: Any) -> _Timing:
    """Read the time stamps of the first frames, without decoding them."""
    stamps: list[int] = []
    n_bytes = 0
    is_whole = True
    for packet in packets_of(container, film):
        if len(stamps) == PROBED or n_bytes > PROBED_BYTES:
            is_whole = False
            break
        n_bytes += packet.size
        if packet.pts is not None and not packet.is_discard:
            stamps.append(packet.pts)
    is_whole = is_whole and len(stamps) >= film.frames
    ordered = np.sort(np.asarray(stamps, dtype=np.int64))
    if not is_whole:
        ordered = ordered[: max(len(ordered) - REORDERED, len(ordered) // 2)]
    distances = np.sort(np.diff(ordered)) * float(film.time_base or 0)
    return _Timing(tuple(distances.tolist()), len(stamps), is_whole)


def _rate(container: Any, film: Any, timing: _Timing) -> tuple[float | None, list[str]]:
    """Return the average number of frames a second, and notes on it."""
    header = float(film.average_rate) if film.average_rate else None
    notes = []
    if not timing.fps:
        return header, [] if timing.n_stamps else ["no time stamps: the frames are taken as equally far apart"]
    middle = timing.distances[len(timing.distances) // 2]
    shortest, longest = timing.distances[0], timing.distances[-1]
    tick = float(film.time_base)
    if longest - shortest > max(UNEVEN * middle, 2 * tick):
        notes.append(
            f"variable frame rate: from one frame to the next pass {shortest * 1000:.1f} to {longest * 1000:.1f} ms; "
            "the frame rate is the average"
        )
    if timing.is_whole and notes:
        return timing.fps, notes
    if header and film.frames and film.duration:  # the header lists each frame
        return header, notes
    if header and abs(header - timing.fps) <= LIE * timing.fps:
        return header, notes
    among = "" if timing.is_whole else f" of the first {len(timing.distances) + 1} frames"
    says = f"{header:.4g} frames a second" if header and (film.duration or container.duration) else "no duration"
    notes.append(f"the header says {says}; by the time stamps{among} they are {timing.fps:.4g}, which is taken")
    return timing.fps, notes


def _count(container: Any, film: Any, fps: float | None) -> int | None:
    """Return the number of frames by the header; None if it says nothing."""
    if listed := listed_frames(film):
        return listed
    seconds = _duration(container, film)
    return round(seconds * fps) or None if fps and seconds > 0 else None


def _duration(container: Any, film: Any) -> float:
    """Return the seconds that a video takes by its header; 0 if it says nothing."""
    return float(film.duration * film.time_base) if film.duration else (container.duration or 0) / 1e6


def _notes_on_pictures(first: Any, film: Any, n_films: int) -> list[str]:
    notes = []
    if n_films > 1:
        notes.append(f"holds {n_films} videos: the first one is read")
    if first.rotation % QUARTER:
        notes.append(f"the header turns the frames by {first.rotation} degrees: only quarter turns are made")
    if first.width * first.height > LARGE:
        notes.append(f"frames of {first.width}x{first.height} pixels: reading them takes up to 2 GB of memory")
    if first.interlaced_frame:
        notes.append("interlaced: each frame holds two half pictures of different times, so moving edges are combed")
    ratio = film.sample_aspect_ratio
    if ratio and ratio != 1:
        notes.append(f"its pixels are not square ({ratio.numerator}:{ratio.denominator}): they are taken as they are")
    if first.color_trc in HDR:
        notes.append(f"high dynamic range ({HDR[first.color_trc]}): the colours are taken as they are, and look pale")
    return notes
