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

SAME_LENGTH = 1.5  # a folder's frames to the annotation's, or the other way round, where both are of one clip


@dataclass(frozen=True)
class Annotation:
    """Frame numbers that lie on disk, onset <= apex <= offset.

    repairs : a sentence for each that was changed · notes : for what is odd and was kept
    """

    onset: int
    apex: int
    offset: int
    repairs: tuple[str, ...]
    notes: tuple[str, ...]


def settle_annotation(cells: Mapping[Field, str], frames: Sequence[FrameRef]) -> Annotation:
    """Turns a row's cells into frame numbers that the clip really has.

    A cell that the release does not annotate is absent: onset and offset are then the first and last frame on disk, the
    apex is the midpoint, and none of it counts as a repair. An apex that is no number or lies outside onset..offset
    becomes their midpoint; a frame that is not on disk becomes the nearest one that is. Where the apex and one of the
    ends lie off the disk, and the folder is about as long as the annotation, another release numbered the clip
    otherwise: the annotation is moved to the folder's first and last frame, the apex keeping its relative place.

    Parameters
    ----------
    cells : the texts of the table's frame cells
    frames : the clip's frames on disk, at least one, sorted by number

    Raises
    ------
    DatasetError
        If onset or offset is no number, the offset comes before the onset, or none of onset..offset is on disk.
    """
    numbers = [frame.number for frame in frames]
    first, last = numbers[0], numbers[-1]
    onset, offset = _number(cells, "onset", first), _number(cells, "offset", last)
    if offset < onset:
        raise DatasetError(
            f"offset {offset} is before onset {onset}. Expected onset <= apex <= offset. Correct the table."
        )
    repairs = []
    middle = (onset + offset) // 2
    annotated = whole_number(cells["apex"]) if "apex" in cells else middle
    if annotated is None or not onset <= annotated <= offset:
        was = (
            f"{annotated} is outside {onset}..{offset}"
            if annotated is not None
            else f"'{cells['apex']}' is no frame number"
        )
        repairs.append(f"apex {was}: the midpoint {middle} is taken")
        annotated = middle
    apex = annotated
    n_off_disk = sum(not first <= number <= last for number in (onset, apex, offset))
    is_apex_off = not first <= apex <= last
    if is_apex_off and n_off_disk > 1 and 1 / SAME_LENGTH <= (last - first + 1) / (offset - onset + 1) <= SAME_LENGTH:
        share = (apex - onset) / max(offset - onset, 1)
        moved = first, first + round(share * (last - first)), last
        repairs.append(
            f"{onset}, {apex}, {offset} are numbered otherwise than the frames {first}..{last} on disk: moved to "
            f"{moved[0]}, {moved[1]}, {moved[2]}"
        )
        onset, apex, offset = moved
    if offset < first or onset > last:
        raise DatasetError(
            f"none of {onset}..{offset} is on disk, which has {first}..{last}. Expected the annotated frames. "
            "Correct the table, or unpack the release again."
        )
    settled = {}
    for name, number in (("onset", onset), ("apex", apex), ("offset", offset)):
        settled[name] = _nearest(number, numbers)
        if settled[name] != number:
            repairs.append(f"{name} {number} is not on disk: the nearest frame {settled[name]} is taken")
    is_still = settled["apex"] == settled["onset"] and "apex" in cells
    notes = (f"apex equals onset ({settled['onset']}): the pair shows no motion",) if is_still else ()
    return Annotation(settled["onset"], settled["apex"], settled["offset"], tuple(repairs), notes)


def _nearest(number: int, numbers: Sequence[int]) -> int:
    return min(numbers, key=lambda held: abs(held - number))


def _number(cells: Mapping[Field, str], name: Field, not_annotated: int) -> int:
    number = whole_number(cells[name]) if name in cells else not_annotated
    if number is None:
        hint = (
            ""
            if cells[name]
            else " (a formula without a saved value reads as blank: open it in LibreOffice and save it)"
        )
        raise DatasetError(
            f"{name} '{cells[name]}' is no frame number. Expected a whole number. Correct the table{hint}."
        )
    return number
