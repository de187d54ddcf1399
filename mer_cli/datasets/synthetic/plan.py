"""Plan what is to be drawn: clips with their action units, frame numbers and random streams. Nothing is drawn here.

A release's module turns drafts (who, which emotion, how long) into planned clips: it names them, numbers their frames
and adds the release's own faults. This module decides which action units express an emotion, in the words of all
releases, and the objective class of a combination of units.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mer_cli.datasets.synthetic.action_units import BOTH, ONE_SIDED

Recipe = tuple[tuple[int, ...], ...]

_HAPPY: Recipe = ((12,), (6, 12), (12, 14), (6, 12, 15))
_SAD: Recipe = ((1, 4, 15), (1, 15))
# The commonest first; 4+7 expresses three emotions on purpose, as in the annotators' tables.
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
ONE_SIDED_SHARE = 0.2  # of the units that are often seen on one side only

# Units -> objective class, roughly as in CASME II: the first row whose units are all there.
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
    """Return the objective class of a combination of action units: 1-5, or 7 if the units are in none of these."""
    return next((value for wanted, value in OBJECTIVE_CLASSES if set(units).issuperset(wanted)), OTHER_CLASS)


PEAK = (1.0, 3.0)  # pixels at 224, at intensity 1


@dataclass(frozen=True)
class UnitPlan:
    """One action unit of a clip: its number, side ("B" both, "L", "R") and peak motion in pixels of a 224 crop."""

    number: int
    side: str
    peak: float

    @property
    def code(self) -> str:
        """The unit as a coding table writes it: "4", "L10"."""
        return f"{'' if self.side == BOTH else self.side}{self.number}"


@dataclass(frozen=True)
class ClipPlan:
    """A clip to draw: `seed` starts its own random stream; onset, apex and offset are the true frame numbers.

    person : number of the face that is drawn
    path : path of an image, relative to the release; `path.format(number)` fills in the frame number
    told : field -> what the coding table wrongly says
    absent : frame numbers that are not written to disk
    before, after : number of frames drawn before the onset and after the offset
    again : frame numbers at which the same expression starts again
    release : number of the generator's release that draws it, a key of `realism.RELEASES`
    light, noise : factors on the flicker and drift of the light, and on the sensor's noise
    drawn : numbers of the only frames that are drawn; None draws all
    """

    subject: int
    person: int
    name: str
    emotion: str
    units: tuple[UnitPlan, ...]
    onset: int
    apex: int
    offset: int
    seed: tuple[int, ...]
    fps: float
    path: str = ""
    told: Mapping[str, int | str] = field(default_factory=dict)
    absent: frozenset[int] = frozenset()
    before: int = 0
    after: int = 0
    again: tuple[int, ...] = ()
    release: int = 1
    light: float = 1.0
    noise: float = 1.0
    drawn: frozenset[int] | None = None

    @property
    def first(self) -> int:
        """Number of the first frame that is drawn."""
        return self.onset - self.before

    @property
    def last(self) -> int:
        """Number of the last frame that is drawn."""
        return self.offset + self.after

    def is_drawn(self, number: int) -> bool:
        """Return whether the frame of this number is drawn."""
        return self.drawn is None or number in self.drawn

    @property
    def unit_codes(self) -> str:
        """The action units as a coding table writes them: "4+L10"."""
        return "+".join(unit.code for unit in self.units)

    @property
    def unit_numbers(self) -> tuple[int, ...]:
        return tuple(unit.number for unit in self.units)

    def cell(self, name: str) -> int | str:
        """Return what the coding table says, right or wrong, for a field: "onset", "apex", "offset" or "emotion"."""
        return self.told.get(name, getattr(self, name))

    @property
    def frame_cells(self) -> tuple[int | str, int | str, int | str]:
        """What the coding table says, right or wrong, for onset, apex and offset."""
        return self.cell("onset"), self.cell("apex"), self.cell("offset")

    @property
    def units_cell(self) -> int | str:
        """The action units as a table cell: "4+L10", or the number 4 if there is only one and it has no side."""
        return int(self.unit_codes) if self.unit_codes.isdecimal() else self.unit_codes


@dataclass(frozen=True)
class Pace:
    """The frame rate of a release and the length of its clips, in frames from onset to offset.

    The length is gamma-distributed with an average of `shape` times `scale` and limited to `shortest`..`longest`. The
    apex is at a share of it that is drawn evenly from `rise`.
    """

    fps: float
    scale: float
    shortest: int
    longest: int
    shape: float = 6.0
    rise: tuple[float, float] = (0.3, 0.6)


@dataclass(frozen=True)
class Habit:
    """How a subject shows an emotion.

    sets : of action units · shares : the probability of each set, summing to 1
    one_sided : probability that a unit of `ONE_SIDED` is seen on one side only
    sides : probabilities that this side is the left and the right; None means even ones
    """

    sets: Recipe
    shares: tuple[float, ...]
    one_sided: float = ONE_SIDED_SHARE
    sides: tuple[float, float] | None = None


def usual_habit(emotion: str) -> Habit:
    """Return how everybody in release 1 shows an emotion."""
    weights = np.array(RECIPE_WEIGHTS[: len(RECIPES[emotion])])
    return Habit(RECIPES[emotion], tuple((weights / weights.sum()).tolist()))


@dataclass(frozen=True)
class Draft:
    """A clip before it has a name and frame numbers.

    person : number of the face that is drawn
    order : number among the subject's clips, from 1
    n_frames : number of frames from onset to offset, both included
    rise : number of frames from the onset to the apex
    rng : the clip's random stream, for further draws by the release's module
    """

    subject: int
    person: int
    order: int
    emotion: str
    units: tuple[UnitPlan, ...]
    n_frames: int
    rise: int
    seed: tuple[int, ...]
    fps: float
    rng: np.random.Generator = field(repr=False)

    def place(self, name: str, onset: int, **more: Any) -> ClipPlan:
        """Return the planned clip of this draft, with a name and an onset; `more` are further fields of `ClipPlan`."""
        apex, offset = onset + self.rise, onset + self.n_frames - 1
        return ClipPlan(
            subject=self.subject,
            person=self.person,
            name=name,
            emotion=self.emotion,
            units=self.units,
            onset=onset,
            apex=apex,
            offset=offset,
            seed=self.seed,
            fps=self.fps,
            **more,
        )


def draft_clip(
    seed: int, subject: int, person: int, order: int, emotion: str, pace: Pace, intensity: float, habit: Habit
) -> Draft:
    """Draw the action units and the length of a clip; its random stream depends only on `seed`, `person`, `order`."""
    stream = (seed, 1, person, order)
    rng = np.random.default_rng(stream)
    units = draw_units(rng, habit, intensity)
    n_frames = int(np.clip(round(rng.gamma(pace.shape, pace.scale)), pace.shortest, pace.longest))
    rise = int(np.clip(round(n_frames * rng.uniform(*pace.rise)), 3, n_frames - 4))
    return Draft(subject, person, order, emotion, units, n_frames, rise, stream, pace.fps, rng)


def draw_units(rng: np.random.Generator, habit: Habit, intensity: float) -> tuple[UnitPlan, ...]:
    """Draw the action units that express an emotion; `intensity` is a factor on their motion."""
    units = habit.sets[rng.choice(len(habit.sets), p=habit.shares)]
    planned = []
    for number in units:
        one_sided = number in ONE_SIDED and rng.random() < habit.one_sided
        side = str(rng.choice(["L", "R"], p=habit.sides)) if one_sided else BOTH
        planned.append(UnitPlan(number, side, float(rng.uniform(*PEAK)) * intensity))
    return tuple(planned)
