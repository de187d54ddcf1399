"""CASME II: 255 clips of 26 subjects, 200 frames a second.

Two coding tables are in use, CASME2-coding-20190701.xlsx and the older CASME2-coding-20140508.xlsx; three rows of
subject 24 have another emotion in each. A table is recognised by its counts, since copies are re-saved and renamed.
Pictures: `CASME2_RAW_selected` (cut from onset to offset), `CASME2-RAW` (with frames around) or `Cropped`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mer_cli.datasets.layout import Entry, Layout, Pictures, fold_emotion
from mer_cli.datasets.tables import Row

CLIP = re.compile(r"EP\d.*", re.IGNORECASE)

# Rows of each emotion in the published tables, both of 255 rows.
VERSIONS = {
    "20190701": {
        "happiness": 32,
        "disgust": 63,
        "repression": 27,
        "surprise": 28,
        "others": 99,
        "sadness": 4,
        "fear": 2,
    },
    "20140508": {
        "happiness": 32,
        "disgust": 63,
        "repression": 27,
        "surprise": 25,
        "others": 99,
        "sadness": 7,
        "fear": 2,
    },
}


def subject_number(name: str) -> int | None:
    """Give 17 for "sub17", "17", "Sub17" or the number cell "17.0"; None for anything else."""
    digits = name.casefold().removeprefix("sub").removesuffix(".0")
    return int(digits) if digits.isdecimal() and len(digits) <= 2 else None


def subject_clip_key(way: Sequence[str]) -> str | None:
    """Give "17/ep06_02_01" for .../sub17/EP06_02_01."""
    if len(way) < 2 or not CLIP.fullmatch(way[-1]):
        return None
    number = subject_number(way[-2])
    return None if number is None else f"{number}/{way[-1].casefold()}"


def subject_id(cell: str) -> str:
    """Give the subject as the released table writes it, "01", also where a re-saved copy holds the number 1."""
    number = subject_number(cell)
    return cell if number is None else f"{number:02d}"


def _read_row(row: Row) -> Entry:
    subject, name = subject_id(row.cells["Subject"]), row.cells["Filename"]
    return Entry(
        where=f"row {row.number}",
        subject=subject,
        name=name,
        emotion=fold_emotion(row.cells["Estimated Emotion"]),
        action_units=row.cells["Action Units"],
        keys=(f"{subject_number(subject)}/{name.casefold()}",),
        cells={
            "onset": row.cells["OnsetFrame"],
            "apex": row.cells["ApexFrame"],
            "offset": row.cells["OffsetFrame"],
        },
    )


LAYOUT = Layout(
    name="casme2",
    title="CASME II",
    fps=200.0,
    tables=(
        "CASME2-coding-20190701.xlsx",
        "CASME2-coding-20140508.xlsx",
        "CASME2-coding*",
        "CASME2_label*",
    ),
    columns=("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units", "Estimated Emotion"),
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
    read_row=_read_row,
    emotions=tuple(VERSIONS["20190701"]),
    frame_name=re.compile(r"(reg_)?img\d+\.jpe?g", re.IGNORECASE),
    versions=VERSIONS,
    table_hint=" (CASME2-ObjectiveClasses.xlsx holds no frame numbers)",
)
