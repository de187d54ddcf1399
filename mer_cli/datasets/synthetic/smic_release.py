"""SMIC-HS's own layout, the short release: pictures from onset to offset, the class in the name, no table.

    SMIC_all_raw/HS/s1/micro/negative/s1_ne_01/image559740.bmp ...

Pictures are bitmaps, so they are three quarters of the drawn size (240x270) and clips have some 18 frames instead of
the real 34: the whole release has 0.6 GB.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from mer_cli.datasets.smic import EMOTION_OF, VERSIONS
from mer_cli.datasets.synthetic.layout import GeneratedLayout
from mer_cli.datasets.synthetic.plan import ClipPlan, Draft, Pace
from mer_cli.datasets.synthetic.render import HEIGHT, WIDTH
from mer_cli.datasets.synthetic.roster import Pairs, deal, spell, spread
from mer_cli.datasets.synthetic.view import View

PICTURES = "SMIC_all_raw"
SUBJECTS = (1, 2, 3, 4, 5, 6, 8, 9, 11, 12, 13, 14, 15, 18, 19, 20)
EMOTION_COUNTS = VERSIONS["HS"]
CODES = {emotion: code for code, emotion in EMOTION_OF.items()}
# So many of one class have the subjects whose clips are known by name: s3_ne_20, s4_ne_06, s18_sur_03 ...
RESERVED = {
    1: ("negative",) * 2, 2: ("surprise",) * 5, 3: ("negative",) * 20, 4: ("negative",) * 6, 9: ("surprise",) * 2,
    18: ("surprise",) * 3, 20: ("negative",) * 6,
}  # fmt: skip
FIRST_PERSON = 3000  # the long release shows the same people
PACE = Pace(fps=100, scale=3, shortest=8, longest=34)


def deal_classes(rng: np.random.Generator) -> Pairs:
    """The 164 clips of the short release; nothing is published of the clips by subject."""
    least = {subject: max(1, len(RESERVED.get(subject, ()))) for subject in SUBJECTS}
    return deal(spell(EMOTION_COUNTS), spread(sum(EMOTION_COUNTS.values()), least, rng), rng, RESERVED)


def name_clips(drafts: Sequence[Draft], unused: Collection[str] = ()) -> Iterator[tuple[Draft, str]]:
    """Each clip's name ("s1_ne_01"), counted within a subject's class; `unused` names are left out."""
    taken: Counter[str] = Counter()
    for draft in drafts:
        stem = f"s{draft.subject}_{CODES[draft.emotion]}"
        taken[stem] += 1
        while f"{stem}_{taken[stem]:02d}" in unused:
            taken[stem] += 1
        yield draft, f"{stem}_{taken[stem]:02d}"


def _place(drafts: Sequence[Draft]) -> list[ClipPlan]:
    plans = []
    for draft, name in name_clips(drafts):
        folder = f"{PICTURES}/HS/s{draft.subject}/micro/{draft.emotion}/{name}"
        onset = int(draft.rng.integers(10_000, 800_000))
        plans.append(draft.place(name, onset, path=f"{folder}/image{{:06d}}.bmp"))
    return plans


LAYOUT = GeneratedLayout(
    name="smic",
    title="SMIC-HS",
    subjects=SUBJECTS,
    subject_id="{:02d}",
    emotions=EMOTION_COUNTS,
    pace=PACE,
    roster=deal_classes,
    place=_place,
    folder=PICTURES,
    first_person=FIRST_PERSON,
    view=View(WIDTH * 3 // 4, HEIGHT * 3 // 4, 0.75),
)
