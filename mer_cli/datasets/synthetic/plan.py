"""What is to be drawn: clips with their action units, frame numbers and random streams. Decides, draws nothing.

A release's module turns drafts (who, which emotion, how long) into planned clips: it names them, numbers their frames
and puts in the release's own faults.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mer_cli.datasets.synthetic.action_units import BOTH, ONE_SIDED
from mer_cli.datasets.synthetic.recipes import RECIPE_WEIGHTS, RECIPES

PEAK = (1.0, 3.0)  # pixels at 224, at intensity 1


@dataclass(frozen=True)
class UnitPlan:
    """One action unit of a clip: its side ("B", "L", "R") and its peak motion in pixels of a 224 crop."""

    number: int
    side: str
    peak: float

    @property
    def code(self) -> str:
        """As in a coding table: "4", "L10"."""
        return f"{'' if self.side == BOTH else self.side}{self.number}"


@dataclass(frozen=True)
class ClipPlan:
    """A clip to draw. `seed` is its own random stream; onset, apex and offset are the frame numbers that are drawn.

    person : number of the face that is drawn
    path : of a picture, relative to the release, for `path.format(number)`
    told : what the coding table says other than the truth, by the name of the field
    absent : frame numbers that are not on disk
    before, after : neutral frames around onset..offset
    again : frame numbers at which the same expression begins once more
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

    @property
    def first(self) -> int:
        """Number of the first frame that is drawn."""
        return self.onset - self.before

    @property
    def last(self) -> int:
        """Number of the last frame that is drawn."""
        return self.offset + self.after

    @property
    def unit_codes(self) -> str:
        """As in a coding table: "4+L10"."""
        return "+".join(unit.code for unit in self.units)

    @property
    def unit_numbers(self) -> tuple[int, ...]:
        return tuple(unit.number for unit in self.units)

    def cell(self, name: str) -> int | str:
        """What the coding table says of a field: "onset", "apex", "offset" or "emotion"."""
        return self.told.get(name, getattr(self, name))

    @property
    def frame_cells(self) -> tuple[int | str, int | str, int | str]:
        """What the coding table says of onset, apex and offset."""
        return self.cell("onset"), self.cell("apex"), self.cell("offset")

    @property
    def units_cell(self) -> int | str:
        """What a spreadsheet makes of the units: a number where they are one."""
        return int(self.unit_codes) if self.unit_codes.isdecimal() else self.unit_codes


@dataclass(frozen=True)
class Pace:
    """How long a release's clips are: frames a second, and frames from onset to offset.

    The length is gamma-distributed, `scale` frames times 6 on average, within `shortest`..`longest`.
    """

    fps: float
    scale: float
    shortest: int
    longest: int


@dataclass(frozen=True)
class Draft:
    """A clip before it has a name and frame numbers.

    person : number of the face that is drawn
    order : of the subject's clips, from 1
    n_frames : from onset to offset, both included
    rise : frames from the onset to the apex
    rng : its random stream, for whatever the release's own layout leaves to chance
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
        """The clip under a name, from an onset on; `more` are further fields of the plan."""
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


def draft_clip(seed: int, subject: int, person: int, order: int, emotion: str, pace: Pace, intensity: float) -> Draft:
    """Draws the units and the length of a clip from a random stream of its own, for a release's seed."""
    stream = (seed, 1, person, order)
    rng = np.random.default_rng(stream)
    recipes = RECIPES[emotion]
    weights = np.array(RECIPE_WEIGHTS[: len(recipes)])
    units = recipes[rng.choice(len(recipes), p=weights / weights.sum())]
    planned = []
    for number in units:
        one_sided = number in ONE_SIDED and rng.random() < 0.2
        side = str(rng.choice(["L", "R"])) if one_sided else BOTH
        planned.append(UnitPlan(number, side, float(rng.uniform(*PEAK)) * intensity))
    n_frames = int(np.clip(round(rng.gamma(6, pace.scale)), pace.shortest, pace.longest))
    rise = int(np.clip(round(n_frames * rng.uniform(0.3, 0.6)), 3, n_frames - 4))
    return Draft(subject, person, order, emotion, tuple(planned), n_frames, rise, stream, pace.fps, rng)
