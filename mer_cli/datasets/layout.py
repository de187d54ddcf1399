"""What differs between the datasets, as data: how a release lies on disk and what a row of its table says.

A dataset module describes one `Layout`; `tree` finds the pictures by it, `loading` reads the release with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mer_cli.datasets.errata import Field
from mer_cli.datasets.frame_files import Source
from mer_cli.datasets.tables import Row


class Pictures(NamedTuple):
    """A folder name that says which pictures lie below it.

    `has_table` is False for a release that comes without a table: its clips are read from the folders' names.
    """

    folder: str
    source: Source
    has_table: bool = True


@dataclass(frozen=True)
class Entry:
    """One clip as its table row (or, without a table, its folder) tells it.

    where : names the row in errors: "row 15"
    keys : what the clip's folder may be called, as `Layout.clip_key` gives it, the likeliest first
    cells : the texts of the frame cells; one that the release does not annotate is absent
    fps : frames a second, where clips of one dataset differ
    """

    where: str
    subject: str
    name: str
    emotion: str
    action_units: str
    keys: tuple[str, ...]
    cells: Mapping[Field, str]
    repairs: tuple[str, ...] = ()
    fps: float | None = None


@dataclass(frozen=True)
class Layout:
    """One dataset's releases.

    name, title : "casme2", "CASME II"
    fps : frames a second
    tables : patterns of the coding table's file name, the preferred one first, without regard to case; of a file with
        any extension that tables have
    sheet : the table's sheet, where others have the same columns
    columns, optional_columns : columns that `read_row` reads
    pictures : folder names, the preferred ones first
    source : which pictures they are where no such folder name is on the way to them
    example : a clip's folder as a user sees it, for errors
    clip_key : gives a key for the folder of a clip, None for any other folder; takes the names on the way to it, the
        root's among them
    skipped : folder names that are not looked into, in lower case: other cameras, depth pictures
    read_row : a row of the table as an entry
    emotions : the labels that occur
    frame_name : what this dataset's pictures are called, to tell it from another with the same folder names
    versions : published version -> rows of each emotion, by which a table is recognised
    read_folder : an entry for a clip of a release without a table, from the clip's folder
    tableless : name of a folder on the way to such clips, by which they are known · tableless_version : theirs
    table_hint : what to know when the table is missing
    """

    name: str
    title: str
    fps: float
    tables: tuple[str, ...]
    columns: tuple[str, ...]
    pictures: tuple[Pictures, ...]
    example: str
    clip_key: Callable[[Sequence[str]], str | None]
    read_row: Callable[[Row], Entry]
    emotions: tuple[str, ...]
    frame_name: re.Pattern[str]
    optional_columns: tuple[str, ...] = ()
    sheet: str = ""
    source: Source = "raw"
    skipped: frozenset[str] = frozenset()
    versions: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    read_folder: Callable[[Path], Entry] | None = None
    tableless: str = ""
    tableless_version: str = ""
    table_hint: str = ""


def fold_emotion(text: str, also: Mapping[str, str] | None = None) -> str:
    """Give a label as the schemes know it: without regard to case, "Other" and "Others" as one.

    Parameters
    ----------
    also : further words for a label, in lower case
    """
    emotion = text.casefold()
    return {"other": "others", **(also or {})}.get(emotion, emotion)
