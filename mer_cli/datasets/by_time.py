"""Turn an annotation in seconds into frame numbers, by the time stamps of a video or the frame rate of images."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from pathlib import Path

from mer_cli.datasets.annotation import Field
from mer_cli.datasets.frame_files import is_video
from mer_cli.errors import DatasetError, FaceError
from mer_cli.records import FrameRef

GRACE = 0.001  # seconds; annotation tools round to milliseconds, so that a time may lie just before its frame
WRITTEN = "{}_s"  # the column of a field in seconds


def numbers_by_time(
    seconds: Mapping[Field, float], place: Path, frames: Sequence[FrameRef], fps: float | None
) -> tuple[dict[Field, str], tuple[str, ...]]:
    """Return the cells with the numbers of the frames that are shown at some times, and a note on them.

    Parameters
    ----------
    seconds : times since the first frame; if it is empty, so are the cells
    place : the clip's video or folder · frames : its frames
    fps : frames per second, by the table

    Raises
    ------
    DatasetError
        If a time lies behind the end, or nobody knows the frame rate of the images of a folder.
    """
    if not seconds:
        return {}, ()
    numbers, shown = _shown(place, frames, fps)
    cells = {field: str(_number(field, time, numbers, shown)) for field, time in seconds.items()}
    told = ", ".join(f"{field} {seconds[field]:g} s is frame {cell}" for field, cell in cells.items())
    return cells, (f"by time: {told}",)


def _shown(place: Path, frames: Sequence[FrameRef], fps: float | None) -> tuple[Sequence[int], Sequence[float]]:
    """Return the numbers of all frames, and when each is shown, in seconds since the first."""
    if is_video(place):
        from mer_cli.datasets.video_index import read_times  # needs OpenCV

        try:
            shown: list[float] = read_times(place).tolist()
        except FaceError as error:
            raise DatasetError(str(error)) from error
        return range(1, len(shown) + 1), shown
    if not fps:
        raise DatasetError(
            "the row gives times in seconds, and the frame rate of the images isn't known. Fill in fps, or give the "
            "numbers of the images in the columns onset, apex and offset."
        )
    numbers = [frame.number for frame in frames]
    return numbers, [(number - numbers[0]) / fps for number in numbers]


def _number(field: Field, time: float, numbers: Sequence[int], shown: Sequence[float]) -> int:
    """Return the number of the frame that is shown at a time: the last one that begins up to then."""
    last = shown[-1]
    step = last / max(len(shown) - 1, 1)
    if time > last + step + GRACE:
        raise DatasetError(
            f"{WRITTEN.format(field)} {time:g} is behind the end: the last frame, {numbers[-1]}, is shown at "
            f"{last:.3f} s. Correct the table; times are counted from the first frame."
        )
    return numbers[max(bisect_right(shown, time + min(GRACE, step / 2)) - 1, 0)]
