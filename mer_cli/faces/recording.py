"""A recording: a video or a folder of frames, read in order, one frame at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mer_cli.faces.pictures import Image


@dataclass(frozen=True)
class Frame:
    """One frame of a recording.

    number : counted from 1 in a video; the number in the file's name in a folder
    seconds : since the first frame, by the video's time stamps
    image : (H, W, 3) uint8, RGB, upright
    """

    number: int
    seconds: float
    image: Image = field(repr=False)


class Recording(Protocol):
    """A video or a folder of frames.

    fps : frames a second, the average over the recording; None if nobody knows it (a folder of images)
    n_frames : number of frames as the header says, which may be wrong; None if it says nothing
    notes : a sentence for each unusual thing, for example that frames are not equally far apart
    """

    path: Path
    width: int
    height: int
    fps: float | None
    n_frames: int | None
    notes: tuple[str, ...]

    def read(self, numbers: Iterable[int] | None = None) -> Iterator[Frame]:
        """Read frames in one pass that keeps none in memory.

        Parameters
        ----------
        numbers : ascending numbers of the wanted frames; None reads all frames to the end

        Raises
        ------
        FaceError
            If a frame can't be decoded, or the recording ends before a wanted frame.
        """
