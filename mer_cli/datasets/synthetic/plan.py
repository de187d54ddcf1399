"""Decides what a generated release holds: subjects, clips, emotions, action units, frame numbers. Draws nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mer_cli.datasets.suggest import unknown_name
from mer_cli.datasets.synthetic.action_units import BOTH, ONE_SIDED
from mer_cli.errors import ConfigError

# CASME II's own counts (table of 2019-07-01).
EMOTION_COUNTS = {
    "happiness": 32, "disgust": 63, "repression": 27, "surprise": 28, "others": 99, "sadness": 4, "fear": 2,
}  # fmt: skip
# Its clips of the five classes by subject, 1 to 26.
SUBJECT_SIZES = (9, 13, 7, 5, 19, 5, 9, 3, 13, 13, 10, 12, 8, 4, 3, 4, 34, 3, 15, 11, 2, 2, 12, 10, 7, 16)
ONLY_OTHERS = (10, 18)  # subjects with no clip of the other four classes
AFRAID = 10  # whose one clip of fear keeps the subject in MMNet's three classes
# Clips that must be of an emotion: the faulty ones below, and three of subject 24 that the older table calls sadness.
RESERVED = {4: ("disgust",), 5: ("disgust",), 24: ("surprise",) * 3}
RELABELLED = (24, ("EP07_01", "EP07_04f", "EP10_03"))

# Which units make an emotion, the commonest first; 4+7 stands for two emotions on purpose, as annotators' does.
RECIPES: dict[str, tuple[tuple[int, ...], ...]] = {
    "happiness": ((12,), (6, 12), (12, 14), (6, 12, 15)),
    "disgust": ((4, 7), (4, 9), (9,), (10,), (4, 7, 9), (9, 10)),
    "repression": ((14,), (15,), (17,), (15, 17), (14, 17)),
    "surprise": ((1, 2), (1, 2, 5), (2,), (1,)),
    "others": ((4,), (4, 7), (4, 14), (24,), (7,), (1, 4)),
    "sadness": ((1, 4, 15), (1, 15)),
    "fear": ((1, 2, 4, 5), (1, 4, 5)),
}
RECIPE_WEIGHTS = (0.4, 0.3, 0.1, 0.1, 0.05, 0.05)
PEAK = (1.0, 3.0)  # pixels at 224, at intensity 1

# By subject: a clip without an apex, one whose apex is its onset, one whose last annotated frames were never cut.
MISSING_FRAMES = 16
QUIRKS: dict[int, dict[str, Any]] = {
    4: {"name": "EP12_01f", "onset": 261, "apex": 291, "offset": 321, "table_apex": "/"},
    5: {"name": "EP09_05f", "onset": 69, "apex": 93, "offset": 123, "table_apex": "69"},
    MISSING_FRAMES: {"name": "EP01_08", "onset": 73, "apex": 94, "offset": 110, "table_apex": "94", "n_missing": 14},
}


@dataclass(frozen=True)
class UnitPlan:
    """One action unit of a clip: its side ("B", "L", "R") and its peak motion in pixels of a 224 crop."""

    number: int
    side: str
    peak: float

    @property
    def code(self) -> str:
        """As in the coding table: "4", "L10"."""
        return f"{'' if self.side == BOTH else self.side}{self.number}"


@dataclass(frozen=True)
class ClipPlan:
    """A clip to draw. `seed` is its own random stream; onset, apex and offset are the frame numbers that are drawn.

    `table_apex` is what the coding table says of the apex, which need not be true; the last `n_missing` frames are
    annotated and not on disk.
    """

    subject: int
    name: str
    emotion: str
    units: tuple[UnitPlan, ...]
    onset: int
    apex: int
    offset: int
    seed: tuple[int, ...]
    table_apex: str
    n_missing: int = 0


def plan_release(
    subjects: int, clips: int, seed: int, intensity: float, emotions: Sequence[str] | None
) -> list[ClipPlan]:
    """Plans a release, sorted by subject and clip.

    Parameters
    ----------
    clips : of all subjects together
    intensity : factor on the motion; 1 peaks at 1-3 pixels
    emotions : only these, in equal numbers; None takes all, in the proportions of CASME II

    Raises
    ------
    ConfigError
        If a value can't be used.
    """
    _check(subjects, clips, intensity, emotions)
    rng = np.random.default_rng([seed, 0])
    if emotions:
        words = [emotions[index % len(emotions)] for index in range(clips)]
        owners = [(index // len(emotions)) % subjects + 1 for index in range(clips)]
        pairs = list(zip(owners, words, strict=True))
    else:
        pairs = _like_casme2(subjects, clips, rng)
    plans = []
    taken: dict[int, int] = {}
    for subject, emotion in sorted(pairs, key=lambda pair: pair[0]):
        order = taken[subject] = taken.get(subject, 0) + 1
        clip_seed = (seed, 1, subject, order)
        plans.append(_plan_clip(subject, order, emotion, intensity, clip_seed))
    return _with_quirks(plans)


def _plan_clip(subject: int, order: int, emotion: str, intensity: float, seed: tuple[int, ...]) -> ClipPlan:
    rng = np.random.default_rng(seed)
    recipes = RECIPES[emotion]
    weights = np.array(RECIPE_WEIGHTS[: len(recipes)])
    units = recipes[rng.choice(len(recipes), p=weights / weights.sum())]
    planned = []
    for number in units:
        one_sided = number in ONE_SIDED and rng.random() < 0.2
        side = str(rng.choice(["L", "R"])) if one_sided else BOTH
        planned.append(UnitPlan(number, side, float(rng.uniform(*PEAK)) * intensity))
    length = int(np.clip(round(rng.gamma(6, 6)), 9, 60))
    rise = int(np.clip(round(length * rng.uniform(0.3, 0.6)), 3, length - 4))
    onset = int(rng.integers(1, 60))
    name = f"EP{order:02d}_{int(rng.integers(1, 20)):02d}{'f' if rng.random() < 0.4 else ''}"
    apex, offset = onset + rise, onset + length - 1
    return ClipPlan(subject, name, emotion, tuple(planned), onset, apex, offset, seed, table_apex=str(apex))


def _with_quirks(plans: list[ClipPlan]) -> list[ClipPlan]:
    """CASME II's own faults, on the clips that have them where those subjects are planned.

    A release with fewer subjects has its missing frames on the last clip instead.
    """
    mended = list(plans)
    for subject, quirk in QUIRKS.items():
        own = [index for index, plan in enumerate(plans) if plan.subject == subject]
        disgusted = [index for index in own if plans[index].emotion == "disgust"]
        for index in (disgusted or own)[:1]:
            mended[index] = replace(plans[index], **quirk)
    subject, names = RELABELLED
    surprised = [i for i, plan in enumerate(plans) if plan.subject == subject and plan.emotion == "surprise"]
    for index, name in zip(surprised, names, strict=False):
        mended[index] = replace(mended[index], name=name)
    if all(plan.subject != MISSING_FRAMES for plan in plans):
        mended[-1] = replace(mended[-1], n_missing=2)
    return mended


def _like_casme2(subjects: int, clips: int, rng: np.random.Generator) -> list[tuple[int, str]]:
    """(subject, emotion) of every clip, in CASME II's proportions; at the full size with its own fold sizes."""
    total = sum(EMOTION_COUNTS.values())
    counts = _share_out(clips, [count / total for count in EMOTION_COUNTS.values()])
    words = [word for word, count in zip(EMOTION_COUNTS, counts, strict=True) for _ in range(count)]
    if (subjects, clips) == (len(SUBJECT_SIZES), total):
        return _at_full_size(words, rng)
    rng.shuffle(words)
    weights = rng.dirichlet(np.full(subjects, 2.5))
    owners = [*range(subjects), *rng.choice(subjects, clips - subjects, p=weights)]
    return [(int(owner) + 1, str(word)) for owner, word in zip(owners, words, strict=True)]


def _at_full_size(words: list[str], rng: np.random.Generator) -> list[tuple[int, str]]:
    """The five classes by the real fold sizes; sadness and fear go to subjects that have several classes."""
    rare = [word for word in words if word in ("sadness", "fear")]
    others = [word for word in words if word == "others"]
    rest = [word for word in words if word not in ("sadness", "fear", "others")]
    reserved = sum(SUBJECT_SIZES[subject - 1] for subject in ONLY_OTHERS)
    for reserved_words in RESERVED.values():
        for word in reserved_words:
            rest.remove(word)
    mixed = [*others[reserved:], *rest]
    rng.shuffle(mixed)
    pairs = [(subject, word) for subject, own_words in RESERVED.items() for word in own_words]
    for subject, size in enumerate(SUBJECT_SIZES, start=1):
        n_open = size - len(RESERVED.get(subject, ()))
        own = others[:size] if subject in ONLY_OTHERS else [mixed.pop() for _ in range(n_open)]
        pairs += [(subject, word) for word in own]
    owners = [AFRAID, *rng.choice([5, 9, 12, 17, 19, 24, 26], len(rare) - 1)]
    rare.sort()  # fear comes first
    return pairs + [(int(owner), word) for owner, word in zip(owners, rare, strict=True)]


def _share_out(total: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers near the shares that add up to the total; each at least one where there are enough."""
    counts = [max(int(total * share), 1 if total >= len(shares) else 0) for share in shares]
    while sum(counts) != total:
        step = 1 if sum(counts) < total else -1
        gaps = [step * (total * share - count) for share, count in zip(shares, counts, strict=True)]
        allowed = [gap if step > 0 or count > 1 else -np.inf for gap, count in zip(gaps, counts, strict=True)]
        counts[int(np.argmax(allowed))] += step
    return counts


def _check(subjects: int, clips: int, intensity: float, emotions: Sequence[str] | None) -> None:
    if not 1 <= subjects <= 99:
        raise ConfigError(f"--subjects: {subjects} can't be used — expected 1 to 99. Change the value.")
    if clips < subjects:
        raise ConfigError(
            f"--clips: {clips} is fewer than --subjects {subjects} — expected at least one clip a subject. Raise it."
        )
    if not 0 < intensity <= 10:
        raise ConfigError(f"--intensity: {intensity} can't be used — expected more than 0, up to 10. Change the value.")
    for emotion in emotions or ():
        if emotion not in RECIPES:
            raise ConfigError(f"--emotions: {unknown_name('emotion', emotion, RECIPES)}")
