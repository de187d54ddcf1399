"""Read a folder of numbered images as a recording."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from itertools import pairwise
from pathlib import Path

from mer_cli.datasets.frame_files import list_frames
from mer_cli.errors import DatasetError, FaceError
from mer_cli.faces.depth import bits_of
from mer_cli.faces.pictures import read_picture
from mer_cli.faces.recorded import Frame, other_size

N_SAMPLES = 16  # images that tell how many bits a channel the images of a folder use


class PictureFolder:
    """A folder of numbered images; see `Recording`."""

    def __init__(self, path: Path, fps: float | None) -> None:
        self.path, self.fps = path, fps
        try:
            self._frames = list_frames(path)
        except DatasetError as error:
            is_empty = not any(path.iterdir())
            empty = f"{path}: the folder is empty. Give a video, or a folder of numbered images."
            raise FaceError(empty if is_empty else str(error)) from error
        self.n_frames: int | None = len(self._frames)
        self.last: int | None = self._frames[-1].number
        self._bits = bits_of(self._frames[:: math.ceil(len(self._frames) / N_SAMPLES)])
        self.height, self.width = read_picture(self._frames[0].path, self._bits).shape[:2]
        self.numbers: Collection[int] | None = frozenset(frame.number for frame in self._frames)
        self.notes = _notes([frame.number for frame in self._frames])

    def read(self, numbers: Iterable[int] | None = None, step: int = 1) -> Iterator[Frame]:
        """Read images in the order of their numbers; see `Recording.read`."""
        paths = {frame.number: frame.path for frame in self._frames}
        first = self._frames[0].number
        for number in list(paths)[::step] if numbers is None else numbers:
            if number not in paths:
                raise FaceError(
                    f"{self.path}: frame {number} has no image; frames {first} to {self._frames[-1].number} do. "
                    "Restore the image or correct the number."
                )
            image = read_picture(paths[number], self._bits)
            if image.shape[:2] != (self.height, self.width):
                raise other_size(self.path, number, image.shape, (self.height, self.width))
            yield Frame(number, (number - first) / self.fps if self.fps else math.nan, image)


def _notes(numbers: list[int]) -> tuple[str, ...]:
    """Return a note on the numbers that are missing between the first and the last."""
    span = numbers[-1] - numbers[0] + 1
    if span == len(numbers):
        return ()
    before = next(number for number, following in pairwise(numbers) if following != number + 1)
    return (
        f"{span - len(numbers)} images between frames {numbers[0]} and {numbers[-1]} are missing, the first after "
        f"frame {before}",
    )
