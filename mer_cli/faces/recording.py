"""A recording: a video or a folder of frames, read in order, one frame at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from mer_cli.errors import ConfigError, FaceError
from mer_cli.faces.opencv_video import OpencvVideo
from mer_cli.faces.picture_folder import PictureFolder
from mer_cli.faces.pyav_video import PyavVideo
from mer_cli.faces.recorded import Frame as Frame
from mer_cli.system.pyav import find_av

MOST_FPS = 100_000  # of a folder; more is a typing error


class Recording(Protocol):
    """A video or a folder of frames.

    fps : frames a second, the average over the recording; None if nobody knows it (a folder of images)
    n_frames : number of frames as the header says, which may be wrong; None if it says nothing
    last : number of the last frame, in a folder that of the last image; otherwise as `n_frames`
    numbers : those of a folder's images; None for a video, whose frames are all there
    notes : a sentence for each unusual thing, for example that frames are not equally far apart; reading to the end
        may add some, for example that the file is cut short
    """

    path: Path
    width: int
    height: int
    fps: float | None
    n_frames: int | None
    last: int | None
    numbers: Collection[int] | None
    notes: tuple[str, ...]

    def read(self, numbers: Iterable[int] | None = None, step: int = 1) -> Iterator[Frame]:
        """Read frames in one pass that keeps none in memory.

        Parameters
        ----------
        numbers : ascending numbers of the wanted frames; None reads to the end
        step : without numbers, every so many frames are read, from the first on

        Raises
        ------
        FaceError
            If a frame can't be decoded, or the recording ends before a wanted frame.
        """


def open_recording(path: Path, fps: float | None = None) -> Recording:
    """Open a video, with PyAV or else OpenCV, or a folder of numbered images.

    Parameters
    ----------
    fps : frames a second of a folder of images; a video's own time stamps are taken whatever is given, with a note

    Raises
    ------
    ConfigError
        If the frames a second can't be those of anything.
    FaceError
        If there is no such file, it is not a video, no frame can be decoded, or the folder holds no images.
    """
    if fps is not None and not 0 < fps <= MOST_FPS:
        raise ConfigError(f"--fps must be above 0 and at most {MOST_FPS:,}, got {fps:g}.")
    if path.is_dir():
        return PictureFolder(path, fps)
    if path.exists() and not path.is_file():  # reading from a pipe would wait for its other end
        raise FaceError(f"{path}: is neither a file nor a folder. Give a video or a folder of images.")
    video = OpencvVideo(path) if find_av() is None else PyavVideo(path)
    if fps is not None:
        video.notes = (*video.notes, f"--fps {fps:g} has no effect: the video's own time stamps are taken")
    return video


def require_different(paths: Iterable[Path]) -> None:
    """Raise a ConfigError if a recording is given twice: its intervals would count twice."""
    seen: set[Path] = set()
    for path in paths:
        if path.resolve() in seen:
            raise ConfigError(f"{path}: is given twice. Name it once.")
        seen.add(path.resolve())
