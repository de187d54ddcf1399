"""SAMM's own layout: grey images, four or five digits in a frame's name, and a table below thirteen rows of notes.

    SAMM/SAMM_Micro_FACS_Codes_v2.xlsx
    SAMM/006/006_1_2/006_05562.jpg ...

Images have the real size, 960x650; the drawn face is enlarged to fill their height.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mer_cli.datasets.samm import DATASET, VERSIONS
from mer_cli.datasets.synthetic.clip import View
from mer_cli.datasets.synthetic.layout import GeneratedLayout, Pairs, deal, spell
from mer_cli.datasets.synthetic.plan import ClipPlan, Draft, Pace, objective_class
from mer_cli.datasets.synthetic.render import HEIGHT, WIDTH
from mer_cli.datasets.synthetic.spreadsheet import Cell, Formula, Sheets

PICTURES = "SAMM"
EMOTION_COUNTS = VERSIONS["v2"]
ONLY_IN_THREE = ("disgust", "fear", "sadness")  # emotions that five classes leave out; three classes leave out others

# Clips by subject in the five classes and in the three.
FIVE_CLASSES = {
    6: 9, 7: 9, 9: 3, 10: 4, 11: 15, 12: 1, 13: 6, 14: 10, 15: 2, 16: 5, 17: 6, 18: 2, 19: 3, 20: 9, 21: 2, 22: 5,
    23: 1, 25: 4, 26: 12, 28: 3, 30: 3, 31: 1, 32: 5, 33: 4, 34: 3, 35: 6, 37: 3,
}  # fmt: skip
THREE_CLASSES = {
    6: 11, 7: 8, 9: 4, 10: 4, 11: 20, 12: 3, 13: 6, 14: 10, 15: 3, 16: 5, 17: 4, 18: 3, 19: 1, 20: 4, 21: 2, 22: 5,
    23: 1, 24: 1, 26: 9, 28: 3, 30: 3, 31: 1, 32: 4, 33: 5, 34: 3, 35: 8, 36: 1, 37: 1,
}  # fmt: skip
SUBJECTS = tuple(sorted({*FIVE_CLASSES, *THREE_CLASSES}))

# By subject: its faulty clips (028_4_1 has its apex after the offset, 032_3_1 before the onset, 032_3_2 right after
# the onset), and the one whose offset some copies of the table misspell. The drawn frames are the true ones.
KNOWN_CLIPS: dict[int, tuple[dict[str, Any], ...]] = {
    13: ({"name": "013_1_9", "onset": 5700, "apex": 5719, "offset": 5739},),
    28: ({"name": "028_4_1", "onset": 1086, "apex": 1113, "offset": 1134, "told": {"apex": 1143}},),
    32: (
        {"name": "032_3_1", "onset": 4896, "apex": 4930, "offset": 4951, "told": {"apex": 1930}},
        {"name": "032_3_2", "onset": 5126, "apex": 5130, "offset": 5154, "told": {"apex": 5127}},
    ),
}
FIVE_DIGITS = 10_000  # frames: recordings that reach it write five digits

HEADER = ("Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame", "Duration", "Micro",
          "Action Units", "Estimated Emotion", "Objective Classes", "Notes")  # fmt: skip
NOTES = (
    "Generated faces in SAMM's layout (mer synth); not the dataset's own codes",
    None,
    "Frames are those of a 200 fps recording",
    "Duration counts onset and offset",
    None,
    "Key",
    '"/" = or',
    '"?" = unclear offset',
    "A = asymmetric; L / R = unilateral, left or right; T / B = top or bottom",
    "A letter after a unit is its intensity, A to E",
    None,
    "Estimated emotions are not reported by the participants",
    None,
)
# Other ways of coders to write units than "4+L10", each made from codes such as ("4", "L10").
DIRTY: tuple[Callable[[Sequence[str]], str], ...] = (
    lambda codes: "+".join(f"{code}B" for code in codes),  # 7B
    lambda codes: "+".join(codes) + " ",
    lambda codes: "+".join(f"A{code}{letter}" for code, letter in zip(codes, "BCDE", strict=False)),  # A1B+A2C
    lambda codes: "+".join(codes) + " or L14",
    lambda codes: "+".join(codes) + "+soft focus",
    lambda codes: f"ref({'+'.join(codes)}B)+43",
    lambda codes: "+".join(codes) + "A/B",
    lambda codes: "A/" + "+".join(codes),
    lambda codes: f"({' or '.join([*codes, 'R12'])})+R15",
)
DIRTY_EVERY = 4  # rows
EMOTION_WORDS = {"others": "Other"}  # the table's own


def _in_both_schemes() -> dict[int, int]:
    """Return, by subject, the number of clips with emotions that the five-class and the three-class scheme both keep.

    These numbers are not published. A subject's is at most the smaller of its numbers in the two schemes. The table has
    more clips of `others`, and of emotions that only the three classes keep, than these maxima leave; so the numbers of
    the subjects with most clips are lowered by 1.
    """
    sizes = {subject: min(FIVE_CLASSES.get(subject, 0), THREE_CLASSES.get(subject, 0)) for subject in SUBJECTS}
    surplus = sum(sizes.values()) + EMOTION_COUNTS["others"] - sum(FIVE_CLASSES.values())
    for subject in sorted(SUBJECTS, key=lambda subject: -sizes[subject])[:surplus]:
        sizes[subject] -= 1
    return sizes


def _roster(rng: np.random.Generator) -> Pairs:
    """Deal emotions to subjects so that the fold sizes of both schemes are the real ones."""
    shared = _in_both_schemes()
    left_by_five = {subject: size - shared[subject] for subject, size in FIVE_CLASSES.items()}
    left_by_three = {subject: size - shared[subject] for subject, size in THREE_CLASSES.items()}
    only_three = {word: EMOTION_COUNTS[word] for word in ONLY_IN_THREE}
    others = {"others": EMOTION_COUNTS["others"]}
    both = {word: count for word, count in EMOTION_COUNTS.items() if word not in {*only_three, *others}}
    pairs = deal(spell(both), shared, rng)
    return pairs + deal(spell(only_three), left_by_three, rng) + deal(spell(others), left_by_five, rng)


def _place(drafts: Sequence[Draft]) -> list[ClipPlan]:
    """Plan clips in recordings; each recording has its own number, first frame and number of digits in file names."""
    plans: list[ClipPlan] = []
    wide: set[str] = set()
    session, take, last = 0, 0, 0
    for draft in drafts:
        known, rng = KNOWN_CLIPS.get(draft.subject, ())[draft.order - 1 : draft.order], draft.rng
        if draft.order == 1 or rng.random() < 0.4:
            session, take = (session if draft.order > 1 else 0) + int(rng.integers(1, 3)), 0
            last = int(rng.integers(100, 3000) if rng.random() < 0.7 else rng.integers(9500, 14000))
            if rng.random() < 0.2 and not known:
                wide.add(f"{draft.subject:03d}_{session}_")
        take += int(rng.integers(1, 3))
        plan = draft.place(f"{draft.subject:03d}_{session}_{take}", last + int(rng.integers(20, 400)))
        if known:
            plan = replace(plan, **known[0])
            session, take = (int(part) for part in plan.name.split("_")[1:])
        last = plan.offset
        if last >= FIVE_DIGITS:
            wide.add(_recording(plan))
        plans.append(plan)
    if not any(plan.told for plan in plans):  # without the subjects of the faulty clips
        plans[-1] = replace(plans[-1], told={"apex": plans[-1].offset + 9})
    return [replace(plan, path=_path(plan, 5 if _recording(plan) in wide else 4)) for plan in plans]


def _recording(plan: ClipPlan) -> str:
    """Return the prefix of a clip's name that stands for its recording: "006_1_" for the clip 006_1_2."""
    return plan.name[: plan.name.rindex("_") + 1]


def _path(plan: ClipPlan, digits: int) -> str:
    return f"{PICTURES}/{plan.subject:03d}/{plan.name}/{plan.subject:03d}_{{:0{digits}d}}.jpg"


def _sheets(plans: Sequence[ClipPlan]) -> Sheets:
    """Return the coding table; durations are formulas without a value, and units are written as coders write them."""
    rows: list[Sequence[Cell]] = [*((note,) for note in NOTES), HEADER]
    for index, plan in enumerate(plans):
        duration = Formula("=SUM(F{0}-D{0})+1".format(len(rows) + 1))
        what = (_units_cell(plan, index), EMOTION_WORDS.get(plan.emotion, plan.emotion.capitalize()))
        inducement = 1 + int(plan.name.split("_")[1]) % 7  # the film that was shown
        who = (f"{plan.subject:03d}", plan.name, inducement)
        rows.append((*who, *plan.frame_cells, duration, "Micro - 1/2", *what, objective_class(plan.unit_numbers)))
    return {"MICRO_ONLY": rows}


def _units_cell(plan: ClipPlan, index: int) -> int | str:
    if index % DIRTY_EVERY == DIRTY_EVERY - 1:
        return DIRTY[index // DIRTY_EVERY % len(DIRTY)]([unit.code for unit in plan.units])
    return plan.units_cell


SCALE = 650 / HEIGHT
LAYOUT = GeneratedLayout(
    name=DATASET.name,
    title=DATASET.title,
    subjects=SUBJECTS,
    subject_id="{:03d}",
    emotions=EMOTION_COUNTS,
    pace=Pace(fps=DATASET.fps, scale=6, shortest=9, longest=60),
    roster=_roster,
    place=_place,
    folder=PICTURES,
    first_person=1000,
    view=View(960, 650, SCALE, left=(WIDTH - 960 / SCALE) / 2, is_grey=True),
    table=f"{PICTURES}/{DATASET.tables[0]}",
    sheets=_sheets,
)
