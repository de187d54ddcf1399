"""Go through a video with PyAV from frame to frame, by counting, and jump where that gives the same frame."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mer_cli.datasets.video_index import VideoIndex, read_index
from mer_cli.system.pyav import find_av, open_film, packets_of

FAR = 200  # frames ahead that are worth reading the time stamps of all frames
JUMP = 32  # frames that are worth a jump instead of decoding them
BACK = (0, 50, 300)  # frames before the wanted one to which jumps are tried


class Pass:
    """One way through a video, forwards.

    A jump lands on a frame that is stored whole, and is known by its time stamp, as is every frame after it; frames are
    counted from the start if one of them is another than the time stamps say.

    container, film : PyAV's container and stream
    n_packets : number of frames read from the file, decoded or not; counted only without jumps
    n_frames : number of the frame that was reached
    seconds : its time stamp, since the first frame
    is_sure : whether that is its number in spite of damage before it
    broken_after : for each frame that can't be decoded, the number of the frame before it
    """

    def __init__(self, path: Path, first_stamp: int | None = None, fps: float | None = None) -> None:
        self._path, self._first_stamp, self._fps = path, first_stamp, fps
        self._may_jump = True
        self._opened = ExitStack()
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._opened.close()

    def to(self, number: int) -> Any | None:
        """Return PyAV's frame with a number larger than that of the frame before; None if the video ends earlier.

        If that frame can't be decoded, it is the next one; see `n_frames`.
        """
        index = self._index() if self._may_jump and number - self.n_frames > FAR else None
        if index is not None:
            frame = self._by_index(number, index)
            if frame is not None:
                return frame
            self._may_jump = False
            self._start()
        frame = None
        while self.n_frames < number:
            frame = self._next()
            if frame is None:
                return None
        return frame

    def _index(self) -> VideoIndex | None:
        """Return when each frame is shown, if the file tells that; it is read once."""
        index = None if self._first_stamp is None else read_index(self._path)
        return index if index is not None and int(index.stamps[0]) == self._first_stamp else None

    def _by_index(self, number: int, index: VideoIndex) -> Any | None:
        """Return a frame, if it and those before it have the time stamps that they should have."""
        frame = None
        if index.key_before(number) - self.n_frames > JUMP:
            frame = self._land(number, index)
            if frame is None:
                return None
        while self.n_frames < number:
            frame = self._next()
            if frame is None or self.n_frames > len(index.stamps) or frame.pts != index.stamps[self.n_frames - 1]:
                return None
        return frame

    def _land(self, number: int, index: VideoIndex) -> Any | None:
        """Jump to a frame up to `number` that is stored whole; return None if all jumps land behind `number`.

        Where a file has no list of its frames, a jump lands behind its aim, so the next one goes back further.
        """
        for back in BACK:
            stamp = int(index.stamps[index.key_before(max(number - back, 1)) - 1])
            self.container.seek(stamp, stream=self.film)
            self._frames = self._decode()
            for frame in iter(self._next, None):
                key = index.key_at(frame.pts)
                if key > number:
                    break
                if key:
                    self.n_frames = key
                    return frame
        return None

    def _start(self) -> None:
        """Open the video, and stand before its first frame."""
        self._opened.close()
        self.container, self.film = self._opened.enter_context(open_film(self._path))
        self.n_packets, self.n_frames, self.seconds = 0, 0, 0.0
        self.broken_after: list[int] = []
        self.is_sure = True
        self._frames = self._decode()

    def _next(self) -> Any | None:
        frame = next(self._frames, None)
        if frame is None:
            return None
        self.n_frames += 1
        if self.broken_after:
            self._renumber(frame)
        if frame.pts is not None and self._first_stamp is not None:
            self.seconds = float((frame.pts - self._first_stamp) * self.film.time_base)
        elif self.n_frames > 1:  # without a time stamp
            self.seconds += 1 / self._fps if self._fps else 0.0
        return frame

    def _renumber(self, frame: Any) -> None:
        """Take the number of a frame behind a damaged one from its time stamp, if possible."""
        index = self._index()
        number = 0 if index is None else index.number_at(frame.pts)
        self.is_sure = number > 0
        self.n_frames = number or self.n_frames

    def _decode(self) -> Iterator[Any]:
        """Yield frames in the order in which they are shown; like OpenCV, skip what can't be decoded."""
        error = find_av().FFmpegError  # type: ignore[union-attr]
        for packet in packets_of(self.container, self.film):
            self.n_packets += 1
            try:
                frames = self.film.decode(packet)
            except error:
                self.broken_after.append(self.n_frames)
                continue
            yield from frames
        with suppress(error):
            yield from self.film.decode(None)
