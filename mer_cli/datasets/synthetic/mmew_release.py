"""MMEW's own layout: a folder for each emotion, images cropped to the face and counted from 1.

MMEW_Final/MMEW_Micro_Exp.xlsx
MMEW_Final/Micro_Expression/happiness/S01-01-001/1.jpg ...
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mer_cli.datasets.mmew import DATASET, VERSIONS
from mer_cli.datasets.synthetic.clip import View
from mer_cli.datasets.synthetic.layout import GeneratedLayout, Pairs, deal_unevenly
from mer_cli.datasets.synthetic.plan import ClipPlan, Draft, Pace
from mer_cli.datasets.synthetic.spreadsheet import Cell, Sheets

PICTURES = "MMEW_Final"
HEADER = ("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units", "Estimated Emotion",
          "remarks")  # fmt: skip
CODES = {
    "happiness": 1, "surprise": 2, "disgust": 3, "others": 4, "fear": 5, "sadness": 6, "anger": 7,
}  # fmt: skip
EMOTION_COUNTS = VERSIONS["300"]
SUBJECTS = tuple(range(1, 31))
SUBTLE = 23  # the one subject without happiness, surprise or disgust; assumed to have no others either
EARLY_APEX = {"S05-03-004": 3, "S15-03-001": 3}  # clips with a suspiciously early annotated apex
RESERVED = {5: ("disgust",) * 4, 15: ("disgust",)}
# Rows of the real table; what is wrong in them is not known.
WRONG_ROWS = (33, *range(35, 43), 142, 143, 145, 146, 148, 154, 156)
WRONG_EVERY = 19  # rows, in a release of another size


def _roster(rng: np.random.Generator) -> Pairs:
    """Deal emotions to subjects: it is only published which subjects have any clips."""
    expressive = {subject: max(1, len(RESERVED.get(subject, ()))) for subject in SUBJECTS if subject != SUBTLE}
    main = {word: EMOTION_COUNTS[word] for word in ("happiness", "surprise", "disgust")}
    minor = {word: EMOTION_COUNTS[word] for word in ("fear", "sadness", "anger")}
    pairs = deal_unevenly(main, expressive, rng, RESERVED)
    pairs += deal_unevenly(minor, dict.fromkeys(expressive, 0) | {SUBTLE: 2}, rng)
    return pairs + deal_unevenly({"others": EMOTION_COUNTS["others"]}, dict.fromkeys(expressive, 0), rng)


def _place(drafts: Sequence[Draft]) -> list[ClipPlan]:
    plans: list[ClipPlan] = []
    taken: Counter[tuple[int, str]] = Counter()
    for draft in drafts:
        taken[draft.subject, draft.emotion] += 1
        number = taken[draft.subject, draft.emotion]
        name = f"S{draft.subject:02d}-{CODES[draft.emotion]:02d}-{number:03d}"
        path = f"{PICTURES}/Micro_Expression/{draft.emotion}/{name}/{{}}.jpg"
        told: dict[str, int | str] = {"apex": EARLY_APEX[name]} if name in EARLY_APEX else {}
        plans.append(draft.place(name, 1, path=path, told=told))
    is_whole = len(plans) == sum(EMOTION_COUNTS.values())
    wrong = WRONG_ROWS if is_whole else [*range(WRONG_EVERY - 1, len(plans), WRONG_EVERY)] or [len(plans) - 1]
    for index in wrong:
        plan = plans[index]
        mistake = {"offset": plan.offset + 5} if index % 2 else {"apex": plan.offset + 2}
        plans[index] = replace(plan, told=plan.told or mistake)
    return plans


def _sheets(plans: Sequence[ClipPlan]) -> Sheets:
    rows: list[Sequence[Cell]] = [HEADER]
    for plan in plans:
        rows.append((f"S{plan.subject:02d}", plan.name, *plan.frame_cells, plan.units_cell, plan.emotion))
    return {"Sheet1": rows}


SHOWN = 218  # drawn pixels, hairline to chin
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
    first_person=2000,
    view=View(231, 231, 231 / SHOWN, left=51, top=80),
    table=f"{PICTURES}/{DATASET.tables[0]}",
    sheets=_sheets,
)
