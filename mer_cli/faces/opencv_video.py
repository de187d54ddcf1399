"""Read a video with OpenCV, for those who have no PyAV: the same pixels, but time stamps may be inexact."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import numpy as np

from mer_cli.faces.pictures import Image
from mer_cli.faces.recorded import Frame, ends_early, no_frame, other_size, undecodable
from mer_cli.system.opencv import cv2
from mer_cli.system.opencv_video import open_video

INEXACT = (
    "read by OpenCV, which does not tell a variable frame rate and whose time stamps may be inexact: install PyAV for "
    "exact ones, `pip install 'mer-cli[video]'`"
)


class OpencvVideo:
    """A video, read by OpenCV; see `Recording`."""

    notes: tuple[str, ...] = (INEXACT,)
    numbers: Collection[int] | None = None

    def __init__(self, path: Path) -> None:
        self.path = path
        with open_video(path) as video:
            fps = video.get(cv2.CAP_PROP_FPS)
            n_frames = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
            is_read, first = video.read()
            if not is_read:
                raise no_frame(path)
        self.height, self.width = first.shape[:2]
        self.fps = fps if fps > 0 else None
        self.n_frames = self.last = n_frames if n_frames > 0 else None

    def read(self, numbers: Iterable[int] | None = None, step: int = 1) -> Iterator[Frame]:
        """Read frames in one pass; see `Recording.read`."""
        wanted = None if numbers is None else iter(numbers)
        target = 1 if wanted is None else next(wanted, None)
        number, seconds, start = 0, 0.0, 0.0
        with open_video(self.path) as video:
            while target is not None and video.grab():
                number += 1
                stamp = video.get(cv2.CAP_PROP_POS_MSEC) / 1000
                start = stamp if number == 1 else start
                seconds = self._later(seconds, stamp - start) if number > 1 else 0.0
                if number < target:
                    continue
                yield Frame(number, seconds, self._image(video, number))
                target = number + step if wanted is None else next(wanted, None)
        if wanted is not None and target is not None:
            raise ends_early(self.path, number, target)

    def _later(self, before: float, seconds: float) -> float:
        """Return the time of a frame; OpenCV has none for the last frames of some formats."""
        return seconds if seconds > before else before + (1 / self.fps if self.fps else 0.0)

    def _image(self, video: cv2.VideoCapture, number: int) -> Image:
        is_read, bgr = video.retrieve()
        if not is_read:
            raise undecodable(self.path, number)
        if bgr.shape[:2] != (self.height, self.width):
            raise other_size(self.path, number, bgr.shape, (self.height, self.width))
        return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)
