"""The frame numbers of one table row against the frames on disk: onset, apex and offset come out, and what was mended.

Shared by all releases: tables name frames that were never cut, have no apex, or follow another release's numbering.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mer_cli.datasets.errata import Field
from mer_cli.datasets.tables import whole_number
from mer_cli.errors import DatasetError
from mer_cli.records import FrameRef


@dataclass(frozen=True)
class Annotation:
    """Frame numbers that lie on disk, onset <= apex <= offset; `repairs` has a sentence for each that was changed."""

    onset: int
    apex: int
    offset: int
    repairs: tuple[str, ...]


def settle_annotation(cells: Mapping[Field, str], frames: Sequence[FrameRef]) -> Annotation:
    """Turns a row's cells into frame numbers that the clip really has.

    An apex that is no number or lies outside onset..offset becomes their midpoint; a frame that is not on disk becomes
    the nearest one that is; where neither onset nor apex lies between the folder's first and last frame, another
    release numbered the clip otherwise, and the annotation is moved to those, the apex keeping its relative place.

    Parameters
    ----------
    cells : the texts of the table's frame cells
    frames : the clip's frames on disk, at least one, sorted by number

    Raises
    ------
    DatasetError
        If onset or offset is no number, or the offset comes before the onset.
    """
    onset, offset = (_number(cells, name) for name in ("onset", "offset"))
    if offset < onset:
        raise DatasetError(
            f"offset {offset} is before onset {onset}. Expected onset <= apex <= offset. Correct the table."
        )
    repairs = []
    apex = whole_number(cells["apex"])
    if apex is None or not onset <= apex <= offset:
        was = f"'{cells['apex']}' is no frame number" if apex is None else f"{apex} is outside {onset}..{offset}"
        apex = (onset + offset) // 2
        repairs.append(f"apex {was}: the midpoint {apex} is taken")

    numbers = [frame.number for frame in frames]
    first, last = numbers[0], numbers[-1]
    if not first <= onset <= last and not first <= apex <= last:
        share = (apex - onset) / max(offset - onset, 1)
        moved = first, first + round(share * (last - first)), last
        repairs.append(
            f"neither onset {onset} nor apex {apex} is on disk, which has {first}..{last}: onset, apex and offset "
            f"moved to {moved[0]}, {moved[1]}, {moved[2]}"
        )
        onset, apex, offset = moved
    settled = {}
    for name, number in (("onset", onset), ("apex", apex), ("offset", offset)):
        settled[name] = _nearest(number, numbers)
        if settled[name] != number:
            repairs.append(f"{name} {number} is not on disk: the nearest frame {settled[name]} is taken")
    if settled["apex"] == settled["onset"]:
        repairs.append(f"apex equals onset ({settled['onset']}): kept, the pair shows no motion")
    return Annotation(settled["onset"], settled["apex"], settled["offset"], tuple(repairs))


def _nearest(number: int, numbers: Sequence[int]) -> int:
    return min(numbers, key=lambda held: abs(held - number))


def _number(cells: Mapping[Field, str], name: Field) -> int:
    number = whole_number(cells[name])
    if number is None:
        raise DatasetError(f"{name} '{cells[name]}' is no frame number. Expected a whole number. Correct the table.")
    return number
