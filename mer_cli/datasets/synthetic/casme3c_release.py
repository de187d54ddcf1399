"""CAS(ME)^3 part C's own layout: a recording of each subject, of which only the frames around the clips are there.

CAS(ME)3_part_C_ME.xlsx
part_C/part_C/01/a/color/37.jpg ...
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mer_cli.datasets.casme3c import DATASET, VERSIONS
from mer_cli.datasets.synthetic.layout import GeneratedLayout, Pairs, deal_unevenly
from mer_cli.datasets.synthetic.plan import ClipPlan, Draft, Pace
from mer_cli.datasets.synthetic.spreadsheet import Cell, Sheets

PICTURES = "part_C"
HEADER = ("sub", "count", "onset", "offset", "au", "emotion")
EMOTION_COUNTS = VERSIONS["part-C-ME"]
SUBJECTS = tuple(range(1, 32))  # 31 people were recorded; which of them have a clip is not published
AROUND = 4  # frames drawn before the onset and after the offset
CHINESE_COMMA = 16  # row, counted from 0, whose action units are separated by a Chinese comma


def _roster(rng: np.random.Generator) -> Pairs:
    """Deal emotions to subjects; the real numbers by subject are not published."""
    return deal_unevenly(EMOTION_COUNTS, dict.fromkeys(SUBJECTS, 1), rng)


def _place(drafts: Sequence[Draft]) -> list[ClipPlan]:
    plans: list[ClipPlan] = []
    for draft in drafts:
        last = plans[-1].last if plans and plans[-1].subject == draft.subject else 0
        onset = last + AROUND + int(draft.rng.integers(20, 400))
        path = f"{PICTURES}/{PICTURES}/{draft.subject:02d}/a/color/{{}}.jpg"
        plans.append(draft.place(f"{draft.order}_{onset}", onset, path=path, before=AROUND, after=AROUND))
    return plans


def _sheets(plans: Sequence[ClipPlan]) -> Sheets:
    rows: list[Sequence[Cell]] = [HEADER]
    for index, plan in enumerate(plans):
        count = int(plan.name.partition("_")[0])
        comma = "，" if index == CHINESE_COMMA else ","
        units = plan.units_cell if isinstance(plan.units_cell, int) else plan.units_cell.replace("+", comma)
        rows.append((plan.subject, count, plan.onset, plan.offset, units, plan.emotion))
    return {"mockCrimeME": rows}


LAYOUT = GeneratedLayout(
    name=DATASET.name,
    title=DATASET.title,
    subjects=SUBJECTS,
    subject_id="{:02d}",
    emotions=EMOTION_COUNTS,
    pace=Pace(fps=DATASET.fps, scale=2, shortest=8, longest=25),
    roster=_roster,
    place=_place,
    folder=PICTURES,
    first_person=7000,
    table=DATASET.tables[0],
    sheets=_sheets,
    has_apex=False,
)
