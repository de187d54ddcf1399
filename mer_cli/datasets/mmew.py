"""MMEW: 300 micro-expressions of 30 subjects, 90 frames per second, images cropped to the face.

A clip is found by its name, because there are two trees: emotion first (`Micro_Expression/happiness/S01-01-001`) and
subject first (`S01/happiness/S01-01-001`). What one copy calls `others` is `repression` in another; both are one class.
No public copy of the table could be read; its columns are known from the loaders that read it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mer_cli.datasets.dataset import Columns, Dataset, Entry, Pictures, Scheme, all_to, as_named
from mer_cli.datasets.tables import Row

COLUMNS = Columns("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units", "Estimated Emotion")
CLIP = re.compile(r"(S\d\d)-\d\d-\d{3}", re.IGNORECASE)
# 66 others are what is left of 300.
VERSIONS = {
    "300": {"happiness": 36, "surprise": 89, "disgust": 72, "others": 66, "fear": 16, "sadness": 13, "anger": 8}
}

TABLE = ("mmew", "300")

_FOUR = ("happiness", "surprise", "disgust", "others")
_SIX = ("happiness", "surprise", "disgust", "fear", "sadness", "anger")
# The paths that MiE-X lists have 234 clips of the six emotions, of 30 subjects; the number of others is derived.
SCHEMES = (
    Scheme(
        name="mmew-4",
        class_names=_FOUR,
        class_of={"mmew": {**as_named(*_FOUR), **all_to(None, "fear", "sadness", "anger")}},
        expected={TABLE: (36, 89, 72, 66)},
    ),
    Scheme(
        name="mmew-6",
        class_names=_SIX,
        class_of={"mmew": {**as_named(*_SIX), "others": None}},
        expected={TABLE: (36, 89, 72, 16, 13, 8)},
        n_subjects={TABLE: 30},
        on_request=True,
    ),
    Scheme(
        name="mmew-3",
        class_names=("positive", "negative", "surprise"),
        class_of={
            "mmew": {
                "happiness": "positive",
                "surprise": "surprise",
                **all_to("negative", "disgust", "fear", "sadness", "anger"),
                "others": None,
            }
        },
        expected={TABLE: (36, 109, 89)},
        n_subjects={TABLE: 30},
        on_request=True,
    ),
)


def _clip_key(way: Sequence[str]) -> str | None:
    return way[-1].casefold() if CLIP.fullmatch(way[-1]) else None


def _read_row(row: Row) -> Entry:
    name = row.cells["Filename"]
    clip = CLIP.fullmatch(name)
    subject = clip.group(1).upper() if clip else row.cells["Subject"]
    return COLUMNS.entry(row, subject, name, (name.casefold(),), also={"repression": "others"})


DATASET = Dataset(
    name="mmew",
    title="MMEW",
    fps=90.0,
    tables=("MMEW_Micro_Exp.xlsx", "MMEW_Micro_Exp*"),
    columns=COLUMNS,
    optional_columns=("Action Units",),
    pictures=(Pictures("Micro_Expression", "cropped"), Pictures("MMEW_Final", "cropped")),
    source="cropped",
    example="happiness/S01-01-001",
    clip_key=_clip_key,
    read_row=_read_row,
    emotions=tuple(VERSIONS["300"]),
    frame_name=re.compile(r"\d+\.jpe?g", re.IGNORECASE),
    versions=VERSIONS,
    published="300",
    schemes=SCHEMES,
)
