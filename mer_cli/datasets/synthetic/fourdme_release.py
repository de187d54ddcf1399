"""4DME's own layout, as far as it is known: a folder for each subject, and a table with several labels for some clips.

    4DME_Labelling_Micro_release v1.xlsx
    gray_micro/S01/S01_1st_001_01_1/1.jpg ...

The names of subjects, clips and images are made up in the form of the one clip name that is public.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mer_cli.datasets.fourdme import DATASET, SINGLE, STILL
from mer_cli.datasets.synthetic.clip import View
from mer_cli.datasets.synthetic.layout import GeneratedLayout, Pairs, deal_unevenly
from mer_cli.datasets.synthetic.plan import ClipPlan, Draft, Pace
from mer_cli.datasets.synthetic.render import HEIGHT, WIDTH
from mer_cli.datasets.synthetic.spreadsheet import Cell, Sheets

PICTURES = "gray_micro"
UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 24, 45)  # with a column each; the real table has 22
HEADER = ("sub_ID", "fold_name", "Emotion", "Onset", "Apex", "Offset", "AUs", *(f"AU{unit}" for unit in UNITS),
          *(label.capitalize() for label in SINGLE), "eye blink", "fold")  # fmt: skip
# Assumed: 267 clips of 65 subjects, most of them negative, few repressed.
EMOTION_COUNTS = {"positive": 34, "negative": 127, "surprise": 30, "repression": 6, "others": 70}
SUBJECTS = tuple(range(1, 66))
SEVERAL_EVERY = 9  # clips, of which one has two labels
STILL_EVERY = 7  # clips, in one of which a unit is there all the time


def _roster(rng: np.random.Generator) -> Pairs:
    """Deal emotions to subjects; the real numbers by subject are not known."""
    return deal_unevenly(EMOTION_COUNTS, dict.fromkeys(SUBJECTS, 1), rng)


def _place(drafts: Sequence[Draft]) -> list[ClipPlan]:
    plans = []
    for index, draft in enumerate(drafts):
        name = f"S{draft.subject:02d}_1st_{1 + draft.order // 3:03d}_{draft.order:02d}_1"
        path = f"{PICTURES}/S{draft.subject:02d}/{name}/{{}}.jpg"
        plan = draft.place(name, int(draft.rng.integers(20, 3000)), path=path)
        if index % SEVERAL_EVERY == SEVERAL_EVERY - 1:
            other = SINGLE[(SINGLE.index(plan.emotion) + 2) % len(SINGLE)]
            plan = replace(plan, told={"emotion": f"{other}+{plan.emotion}"})
        plans.append(plan)
    return plans


def _sheets(plans: Sequence[ClipPlan]) -> Sheets:
    rows: list[Sequence[Cell]] = [HEADER]
    for index, plan in enumerate(plans):
        labels = str(plan.cell("emotion")).split("+")
        still = f"+45{STILL}" if index % STILL_EVERY == STILL_EVERY - 1 else ""
        coded = (int(unit in plan.unit_numbers or (unit == UNITS[-1] and bool(still))) for unit in UNITS)
        rows.append(
            (
                f"S{plan.subject:02d}",
                plan.name,
                "+".join(label.capitalize() for label in labels),
                *plan.frame_cells,
                f"AU{plan.unit_codes}{still}",
                *coded,
                *(int(label in labels) for label in SINGLE),
                0,
                1 + plan.subject % 5,
            )
        )
    return {"Sheet1": rows}


LAYOUT = GeneratedLayout(
    name=DATASET.name,
    title=DATASET.title,
    subjects=SUBJECTS,
    subject_id="S{:02d}",
    emotions=EMOTION_COUNTS,
    pace=Pace(fps=DATASET.fps, scale=3, shortest=8, longest=45),
    roster=_roster,
    place=_place,
    folder=PICTURES,
    first_person=8000,
    view=View(WIDTH, HEIGHT, 1.0, is_grey=True),
    table=DATASET.tables[0],
    sheets=_sheets,
)
