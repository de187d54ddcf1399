"""State in which facts the numbered releases of the generator differ: the later, the nearer to real recordings.

Release 1 is the default and keeps its images, bit for bit, because documented scores rest on them. Shares and lengths
of release 2 are counted in the coding tables of the real datasets; a subject's habits, hair, glasses and all that
happens beside the expression are chosen, not measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from mer_cli.datasets.synthetic.plan import ONE_SIDED_SHARE, Habit, Pace, usual_habit
from mer_cli.errors import ConfigError

Counts = Mapping[tuple[int, ...], int]

# CASME II's coding table: clips of each set of action units. Where it is not known which sets the remaining clips of an
# emotion show, they are dealt to those of release 1. Emotions that are left out are shown as in release 1.
CASME2_SETS: Mapping[str, Counts] = {
    "others": {(4,): 56, (14,): 13, (4, 7): 4, (17,): 3, (4, 14): 6, (24,): 6, (7,): 6, (1, 4): 5},
    "disgust": {
        (4, 7): 17, (4,): 11, (4, 10): 10, (4, 9): 7, (9,): 6, (10,): 5, (4, 7, 9): 4, (9, 10): 3,
    },
    "happiness": {(12,): 21, (14,): 4, (6, 12): 2, (12, 15): 2, (12, 14): 2, (6, 12, 15): 1},
    "surprise": {(1, 2): 16, (1,): 4, (1, 2, 5): 4, (2,): 4},
    "repression": {(17,): 12, (15,): 6, (15, 17): 4, (14,): 3, (14, 17): 2},
}  # fmt: skip
ONE_SIDED_SPREAD = 5.0  # sum of the parameters of the beta distribution: most subjects are near the average
PREFERRED_SIDE = 0.5  # both parameters of the beta distribution: most subjects keep to one side


@dataclass(frozen=True)
class Lengths:
    """The lengths of a real dataset's clips, in frames from onset to offset, and where in them the apex is.

    rise : least and largest share of the length from the onset to the apex
    """

    mean: float
    deviation: float
    shortest: int
    longest: int
    rise: tuple[float, float]

    def pace(self, fps: float) -> Pace:
        """Return gamma-distributed lengths of this average and deviation."""
        scale = self.deviation**2 / self.mean
        return Pace(fps, scale, self.shortest, self.longest, self.mean / scale, self.rise)


@dataclass(frozen=True)
class Realism:
    """What a release of the generator decides; the defaults are those of release 1.

    lengths : by layout, at the frame rate of its `Pace`; the other layouts keep their own
    sets : by layout and emotion, how many clips show which action units; other emotions are shown as in release 1
    firmness : of a subject's habits. The shares of an emotion's sets are drawn for each subject from a Dirichlet
        distribution around the common ones with this sum of parameters: the smaller, the more each subject keeps to a
        set or two. On average over subjects the shares are the common ones. None means that subjects have no habits.
    is_dressed : some subjects have more hair than a cap, or glasses
    is_lively : heads turn, eyes blink and look elsewhere, and mouths move beside the expression
    """

    lengths: Mapping[str, Lengths] = field(default_factory=dict)
    sets: Mapping[str, Mapping[str, Counts]] = field(default_factory=dict)
    firmness: float | None = None
    is_dressed: bool = False
    is_lively: bool = False

    def pace(self, layout: str, usual: Pace) -> Pace:
        """Return the lengths of the clips of a layout, whose own are `usual`."""
        return self.lengths[layout].pace(usual.fps) if layout in self.lengths else usual

    def habit(self, layout: str, emotion: str, seed: int, person: int) -> Habit:
        """Return how a person shows an emotion; it depends on nothing but the arguments.

        A subject prefers some of the emotion's sets. It shows a unit on one side only with a probability that is drawn
        from a beta distribution, on average that of release 1, and then mostly on the side that it prefers.
        """
        counts = self.sets.get(layout, {}).get(emotion)
        common = usual_habit(emotion)
        if counts is not None:
            total = sum(counts.values())
            common = replace(common, sets=tuple(counts), shares=tuple(count / total for count in counts.values()))
        if self.firmness is None:
            return common
        stream = np.random.default_rng([seed, 5, person, 1])
        one_sided = float(stream.beta(*(ONE_SIDED_SPREAD * np.array([ONE_SIDED_SHARE, 1 - ONE_SIDED_SHARE]))))
        left = float(stream.beta(PREFERRED_SIDE, PREFERRED_SIDE))
        of_emotion = np.random.default_rng([seed, 5, person, 2, *emotion.encode()])
        own = of_emotion.dirichlet(self.firmness * np.array(common.shares))
        return Habit(common.sets, tuple(own.tolist()), one_sided, (left, 1 - left))


# At 200 frames a second. Onset to apex: median 30 and average 33 frames in CASME II, average 33 in SAMM.
CASME2_LENGTHS = Lengths(67.2, 22.6, 24, 141, (0.25, 0.72))
RELEASES: Mapping[int, Realism] = {
    1: Realism(),
    2: Realism(
        lengths={
            "casme2": CASME2_LENGTHS,
            "samm": Lengths(74.3, 19.0, 30, 101, (0.2, 0.69)),
            "dfme": CASME2_LENGTHS,  # in seconds, as its own were not counted; its clips have up to 500 frames a second
        },
        sets={"casme2": CASME2_SETS},
        firmness=3.0,
        is_dressed=True,
        is_lively=True,
    ),
}
USUAL = 1  # the release that is drawn if none is named


def check_release(release: int) -> None:
    """Raise a `ConfigError` if the generator has no release of this number."""
    if release not in RELEASES:
        raise ConfigError(f"--release must be {' or '.join(map(str, RELEASES))}, got {release}.")
