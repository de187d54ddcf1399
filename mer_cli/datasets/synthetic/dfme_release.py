"""DFME's own layout: three parts with a table each, frames counted from 00000, and a frame rate for each clip.

    DFME/full_release_annotation/training_full_with_AU.xlsx, testA_full_with_AU.xlsx, testB_full_with_AU.xlsx
    DFME/train_data/train_data/sub0003_01/00000.png ...
    DFME/test_data_A/test_data_A/..., DFME/test_data_B/test_data_B/...

By default there are a tenth of the clips and subjects of the real parts, in the proportions of their emotions. Images
have three quarters of the drawn size (240x270), because they are not compressed: 262 clips take 0.5 GB. A subject is in
one part only, and clips are far shorter than the real ones (in release 2 of the generator as long as CASME II's).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mer_cli.datasets.dfme import DATASET, EMOTIONS, PART_COUNTS, TABLES, TEST_A, TEST_B, TRAINING, VERSIONS
from mer_cli.datasets.synthetic.clip import View
from mer_cli.datasets.synthetic.layout import GeneratedLayout, Pairs, deal_unevenly, share_out
from mer_cli.datasets.synthetic.plan import ClipPlan, Draft, Pace
from mer_cli.datasets.synthetic.render import HEIGHT, WIDTH
from mer_cli.datasets.synthetic.spreadsheet import Cell, Sheets

PICTURES = "DFME"
HEADER = ("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Emotion", "EmotionId", "Fps", "AU")
FOLDERS = {
    TRAINING: "train_data/train_data",
    TEST_A: "test_data_A/test_data_A",
    TEST_B: "test_data_B/test_data_B",
}
TABLE_PATHS = {part: f"{PICTURES}/full_release_annotation/{patterns[0]}" for part, patterns in TABLES.items()}
FRAME_RATES = (200, 300, 500)
RATE_COUNTS = {TRAINING: (556, 605, 695), TEST_A: (116, 143, 215), TEST_B: (159, 57, 83)}
TENTH = 10
REAL_COUNTS = VERSIONS["+".join(PART_COUNTS)]
N_REAL = sum(REAL_COUNTS.values())
EMOTION_COUNTS = dict(
    zip(EMOTIONS, share_out(N_REAL // TENTH, [REAL_COUNTS[word] / N_REAL for word in EMOTIONS]), strict=True)
)
SUBJECTS = tuple(range(1, 656 // TENTH + 1))
# The parts of ten subjects in a row, in about the proportions of the clips; the first three show all parts.
PART_OF = (TRAINING, TEST_A, TEST_B, TRAINING, TRAINING, TRAINING, TRAINING, TEST_A, TRAINING, TRAINING)


def _roster(rng: np.random.Generator) -> Pairs:
    """Deal emotions to subjects; the real numbers by subject are not published."""
    return deal_unevenly(EMOTION_COUNTS, dict.fromkeys(SUBJECTS, 1), rng)


def part_of(subject: int) -> str:
    """Return the part of the release that shows a subject."""
    return PART_OF[(subject - 1) % len(PART_OF)]


def _place(drafts: Sequence[Draft]) -> list[ClipPlan]:
    plans = []
    for draft in drafts:
        part, rng = part_of(draft.subject), draft.rng
        rates = np.array(RATE_COUNTS[part])
        fps = float(rng.choice(FRAME_RATES, p=rates / rates.sum()))
        onset, after = (int(frames) for frames in rng.integers(0, 4, 2))
        name = f"sub{draft.subject:04d}_{draft.order:02d}"
        path = f"{PICTURES}/{FOLDERS[part]}/{name}/{{:05d}}.png"
        plans.append(replace(draft, fps=fps).place(name, onset, path=path, before=onset, after=after))
    return plans


def _sheets(plans: Sequence[ClipPlan], part: str = TRAINING) -> Sheets:
    rows: list[Sequence[Cell]] = [HEADER]
    for plan in plans:
        if part_of(plan.subject) == part:
            what = (plan.emotion, EMOTIONS.index(plan.emotion), int(plan.fps), plan.units_cell)
            rows.append((f"sub{plan.subject:04d}", plan.name, *plan.frame_cells, *what))
    return {"Sheet1": rows}


def _more_tables(plans: Sequence[ClipPlan]) -> Mapping[str, Sheets]:
    """Return the tables of the test parts that have clips, by path."""
    shown = {part_of(plan.subject) for plan in plans}
    return {TABLE_PATHS[part]: _sheets(plans, part) for part in (TEST_A, TEST_B) if part in shown}


LAYOUT = GeneratedLayout(
    name=DATASET.name,
    title=DATASET.title,
    subjects=SUBJECTS,
    subject_id="sub{:04d}",
    emotions=EMOTION_COUNTS,
    pace=Pace(fps=FRAME_RATES[0], scale=2, shortest=8, longest=25),
    roster=_roster,
    place=_place,
    folder=PICTURES,
    first_person=6000,
    view=View(WIDTH * 3 // 4, HEIGHT * 3 // 4, 0.75),
    table=TABLE_PATHS[TRAINING],
    sheets=_sheets,
    more_tables=_more_tables,
)
