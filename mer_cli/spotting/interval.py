"""The intervals that spotting finds in a recording, and what it measured on the way. Importing this is cheap."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Reason = Literal["", "blink", "head", "speech", "long", "no face"]


@dataclass(frozen=True)
class Interval:
    """An interval of motion in a recording; frames have the numbers of `Frame`, ends included.

    score : larger is more likely a micro-expression; only the order means something
    reason : why it was rejected, or "" for an interval that may be a micro-expression
    """

    onset: int
    apex: int
    offset: int
    score: float
    reason: Reason = ""


@dataclass(frozen=True)
class Spotted:
    """What spotting found in a recording.

    fps : frames a second, the average over the recording
    n_frames : number of frames that were read; fewer than the recording has if it was interrupted
    intervals : those that may be micro-expressions, by onset · rejected : the others, by onset
    numbers : (T,) int32, the frames at which motion was measured
    motion : (T,) float32, motion of the face in the last 0.2 s once the head's is taken away, pixels of the crop
    head : (T,) float32, motion of the head in the same window, pixels of the crop; both NaN where no face was found
    n_faces : (T,) int8, faces at the last search before each of these frames
    notes : a sentence for each unusual thing
    interrupted : whether Ctrl-C ended the reading; then these are the frames that were read
    """

    fps: float
    n_frames: int
    intervals: tuple[Interval, ...]
    rejected: tuple[Interval, ...] = ()
    numbers: NDArray[np.int32] | None = field(default=None, repr=False)
    motion: NDArray[np.float32] | None = field(default=None, repr=False)
    head: NDArray[np.float32] | None = field(default=None, repr=False)
    n_faces: NDArray[np.int8] | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()
    interrupted: bool = False

    @property
    def first(self) -> int:
        """Number of the first frame; 1 if no motion was measured."""
        return 1 if self.numbers is None or not len(self.numbers) else int(self.numbers[0])

    def seconds_at(self, number: int) -> float:
        """Return when a frame is shown, in seconds since the first one, as if all were equally far apart."""
        return (number - self.first) / self.fps
