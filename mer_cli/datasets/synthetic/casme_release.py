"""CASME I's own layout: an old .xls table, and frame numbers with and without padding.

CASME_raw_selected/CASME-coded-20190721.xls
CASME_raw_selected/sub01/EP01_12/EP01_12-73.jpg ...
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mer_cli.datasets.casme import DATASET
from mer_cli.datasets.synthetic.layout import GeneratedLayout, Pairs, deal_unevenly, share_out
from mer_cli.datasets.synthetic.plan import ClipPlan, Draft, Pace
from mer_cli.datasets.synthetic.spreadsheet import Cell, Sheets

PICTURES = "CASME_raw_selected"
HEADER = ("Subject", "Filename", None, "OnsetF", "ApexF1", "ApexF2", "OffsetF", None, "Onset", "Total", "AU",
          "Emotion")  # fmt: skip
SUBJECTS = tuple(range(1, 19))
# Of a copy with 189 rows; the 193 rows of the released table are assumed to have the same proportions.
KNOWN_COUNTS = {
    "tense": 68, "disgust": 45, "repression": 39, "surprise": 20, "happiness": 7, "sadness": 6, "contempt": 2,
    "fear": 2,
}  # fmt: skip
N_CLIPS = 193
EMOTION_COUNTS = dict(
    zip(
        KNOWN_COUNTS,
        share_out(N_CLIPS, [count / sum(KNOWN_COUNTS.values()) for count in KNOWN_COUNTS.values()]),
        strict=True,
    )
)
N_UNPADDED = 92  # rows at the top, whose frame numbers have no leading zeros
N_WITHOUT_SECOND_APEX = 68
NO_SECOND_APEX = "\\"


def _roster(rng: np.random.Generator) -> Pairs:
    """Deal emotions to subjects: it is only known that each of the 18 subjects has some clips."""
    return deal_unevenly(EMOTION_COUNTS, dict.fromkeys(SUBJECTS, 1), rng)


def _place(drafts: Sequence[Draft]) -> list[ClipPlan]:
    plans = []
    n_unpadded = round(N_UNPADDED * len(drafts) / N_CLIPS)
    for row, draft in enumerate(drafts):
        onset = int(draft.rng.integers(5, 300))
        digits = "{}" if row < n_unpadded else "{:03d}"
        name = _name(draft)
        folder = f"{PICTURES}/sub{draft.subject:02d}/{name}"
        plans.append(draft.place(name, onset, path=f"{folder}/{name}-{digits}.jpg"))
    n_without = round(N_WITHOUT_SECOND_APEX * len(plans) / N_CLIPS)
    without = {turn * len(plans) // n_without for turn in range(n_without)}
    return [
        replace(plan, told={"second apex": NO_SECOND_APEX if row in without else plan.apex + 1})
        for row, plan in enumerate(plans)
    ]


def _name(draft: Draft) -> str:
    """Make up a clip's name: mostly "EP01_12", now and then "EP12_2_11" or "EP11"."""
    number, kind = int(draft.rng.integers(1, 20)), draft.rng.random()
    if kind < 0.04:
        return f"EP{draft.order:02d}"
    return f"EP{draft.order:02d}_{'2_' if kind < 0.08 else ''}{number:02d}"


def _sheets(plans: Sequence[ClipPlan]) -> Sheets:
    """Return the coding table; its durations are milliseconds, from onset to apex and in total."""
    rows: list[Sequence[Cell]] = [HEADER]
    for plan in plans:
        frames = (plan.onset, plan.apex, plan.told["second apex"], plan.offset)
        rise, whole = (round((end - plan.onset + 1) * 1000 / DATASET.fps) for end in (plan.apex, plan.offset))
        rows.append((plan.subject, plan.name, None, *frames, None, rise, whole, plan.units_cell, plan.emotion))
    return {"Sheet1": rows}


LAYOUT = GeneratedLayout(
    name=DATASET.name,
    title=DATASET.title,
    subjects=SUBJECTS,
    subject_id="{:02d}",
    emotions=EMOTION_COUNTS,
    pace=Pace(fps=DATASET.fps, scale=2, shortest=8, longest=40),
    roster=_roster,
    place=_place,
    folder=PICTURES,
    first_person=5000,
    table=f"{PICTURES}/{DATASET.tables[0]}",
    sheets=_sheets,
)
