"""Read a video with PyAV: exact time stamps, any pixel format, turned upright."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mer_cli.faces.pictures import Image
from mer_cli.faces.recorded import Frame, ends_early, no_frame, other_size
from mer_cli.system.pyav import films_of, find_av, open_film

PROBED = 1000  # time stamps that tell the frame rate where the header doesn't
PROBED_BYTES = 64 << 20  # of compressed video read for them at most
REORDERED = 16  # frames that may be stored after a later one
LIE = 0.01  # share by which the rate of a header may differ from that of the time stamps
UNEVEN = 0.1  # share of the usual distance by which the distances of frames may differ
HDR = {16: "PQ", 18: "HLG"}  # FFmpeg's numbers of transfer curves
QUARTER = 90


class PyavVideo:
    """A video, read by PyAV; see `Recording`. Reading it to its end adds notes on damage."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with open_film(path) as (container, film):
            first = next(_Pass().frames(container, film), None)
            if first is None:
                raise no_frame(path)
            self._turns = round(first.rotation / QUARTER) % 4
            size = (first.width, first.height)
            self.width, self.height = size[::-1] if self._turns % 2 else size
            seen = _notes_on_pictures(first, film, len(films_of(container)))
        with open_film(path) as (container, film):
            self.fps, told = _rate(container, film, _timing(container, film))
            self.n_frames = _count(container, film, self.fps)
            self._n_packets = film.frames
        self.notes: tuple[str, ...] = (*seen, *told)

    def read(self, numbers: Iterable[int] | None = None) -> Iterator[Frame]:
        """Read frames in one pass; see `Recording.read`."""
        wanted = None if numbers is None else iter(numbers)
        target = 1 if wanted is None else next(wanted, None)
        if target is None:
            return
        taken = _Pass()
        seconds = start = 0.0
        with open_film(self.path) as (container, film):
            for number, frame in enumerate(taken.frames(container, film), start=1):
                if frame.pts is not None:
                    seconds = float(frame.pts * film.time_base)
                elif number > 1:  # without a time stamp
                    seconds += 1 / self.fps if self.fps else 0.0
                start = seconds if number == 1 else start
                if number < target:
                    continue
                yield Frame(number, seconds - start, self._image(frame, number))
                target = number + 1 if wanted is None else next(wanted, None)
                if target is None:
                    return
        self._tell_damage(taken)
        if wanted is not None:
            raise ends_early(self.path, taken.n_frames, target)

    def _image(self, frame: Any, number: int) -> Image:
        """Return the pixels of a frame, (H, W, 3) uint8, RGB, upright; they are those that OpenCV returns."""
        bgr = frame.reformat(format="bgr24", interpolation="BICUBIC").to_ndarray()
        rgb = np.ascontiguousarray(np.rot90(bgr[..., ::-1], self._turns))
        if rgb.shape[:2] != (self.height, self.width):
            raise other_size(self.path, number, rgb.shape, (self.height, self.width))
        return rgb

    def _tell_damage(self, taken: _Pass) -> None:
        """Add notes on frames that could not be decoded, and on a video that ends before its header says."""
        told = []
        if taken.broken_after:
            told.append(
                f"damaged: {len(taken.broken_after)} of its frames can't be decoded, the first after frame "
                f"{taken.broken_after[0]}; they are left out, and the frames after them count on"
            )
        if taken.n_packets < self._n_packets:
            told.append(
                f"cut short: the header says {self._n_packets} frames, and the file ends after frame {taken.n_frames}"
            )
        self.notes = (*self.notes, *(note for note in told if note not in self.notes))


@dataclass
class _Pass:
    """One pass through a video, from its start.

    n_packets : number of frames read from the file, decoded or not
    n_frames : number of frames decoded
    broken_after : for each frame that can't be decoded, the number of the frame before it
    """

    n_packets: int = 0
    n_frames: int = 0
    broken_after: list[int] = field(default_factory=list)

    def frames(self, container: Any, film: Any) -> Iterator[Any]:
        """Yield PyAV's frames in the order in which they are shown; like OpenCV, skip what can't be decoded."""
        error = find_av().FFmpegError  # type: ignore[union-attr]
        packets = container.demux(film)
        while True:
            try:
                packet = next(packets, None)
            except error:  # the rest of the file can't be read
                packet = None
            is_last = packet is None or packet.size == 0
            self.n_packets += not is_last
            try:
                frames = film.decode(packet)
            except error:
                frames = []
                if not is_last:
                    self.broken_after.append(self.n_frames)
            for frame in frames:
                self.n_frames += 1
                yield frame
            if is_last:
                return


@dataclass(frozen=True)
class _Timing:
    """The seconds from frame to frame by the time stamps, sorted; empty if there are none.

    is_whole : whether all frames were looked at, not only the first
    """

    distances: tuple[float, ...]
    is_whole: bool

    @property
    def fps(self) -> float | None:
        """The average number of frames a second."""
        total = sum(self.distances)
        return len(self.distances) / total if total > 0 else None


def _timing(container: Any, film: Any) -> _Timing:
    """Read the time stamps of the first frames, without decoding them."""
    error = find_av().FFmpegError  # type: ignore[union-attr]
    stamps: list[int] = []
    n_bytes = 0
    is_whole = False
    packets = container.demux(film)
    while len(stamps) < PROBED and n_bytes < PROBED_BYTES:
        try:
            packet = next(packets, None)
        except error:
            packet = None
        if packet is None:
            is_whole = True
            break
        n_bytes += packet.size
        if packet.size and packet.pts is not None and not packet.is_discard:
            stamps.append(packet.pts)
    ordered = np.sort(np.asarray(stamps, dtype=np.int64))
    if not is_whole:
        ordered = ordered[:-REORDERED]
    distances = np.sort(np.diff(ordered)) * float(film.time_base or 0)
    return _Timing(tuple(distances.tolist()), is_whole)


def _rate(container: Any, film: Any, timing: _Timing) -> tuple[float | None, list[str]]:
    """Return the average number of frames a second, and notes on it."""
    header = float(film.average_rate) if film.average_rate else None
    notes = []
    if not timing.fps:
        return header, ["no time stamps: the frames are taken as equally far apart"]
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
    if film.frames:
        return int(film.frames)
    seconds = float(film.duration * film.time_base) if film.duration else (container.duration or 0) / 1e6
    return round(seconds * fps) or None if fps and seconds > 0 else None


def _notes_on_pictures(first: Any, film: Any, n_films: int) -> list[str]:
    notes = []
    if n_films > 1:
        notes.append(f"holds {n_films} videos: the {'default' if film.disposition else 'first'} one is read")
    if first.rotation % QUARTER:
        notes.append(f"the header turns the frames by {first.rotation} degrees: only quarter turns are made")
    if first.interlaced_frame:
        notes.append("interlaced: each frame holds two half pictures of different times, so moving edges are combed")
    ratio = film.sample_aspect_ratio
    if ratio and ratio != 1:
        notes.append(f"its pixels are not square ({ratio.numerator}:{ratio.denominator}): they are taken as they are")
    if first.color_trc in HDR:
        notes.append(f"high dynamic range ({HDR[first.color_trc]}): the colours are taken as they are, and look pale")
    return notes
