"""SAMM: 159 clips of 29 subjects, 200 frames per second, grey images.

The table's header row lies below thirteen rows of notes and is found by its content. Frame numbers have four digits in
some recordings and five in others. Two apexes lie outside their clip. The column Duration, a formula, is not read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mer_cli.datasets.annotation import Erratum
from mer_cli.datasets.dataset import Columns, Dataset, Entry, Pictures, Scheme, all_to, as_named, padded
from mer_cli.datasets.tables import Row

COLUMNS = Columns(
    "Subject", "Filename", "Onset Frame", "Apex Frame", "Offset Frame", "Action Units", "Estimated Emotion"
)
CLIP = re.compile(r"\d{3}_\d+_\d+")
VERSIONS = {
    "v2": {
        "anger": 57, "happiness": 26, "others": 26, "surprise": 15, "contempt": 12, "disgust": 9, "fear": 8,
        "sadness": 6,
    }
}  # fmt: skip
TABLE = ("samm", "v2")

_FIVE = ("happiness", "anger", "contempt", "surprise", "others")
FIVE = Scheme(
    name="samm-5",
    class_names=_FIVE,
    class_of={"samm": {**as_named(*_FIVE), **all_to(None, "disgust", "fear", "sadness")}},
    expected={TABLE: (26, 57, 12, 15, 26)},
    n_subjects={TABLE: 27},
)
# The same 133 clips as MEGC 2019's SAMM; MMNet's order of the classes.
THREE = Scheme(
    name="samm-3",
    class_names=("positive", "surprise", "negative"),
    class_of={
        "samm": {
            "happiness": "positive",
            "surprise": "surprise",
            **all_to("negative", "anger", "contempt", "disgust", "fear", "sadness"),
            "others": None,
        }
    },
    expected={TABLE: (26, 15, 92)},
    n_subjects={TABLE: 28},
)

ERRATA = (
    Erratum("028", "028_4_1", "apex", "1143", "1113",
            reason="the apex lies after the offset 1134",
            source="quangdtsc/megc2019, README and apex list"),
    Erratum("032", "032_3_1", "apex", "1930", "4930",
            reason="the apex lies before the onset 4896",
            source="quangdtsc/megc2019, README and apex list; SLSTT's coding.csv and MiE-X's path list have 4930 too"),
    Erratum("013", "013_1_9", "offset", "5793", "5739",
            reason="two digits are swapped in some copies",
            source="the pristine table; MEB sets the same"),
)  # fmt: skip


def _clip_key(way: Sequence[str]) -> str | None:
    return way[-1] if CLIP.fullmatch(way[-1]) else None


def _read_row(row: Row) -> Entry:
    name = row.cells["Filename"]
    return COLUMNS.entry(row, padded(row.cells["Subject"], 3), name, (name,))


DATASET = Dataset(
    name="samm",
    title="SAMM",
    fps=200.0,
    tables=("SAMM_Micro_FACS_Codes_v2.xlsx", "SAMM*Micro*FACS*Codes*"),
    columns=COLUMNS,
    pictures=(Pictures("SAMM", "raw"), Pictures("SAMM_CROP", "cropped"), Pictures("SAMM_Cropped", "cropped")),
    example="006/006_1_2",
    clip_key=_clip_key,
    read_row=_read_row,
    emotions=tuple(VERSIONS["v2"]),
    frame_name=re.compile(r"\d{3}_\d{4,5}\.jpe?g", re.IGNORECASE),
    versions=VERSIONS,
    published="v2",
    errata=ERRATA,
    schemes=(FIVE, THREE),
)
