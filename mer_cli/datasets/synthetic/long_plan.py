"""Plan long videos: which micro-expressions and distractors happen when. Nothing is drawn here.

Micro-expressions, macro-expressions and speech follow each other with gaps. Blinks and head turns keep away from
micro-expressions, but for a share of the latter which one of them overlaps on purpose. All kinds are always planned and
those that are not wanted are then left out, so that the others stay where they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mer_cli.datasets.synthetic.action_units import BOTH
from mer_cli.datasets.synthetic.long_settings import Kind, LongSettings
from mer_cli.datasets.synthetic.plan import PEAK, UnitPlan, draw_units, usual_habit

MICRO: Kind = "micro"
FIRST_PERSON = 9000  # no release has these faces

A_MINUTE: dict[Kind, float] = {"micro": 6, "macro": 1.5, "speech": 1.5, "head": 3}
BLINKS = (10.0, 20.0)  # a minute, by person
SECONDS: dict[Kind, tuple[float, float]] = {
    "micro": (0.1, 0.5),
    "macro": (0.6, 4.0),
    "blink": (0.1, 0.4),
    "head": (0.6, 2.5),
    "speech": (2.0, 5.0),
}
MACRO_FACTOR = (4.0, 8.0)  # on a micro-expression's peak
LARGEST_PEAK = 11.0  # pixels at 224; a field moves a face no farther without tearing it
BLINK_SHARE, HEAD_SHARE = 0.2, 0.1  # of the micro-expressions; what overlaps them
GAP = 0.5  # seconds at least between micro- and macro-expressions and speech, and before the first
CLEAR = 0.3  # seconds between a micro-expression and a blink or head turn that does not overlap it
TRIES = 100  # to find a place for a blink or head turn
LIDS, JAW = 45, 26  # action units that are drawn anew in each picture
JAW_SHARE = (0.3, 1.0)  # of the widest open mouth
TURN = (4.0, 14.0)  # degrees of yaw; pitch is up to half of it


@dataclass(frozen=True)
class Event:
    """Something that happens in a video; frames are numbered from 1, onset and offset included.

    units : action units with their peak motion; of lids and jaw the share of the largest drawn
    turn : degrees of yaw and pitch at the apex, for a head turn
    number : of the event among the video's planned ones; it starts its random stream
    """

    kind: Kind
    onset: int
    apex: int
    offset: int
    emotion: str = ""
    units: tuple[UnitPlan, ...] = ()
    turn: tuple[float, float] = (0.0, 0.0)
    number: int = 0

    @property
    def unit_codes(self) -> str:
        """The action units as a coding table writes them: "4+L10"."""
        return "+".join(unit.code for unit in self.units)


@dataclass(frozen=True)
class VideoPlan:
    """A long video of one person; `seed` starts its random streams.

    events : by onset
    """

    number: int
    n_frames: int
    fps: float
    seed: tuple[int, ...]
    events: tuple[Event, ...]

    @property
    def name(self) -> str:
        """Name of the video and of its subject: "001"."""
        return f"{self.number:03d}"

    @property
    def person(self) -> int:
        """Number of the face that is drawn."""
        return FIRST_PERSON + self.number


def plan_video(settings: LongSettings, number: int) -> VideoPlan:
    """Plan one of the videos, counted from 1; its micro-expressions are the same with any distractors."""
    stream, fps = (settings.seed, 3, number), settings.fps
    rng = np.random.default_rng(stream)
    expressions = _in_a_row(rng, settings, number)
    micros = [event for event in expressions if event.kind == MICRO]
    n_frames = round(settings.seconds * fps)
    others = _overlapping(rng, micros, n_frames, fps)
    rates: dict[Kind, float] = {"head": A_MINUTE["head"], "blink": float(rng.uniform(*BLINKS))}
    for kind, a_minute in rates.items():
        others += _apart(rng, kind, a_minute, micros, others, n_frames, fps)
    planned = sorted([*expressions, *others], key=lambda event: (event.onset, event.kind))
    numbered = (replace(event, number=index) for index, event in enumerate(planned))
    kept = tuple(event for event in numbered if event.kind == MICRO or event.kind in settings.distractors)
    return VideoPlan(number, n_frames, fps, stream, kept)


def _in_a_row(rng: np.random.Generator, settings: LongSettings, number: int) -> list[Event]:
    """Plan the micro- and macro-expressions and the speech, in random order, with gaps of random length."""
    fps, gap = settings.fps, round(GAP * settings.fps)
    minutes = settings.seconds / 60
    wanted: list[Kind] = ["micro"] * max(_count(rng, A_MINUTE["micro"] * minutes), 1)
    lengths = [_length(rng, "micro", fps) for _ in wanted]
    free = round(settings.seconds * fps) - gap - sum(lengths) - gap * len(lengths)
    more: dict[Kind, int] = {kind: _count(rng, A_MINUTE[kind] * minutes) for kind in ("macro", "speech")}
    for index in range(max(more.values())):
        for kind in (kind for kind, count in more.items() if index < count):
            length = _length(rng, kind, fps)
            if length + gap <= free:  # there is room
                free -= length + gap
                wanted.append(kind)
                lengths.append(length)
    pauses = np.floor(rng.dirichlet(np.full(len(wanted) + 1, 2.0)) * max(free, 0)).astype(int)
    words = rng.permutation(np.array(settings.emotions))
    events, frame, n_shown = [], 1, number
    for index, pause in zip(rng.permutation(len(wanted)), pauses[1:], strict=True):
        frame += gap + int(pause)
        emotion = "" if wanted[index] == "speech" else str(words[n_shown % len(words)])
        n_shown += wanted[index] != "speech"
        events.append(_event(rng, wanted[index], frame, lengths[index], emotion, settings.intensity))
        frame += lengths[index]
    return events


def _event(
    rng: np.random.Generator, kind: Kind, onset: int, n_frames: int, emotion: str = "", intensity: float = 1.0
) -> Event:
    """Plan what moves in an event, and its apex."""
    share = {"micro": (0.3, 0.6), "blink": (0.3, 0.45), "speech": (0.1, 0.9)}.get(kind, (0.4, 0.6))
    rise = int(np.clip(round(n_frames * rng.uniform(*share)), 1, n_frames - 2))
    units: tuple[UnitPlan, ...] = ()
    turn = (0.0, 0.0)
    if kind == "micro":
        units = draw_units(rng, usual_habit(emotion), intensity)
    elif kind == "macro":
        units = draw_units(rng, usual_habit(emotion), float(rng.uniform(*MACRO_FACTOR)))
        units = tuple(replace(unit, peak=min(unit.peak, LARGEST_PEAK)) for unit in units)
    elif kind == "speech":
        units = tuple(UnitPlan(unit, BOTH, float(rng.uniform(*PEAK))) for unit in (18, 20))
        units += (UnitPlan(JAW, BOTH, float(rng.uniform(*JAW_SHARE))),)
    elif kind == "blink":
        units = (UnitPlan(LIDS, BOTH, 1.0),)
    else:
        yaw = float(rng.uniform(*TURN) * rng.choice([-1, 1]))
        turn = (yaw, float(abs(yaw) * rng.uniform(-0.5, 0.5)))
    return Event(kind, onset, onset + rise, onset + n_frames - 1, emotion, units, turn)


def _overlapping(rng: np.random.Generator, micros: Sequence[Event], n_frames: int, fps: float) -> list[Event]:
    """Plan the blinks and head turns that overlap a share of the micro-expressions, each at a random place of it."""
    events: list[Event] = []
    for micro in micros:
        draw = rng.random()
        kind: Kind = "blink" if draw < BLINK_SHARE else "head"
        length, within = _length(rng, kind, fps), int(rng.integers(micro.onset, micro.offset + 1))
        event = _event(rng, kind, max(within - int(rng.integers(0, length)), 1), length)
        others = [other for other in micros if other is not micro]
        if draw < BLINK_SHARE + HEAD_SHARE and event.offset <= n_frames and not _near(event, others, CLEAR * fps):
            events.append(event)
    return events


def _apart(
    rng: np.random.Generator,
    kind: Kind,
    a_minute: float,
    micros: Sequence[Event],
    others: Sequence[Event],
    n_frames: int,
    fps: float,
) -> list[Event]:
    """Plan events of a kind at random places that are clear of micro-expressions and of others of their kind."""
    events = [event for event in others if event.kind == kind]
    n_before = len(events)
    for _ in range(_count(rng, a_minute * n_frames / fps / 60) - n_before):
        for _ in range(TRIES):
            length = _length(rng, kind, fps)
            event = _event(rng, kind, int(rng.integers(1, max(n_frames - length, 1) + 1)), length)
            if event.offset <= n_frames and not _near(event, [*micros, *events], CLEAR * fps):
                events.append(event)
                break
    return events[n_before:]


def _near(event: Event, others: Sequence[Event], gap: float) -> bool:
    """Return whether an event overlaps one of the others, or is less than `gap` frames away."""
    return any(event.onset - gap <= other.offset and other.onset <= event.offset + gap for other in others)


def _length(rng: np.random.Generator, kind: Kind, fps: float) -> int:
    """Draw the number of frames of an event, ends included; at least five, so that it has a shape."""
    shortest, longest = SECONDS[kind]
    return max(round(float(rng.uniform(shortest, longest)) * fps), 5)


def _count(rng: np.random.Generator, expected: float) -> int:
    """Draw a whole number whose average is `expected`."""
    return int(expected + rng.random())
