"""4DME, its grey video: some 267 micro-expressions of some 65 subjects, 60 frames per second; several labels a clip.

No public copy of the table (`4DME_Labelling_Micro_release v1.xlsx`) or of a folder could be read: columns, folders
(`gray_micro/SUBJECT/FOLD_NAME`) and the marks in the cells are from MEB, which reads them. The numbers above and the
frame rate are recalled from the paper. So no counts are checked.

The column `Emotion` joins the labels of a clip by "+" ("Surprise+Positive"). A clip with several labels keeps them, in
one order ("positive+surprise"); the schemes leave it out, because none of its labels is the first, and the audit says
so. MEB takes action units marked "(k)" to be there all the time and drops them, and so does this module. It also swaps
rows 144 and 145 from the action units on; that can't be told from the values of a table, so it is not done here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

from mer_cli.datasets.dataset import Columns, Dataset, Entry, Pictures, Scheme, all_to, as_named
from mer_cli.datasets.tables import Row

NAME = "4dme"
COLUMNS = Columns("sub_ID", "fold_name", "Onset", "Apex", "Offset", "AUs", "Emotion")
PICTURES = (
    Pictures("gray_micro", "raw"),
    Pictures("gray_micro_crop", "cropped"),
    Pictures("gray_micro_register_final", "cropped"),
)
LONG_NAME = re.compile(r"S\d+_\d+(st|nd|rd|th)_\d+(_\d+)+", re.IGNORECASE)  # S13_1st_001_01_1, says all by itself
STILL = "(k)"  # marks an action unit that is not a part of the expression

SINGLE = ("positive", "negative", "surprise", "repression", "others")
SEVERAL = tuple("+".join(labels) for n_labels in (2, 3) for labels in combinations(SINGLE, n_labels))
_THREE = ("positive", "negative", "surprise")
SCHEMES = (
    Scheme(name="4dme-5", class_names=SINGLE, class_of={NAME: {**as_named(*SINGLE), **all_to(None, *SEVERAL)}}),
    Scheme(
        name="4dme-3",
        class_names=_THREE,
        class_of={NAME: {**as_named(*_THREE), **all_to(None, "repression", "others", *SEVERAL)}},
        on_request=True,
    ),
)


def _clip_key(way: Sequence[str]) -> str | None:
    """Return "s13/NAME" for a folder two levels below that of all images, "NAME" for one whose name says the subject.

    Nothing else is known about the names of subjects and clips.
    """
    parts = [part.casefold() for part in way]
    places = [index for index, part in enumerate(parts[:-1]) if part in {pictures.folder for pictures in PICTURES}]
    if places and places[-1] == len(parts) - 3:
        return f"{parts[-2]}/{parts[-1]}"
    return parts[-1] if LONG_NAME.fullmatch(parts[-1]) else None


def _labels(cell: str) -> str:
    """Return the labels of a clip in one order: "positive+surprise" for "Surprise + Positive"."""
    labels = {label.strip().casefold() for label in cell.split("+")}
    labels = {"others" if label == "other" else label for label in labels}
    return "+".join(sorted(labels, key=lambda label: (SINGLE.index(label) if label in SINGLE else len(SINGLE), label)))


def _read_row(row: Row) -> Entry:
    subject, name = row.cells["sub_ID"].removesuffix(".0"), row.cells["fold_name"]
    entry = COLUMNS.entry(row, subject, name, (f"{subject}/{name}".casefold(), name.casefold()))
    units = [unit for unit in entry.action_units.split("+") if STILL not in unit]
    emotion = _labels(row.cells["Emotion"])
    several = f"the clip has several labels ({emotion}): {' and '.join(scheme.name for scheme in SCHEMES)} leave it out"
    return replace(
        entry, emotion=emotion, action_units="+".join(units), repairs=(several,) if emotion in SEVERAL else ()
    )


DATASET = Dataset(
    name=NAME,
    title="4DME",
    fps=60.0,
    tables=("4DME_Labelling_Micro_release v1.xlsx", "4DME_Labelling_Micro*", "4DME*Label*"),
    columns=COLUMNS,
    optional_columns=("AUs",),
    pictures=PICTURES,
    example="gray_micro/S13/S13_1st_001_01_1",
    clip_key=_clip_key,
    read_row=_read_row,
    emotions=(*SINGLE, *SEVERAL),
    frame_name=re.compile(r".*\d.*\.(jpe?g|png|bmp)", re.IGNORECASE),
    schemes=SCHEMES,
)
