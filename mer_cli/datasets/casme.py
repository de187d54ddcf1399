"""CASME I: 195 clips in the paper, 193 rows in the table of 2019-07-21, 18 subjects, 60 frames per second.

Frame numbers are unpadded in the first recordings (`EP01_12-73.jpg`) and padded to three digits in the others. A clip
may have a second apex; if it has none, the table holds a backslash. The first apex is taken.
"""

from __future__ import annotations

import re
from functools import partial

from mer_cli.datasets.casme2 import numbered_entry, subject_clip_key
from mer_cli.datasets.dataset import Columns, Dataset, Pictures, Scheme, as_named

COLUMNS = Columns("Subject", "Filename", "OnsetF", "ApexF1", "OffsetF", "AU", "Emotion")
EMOTIONS = ("tense", "disgust", "repression", "surprise", "happiness", "sadness", "contempt", "fear")
# The table's own labels; no published counts, because no public copy of the 193-row table could be read.
SCHEME = Scheme(name="casme-8", class_names=EMOTIONS, class_of={"casme": as_named(*EMOTIONS)})


DATASET = Dataset(
    name="casme",
    title="CASME I",
    fps=60.0,
    tables=("CASME-coded-20190721.xls", "CASME-cod*", "casme"),
    columns=COLUMNS,
    pictures=(
        Pictures("CASME_raw_selected", "raw"),
        Pictures("Cropped", "cropped"),
        Pictures("CASME_cropped_selected", "cropped"),
    ),
    example="sub01/EP01_12",
    clip_key=subject_clip_key,
    read_row=partial(numbered_entry, COLUMNS),
    emotions=EMOTIONS,
    frame_name=re.compile(r"(reg_)?EP.*-\d+\.jpe?g", re.IGNORECASE),
    schemes=(SCHEME,),
)
