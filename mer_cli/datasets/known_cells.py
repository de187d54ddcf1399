"""Tell whether a table that counts as a published version has cells that differ from it.

Copies are edited: a missing apex is filled in, a frame that is not on disk is changed. The counts stay the same, and so
does the name of the version. No released table is part of this program; but some of its cells are known, because public
sources name them, mostly where the table is odd, which is where people edit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mer_cli.datasets.annotation import Field
from mer_cli.datasets.dataset import Dataset, Entry
from mer_cli.datasets.tables import whole_number


def differing_cells(dataset: Dataset, version: str, entries: Iterable[Entry]) -> tuple[str, ...]:
    """Return a sentence for each known cell of a published version that a table has otherwise, in the table's order.

    Parameters
    ----------
    version : the published version that the table counts as; "" if it counts as none
    """
    known = dataset.known_cells.get(version, ())
    place = {(entry.subject, entry.name): (n, entry) for n, entry in enumerate(entries)}
    found: list[tuple[int, str]] = []
    for subject, clip, field, published in known:
        n, entry = place.get((subject, clip), (len(place), None))
        if entry is None:
            found.append((n, f"{subject}/{clip}: the table has no such row"))
            continue
        here = _cell(entry, field)
        if here is not None and not _same(here, published):
            found.append((n, f"{entry.where} ({subject}/{clip}): {field} '{here}', published '{published}'"))
    return tuple(dict.fromkeys(text for _, text in sorted(found, key=lambda item: item[0])))


def table_notes(told: Iterable[str], version: str, differing: Sequence[str]) -> tuple[str, ...]:
    """Return what to know about a coding table.

    Parameters
    ----------
    told : sentences on how the table was read
    version : the published version that it counts as
    differing : a sentence for each cell that is known to differ from that version
    """
    edited = f"the coding table counts as {version}, but differs from it in known cells: {'; '.join(differing)}"
    return (*told, edited) if differing else tuple(told)


def _cell(entry: Entry, field: Field) -> str | None:
    return entry.emotion if field == "emotion" else entry.cells.get(field)


def _same(here: str, published: str) -> bool:
    number = whole_number(here)
    return here == published if number is None else number == whole_number(published)
