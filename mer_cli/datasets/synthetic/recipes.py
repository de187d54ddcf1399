"""Which action units make an emotion, in the words of all the releases, and which objective class units fall into."""

from __future__ import annotations

from collections.abc import Collection

Recipe = tuple[tuple[int, ...], ...]

_HAPPY: Recipe = ((12,), (6, 12), (12, 14), (6, 12, 15))
_SAD: Recipe = ((1, 4, 15), (1, 15))
# The commonest first; 4+7 stands for three emotions on purpose, as annotators' does.
RECIPES: dict[str, Recipe] = {
    "happiness": _HAPPY,
    "disgust": ((4, 7), (4, 9), (9,), (10,), (4, 7, 9), (9, 10)),
    "repression": ((14,), (15,), (17,), (15, 17), (14, 17)),
    "surprise": ((1, 2), (1, 2, 5), (2,), (1,)),
    "others": ((4,), (4, 7), (4, 14), (24,), (7,), (1, 4)),
    "sadness": _SAD,
    "fear": ((1, 2, 4, 5), (1, 4, 5)),
    "anger": ((4, 5, 7), (4, 7), (4, 24), (7, 24), (5, 7)),
    "contempt": ((14,), (10, 14), (14, 17)),
    "tense": ((24,), (17, 24), (14, 24), (4, 24)),
    "happy": _HAPPY,
    "sad": _SAD,
    "positive": _HAPPY,
    "negative": ((4, 7), (4, 9), (9,), (1, 4, 15), (1, 15), (1, 2, 4, 5)),
}
RECIPE_WEIGHTS = (0.4, 0.3, 0.1, 0.1, 0.05, 0.05)

# Units -> objective class, roughly after CASME II's own: the first row whose units are all there.
OBJECTIVE_CLASSES = (
    ((12,), 1),
    ((6,), 1),
    ((1, 2), 2),
    ((2,), 2),
    ((4, 7), 3),
    ((4,), 3),
    ((9,), 4),
    ((10,), 4),
    ((15,), 5),
)
OTHER_CLASS = 7


def objective_class(units: Collection[int]) -> int:
    """1-5 after the units, or 7."""
    return next((value for wanted, value in OBJECTIVE_CLASSES if set(units).issuperset(wanted)), OTHER_CLASS)
