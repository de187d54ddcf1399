"""SMIC-HS: 164 clips of 16 subjects, 100 frames per second; no apex is annotated.

The short release (`SMIC_all_raw`, `SMIC_all_cropped`) comes without a table: the class is in the clip's name, and the
images run from onset to offset. The long one (`SMIC-HS-E`) has frames around and SMIC-HS-E_annotation.xlsx with 157
videos: five clips of the 164 are parts of other videos there, two are absent, and one is labelled wrong.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mer_cli.datasets.annotation import Erratum
from mer_cli.datasets.dataset import Columns, Dataset, Entry, Pictures, Scheme, TableChange, as_named, padded
from mer_cli.datasets.tables import Row, whole_number

COLUMNS = Columns("Subject", "Filename", "OnsetF", "", "OffsetF", "", "Emotion")
MORE_ONSETS = ("Onset2F", "Onset3F")
CLIP = re.compile(r"s(\d+)_(ne|po|sur)_(\d+)", re.IGNORECASE)
EMOTION_OF = {"ne": "negative", "po": "positive", "sur": "surprise"}
VERSIONS = {
    "HS": {"negative": 70, "positive": 51, "surprise": 43},
    "HS-long": {"negative": 66, "positive": 51, "surprise": 40},
}
SHORT = ("smic", "HS")
LONG = ("smic", "HS-long")

_THREE = ("negative", "positive", "surprise")
SCHEME = Scheme(
    name="smic-3",
    class_names=_THREE,
    class_of={"smic": as_named(*_THREE)},
    expected={SHORT: (70, 51, 43), LONG: (65, 51, 41)},
    n_subjects={SHORT: 16, LONG: 16},
)
# The long release counts five clips of the 164 within others' videos and lacks two.
MISSING_IN_LONG = (
    TableChange("smic/01/s1_ne_02", None, "negative"),
    TableChange("smic/02/s2_sur_05", None, "surprise"),
    TableChange("smic/03/s3_ne_03", None, "negative"),
    TableChange("smic/03/s3_ne_20", None, "negative"),
    TableChange("smic/04/s4_ne_05", None, "negative"),
    TableChange("smic/04/s4_ne_06", None, "negative"),
    TableChange("smic/09/s9_sur_02", None, "surprise"),
)
MISLABELLED = Erratum("18", "s18_sur_03", "emotion", "negative", "surprise",
    reason="the clip's own name says surprise, and so do the published 70, 51 and 43 clips",
    source="quangdtsc/megc2019, README")  # fmt: skip


def _clip_key(way: Sequence[str]) -> str | None:
    return _key(way[-1])


def _key(name: str) -> str | None:
    """Return the name of a clip as the released folder spells it: "s1_ne_01" for "S1_NE_01" or "s01_ne_01"."""
    clip = CLIP.fullmatch(name)
    return f"s{int(clip.group(1))}_{clip.group(2).casefold()}_{int(clip.group(3)):02d}" if clip else None


def _read_row(row: Row) -> Entry:
    name = _key(row.cells["Filename"]) or row.cells["Filename"]
    subject = padded(row.cells["Subject"].casefold().removeprefix("s"), 2)
    # One cell holds a meaningless negative number, left there by a formula.
    n_more = sum(whole_number(row.cells.get(column, "")) is not None for column in MORE_ONSETS)
    repairs = (f"the video holds {n_more + 1} micro-expressions: the first is taken",) if n_more else ()
    return COLUMNS.entry(row, subject, name, (name,), repairs=repairs)


def _read_folder(folder: Path) -> Entry:
    name = _key(folder.name)
    assert name, folder
    subject, code, _ = name.split("_")
    return Entry(
        where=str(folder),
        subject=subject.removeprefix("s").zfill(2),
        name=name,
        emotion=EMOTION_OF[code],
        action_units="",
        keys=(name,),
        cells={},
    )


DATASET = Dataset(
    name="smic",
    title="SMIC",
    fps=100.0,
    tables=("SMIC-HS-E_annotation.xlsx", "SMIC-HS-E_annotation*"),
    sheet="HS",
    columns=COLUMNS,
    optional_columns=MORE_ONSETS,
    pictures=(
        Pictures("SMIC_all_raw", "raw", has_table=False),
        Pictures("SMIC-HS-E", "raw"),
        Pictures("HS_long", "raw"),
        Pictures("SMIC-E_raw_image", "raw"),
        Pictures("SMIC_all_cropped", "cropped", has_table=False),
    ),
    example="s1/micro/negative/s1_ne_01",
    clip_key=_clip_key,
    read_row=_read_row,
    emotions=tuple(VERSIONS["HS"]),
    frame_name=re.compile(r"(reg_)?image\d+\.(bmp|jpe?g)", re.IGNORECASE),
    skipped=frozenset({"nir", "vis", "non_micro", "vis_long", "nir_long"}),  # other cameras, and no expression
    read_folder=_read_folder,
    tableless="micro",
    tableless_version="HS",
    versions=VERSIONS,
    published="HS",
    changes={"HS-long": MISSING_IN_LONG},
    errata=(MISLABELLED,),
    schemes=(SCHEME,),
)
