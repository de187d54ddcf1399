"""CAS(ME)^3 part A: 860 micro-expressions of 94 subjects, 30 frames a second.

A file name is not unique within a subject, so the onset is part of a clip's name ("a_355"), as in the released folders.
Those say `spNo.1` where the table says `spNO.1`. All cells of the table are text. Two releases: the cut clips
(`Part_A_ME_clip/frame/spNo.1_a_355/355.jpg`) and the whole recordings (`part_A/spNO.1/a/color/37.jpg`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mer_cli.datasets.errata import apply_errata
from mer_cli.datasets.layout import Entry, Layout, Pictures, fold_emotion
from mer_cli.datasets.tables import Row

CUT_CLIP = re.compile(r"(spno\.\d+)_([a-z]+)_(\d+)", re.IGNORECASE)
SUBJECT = re.compile(r"spno\.\d+", re.IGNORECASE)
VERSIONS = {
    "part-A-v2": {"disgust": 250, "surprise": 187, "others": 161, "fear": 86, "anger": 64, "sad": 57, "happy": 55}
}


def _clip_key(way: Sequence[str]) -> str | None:
    if CUT_CLIP.fullmatch(way[-1]):
        return way[-1].casefold()
    if len(way) > 2 and way[-1].casefold() == "color" and SUBJECT.fullmatch(way[-3]):
        return f"{way[-3]}_{way[-2]}".casefold()
    return None


def _read_row(row: Row) -> Entry:
    subject, recording, onset = (row.cells[column] for column in ("Subject", "Filename", "Onset"))
    name = f"{recording}_{onset}"
    corrected, _ = apply_errata("casme3", subject, name, {"onset": onset})
    return Entry(
        where=f"row {row.number}",
        subject=subject,
        name=name,
        emotion=fold_emotion(row.cells["emotion"]),
        action_units=row.cells["AU"],
        keys=tuple(
            f"{subject}_{folder}".casefold() for folder in (name, f"{recording}_{corrected['onset']}", recording)
        ),
        cells={"onset": onset, "apex": row.cells["Apex"], "offset": row.cells["Offset"]},
    )


LAYOUT = Layout(
    name="casme3",
    title="CAS(ME)^3 part A",
    fps=30.0,
    tables=("cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx", "*part_A*JpgIndex_v2*", "*part_A*JpgIndex*"),
    columns=("Subject", "Filename", "Onset", "Apex", "Offset", "AU", "emotion"),
    pictures=(Pictures("Part_A_ME_clip", "raw"), Pictures("frame", "raw"), Pictures("part_A", "raw")),
    example="frame/spNo.1_a_355",
    clip_key=_clip_key,
    read_row=_read_row,
    emotions=tuple(VERSIONS["part-A-v2"]),
    frame_name=re.compile(r"\d+\.jpe?g", re.IGNORECASE),
    skipped=frozenset({"depth", "video"}),
    versions=VERSIONS,
    table_hint=" and keep in the repository of the annotations",
)
