"""Plan what happens in a clip beside its expression: the head turns, eyes blink and look elsewhere, the mouth moves.

People who are recorded for micro-expressions are told to keep still, so all of it is small. Rates and sizes are chosen,
not measured. None of it depends on the strength of the expression.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mer_cli.datasets.synthetic.plan import ClipPlan

Curves = NDArray[np.float64]

MOUTH_UNITS = (18, 20, 26)  # lips and jaw
START, FARTHEST = (2.0, 1.6), 5.0  # deviation and limit of the head's yaw and pitch in a clip's first frame, degrees
STEADY = (1.2, 0.9)  # deviation of the steady part of a turn, degrees a second
SWAY, SWAY_SECONDS = (0.6, 0.5), 0.25  # deviation of the rest, degrees, and how long it takes to change
BLINKS = (10.0, 20.0)  # a minute, by person
BLINK_SECONDS, CLOSED = (0.15, 0.4), (0.7, 1.0)  # how long, and the share of a full blink
GLANCES = (0.5, 1.5)  # a second, by person
GLANCE = (2.5, 1.2)  # deviation of where the eyes look, degrees to the side and up
GLANCE_SECONDS = 0.04
MOUTH_SHARE = 0.2  # of the clips
MOUTH_PEAK = (0.15, 0.6)  # pixels at 224, of the most that a unit of the mouth moves
SYLLABLES = (3.0, 6.0)  # a second


@dataclass(frozen=True)
class Distractors:
    """What happens beside the expression in each frame of a clip, from the first that is drawn to the last.

    turn : (frames, 2) degrees of yaw and pitch; positive yaw turns the head to the image's right, positive pitch down
    gaze : (frames, 2) degrees that the eyes look to the image's right and up, from where they look at rest
    lids : (frames,) 0-1, how far the lids are closed
    mouth : (frames, 3) pixels at 224 that each of `MOUTH_UNITS` moves the face at most
    """

    turn: Curves
    gaze: Curves
    lids: Curves
    mouth: Curves

    def rows(self) -> Iterator[list[str]]:
        """Yield the values of each frame as text, in the order of `COLUMNS`."""
        table = np.column_stack([self.turn, self.gaze, self.lids, self.mouth])
        for values in table:
            yield [f"{value:.3f}" for value in values]


COLUMNS = ("yaw", "pitch", "gaze_right", "gaze_up", "lids_closed", *(f"mouth_{unit}" for unit in MOUTH_UNITS))


def draw_distractors(plan: ClipPlan) -> Distractors:
    """Draw what happens beside the expression of a clip; it depends on the clip's seed, person and frames alone."""
    rng = np.random.default_rng([*plan.seed, 4])
    person = np.random.default_rng([plan.seed[0], 7, plan.person, 1])
    blinks, glances = person.uniform(*BLINKS) / 60, person.uniform(*GLANCES)
    seconds = np.arange(plan.last - plan.first + 1) / plan.fps
    return Distractors(
        _turn(seconds, rng), _gaze(seconds, glances, rng), _lids(seconds, blinks, rng), _mouth(seconds, rng)
    )


def _turn(seconds: Curves, rng: np.random.Generator) -> Curves:
    """Draw a smooth random walk of the head about a random place."""
    start, steady = np.clip(rng.normal(0, START), -FARTHEST, FARTHEST), rng.normal(0, STEADY)
    knots = np.arange(-2, seconds[-1] / SWAY_SECONDS + 3)
    sway = [
        np.sum(
            [value * _bump(seconds / SWAY_SECONDS - knot) for knot, value in zip(knots, values, strict=True)], axis=0
        )
        for values in rng.normal(0, SWAY, (len(knots), 2)).T
    ]
    walk = np.stack(sway, axis=1) + steady * seconds[:, None]
    return np.asarray(start + walk - walk[0])


def _bump(x: Curves) -> Curves:
    """Return the cubic B-spline, whose shifts by whole numbers add up to 1."""
    x = np.abs(x)
    near, far = 2 / 3 - x**2 + x**3 / 2, (2 - x) ** 3 / 6
    return np.asarray(np.where(x < 1, near, np.where(x < 2, far, 0)))


def _gaze(seconds: Curves, a_second: float, rng: np.random.Generator) -> Curves:
    """Draw where the eyes look: a place for a while, then at once another."""
    gaze = np.tile(rng.normal(0, GLANCE), (len(seconds), 1))
    for time in np.sort(rng.uniform(0, seconds[-1], rng.poisson(a_second * seconds[-1]))):
        share = _smooth(np.clip((seconds - time) / GLANCE_SECONDS, 0, 1))[:, None]
        gaze = gaze * (1 - share) + rng.normal(0, GLANCE) * share
    return np.asarray(gaze)


def _lids(seconds: Curves, a_second: float, rng: np.random.Generator) -> Curves:
    """Draw how far the lids are closed; a blink may begin before the clip, and closes faster than it opens."""
    closed = np.zeros(len(seconds))
    longest = BLINK_SECONDS[1]
    for time in rng.uniform(-longest, seconds[-1], rng.poisson(a_second * (seconds[-1] + longest))):
        length, most = rng.uniform(*BLINK_SECONDS), rng.uniform(*CLOSED)
        place = (seconds - time) / length
        closed = np.maximum(closed, most * _smooth(np.clip(np.minimum(place / 0.35, (1 - place) / 0.6), 0, 1)))
    return closed


def _mouth(seconds: Curves, rng: np.random.Generator) -> Curves:
    """Draw how lips and jaw of a share of the clips move weakly, as of somebody who speaks without a voice."""
    moves, peaks = rng.random() < MOUTH_SHARE, rng.uniform(*MOUTH_PEAK, len(MOUTH_UNITS))
    rate, lags, begin = rng.uniform(*SYLLABLES), rng.uniform(0, 2 * np.pi, len(MOUTH_UNITS)), rng.uniform(-0.3, 0.3)
    waves = 0.5 - 0.5 * np.cos(2 * np.pi * rate * seconds[:, None] - lags)
    fade = _smooth(np.clip((seconds - begin) / 0.1, 0, 1))[:, None]
    return np.asarray(waves * fade * peaks * moves)


def _smooth(x: Curves) -> Curves:
    """Return values that go from 0 to 1 as `x` does, with level ends."""
    return np.asarray(x * x * (3 - 2 * x))
