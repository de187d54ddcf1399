"""CAS(ME)^3 part A's own layout, the cut clips: text in every cell of the table, the onset in the folder's name.

    cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx
    Part_A_ME_clip/frame/spNo.1_a_355/355.jpg ...

The table says `spNO.1`, the folders `spNo.1`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import cycle, groupby
from typing import NamedTuple

import numpy as np

from mer_cli.datasets.casme3 import DATASET, VERSIONS
from mer_cli.datasets.synthetic.layout import GeneratedLayout, Pairs, deal_unevenly
from mer_cli.datasets.synthetic.plan import ClipPlan, Draft, Pace, objective_class
from mer_cli.datasets.synthetic.spreadsheet import Cell, Sheets

PICTURES = "Part_A_ME_clip"
HEADER = ("Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion")
ROMAN = ("", "I", "II", "III", "IV", "V", "VI", "VII")
EMOTION_COUNTS = VERSIONS["part-A-v2"]
# 94 numbers; only those of subjects with known faults have to be the real ones.
SUBJECTS = (*range(1, 16), *range(39, 42), *range(142, 218))
ONLY_OTHERS = (9, 41, 150, 170, 190, 210)  # 88 of the 94 have a clip of another emotion; which 88 is not published
N_REPEATED = 191  # pairs of subject and file name that several clips share
RECORDINGS = "abcdefghijklm"
UPPER_CASE = (14, "j")  # the one recording whose name is in upper case in the table


class Fault(NamedTuple):
    """A faulty table row: its recording, the true onset, apex and offset (so it is drawn), and what the table says."""

    recording: str
    onset: int
    apex: int
    offset: int
    told: Mapping[str, int]


FAULTS: dict[int, tuple[Fault, ...]] = {
    40: (Fault("e", 1812, 1824, 1845, {"offset": 0}), Fault("e", 2327, 2363, 2403, {"offset": 0})),
    149: (Fault("d", 112, 123, 358, {"apex": 83}),),
    214: (Fault("c", 5, 14, 34, {"apex": 5, "offset": 3460}),),
    216: (Fault("d", 2647, 2668, 2694, {"onset": 3647}), Fault("e", 1, 12, 25, {"onset": 0, "apex": 0})),
}
N_STILL = 53  # rows with onset == apex, besides those in FAULTS
N_CAPITALS = 3  # rows with `Others` for others
ODD_UNITS = ("B23", "B28")
DROPPED = 0.1  # of the clips, whose recordings have dropped frames


def _roster(rng: np.random.Generator) -> Pairs:
    """Deal emotions to subjects: 88 have a clip of the three classes; more is not published about subjects."""
    least = {subject: max(1, len(FAULTS.get(subject, ()))) for subject in SUBJECTS if subject not in ONLY_OTHERS}
    main = {word: count for word, count in EMOTION_COUNTS.items() if word != "others"}
    pairs = deal_unevenly(main, least, rng)
    least = {subject: int(subject in ONLY_OTHERS) for subject in SUBJECTS}
    return pairs + deal_unevenly({"others": EMOTION_COUNTS["others"]}, least, rng)


def _place(drafts: Sequence[Draft]) -> list[ClipPlan]:
    own = {subject: list(group) for subject, group in groupby(drafts, key=lambda draft: draft.subject)}
    share = len(drafts) / sum(EMOTION_COUNTS.values())
    n_repeated = _deal_repeats({subject: len(group) for subject, group in own.items()}, round(N_REPEATED * share))
    plans = [plan for subject, group in own.items() for plan in _place_subject(group, n_repeated[subject])]
    plain = [index for index, plan in enumerate(plans) if not plan.told]
    for index in _evenly(plain, round(N_STILL * share)):
        plans[index] = replace(plans[index], told={"apex": plans[index].onset})
    for index in _evenly(plain, round(DROPPED * len(plans))):
        inside = plans[index].offset - plans[index].onset - 1
        plans[index] = replace(plans[index], absent=frozenset({plans[index].onset + 1 + index % inside}))
    others = [index for index, plan in enumerate(plans) if plan.emotion == "others"]
    for index in _evenly(others, round(N_CAPITALS * share)):
        plans[index] = replace(plans[index], told={**plans[index].told, "emotion": "Others"})
    for index, units in zip(_evenly(plain[1:], round(len(ODD_UNITS) * share)), ODD_UNITS, strict=False):
        plans[index] = replace(plans[index], told={**plans[index].told, "units": units})
    return plans


def _deal_repeats(sizes: Mapping[int, int], total: int) -> dict[int, int]:
    """Return how many recordings of each subject hold several clips, dealt in turn to subjects with enough clips."""
    repeats = dict.fromkeys(sizes, 0)
    total = min(total, sum(size // 2 for size in sizes.values()))
    for subject in cycle(sizes):
        if sum(repeats.values()) == total:
            return repeats
        repeats[subject] += repeats[subject] < sizes[subject] // 2
    return repeats


def _place_subject(drafts: Sequence[Draft], n_repeated: int) -> Iterator[ClipPlan]:
    """Yield the planned clips of one subject, recording by recording; `n_repeated` recordings hold several clips."""
    subject, rng = drafts[0].subject, drafts[0].rng
    faults = FAULTS.get(subject, ())
    waiting = iter(drafts)
    for recording, n_clips in sorted(_recordings(drafts, n_repeated, rng)):
        last = int(rng.integers(10, 2000))
        own_faults = [fault for fault in faults if fault.recording == recording]
        for turn in range(n_clips):
            draft = next(waiting)
            plan = draft.place("", last + int(rng.integers(15, 300)))
            if turn < len(own_faults):
                _, onset, apex, offset, told = own_faults[turn]
                plan = replace(plan, onset=onset, apex=apex, offset=offset, told=told)
            last = plan.offset
            name = f"{recording}_{plan.cell('onset')}"
            folder = f"{PICTURES}/frame/spNo.{subject}_{name}"
            shown = name.upper() if (subject, recording) == UPPER_CASE else name
            yield replace(plan, name=shown, path=f"{folder}/{{}}.jpg")


def _recordings(drafts: Sequence[Draft], n_repeated: int, rng: np.random.Generator) -> Iterator[tuple[str, int]]:
    """Yield the name of each recording of a subject and its number of clips; `n_repeated` recordings hold several."""
    subject, n_clips = drafts[0].subject, len(drafts)
    known = dict.fromkeys(fault.recording for fault in FAULTS.get(subject, ()))
    wanted = [*known, *(recording for owner, recording in (UPPER_CASE,) if owner == subject)]
    letters = [*wanted, *(letter for letter in rng.permutation(list(RECORDINGS)).tolist() if letter not in wanted)]
    held = letters[: min(len(letters), n_clips - n_repeated)]
    sizes = [1 + (index < n_repeated) for index in range(len(held))]
    sizes[0] += n_clips - sum(sizes)
    return zip(held, sizes, strict=True)


def _evenly(indices: Sequence[int], count: int) -> list[int]:
    """Return `count` of the indices at even distances, or all indices if there are fewer."""
    count = min(count, len(indices))
    return [indices[turn * len(indices) // count] for turn in range(count)]


def _sheets(plans: Sequence[ClipPlan]) -> Sheets:
    rows: list[Sequence[Cell]] = [HEADER]
    for plan in plans:
        recording = plan.name.partition("_")[0]
        frames = (str(cell) for cell in plan.frame_cells)
        units = str(plan.told.get("units", plan.unit_codes))
        what = (units, ROMAN[objective_class(plan.unit_numbers)], str(plan.cell("emotion")))
        rows.append((f"spNO.{plan.subject}", recording, *frames, *what))
    return {"label": rows, "Sheet2": (), "Sheet3": ()}


LAYOUT = GeneratedLayout(
    name=DATASET.name,
    title=DATASET.title,
    subjects=SUBJECTS,
    subject_id="spNO.{}",
    emotions=EMOTION_COUNTS,
    pace=Pace(fps=DATASET.fps, scale=2, shortest=8, longest=25),
    roster=_roster,
    place=_place,
    folder=PICTURES,
    first_person=4000,
    table=DATASET.tables[0],
    sheets=_sheets,
)
