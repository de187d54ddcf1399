"""SMIC-HS's own layouts.

The short release: images from onset to offset, the class in the name, no table.

    SMIC_all_raw/HS/s1/micro/negative/s1_ne_01/image559740.bmp ...

Its images are bitmaps, so they have three quarters of the drawn size (240x270), and clips have some 18 frames, not
the real 34: the whole release takes 0.6 GB.

The long release: videos with frames around the expression, and a table full of formulas.

    SMIC-E_raw_image/SMIC-HS-E_annotation.xlsx
    SMIC-E_raw_image/HS_long/SMIC-HS-E/s01/s1_ne_01/image017581.jpg ...

It has 157 videos: of the short release's 164 clips, five are parts of other videos here, and two are missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import numpy as np

from mer_cli.datasets.smic import DATASET, EMOTION_OF, VERSIONS
from mer_cli.datasets.synthetic.clip import View
from mer_cli.datasets.synthetic.layout import GeneratedLayout, Pairs, deal_unevenly
from mer_cli.datasets.synthetic.plan import ClipPlan, Draft, Pace
from mer_cli.datasets.synthetic.render import HEIGHT, WIDTH
from mer_cli.datasets.synthetic.spreadsheet import Blank, Cell, Formula, Sheets

PICTURES = "SMIC_all_raw"
SUBJECTS = (1, 2, 3, 4, 5, 6, 8, 9, 11, 12, 13, 14, 15, 18, 19, 20)
EMOTION_COUNTS = VERSIONS["HS"]
CODES = {emotion: code for code, emotion in EMOTION_OF.items()}
# At least this many clips of a class, because some are known by name: s3_ne_20, s4_ne_06, s18_sur_03 ...
RESERVED = {
    1: ("negative",) * 2, 2: ("surprise",) * 5, 3: ("negative",) * 20, 4: ("negative",) * 6, 9: ("surprise",) * 2,
    18: ("surprise",) * 3, 20: ("negative",) * 6,
}  # fmt: skip
FIRST_PERSON = 3000  # both releases show the same people
PACE = Pace(fps=DATASET.fps, scale=3, shortest=8, longest=34)

LONG_PICTURES = "SMIC-E_raw_image"
HEADER = ("Subject", "Filename", None, "OnsetF", "OffsetF", "Onset2F", "Offset2F", "Onset3F", "Offset3F", None,
          "FirstF", "LastF", "TotalMF1", "TotalMF2", "TotalMF3", "TotalVL", "Emotion", Blank(), Blank())  # fmt: skip
N_EMPTY_ROWS = 6  # at the table's end
VIS_SHARE = 4  # frames per frame of the slower VIS camera

PARTS_OF_OTHERS = ("s3_ne_03", "s3_ne_20", "s4_ne_05", "s4_ne_06", "s9_sur_02")
ABSENT = ("s1_ne_02", "s2_sur_05")
MISLABELLED = {"s18_sur_03": "negative"}
# Videos of several micro-expressions, and how many beyond the first; which eight they are is not published.
MORE = {
    "s3_ne_02": 1, "s3_ne_08": 1, "s3_ne_12": 1, "s3_ne_19": 1, "s4_ne_02": 1, "s4_ne_04": 2, "s9_sur_01": 1,
    "s20_ne_06": 1,
}  # fmt: skip
MORE_EVERY = 20  # videos, in a release of another size
GARBAGE = "s20_ne_06"  # its third onset and the cells beside it hold meaningless computed values
LONG_COUNTS = {"negative": 65, "positive": 51, "surprise": 41}


def _deal_classes(rng: np.random.Generator) -> Pairs:
    """Deal the classes of the short release's 164 clips to subjects; the real numbers by subject are not published."""
    least = {subject: max(1, len(RESERVED.get(subject, ()))) for subject in SUBJECTS}
    return deal_unevenly(EMOTION_COUNTS, least, rng, RESERVED)


def _name_clips(drafts: Sequence[Draft], unused: Collection[str] = ()) -> Iterator[tuple[Draft, str]]:
    """Yield each draft with a clip name ("s1_ne_01"), numbered by subject and class; skip the names in `unused`."""
    taken: Counter[str] = Counter()
    for draft in drafts:
        stem = f"s{draft.subject}_{CODES[draft.emotion]}"
        taken[stem] += 1
        while f"{stem}_{taken[stem]:02d}" in unused:
            taken[stem] += 1
        yield draft, f"{stem}_{taken[stem]:02d}"


def _place_short(drafts: Sequence[Draft]) -> list[ClipPlan]:
    plans = []
    for draft, name in _name_clips(drafts):
        folder = f"{PICTURES}/HS/s{draft.subject}/micro/{draft.emotion}/{name}"
        onset = int(draft.rng.integers(10_000, 800_000))
        plans.append(draft.place(name, onset, path=f"{folder}/image{{:06d}}.bmp"))
    return plans


def _roster_long(rng: np.random.Generator) -> Pairs:
    pairs = _deal_classes(rng)
    word_of = {code: word for word, code in CODES.items()}
    for name in (*PARTS_OF_OTHERS, *ABSENT):
        subject, code, _ = name.split("_")
        pairs.remove((int(subject[1:]), word_of[code]))
    return pairs


def _place_long(drafts: Sequence[Draft]) -> list[ClipPlan]:
    plans: list[ClipPlan] = []
    is_whole = len(drafts) == sum(LONG_COUNTS.values())
    for index, (draft, name) in enumerate(_name_clips(drafts, {*PARTS_OF_OTHERS, *ABSENT})):
        rng = draft.rng
        n_more = MORE.get(name, 0) if is_whole else int(index % MORE_EVERY == MORE_EVERY - 1)
        onset = int(rng.integers(10_000, 20_000_000))
        before, after, gap = (int(frames) for frames in rng.integers([8, 8, 2], [20, 20, 8]))
        step = draft.n_frames + gap
        plan = draft.place(
            name,
            onset,
            path=f"{LONG_PICTURES}/HS_long/SMIC-HS-E/s{draft.subject:02d}/{name}/image{{:06d}}.jpg",
            before=before,
            after=after + n_more * step,
            again=tuple(onset + turn * step for turn in range(1, n_more + 1)),
        )
        plans.append(replace(plan, told={"emotion": MISLABELLED[name]}) if name in MISLABELLED else plan)
    return plans


def _sheets(plans: Sequence[ClipPlan]) -> Sheets:
    """Return the sheets HS and VIS (the slower camera); most frame cells of HS are formulas, some on cells of VIS."""
    fast: list[Sequence[Cell]] = [HEADER]
    slow: list[Sequence[Cell]] = [HEADER]
    for row, plan in enumerate(plans, start=2):
        fast.append(_row(plan, row, is_linked=row % 3 == 0))
        slow.append(_vis_row(plan))
    width = len(HEADER)
    return {"HS": [*fast, *[[Blank()] * width] * N_EMPTY_ROWS], "VIS": slow, "Sheet2": (), "Sheet3": ()}


def _row(plan: ClipPlan, row: int, *, is_linked: bool) -> Sequence[Cell]:
    onsets = [plan.onset, *plan.again, None, None][:3]
    length = plan.offset - plan.onset + 1
    cells: list[Cell] = [plan.subject, plan.name, None]
    for onset, at, total in zip(onsets, "DFH", "MNO", strict=True):
        if onset is None:
            cells += [None, None]
            continue
        link = f"=VIS!{at}{row}*{VIS_SHARE}+{onset % VIS_SHARE}"
        cells += [Formula(link, onset) if is_linked else onset]
        cells += [Formula(f"={at}{row}+{total}{row}-1", onset + length - 1)]
    n_frames = plan.last - plan.first + 1
    cells += [None, plan.first, Formula(f"=K{row}+P{row}-1", plan.last)]
    cells += [None if onset is None else length for onset in onsets]
    cells += [n_frames, plan.cell("emotion")]
    if plan.name == GARBAGE:
        cells[7], cells[8] = Formula(f"=F{row}-VIS!H{row}*{VIS_SHARE}", -17), Formula(f"=H{row}+O{row}-1", -18)
        cells[14] = Formula(f"=VIS!O{row}*{VIS_SHARE}", 0)
    return cells


def _vis_row(plan: ClipPlan) -> Sequence[Cell]:
    slow = [number // VIS_SHARE for number in (plan.onset, plan.offset, plan.first, plan.last)]
    onset, offset, first, last = slow
    seconds: list[Cell] = []
    for later in (*plan.again, None, None)[:2]:
        end = None if later is None else (later + plan.offset - plan.onset) // VIS_SHARE
        seconds += [None if later is None else later // VIS_SHARE, end]
    totals = (offset - onset + 1, None, None, last - first + 1)
    return [plan.subject, plan.name, None, onset, offset, *seconds, None, first, last, *totals, plan.cell("emotion")]


LAYOUT = GeneratedLayout(
    name="smic",
    title="SMIC-HS",
    subjects=SUBJECTS,
    subject_id="{:02d}",
    emotions=EMOTION_COUNTS,
    pace=PACE,
    roster=_deal_classes,
    place=_place_short,
    folder=PICTURES,
    first_person=FIRST_PERSON,
    view=View(WIDTH * 3 // 4, HEIGHT * 3 // 4, 0.75),
    has_apex=False,
)
LONG_LAYOUT = GeneratedLayout(
    name="smic-long",
    title="SMIC-HS-E",
    subjects=SUBJECTS,
    subject_id="{:02d}",
    emotions=LONG_COUNTS,
    pace=PACE,
    roster=_roster_long,
    place=_place_long,
    folder=LONG_PICTURES,
    first_person=FIRST_PERSON,
    table=f"{LONG_PICTURES}/{DATASET.tables[0]}",
    sheets=_sheets,
    has_apex=False,
)
