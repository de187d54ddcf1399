"""Describe a generated release as data, and plan from it a release of any size: who shows what, and how often."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mer_cli.datasets.synthetic.clip import View
from mer_cli.datasets.synthetic.plan import ClipPlan, Draft, Pace, draft_clip
from mer_cli.datasets.synthetic.realism import RELEASES, USUAL, check_release
from mer_cli.datasets.synthetic.spreadsheet import Sheets
from mer_cli.errors import ConfigError, unknown_name

MOST_SUBJECTS = 99
LARGEST_FACTOR = 10.0  # on light and noise

Pairs = list[tuple[int, str]]  # subject and emotion of each clip


@dataclass(frozen=True)
class GeneratedLayout:
    """One release that can be generated.

    name, title : "samm", "SAMM"
    subjects : numbers of the subjects, by default all of the real release
    subject_id : format of a subject's number: "{:03d}"
    emotions : emotion, in the words of the schemes -> number of clips, by default as many as in the real release
    pace : frame rate and lengths of the clips
    roster : draws subject and emotion of each clip, for a release of the real size
    place : turns drafts, sorted by subject, into planned clips in the table's order
    first_person : added to a subject's number to get the number of the face, so that no two datasets share faces
    folder : the folder of images, relative to the release
    view : how a drawn face is shown; None leaves the drawn image as it is
    table : the coding table, relative to the release; "" for a release without one
    sheets : returns what the coding table holds, for the planned clips
    has_apex : whether the apex of a clip is annotated
    more_tables : returns further coding tables, by their path in the release, and what they hold
    """

    name: str
    title: str
    subjects: tuple[int, ...]
    subject_id: str
    emotions: Mapping[str, int]
    pace: Pace
    roster: Callable[[np.random.Generator], Pairs]
    place: Callable[[Sequence[Draft]], list[ClipPlan]]
    folder: str
    first_person: int
    view: View | None = None
    table: str = ""
    sheets: Callable[[Sequence[ClipPlan]], Sheets] | None = None
    has_apex: bool = True
    more_tables: Callable[[Sequence[ClipPlan]], Mapping[str, Sheets]] | None = None

    @property
    def n_clips(self) -> int:
        """Number of clips that are written by default."""
        return sum(self.emotions.values())

    def plan(
        self,
        *,
        subjects: int | None = None,
        clips: int | None = None,
        seed: int = 0,
        intensity: float = 1.0,
        emotions: Sequence[str] | None = None,
        release: int = USUAL,
        light: float = 1.0,
        noise: float = 1.0,
    ) -> list[ClipPlan]:
        """Plan the clips of a generated release, in the order of its table.

        Parameters
        ----------
        subjects, clips : number of subjects, and of all clips together; None means the layout's own number
        intensity : factor on the motion of expressions; at 1, its peak is 1-3 pixels of a 224 crop
        emotions : plan only these, in equal numbers; None plans all, in the real release's proportions
        release : number of the generator's release, a key of `realism.RELEASES`
        light, noise : factors on the flicker and drift of the light, and on the sensor's noise

        Raises
        ------
        ConfigError
            If a value can't be used.
        """
        n_subjects = len(self.subjects) if subjects is None else subjects
        n_clips = self.n_clips if clips is None else clips
        self._check(n_subjects, n_clips, intensity, emotions)
        check_release(release)
        for flag, factor in (("light", light), ("noise", noise)):
            if not 0 <= factor <= LARGEST_FACTOR:
                raise ConfigError(f"--{flag} must be from 0 to {LARGEST_FACTOR:g}, got {factor}.")
        realism = RELEASES[release]
        pace = realism.pace(self.name, self.pace)
        rng = np.random.default_rng([seed, 0])
        people = self._people(n_subjects)
        if emotions:
            pairs = equal_numbers(people, n_clips, emotions)
        elif (n_subjects, n_clips) == (len(self.subjects), self.n_clips):
            pairs = self.roster(rng)
        else:
            pairs = in_proportion(people, n_clips, self.emotions, rng)
        drafts = []
        taken: dict[int, int] = {}
        for subject, emotion in sorted(pairs, key=lambda pair: pair[0]):
            order = taken[subject] = taken.get(subject, 0) + 1
            person = self.first_person + subject
            habit = realism.habit(self.name, emotion, seed, person)
            drafts.append(draft_clip(seed, subject, person, order, emotion, pace, intensity, habit))
        plans = [replace(plan, release=release, light=light, noise=noise) for plan in self.place(drafts)]
        return [_at_own_rate(plan, pace.fps) for plan in plans] if self.name in realism.lengths else plans

    def _people(self, n_subjects: int) -> list[int]:
        """Return `n_subjects` subject numbers: the real release's first, then the numbers after the largest of them."""
        spare = range(max(self.subjects) + 1, max(self.subjects) + 1 + n_subjects)
        return [*self.subjects, *spare][:n_subjects]

    def _check(self, subjects: int, clips: int, intensity: float, emotions: Sequence[str] | None) -> None:
        if not 1 <= subjects <= MOST_SUBJECTS:
            raise ConfigError(f"--subjects must be from 1 to {MOST_SUBJECTS}, got {subjects}.")
        if clips < subjects:
            raise ConfigError(f"--clips must be at least --subjects ({subjects}), got {clips}.")
        if not 0 < intensity <= 10:
            raise ConfigError(f"--intensity must be more than 0 and at most 10, got {intensity}.")
        for emotion in emotions or ():
            if emotion not in self.emotions:
                raise ConfigError(f"--emotions: {unknown_name('emotion', emotion, self.emotions)}")


def _at_own_rate(plan: ClipPlan, fps: float) -> ClipPlan:
    """Return a clip that was planned at a frame rate with the frames that it has at its own."""
    apex, offset = (plan.onset + round((number - plan.onset) * plan.fps / fps) for number in (plan.apex, plan.offset))
    return replace(plan, apex=apex, offset=offset)


def equal_numbers(subjects: Sequence[int], clips: int, emotions: Sequence[str]) -> Pairs:
    """Return `clips` pairs of subject and emotion: each emotion once for the first subject, then for the next, ..."""
    return [
        (subjects[(index // len(emotions)) % len(subjects)], emotions[index % len(emotions)]) for index in range(clips)
    ]


def in_proportion(subjects: Sequence[int], clips: int, counts: Mapping[str, int], rng: np.random.Generator) -> Pairs:
    """Return `clips` pairs of subject and emotion, in the proportions of `counts`; each subject gets at least one."""
    total = sum(counts.values())
    words = spell(dict(zip(counts, share_out(clips, [count / total for count in counts.values()]), strict=True)))
    rng.shuffle(words)
    weights = rng.dirichlet(np.full(len(subjects), 2.5))
    owners = [*range(len(subjects)), *rng.choice(len(subjects), clips - len(subjects), p=weights)]
    return [(subjects[owner], str(word)) for owner, word in zip(owners, words, strict=True)]


def spell(counts: Mapping[str, int]) -> list[str]:
    """Return each word repeated by its count: ["a", "a", "b"] for {"a": 2, "b": 1}."""
    return [word for word, count in counts.items() for _ in range(count)]


def deal(
    words: Iterable[str],
    sizes: Mapping[int, int],
    rng: np.random.Generator,
    reserved: Mapping[int, Sequence[str]] | None = None,
) -> Pairs:
    """Shuffle the words and deal them out, as pairs of subject and word.

    Parameters
    ----------
    sizes : subject -> its number of words; the numbers add up to all words
    reserved : subject -> the words that it must get; they count in `sizes` and come first
    """
    pile, kept = list(words), reserved or {}
    pairs = [(subject, word) for subject, own in kept.items() for word in own]
    for _, word in pairs:
        pile.remove(word)
    rng.shuffle(pile)
    for subject, size in sizes.items():
        pairs += [(subject, pile.pop()) for _ in range(size - len(kept.get(subject, ())))]
    assert not pile, pile
    return pairs


def spread(total: int, least: Mapping[int, int], rng: np.random.Generator) -> dict[int, int]:
    """Draw an uneven number for each subject, at least the number in `least`, so that they add up to `total`."""
    sizes = dict(least)
    subjects = list(least)
    weights = rng.dirichlet(np.full(len(subjects), 2.5))
    for index in rng.choice(len(subjects), total - sum(least.values()), p=weights):
        sizes[subjects[index]] += 1
    return sizes


def deal_unevenly(
    counts: Mapping[str, int],
    least: Mapping[int, int],
    rng: np.random.Generator,
    reserved: Mapping[int, Sequence[str]] | None = None,
) -> Pairs:
    """Deal out words as `deal` does, but unevenly; `counts` is by word, `least` has the minimum for each subject."""
    return deal(spell(counts), spread(sum(counts.values()), least, rng), rng, reserved)


def share_out(total: int, shares: Sequence[float]) -> list[int]:
    """Split `total` into whole numbers near the shares (fractions of 1), each at least 1 if `total` is large enough."""
    counts = [max(int(total * share), 1 if total >= len(shares) else 0) for share in shares]
    while sum(counts) != total:
        step = 1 if sum(counts) < total else -1
        gaps = [step * (total * share - count) for share, count in zip(shares, counts, strict=True)]
        allowed = [gap if step > 0 or count > 1 else -np.inf for gap, count in zip(gaps, counts, strict=True)]
        counts[int(np.argmax(allowed))] += step
    return counts
