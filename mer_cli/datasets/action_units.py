"""Read the numbers of the action units in a cell of a coding table.

    4+L10          {4, 10}      CASME II: L and R name the side that moves
    A1B+A2C        {1, 2}       SAMM: A asymmetric, T and B top and bottom; a letter behind the number is its intensity
    4A/B           {4}          an intensity of A or B
    A/L12          {12}         asymmetric, or on the left
    (R6 or R12)+R15  {6, 12, 15}
    ref(7B)+43     {7, 43}
    R14+17+soft focus  {14, 17}
    B23            {23}         CAS(ME)^3

What is decided here (ours): side and intensity are ignored; only `CodedUnits.sides` keeps the side. Every alternative
("or", "/") counts, and so does what is in "ref(...)" or doubted ("?"): a coder saw it, and other loaders take every
number of a cell. A remark on the image ("soft focus") is not a unit. A blank cell or a 0 means that no unit is coded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mer_cli.errors import DatasetError

LARGEST = 98  # the last code of FACS; more digits are two numbers that have lost their "+"
REMARKS = frozenset({"soft focus"})
NONE_CODED = 0
EXPECTED = f"Expected numbers up to {LARGEST}, as in '4+L10', 'A1B+A2C' or 'L12 or L14'."

_BETWEEN = re.compile(r"\s*[+/,;]\s*|\s+or\s+", re.IGNORECASE)
_UNIT = re.compile(r"(?:AU)?([ALRTB]*)(\d{1,2})(?:\.0)?[A-E]?\??", re.IGNORECASE)  # "12.0": a table saved again
_LETTER = re.compile(r"[A-ELRT]", re.IGNORECASE)  # of "4A/B" and "A/L12"
_BRACKETS = re.compile(r"\bref\b|[()]", re.IGNORECASE)
_DOUBT = re.compile(r"\bor\b|[/?]", re.IGNORECASE)


@dataclass(frozen=True)
class CodedUnits:
    """What a table cell says of action units, as words that can be compared; no cell is refused.

    units : "4", "12"; a part that can't be read stays as the cell spells it, in lower case
    sides : the same, with the letters of side and place before a number: "L10", "A12"
    is_readable : whether every part is an action unit
    is_doubtful : whether the cell names alternatives or doubts a unit ("or", "/", "?"); each of them counts
    """

    units: frozenset[str]
    sides: frozenset[str]
    is_readable: bool
    is_doubtful: bool


def read_coded(text: str) -> CodedUnits:
    """Return the units that a table cell names, with and without their sides; both are empty for a blank cell or a 0.

    Parameters
    ----------
    text : the cell, as the coding table and the store have it
    """
    units, sides, is_readable = set(), set(), True
    for part in _parts(text):
        unit = _match(part)
        if unit is None:
            is_readable = False
            word = " ".join(part.casefold().split())
            units.add(word)
            sides.add(word)
        elif int(unit[2]) != NONE_CODED:
            units.add(str(int(unit[2])))
            sides.add(f"{unit[1].upper()}{int(unit[2])}")
    return CodedUnits(frozenset(units), frozenset(sides), is_readable, _DOUBT.search(text) is not None)


def parse_units(text: str, clip_id: str) -> frozenset[int]:
    """Return the numbers of the action units that a table cell names, {4, 10} for "4+L10"; none for a blank cell.

    Parameters
    ----------
    text : the cell, as the coding table and the store have it
    clip_id : the id that an error message names

    Raises
    ------
    DatasetError
        If a part of the cell is not an action unit.
    """
    units = set()
    for part in _parts(text):
        number = _number(part)
        if number is None:
            raise DatasetError(
                f"{clip_id}: action units {text!r} can't be read, because of {part!r}. {EXPECTED} Correct the coding "
                "table, and build the store again."
            )
        units.add(number)
    return frozenset(units - {NONE_CODED})


def unreadable_units(cells: Mapping[str, str]) -> str:
    """Return a phrase that counts the unreadable cells and explains the first, to begin an error or a warning with.

    Parameters
    ----------
    cells : clip id -> the text of its cell of action units

    Returns
    -------
    "the action units of 2 of 255 clips can't be read, the first of CLIP: CELL, because of PART"; "" if all can be
    """
    wrong = {clip_id: bad for clip_id, text in sorted(cells.items()) if (bad := _first_wrong(text)) is not None}
    if not wrong:
        return ""
    first, part = next(iter(wrong.items()))
    return (
        f"the action units of {len(wrong)} of {len(cells)} clips can't be read, the first of {first}: "
        f"{cells[first]!r}, because of {part!r}"
    )


def _first_wrong(text: str) -> str | None:
    return next((part for part in _parts(text) if _number(part) is None), None)


def _parts(text: str) -> Iterator[str]:
    """Yield what is between the separators, except remarks and letters that are not units."""
    plain = _BRACKETS.sub(" ", text).strip()
    for part in map(str.strip, _BETWEEN.split(plain) if plain else []):
        if part.casefold() not in REMARKS and not _LETTER.fullmatch(part):
            yield part


def _number(part: str) -> int | None:
    unit = _match(part)
    return int(unit[2]) if unit else None


def _match(part: str) -> re.Match[str] | None:
    """Return what a part says, the letters before the number and the number itself; None if it is not a unit."""
    unit = _UNIT.fullmatch(part)
    return unit if unit and int(unit[2]) <= LARGEST else None
