"""Describe a generated release as data, and plan one of any size from it: who shows what, and how often."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mer_cli.datasets.synthetic.clip import View
from mer_cli.datasets.synthetic.plan import ClipPlan, Draft, Pace, draft_clip
from mer_cli.datasets.synthetic.spreadsheet import Sheets
from mer_cli.errors import ConfigError, unknown_name

MOST_SUBJECTS = 99

Pairs = list[tuple[int, str]]  # subject and emotion of each clip


@dataclass(frozen=True)
class GeneratedLayout:
    """One release that can be generated.

    name, title : "samm", "SAMM"
    subjects : the real release's, by number
    subject_id : format of a subject's number: "{:03d}"
    emotions : the real release's clips by emotion, in the words of the schemes
    pace : frame rate and lengths
    roster : subject and emotion of each clip at the real size
    place : turns drafts, sorted by subject, into clips in the table's order
    first_person : added to a subject's number to number the face, because no two datasets show the same people
    folder : the folder of images, relative to the release
    view : how a drawn face is shown; None means as it is drawn
    table : the coding table, relative to the release; "" for a release without one
    sheets : what the coding table holds
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

    @property
    def n_clips(self) -> int:
        """Return the number of clips in the real release."""
        return sum(self.emotions.values())

    def plan(
        self,
        *,
        subjects: int | None = None,
        clips: int | None = None,
        seed: int = 0,
        intensity: float = 1.0,
        emotions: Sequence[str] | None = None,
    ) -> list[ClipPlan]:
        """Plan a release, in the order of its table.

        Parameters
        ----------
        subjects, clips : how many, the clips of all subjects together; None means as many as the real release
        intensity : factor on the motion; at 1 it peaks at 1-3 pixels
        emotions : only these, in equal numbers; None means all, in the real release's proportions

        Raises
        ------
        ConfigError
            If a value can't be used.
        """
        n_subjects = len(self.subjects) if subjects is None else subjects
        n_clips = self.n_clips if clips is None else clips
        self._check(n_subjects, n_clips, intensity, emotions)
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
            drafts.append(draft_clip(seed, subject, person, order, emotion, self.pace, intensity))
        return self.place(drafts)

    def _people(self, n_subjects: int) -> list[int]:
        """Return the release's own subjects, and further numbers after them if needed."""
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


def equal_numbers(subjects: Sequence[int], clips: int, emotions: Sequence[str]) -> Pairs:
    """Deal the emotions in turn, each round of them to the next subject."""
    return [
        (subjects[(index // len(emotions)) % len(subjects)], emotions[index % len(emotions)]) for index in range(clips)
    ]


def in_proportion(subjects: Sequence[int], clips: int, counts: Mapping[str, int], rng: np.random.Generator) -> Pairs:
    """Deal emotions in the proportions of `counts`, unevenly among the subjects, at least one each."""
    total = sum(counts.values())
    words = spell(dict(zip(counts, share_out(clips, [count / total for count in counts.values()]), strict=True)))
    rng.shuffle(words)
    weights = rng.dirichlet(np.full(len(subjects), 2.5))
    owners = [*range(len(subjects)), *rng.choice(len(subjects), clips - len(subjects), p=weights)]
    return [(subjects[owner], str(word)) for owner, word in zip(owners, words, strict=True)]


def spell(counts: Mapping[str, int]) -> list[str]:
    """Repeat each word as often as its count says: {"a": 2, "b": 1} becomes ["a", "a", "b"]."""
    return [word for word, count in counts.items() for _ in range(count)]


def deal(
    words: Iterable[str],
    sizes: Mapping[int, int],
    rng: np.random.Generator,
    reserved: Mapping[int, Sequence[str]] | None = None,
) -> Pairs:
    """Shuffle the words and deal them out.

    Parameters
    ----------
    sizes : number of words by subject; they add up to all words
    reserved : words that a subject must get, as its first ones
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
    """Draw uneven sizes that add up to the total; `least` has each subject's smallest."""
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
    """Shuffle the words and deal them out in uneven numbers; `least` has each subject's smallest."""
    return deal(spell(counts), spread(sum(counts.values()), least, rng), rng, reserved)


def share_out(total: int, shares: Sequence[float]) -> list[int]:
    """Return whole numbers near the shares that add up to the total; each at least one if there are enough."""
    counts = [max(int(total * share), 1 if total >= len(shares) else 0) for share in shares]
    while sum(counts) != total:
        step = 1 if sum(counts) < total else -1
        gaps = [step * (total * share - count) for share, count in zip(shares, counts, strict=True)]
        allowed = [gap if step > 0 or count > 1 else -np.inf for gap, count in zip(gaps, counts, strict=True)]
        counts[int(np.argmax(allowed))] += step
    return counts
