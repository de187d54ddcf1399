"""Who shows what: the clips of each emotion shared among subjects. Numbers in, (subject, emotion) pairs out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

Pairs = list[tuple[int, str]]  # subject and emotion of each clip


def equal_numbers(subjects: Sequence[int], clips: int, emotions: Sequence[str]) -> Pairs:
    """The emotions in turn, and each round of them to the next subject."""
    return [
        (subjects[(index // len(emotions)) % len(subjects)], emotions[index % len(emotions)]) for index in range(clips)
    ]


def in_proportion(subjects: Sequence[int], clips: int, counts: Mapping[str, int], rng: np.random.Generator) -> Pairs:
    """The emotions in the proportions of `counts`, shared unevenly among the subjects, at least one each."""
    total = sum(counts.values())
    words = spell(dict(zip(counts, share_out(clips, [count / total for count in counts.values()]), strict=True)))
    rng.shuffle(words)
    weights = rng.dirichlet(np.full(len(subjects), 2.5))
    owners = [*range(len(subjects)), *rng.choice(len(subjects), clips - len(subjects), p=weights)]
    return [(subjects[owner], str(word)) for owner, word in zip(owners, words, strict=True)]


def spell(counts: Mapping[str, int]) -> list[str]:
    """Each word as often as it counts."""
    return [word for word, count in counts.items() for _ in range(count)]


def deal(
    words: Iterable[str],
    sizes: Mapping[int, int],
    rng: np.random.Generator,
    reserved: Mapping[int, Sequence[str]] | None = None,
) -> Pairs:
    """Shuffles the words and deals them out.

    Parameters
    ----------
    sizes : words by subject; together as many as there are
    reserved : words that a subject must get, among its number; its first ones
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
    """Uneven sizes that add up to the total; `least` has each subject's smallest."""
    sizes = dict(least)
    subjects = list(least)
    weights = rng.dirichlet(np.full(len(subjects), 2.5))
    for index in rng.choice(len(subjects), total - sum(least.values()), p=weights):
        sizes[subjects[index]] += 1
    return sizes


def share_out(total: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers near the shares that add up to the total; each at least one where there are enough."""
    counts = [max(int(total * share), 1 if total >= len(shares) else 0) for share in shares]
    while sum(counts) != total:
        step = 1 if sum(counts) < total else -1
        gaps = [step * (total * share - count) for share, count in zip(shares, counts, strict=True)]
        allowed = [gap if step > 0 or count > 1 else -np.inf for gap, count in zip(gaps, counts, strict=True)]
        counts[int(np.argmax(allowed))] += step
    return counts
