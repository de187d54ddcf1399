"""CAS(ME)^3 part A: 860 micro-expressions of 94 subjects, 30 frames per second.

A file name is not unique within a subject, so the onset is part of a clip's name ("a_355"), as in the released folders.
The folders say `spNo.1` where the table says `spNO.1`. All cells of the table are text. Two releases: the cut clips
(`Part_A_ME_clip/frame/spNo.1_a_355/355.jpg`) and the whole recordings (`part_A/spNO.1/a/color/37.jpg`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mer_cli.datasets.annotation import Erratum, apply_errata
from mer_cli.datasets.dataset import Columns, Dataset, Entry, Pictures, Scheme, all_to, as_named, known_frames
from mer_cli.datasets.tables import Row

COLUMNS = Columns("Subject", "Filename", "Onset", "Apex", "Offset", "AU", "emotion")
CUT_CLIP = re.compile(r"(spno\.\d+)_([a-z]+)_(\d+)", re.IGNORECASE)
SUBJECT = re.compile(r"spno\.\d+", re.IGNORECASE)
VERSIONS = {
    "part-A-v2": {"disgust": 250, "surprise": 187, "others": 161, "fear": 86, "anger": 64, "sad": 57, "happy": 55}
}
TABLE = ("casme3", "part-A-v2")

_SEVEN = ("happy", "disgust", "fear", "anger", "sad", "surprise", "others")
_THREE = {"happy": "positive", "surprise": "surprise", **all_to("negative", "disgust", "fear", "anger", "sad")}
SCHEMES = (
    Scheme(
        name="casme3-7",
        class_names=_SEVEN,
        class_of={"casme3": as_named(*_SEVEN)},
        expected={TABLE: (55, 250, 86, 64, 57, 187, 161)},
        n_subjects={TABLE: 94},
    ),
    Scheme(
        name="casme3-4",
        class_names=("positive", "negative", "surprise", "others"),
        class_of={"casme3": {**_THREE, "others": "others"}},
        expected={TABLE: (55, 457, 187, 161)},
        n_subjects={TABLE: 94},
    ),
    Scheme(
        name="casme3-3",
        class_names=("positive", "negative", "surprise"),
        class_of={"casme3": {**_THREE, "others": None}},
        expected={TABLE: (55, 457, 187)},
        n_subjects={TABLE: 88},
    ),
)

ERRATA = (
    Erratum("spNO.149", "d_112", "apex", "83", "123",
            reason="the apex lies before the onset 112",
            source="MEB, meb/datasets/datasets.py"),
    Erratum("spNO.216", "d_3647", "onset", "3647", "2647",
            reason="the onset lies after apex 2668 and offset 2694",
            source="ours; one digit differs from them"),
    Erratum("spNO.216", "e_0", "onset", "0", "1",
            reason="the recording has no frame 0",
            source="ours; the released frames begin at 1"),
    Erratum("spNO.40", "e_1812", "offset", "0", "1845",
            reason="the offset lies before the onset",
            source="MEB, meb/datasets/datasets.py"),
    Erratum("spNO.40", "e_2327", "offset", "0", "2403",
            reason="the offset lies before the onset",
            source="MEB, meb/datasets/datasets.py"),
    Erratum("spNO.214", "c_5", "offset", "3460", "34",
            reason="a digit too many: the clip would last two minutes",
            source="MEB, meb/datasets/datasets.py"),
)  # fmt: skip

KNOWN_CELLS = {
    "part-A-v2": (
        *known_frames("spNO.149", "d_112", 112, 83, 358),
        *known_frames("spNO.216", "d_3647", 3647, 2668, 2694),
        *known_frames("spNO.216", "e_0", 0, 0, 25),
        *known_frames("spNO.40", "e_1812", 1812, 1824, 0),
        *known_frames("spNO.40", "e_2327", 2327, 2363, 0),
        *known_frames("spNO.214", "c_5", 5, 5, 3460),
    )
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
    corrected, _ = apply_errata(ERRATA, subject, name, {"onset": onset})
    folders = (name, f"{recording}_{corrected['onset']}", recording)
    return COLUMNS.entry(row, subject, name, tuple(f"{subject}_{folder}".casefold() for folder in folders))


DATASET = Dataset(
    name="casme3",
    title="CAS(ME)^3 part A",
    fps=30.0,
    tables=("cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx", "*part_A*JpgIndex_v2*", "*part_A*JpgIndex*"),
    columns=COLUMNS,
    pictures=(Pictures("Part_A_ME_clip", "raw"), Pictures("frame", "raw"), Pictures("part_A", "raw")),
    example="frame/spNo.1_a_355",
    clip_key=_clip_key,
    read_row=_read_row,
    emotions=tuple(VERSIONS["part-A-v2"]),
    frame_name=re.compile(r"\d+\.jpe?g", re.IGNORECASE),
    skipped=frozenset({"depth", "video"}),
    table_hint=" and keep in the repository of the annotations",
    versions=VERSIONS,
    published="part-A-v2",
    known_cells=KNOWN_CELLS,
    errata=ERRATA,
    schemes=SCHEMES,
)
