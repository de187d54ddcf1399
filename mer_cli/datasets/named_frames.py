"""Number the images of a clip that holds just onset.jpg and apex.jpg, perhaps offset.jpg, from its table row."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from mer_cli.datasets.annotation import Field
from mer_cli.datasets.frame_files import frame_role
from mer_cli.datasets.tables import whole_number
from mer_cli.records import FrameRef

NAMED_NOTE = "images taken by their names: {}"


def number_named_frames(
    frames: tuple[FrameRef, ...], cells: dict[Field, str]
) -> tuple[tuple[FrameRef, ...], dict[Field, str], tuple[str, ...]]:
    """Return the frames of a clip, its cells and a note, all three unchanged unless its images are named by role.

    If they are, the images have the numbers in the table's cells, if it holds rising numbers for all of them, and 1, 8
    and 15 otherwise; and the cells say where each image is. Without an offset image the clip ends at its apex.

    Parameters
    ----------
    frames : as `list_frames` returns them
    """
    roles = [frame_role(frame.path.name) for frame in frames]
    held = [role for role in roles if role is not None]
    if len(held) < len(frames) or not {"onset", "apex"} <= set(held):
        return frames, cells, ()
    annotated = [number for role in held if (number := whole_number(cells.get(role, ""))) is not None]
    numbers = annotated if _rise(annotated) and len(annotated) == len(held) else [frame.number for frame in frames]
    renumbered = tuple(FrameRef(number, frame.path) for number, frame in zip(numbers, frames, strict=True))
    settled: dict[Field, str] = {role: str(number) for role, number in zip(held, numbers, strict=True)}
    note = NAMED_NOTE.format(", ".join(frame.path.name for frame in frames))
    return renumbered, {"offset": settled["apex"], **settled}, (note,)


def _rise(numbers: Sequence[int]) -> bool:
    return all(before < after for before, after in pairwise(numbers))
