"""The annotation of one table row: known mistakes are corrected, then its frame numbers are fitted to the disk.

Shared by all releases: tables name frames that were never cut, have no apex, or follow another release's numbering.

A correction names subject, clip and field, never a row number, which another copy of the table need not share. It is
applied only if the table still holds the old value, so that a table which its user has corrected is left alone.

Repairs, notes and the words of errata go into a store's column `note` and so into its content hash: rewording one
changes the hash of every store that holds it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mer_cli.datasets.tables import whole_number
from mer_cli.errors import DatasetError
from mer_cli.records import FrameRef

SAME_LENGTH = 1.5  # at most, of a folder's frames to the annotation's or the other way round, if both are of one clip

Field = Literal["onset", "apex", "offset", "emotion"]


@dataclass(frozen=True)
class Erratum:
    """A correction of one table cell from the text `old` to the text `new`; `source` says who established `new`."""

    subject: str
    clip: str
    field: Field
    old: str
    new: str
    reason: str
    source: str

    def sentence(self) -> str:
        return f"{self.field} {self.old} set to {self.new}: {self.reason} (erratum; {self.source})."


def apply_errata(
    errata: Iterable[Erratum], subject: str, clip: str, annotation: Mapping[Field, str]
) -> tuple[dict[Field, str], tuple[Erratum, ...]]:
    """Return the annotation of one clip with its known mistakes corrected, and the corrections that were made.

    Parameters
    ----------
    errata : the known corrections of the whole table; those for other clips are skipped
    annotation : field -> text of its cell; a field that is absent is not corrected
    """
    applied = tuple(
        erratum
        for erratum in errata
        if (erratum.subject, erratum.clip) == (subject, clip)
        and erratum.field in annotation
        and _same_cell(annotation[erratum.field], erratum.old)
    )
    return {**annotation, **{erratum.field: erratum.new for erratum in applied}}, applied


def _same_cell(text: str, other: str) -> bool:
    number = whole_number(text)
    return text == other if number is None else number == whole_number(other)


@dataclass(frozen=True)
class Annotation:
    """The onset, apex and offset of a clip as numbers of frames that are on disk, in this order.

    repairs : a sentence for each number that was changed
    notes : a sentence for each number that is odd but was kept
    """

    onset: int
    apex: int
    offset: int
    repairs: tuple[str, ...]
    notes: tuple[str, ...]


def settle_annotation(cells: Mapping[Field, str], frames: Sequence[FrameRef], *, anew: bool = False) -> Annotation:
    """Return the onset, apex and offset of a table row, changed where the clip has no such frames on disk.

    - A field that the release does not annotate is absent from `cells`: onset and offset are then the first and last
      frame on disk, the apex is their midpoint, and this does not count as a repair.
    - An apex that is not a number or lies outside onset..offset becomes their midpoint.
    - A frame that is not on disk becomes the nearest one that is.
    - If the apex and an end are both beyond the frames on disk, and the folder is about as long as the annotation, then
      another release numbered the clip differently: the annotation is moved to the folder's first and last frame, and
      the apex keeps its relative place. The same is done in every clip whose folder was numbered anew.

    Parameters
    ----------
    cells : "onset", "apex", "offset" -> the text of the table's cell
    frames : the clip's frames on disk, at least one, sorted by number
    anew : whether the folder was numbered anew (`numbering`): it holds onset to offset under other numbers

    Raises
    ------
    DatasetError
        If onset or offset is not a number, the offset comes before the onset, or no frame of onset..offset is on disk.
    """
    numbers = [frame.number for frame in frames]
    first, last = numbers[0], numbers[-1]
    onset, offset = _number(cells, "onset", first), _number(cells, "offset", last)
    if offset < onset:
        raise DatasetError(
            f"offset {offset} is before onset {onset}. Expected onset <= apex <= offset. Correct the table."
        )
    apex, repairs = _apex(cells, onset, offset)
    is_other = anew or _is_numbered_otherwise(onset, apex, offset, first, last)
    moved = _moved(onset, apex, offset, first, last) if is_other else (onset, apex, offset)
    if moved != (onset, apex, offset):
        in_proportion = ", in proportion" if anew and offset - onset != last - first else ""
        repairs.append(
            f"{onset}, {apex}, {offset} are numbered otherwise than the frames {first}..{last} on disk: moved to "
            f"{moved[0]}, {moved[1]}, {moved[2]}{in_proportion}"
        )
        onset, apex, offset = moved
    if offset < first or onset > last:
        raise DatasetError(
            f"no frame of {onset}..{offset} is on disk, which has {first}..{last}. Correct the table, or unpack the "
            "release again."
        )
    settled = {}
    for name, number in (("onset", onset), ("apex", apex), ("offset", offset)):
        settled[name] = _nearest(number, numbers)
        if settled[name] != number:
            repairs.append(f"{name} {number} is not on disk: the nearest frame {settled[name]} is taken")
    is_still = settled["apex"] == settled["onset"] and "apex" in cells
    notes = (f"apex equals onset ({settled['onset']}): the pair shows no motion",) if is_still else ()
    return Annotation(settled["onset"], settled["apex"], settled["offset"], tuple(repairs), notes)


def _apex(cells: Mapping[Field, str], onset: int, offset: int) -> tuple[int, list[str]]:
    """Return the annotated apex, or the midpoint if it can't be used; and a list with a sentence if it was replaced."""
    middle = (onset + offset) // 2
    annotated = whole_number(cells["apex"]) if "apex" in cells else middle
    if annotated is not None and onset <= annotated <= offset:
        return annotated, []
    was = f"'{cells['apex']}' is no frame number" if annotated is None else f"{annotated} is outside {onset}..{offset}"
    return middle, [f"apex {was}: the midpoint {middle} is taken"]


def _is_numbered_otherwise(onset: int, apex: int, offset: int, first: int, last: int) -> bool:
    """Tell whether another release seems to number this clip otherwise, as far as the clip alone can tell."""
    n_off_disk = sum(not first <= number <= last for number in (onset, apex, offset))
    same_length = 1 / SAME_LENGTH <= (last - first + 1) / (offset - onset + 1) <= SAME_LENGTH
    return n_off_disk >= 2 and same_length and not first <= apex <= last


def _moved(onset: int, apex: int, offset: int, first: int, last: int) -> tuple[int, int, int]:
    """Return onset, apex and offset moved to the frames on disk; exact if these are as many as annotated."""
    share = (apex - onset) / max(offset - onset, 1)
    return first, first + round(share * (last - first)), last


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
            f"{name} '{cells[name]}' is not a frame number. Expected a whole number. Correct the table{hint}."
        )
    return number
