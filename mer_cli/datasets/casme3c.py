"""CAS(ME)^3 part C, the mock crime: 165 micro-expressions, one recording of a subject, 30 frames per second, no apex.

Table and columns are from the owners' repository, its counts from a public copy, the folders
(`part_C/01/a/color/37.jpg`) from a public script that cuts the clips out of them; MEB has them cut by the column
`count` (`ME_C/01/3/color/37.jpg`). Whether `count` is unique within a subject is not known, so the onset is part of a
clip's name ("3_1042"), as in part A. Action units are separated by commas, of which one is a Chinese one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from mer_cli.datasets.dataset import Columns, Dataset, Entry, Pictures, Scheme, as_named
from mer_cli.datasets.tables import Row

NAME = "casme3c"
COLUMNS = Columns("sub", "count", "onset", "", "offset", "au", "emotion")
SUBJECT = re.compile(r"(?:sub)?(\d{1,3})", re.IGNORECASE)  # not spNO.1, which is of part A
CUT_CLIP = re.compile(r"(\d+)_(\d+)")
COLOUR = "color"
VERSIONS = {"part-C-ME": {"negative": 99, "surprise": 30, "others": 20, "positive": 16}}
TABLE = (NAME, "part-C-ME")

_THREE = ("positive", "negative", "surprise")
_FOUR = (*_THREE, "others")
SCHEMES = (
    Scheme(
        name="casme3c-4",
        class_names=_FOUR,
        class_of={NAME: as_named(*_FOUR)},
        expected={TABLE: (16, 99, 30, 20)},
    ),
    Scheme(
        name="casme3c-3",
        class_names=_THREE,
        class_of={NAME: {**as_named(*_THREE), "others": None}},
        expected={TABLE: (16, 99, 30)},
        on_request=True,
    ),
)


def _number(name: str) -> int | None:
    """Return a subject's number: 1 for "01" or "sub1"; None for anything else."""
    subject = SUBJECT.fullmatch(name)
    return int(subject.group(1)) if subject else None


def _clip_key(way: Sequence[str]) -> str | None:
    """Return "1" for the recording of subject 1, "1/3" for a folder that holds only the clip of count 3."""
    *above, name = (part.casefold() for part in way)
    if name != COLOUR:
        cut = CUT_CLIP.fullmatch(name)
        return f"{int(cut.group(1))}/{int(cut.group(2))}" if cut and above and above[-1] == COLOUR else None
    if len(above) > 1 and (subject := _number(above[-2])) is not None:
        return f"{subject}/{int(above[-1])}" if above[-1].isdecimal() else f"{subject}"
    return None if not above or (subject := _number(above[-1])) is None else f"{subject}"


def _read_row(row: Row) -> Entry:
    cells = {column: row.cells.get(column, "").removesuffix(".0") for column in ("sub", "count", "onset", "au")}
    number, count = _number(cells["sub"]), cells["count"]
    subject = cells["sub"] if number is None else f"{number:02d}"
    entry = COLUMNS.entry(row, subject, f"{count}_{cells['onset']}", (f"{number}/{count}", f"{number}"))
    return replace(entry, action_units=cells["au"].replace("，", ",").replace(",", "+"))


DATASET = Dataset(
    name=NAME,
    title="CAS(ME)^3 part C",
    fps=30.0,
    tables=("CAS(ME)3_part_C_ME.xlsx", "*part_C_ME*", "*mockCrimeME*"),
    sheet="mockCrimeME",
    columns=COLUMNS,
    optional_columns=("au",),
    pictures=(Pictures("part_C", "raw"), Pictures("ME_C", "raw"), Pictures("ME_C_cropped", "cropped")),
    example="01/a/color",
    clip_key=_clip_key,
    read_row=_read_row,
    emotions=_FOUR,
    frame_name=re.compile(r"\d+\.jpe?g", re.IGNORECASE),
    skipped=frozenset({"depth"}),
    table_hint=" and keep in the repository of the annotations (the older CAS(ME)3_part_C.xls has no emotions)",
    versions=VERSIONS,
    published="part-C-ME",
    schemes=SCHEMES,
)
