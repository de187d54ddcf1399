"""SAMM: 159 clips of 29 subjects, 200 frames a second, grey pictures.

The table's header row lies below thirteen rows of notes and is found by its content. Frame numbers have four digits in
some recordings and five in others. Two apexes lie outside their clip (`errata`). Duration, a formula, is not read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mer_cli.datasets.layout import Entry, Layout, Pictures, fold_emotion
from mer_cli.datasets.tables import Row

CLIP = re.compile(r"\d{3}_\d+_\d+")
VERSIONS = {
    "v2": {
        "anger": 57,
        "happiness": 26,
        "others": 26,
        "surprise": 15,
        "contempt": 12,
        "disgust": 9,
        "fear": 8,
        "sadness": 6,
    }
}


def _clip_key(way: Sequence[str]) -> str | None:
    return way[-1] if CLIP.fullmatch(way[-1]) else None


def _read_row(row: Row) -> Entry:
    name = row.cells["Filename"]
    return Entry(
        where=f"row {row.number}",
        subject=row.cells["Subject"].removesuffix(".0").zfill(3),
        name=name,
        emotion=fold_emotion(row.cells["Estimated Emotion"]),
        action_units=row.cells["Action Units"],
        keys=(name,),
        cells={
            "onset": row.cells["Onset Frame"],
            "apex": row.cells["Apex Frame"],
            "offset": row.cells["Offset Frame"],
        },
    )


LAYOUT = Layout(
    name="samm",
    title="SAMM",
    fps=200.0,
    tables=("SAMM_Micro_FACS_Codes_v2.xlsx", "SAMM*Micro*FACS*Codes*"),
    columns=("Subject", "Filename", "Onset Frame", "Apex Frame", "Offset Frame", "Action Units", "Estimated Emotion"),
    pictures=(
        Pictures("SAMM", "raw"),
        Pictures("SAMM_CROP", "cropped"),
        Pictures("SAMM_Cropped", "cropped"),
    ),
    example="006/006_1_2",
    clip_key=_clip_key,
    read_row=_read_row,
    emotions=tuple(VERSIONS["v2"]),
    frame_name=re.compile(r"\d{3}_\d{4,5}\.jpe?g", re.IGNORECASE),
    versions=VERSIONS,
)
