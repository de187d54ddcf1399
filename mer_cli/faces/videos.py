"""Read frames of video files, numbered from 1, in one pass that keeps no frame in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from mer_cli.datasets.frame_files import is_video
from mer_cli.datasets.video_index import count_frames
from mer_cli.faces.pictures import Image
from mer_cli.faces.recorded import ends_early
from mer_cli.faces.recording import open_recording
from mer_cli.records import Clip
from mer_cli.system.pyav import find_av


def read_video(path: Path, numbers: Iterable[int]) -> Iterator[tuple[int, Image]]:
    """Read some frames of a video in one pass that ends at the last wanted frame.

    Parameters
    ----------
    numbers : the wanted frame numbers, ascending; the first frame has number 1

    Yields
    ------
    a number and the frame with that number, (H, W, 3) uint8, RGB, 0-255

    Raises
    ------
    FaceError
        If the video can't be opened, or ends before a wanted frame.
    """
    for frame in open_recording(path).read(numbers):
        yield frame.number, frame.image


def check_video(path: Path, number: int) -> None:
    """Raise the FaceError that reading frame `number` would raise, without decoding any frame."""
    n_frames = count_frames(path)
    if number > n_frames:
        raise ends_early(path, n_frames, number)


def decoder_of(clips: Iterable[Clip]) -> dict[str, str]:
    """Return PyAV's version under its name if it reads frames of these clips; empty if OpenCV reads them all."""
    av = find_av()
    is_used = av is not None and any(is_video(frame.path) for clip in clips for frame in clip.frames)
    return {"av": str(av.__version__)} if av is not None and is_used else {}
