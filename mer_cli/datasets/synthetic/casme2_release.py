"""CASME II's own layout: the cut release and its coding table.

    CASME2_RAW_selected/CASME2-coding-20190701.xlsx
    CASME2_RAW_selected/sub01/EP02_01f/img46.jpg ...

Frames are 320x360 pixels, smaller than the real 640x480, but the face is as large as in those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mer_cli.datasets.casme2 import DATASET, RELABELLED, VERSIONS
from mer_cli.datasets.synthetic.layout import GeneratedLayout, Pairs, deal, spell
from mer_cli.datasets.synthetic.plan import ClipPlan, Draft, Pace, objective_class
from mer_cli.datasets.synthetic.spreadsheet import Cell, Sheets

PICTURES = "CASME2_RAW_selected"
HEADER = ("Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None, "Action Units",
          "Estimated Emotion", "Objective Classes")  # fmt: skip

# The table of 2019-07-01.
EMOTION_COUNTS = VERSIONS["20190701"]
RARE = ("sadness", "fear")
# Clips by subject, 1 to 26: of the five classes, and of MMNet's three, which include the rare emotions but not others.
FIVE_CLASSES = (9, 13, 7, 5, 19, 5, 9, 3, 13, 13, 10, 12, 8, 4, 3, 4, 34, 3, 15, 11, 2, 2, 12, 10, 7, 16)
THREE_CLASSES = (3, 9, 5, 3, 7, 4, 5, 1, 11, 1, 4, 11, 2, 3, 3, 3, 33, 0, 12, 2, 1, 2, 8, 6, 5, 12)
AFRAID = 10  # subject whose only clip in MMNet's three classes is one of fear
MIXED = (5, 9, 12, 17, 19, 24, 26)  # subjects with several classes, who get the other rare clips
# Clips that must be of an emotion: the faulty ones below, and three of subject 24 that the older table calls sadness.
RESERVED = {4: ("disgust",), 5: ("disgust",), 24: ("surprise",) * 3}
RELABELLED_SUBJECT = 24

# By subject: a clip without an apex, one with its apex at the onset, one without its last annotated frames on disk.
MISSING_FRAMES = 16
QUIRKS: dict[int, dict[str, Any]] = {
    4: {"name": "EP12_01f", "onset": 261, "apex": 291, "offset": 321, "told": {"apex": "/"}},
    5: {"name": "EP09_05f", "onset": 69, "apex": 93, "offset": 123, "told": {"apex": 69}},
    MISSING_FRAMES: {"name": "EP01_08", "onset": 73, "apex": 94, "offset": 110, "absent": frozenset(range(97, 111))},
}


def _roster(rng: np.random.Generator) -> Pairs:
    """Deal emotions to subjects so that both schemes have the real fold sizes; rare emotions go to random subjects."""
    rare = sorted(spell({word: EMOTION_COUNTS[word] for word in RARE}))  # fear comes first
    owners = [AFRAID, *(int(owner) for owner in rng.choice(MIXED, len(rare) - 1))]
    pairs = list(zip(owners, rare, strict=True))
    shared = {}
    for subject, (n_five, n_three) in enumerate(zip(FIVE_CLASSES, THREE_CLASSES, strict=True), start=1):
        shared[subject] = n_three - owners.count(subject)
        pairs += [(subject, "others")] * (n_five - shared[subject])
    both = {word: count for word, count in EMOTION_COUNTS.items() if word not in (*RARE, "others")}
    return pairs + deal(spell(both), shared, rng, RESERVED)


def _place(drafts: Sequence[Draft]) -> list[ClipPlan]:
    plans = []
    for draft in drafts:
        onset = int(draft.rng.integers(1, 60))
        name = f"EP{draft.order:02d}_{int(draft.rng.integers(1, 20)):02d}{'f' if draft.rng.random() < 0.4 else ''}"
        plans.append(draft.place(name, onset))
    return [replace(plan, path=f"{PICTURES}/sub{plan.subject:02d}/{plan.name}/img{{}}.jpg") for plan in _faulty(plans)]


def _faulty(plans: list[ClipPlan]) -> list[ClipPlan]:
    """Add the faults of the real CASME II table and frames to the clips concerned, if their subjects are planned.

    If the subject with missing frames is not planned, frames of the last clip are missing instead.
    """
    faulty = list(plans)
    for subject, quirk in QUIRKS.items():
        own = [index for index, plan in enumerate(plans) if plan.subject == subject]
        disgusted = [index for index in own if plans[index].emotion == "disgust"]
        for index in (disgusted or own)[:1]:
            faulty[index] = replace(plans[index], **quirk)
    surprised = [i for i, plan in enumerate(plans) if plan.subject == RELABELLED_SUBJECT and plan.emotion == "surprise"]
    for index, name in zip(surprised, RELABELLED, strict=False):
        faulty[index] = replace(faulty[index], name=name)
    if all(plan.subject != MISSING_FRAMES for plan in plans):
        last = faulty[-1]
        faulty[-1] = replace(last, absent=frozenset({last.offset - 1, last.offset}))
    return faulty


def _sheets(plans: Sequence[ClipPlan]) -> Sheets:
    """Return the coding table; subjects are text, a single unit is a number."""
    rows: list[Sequence[Cell]] = [HEADER]
    for plan in plans:
        what = (plan.units_cell, plan.emotion, objective_class(plan.unit_numbers))
        rows.append((f"{plan.subject:02d}", plan.name, None, *plan.frame_cells, None, *what))
    return {"Sheet1": rows, "Sheet2": (), "Sheet3": ()}


LAYOUT = GeneratedLayout(
    name=DATASET.name,
    title=DATASET.title,
    subjects=tuple(range(1, len(FIVE_CLASSES) + 1)),
    subject_id="{:02d}",
    emotions=EMOTION_COUNTS,
    pace=Pace(fps=DATASET.fps, scale=6, shortest=9, longest=60),
    roster=_roster,
    place=_place,
    folder=PICTURES,
    first_person=0,
    table=f"{PICTURES}/{DATASET.tables[0]}",
    sheets=_sheets,
)
