"""CASME II: 255 clips of 26 subjects, 200 frames per second.

Two coding tables are in use, CASME2-coding-20190701.xlsx and the older CASME2-coding-20140508.xlsx; three rows of
subject 24 have another emotion in each. A table is recognised by its counts, because copies are re-saved and renamed.
Images: `CASME2_RAW_selected` (cut from onset to offset), `CASME2-RAW` (with frames around) or `Cropped`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

from mer_cli.datasets.annotation import Erratum
from mer_cli.datasets.dataset import (
    Columns,
    Dataset,
    Entry,
    KnownCell,
    Pictures,
    Scheme,
    TableChange,
    all_to,
    as_named,
    known_frames,
)
from mer_cli.datasets.tables import Row

CLIP = re.compile(r"EP\d.*", re.IGNORECASE)
COLUMNS = Columns("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units", "Estimated Emotion")

# Rows of each emotion in the published tables, both of 255 rows.
VERSIONS = {
    "20190701": {
        "happiness": 32, "disgust": 63, "repression": 27, "surprise": 28, "others": 99, "sadness": 4, "fear": 2,
    },
    "20140508": {
        "happiness": 32, "disgust": 63, "repression": 27, "surprise": 25, "others": 99, "sadness": 7, "fear": 2,
    },
}  # fmt: skip
TABLE_2019 = ("casme2", "20190701")
TABLE_2014 = ("casme2", "20140508")
RELABELLED = ("EP07_01", "EP07_04f", "EP10_03")  # clips of subject 24: sadness in 2014, surprise in 2019

_FIVE = ("happiness", "repression", "disgust", "surprise", "others")
_SEVEN = (*_FIVE, "sadness", "fear")
_THREE = {"happiness": "positive", "surprise": "surprise", **all_to("negative", "disgust", "repression")}
SCHEMES = (
    Scheme(
        name="casme2-5",
        class_names=_FIVE,
        class_of={"casme2": {**as_named(*_FIVE), **all_to(None, "sadness", "fear")}},
        expected={TABLE_2019: (32, 27, 63, 28, 99), TABLE_2014: (32, 27, 63, 25, 99)},
        n_subjects={TABLE_2019: 26, TABLE_2014: 26},
    ),
    # muse1998/MMNet, CASME2_3.py: everything but happiness, surprise and others is negative.
    Scheme(
        name="mmnet3",
        class_names=("positive", "surprise", "negative"),
        class_of={"casme2": {**_THREE, **all_to("negative", "fear", "sadness"), "others": None}},
        expected={TABLE_2019: (32, 28, 96), TABLE_2014: (32, 25, 99)},
        n_subjects={TABLE_2019: 25, TABLE_2014: 25},
    ),
    # The whole table, so the counts are the table's own.
    Scheme(
        name="casme2-7",
        class_names=_SEVEN,
        class_of={"casme2": as_named(*_SEVEN)},
        expected={TABLE_2019: (32, 27, 63, 28, 99, 4, 2), TABLE_2014: (32, 27, 63, 25, 99, 7, 2)},
        n_subjects={TABLE_2019: 26, TABLE_2014: 26},
        on_request=True,
    ),
    # `mmnet3` with the others kept. Papers with four classes differ in repression: some put it among the others.
    Scheme(
        name="casme2-4",
        class_names=("positive", "negative", "surprise", "others"),
        class_of={"casme2": {**_THREE, **all_to("negative", "fear", "sadness"), "others": "others"}},
        expected={TABLE_2019: (32, 96, 28, 99), TABLE_2014: (32, 99, 25, 99)},
        n_subjects={TABLE_2019: 26, TABLE_2014: 26},
        on_request=True,
    ),
)
# CASME II's part of MEGC 2019. Five clips that belong to its emotions are not in its list.
MEGC_PART = Scheme(
    name="megc3",
    class_names=("negative", "positive", "surprise"),
    class_of={"casme2": {**_THREE, **all_to(None, "fear", "sadness", "others")}},
    expected={TABLE_2019: (88, 32, 25), TABLE_2014: (88, 32, 25)},
    n_subjects={TABLE_2019: 24, TABLE_2014: 24},
    left_out=frozenset({"casme2/04/EP12_01f", "casme2/05/EP09_05f", *(f"casme2/24/{name}" for name in RELABELLED)}),
)

ERRATA = (
    Erratum("04", "EP12_01f", "apex", "/", "291",
            reason="no apex is annotated, the middle of onset 261 and offset 321 is taken",
            source="ours; the table itself counts the clip in its 249"),
    Erratum("16", "EP01_08", "offset", "110", "96",
            reason="the release's frames end at 96",
            source="an audit of the released frames; SLSTT's coding.csv has 96 too"),
)  # fmt: skip

# Both versions have the same frames. The first three rows are odd, the next two were numbered otherwise in an older
# release, and the last two have their apex on the offset: what is corrected or replaced in copies.
_KNOWN_FRAMES = (
    *known_frames("04", "EP12_01f", 261, "/", 321),
    *known_frames("05", "EP09_05f", 69, 69, 123),
    *known_frames("16", "EP01_08", 73, 94, 110),
    *known_frames("07", "EP06_01", 15, 49, 68),
    *known_frames("12", "EP09_02", 16, 59, 101),
    *known_frames("12", "EP09_06", apex=111, offset=111),
    *known_frames("20", "EP16_01", apex=111, offset=111),
)
KNOWN_CELLS = {
    version: (*_KNOWN_FRAMES, *(KnownCell("24", clip, "emotion", emotion) for clip in RELABELLED))
    for version, emotion in (("20190701", "surprise"), ("20140508", "sadness"))
}


def subject_number(name: str) -> int | None:
    """Return a subject's number: 17 for "sub17", "17", "Sub17" or the number cell "17.0"; None for anything else."""
    digits = name.casefold().removeprefix("sub").removesuffix(".0")
    return int(digits) if digits.isdecimal() and len(digits) <= 2 else None


def subject_clip_key(way: Sequence[str]) -> str | None:
    """Return the key of a clip folder from the folder names on the way to it: "17/ep06_02_01" for sub17/EP06_02_01."""
    if len(way) < 2 or not CLIP.fullmatch(way[-1]):
        return None
    number = subject_number(way[-2])
    return None if number is None else f"{number}/{way[-1].casefold()}"


def subject_id(cell: str) -> str:
    """Return the subject of a table cell as the released table writes it: "01", even if the cell holds the number 1."""
    number = subject_number(cell)
    return cell if number is None else f"{number:02d}"


def numbered_entry(columns: Columns, row: Row) -> Entry:
    """Return the entry of a table row, with a folder key that holds the subject as a number ("17/ep06_02_01")."""
    subject, name = subject_id(row.cells[columns.subject]), row.cells[columns.name]
    return columns.entry(row, subject, name, (f"{subject_number(subject)}/{name.casefold()}",))


DATASET = Dataset(
    name="casme2",
    title="CASME II",
    fps=200.0,
    tables=("CASME2-coding-20190701.xlsx", "CASME2-coding-20140508.xlsx", "CASME2-coding*", "CASME2_label*"),
    columns=COLUMNS,
    pictures=(
        Pictures("CASME2_RAW_selected", "raw"),
        Pictures("CASME2-RAW", "raw"),
        Pictures("Cropped", "cropped"),
        Pictures("Cropped-updated", "cropped"),
        Pictures("CASME2_Cropped", "cropped"),
        Pictures("Cropped_original", "cropped"),
    ),
    example="sub01/EP02_01f",
    clip_key=subject_clip_key,
    read_row=partial(numbered_entry, COLUMNS),
    emotions=tuple(VERSIONS["20190701"]),
    frame_name=re.compile(r"(reg_)?img\d+\.jpe?g", re.IGNORECASE),
    table_hint=" (CASME2-ObjectiveClasses.xlsx holds no frame numbers)",
    versions=VERSIONS,
    published="20190701",
    older={
        "20140508": (
            "the coding table is that of 2014-05-08: under {scheme} it gives {here}, where the papers' table of "
            "2019-07-01 gives {published}, since 24/EP07_01, 24/EP07_04f and 24/EP10_03 became surprise. For "
            "MMNet's numbers, use CASME2-coding-20190701.xlsx, which the dataset's owners send."
        )
    },
    changes={"20140508": tuple(TableChange(f"casme2/24/{name}", "sadness", "surprise") for name in RELABELLED)},
    known_cells=KNOWN_CELLS,
    errata=ERRATA,
    schemes=SCHEMES,
)
