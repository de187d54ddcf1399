"""Draw the frames of a long video: the neutral face with its events, head motion, flicker and noise.

Outside events only the head drifts, so that most frames cost little.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mer_cli.datasets.synthetic.clip import (
    AT_224,
    DRIFT,
    FADE,
    HEAD,
    MAINS,
    NOISE,
    STEP,
    View,
    draw_envelope,
    pose_matrix,
    smooth,
)
from mer_cli.datasets.synthetic.long_plan import JAW, LIDS, Event, VideoPlan
from mer_cli.datasets.synthetic.openings import Opening, draw_opening
from mer_cli.datasets.synthetic.plan import UnitPlan
from mer_cli.datasets.synthetic.render import HEIGHT, WIDTH, Map
from mer_cli.datasets.synthetic.subject import Subject
from mer_cli.datasets.synthetic.turning import Turning
from mer_cli.system.opencv import cv2

LARGEST = {LIDS: (0.75, 16), JAW: (0.4, 12)}  # share of the full unit, pictures
FADING = 0.15  # seconds after a micro-expression in which the rest of it fades
SYLLABLES = (3.0, 6.0)  # a second
TILES = 3
NOISE_LEVELS = np.sqrt(np.maximum(np.arange(256), 4) / 128).astype(np.float32) * np.float32(NOISE)
DARKEST = 0.3  # factor on the brightness, of a large expression
FIRM = 1.5  # pixels; larger motion is followed back in more steps
PIXELS = np.stack(np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT)), axis=-1).astype(np.float32)
NO_MAP = np.empty(0, np.float32)  # for cv2.remap: the map has both coordinates
Curve = NDArray[np.float32]


@dataclass(frozen=True)
class Course:
    """How the action units of an event go: `curves` (units, frames), the share of the peak, from the onset on."""

    event: Event
    curves: Curve

    def at(self, frame: int) -> list[tuple[UnitPlan, float]]:
        """Return the event's action units with their shares of the peak in a frame."""
        shares = self.curves[:, frame - self.event.onset]
        return [(unit, float(share)) for unit, share in zip(self.event.units, shares, strict=False)]

    @property
    def end(self) -> int:
        """Number of the first frame after it."""
        return self.event.onset + int(self.curves.shape[1])


def course(plan: VideoPlan, event: Event) -> Course:
    """Draw the course of an event at random; that of a micro-expression is as in the releases of clips."""
    rng = np.random.default_rng([*plan.seed, 1, event.number])
    n_frames, rise = event.offset - event.onset + 1, event.apex - event.onset
    if event.kind == "micro":
        fading = FADE ** np.arange(1, round(FADING * plan.fps) + 1)
        curves = [draw_envelope(n_frames, rise, rng) for _ in event.units]
        return Course(event, np.stack([[*curve, *curve[-1] * fading] for curve in curves]).astype(np.float32))
    time = np.arange(n_frames, dtype=float)
    if event.kind == "speech":
        return Course(event, _speech(time / plan.fps, len(event.units), rng))
    hold = {"macro": 0.3, "head": 0.2, "blink": 0.1}[event.kind] * n_frames / 2
    rising = np.clip(time / max(rise - hold, 1), 0, 1)
    falling = np.clip((n_frames - 1 - time) / max(n_frames - 1 - rise - hold, 1), 0, 1)
    curve = smooth(np.minimum(rising, falling))
    return Course(event, np.tile(curve, (max(len(event.units), 1), 1)).astype(np.float32))


def _speech(seconds: NDArray[np.float64], n_units: int, rng: np.random.Generator) -> Curve:
    """Draw how a mouth speaks: a wave of syllables of changing rate and size, a little later or earlier by unit."""
    rate = rng.uniform(*SYLLABLES) * (
        1 + 0.25 * np.sin(2 * np.pi * rng.uniform(0.3, 0.8) * seconds + rng.uniform(0, 6))
    )
    phase = 2 * np.pi * np.cumsum(rate) * (seconds[1] - seconds[0])
    size = np.clip(0.65 + 0.35 * np.sin(2 * np.pi * rng.uniform(0.7, 1.3) * seconds + rng.uniform(0, 6)), 0.1, 1)
    ends = np.clip(np.minimum(seconds, seconds[-1] - seconds) / 0.12, 0, 1)
    waves = [0.5 - 0.5 * np.cos(phase * share - lag) for share, lag in zip((0.5, 0.5, 1), (0, np.pi, 0), strict=False)]
    return np.asarray(np.stack(waves[:n_units]) * size * smooth(ends), np.float32)


class Look(NamedTuple):
    """A face in one frame.

    picture : (HEIGHT, WIDTH, 3) float32, 0-255, in its neutral place
    moved, turned : how far expressions and a turn of the head move each pixel, (HEIGHT, WIDTH, 2) float32, or None
    """

    picture: Map
    moved: Map | None
    turned: Map | None


class Face:
    """One subject, with what its events need; each is computed when it is first asked for."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self._openings: dict[int, Opening] = {}
        self._turning: Turning | None = None

    @property
    def turning(self) -> Turning:
        """The turns of the head."""
        if self._turning is None:
            self._turning = Turning(self.subject)
        return self._turning

    def opening(self, unit_number: int) -> Opening:
        """Return the pictures of the closing lids or the dropping jaw."""
        if unit_number not in self._openings:
            self._openings[unit_number] = draw_opening(self.subject, unit_number, *LARGEST[unit_number])
        return self._openings[unit_number]

    def look(self, running: Sequence[Course], frame: int) -> Look:
        """Return how the face looks in a frame, in which these events are running."""
        units = [(unit, share) for each in running for unit, share in each.at(frame) if share > 0]
        turns = [np.array(each.event.turn) * each.curves[0, frame - each.event.onset] for each in running]
        angles = np.sum(turns, axis=0) if turns else np.zeros(2)
        picture, moved, turned = self._opened(units), None, None
        fields = [
            (self.subject.unit_field(unit.number, unit.side), np.float32(unit.peak / AT_224 * share))
            for unit, share in units
            if unit.number not in LARGEST
        ]
        if fields:
            moved = np.sum([field.displacement * peak for field, peak in fields], axis=0)
            shading = 1 + np.sum([field.shading * peak for field, peak in fields], axis=0)
            picture = picture * cv2.merge([np.maximum(shading, DARKEST)] * 3)
        if angles.any():
            turned = self.turning.displacement(*angles)
            picture = picture * cv2.merge([self.turning.shading(*angles)] * 3)
        return Look(picture, moved, turned)

    def _opened(self, units: Sequence[tuple[UnitPlan, float]]) -> Map:
        """Return the neutral picture, with lids and jaw as the units say."""
        opened = [(unit, share) for unit, share in units if unit.number in LARGEST]
        picture = self.subject.neutral.copy() if opened else self.subject.neutral
        for unit, share in opened:
            self.opening(unit.number).add(picture, share * unit.peak)
        return picture


def draw_video(subject: Subject, plan: VideoPlan, view: View) -> Iterator[NDArray[np.uint8]]:
    """Draw the frames of a planned video, one by one: (height, width, 3) uint8, blue green red."""
    rng = np.random.default_rng([*plan.seed, 2])
    face, courses = Face(subject), [course(plan, event) for event in plan.events]
    flicker, phase, slow = rng.uniform([0.002, 0.0, 0.5], [0.008, 2 * np.pi, 3.0])
    pose, velocity, drift = np.zeros(4), np.zeros(4), rng.normal(0, DRIFT)
    tiles = _noise_tiles(rng, view)
    n_steps = max(round(1 / (plan.fps * STEP)), 1)
    for frame in range(1, plan.n_frames + 1):
        for _ in range(n_steps):
            velocity = 0.9 * velocity + rng.normal(0, HEAD)
            pose = 0.98 * pose + velocity + drift
        running = [each for each in courses if each.event.onset <= frame < each.end]
        shown = _show(_place(face.look(running, frame), pose), view)
        time = (frame - 1) / plan.fps
        lamps = 1 + flicker * np.sin(2 * np.pi * MAINS * time + phase) + 0.006 * np.sin(2 * np.pi * slow * time + phase)
        yield _noisy(shown, float(lamps), tiles, rng)


def _place(look: Look, pose: NDArray[np.float64]) -> Map:
    """Warp a face by its displacement, the turn of its head and the pose, (HEIGHT, WIDTH, 3) float32."""
    inverse = cv2.invertAffineTransform(pose_matrix(pose)).astype(np.float32)
    source = np.asarray(cv2.transform(PIXELS, inverse), np.float32)
    for displacement in (look.turned, look.moved):
        if displacement is not None:
            source = undo(source, displacement)
    # cv2.warpAffine takes five times as long.
    warped = cv2.remap(look.picture, source, NO_MAP, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.float32)


def _show(picture: Map, view: View) -> Map:
    """Return a drawn picture as the view shows it, (height, width, 3) float32."""
    if view.scale != 1:
        return np.asarray(view.warp(picture, cv2.INTER_CUBIC, cv2.BORDER_REPLICATE), np.float32)
    left, top = round(-view.left), round(-view.top)
    right, bottom = view.width - WIDTH - left, view.height - HEIGHT - top
    return np.asarray(cv2.copyMakeBorder(picture, top, bottom, left, right, cv2.BORDER_REPLICATE), np.float32)


def undo(places: Map, displacement: Map) -> Map:
    """Return where places (h, w, 2) came from when each pixel of an image moves by its displacement."""
    source = places
    for _ in range(3 if np.abs(displacement).max() > FIRM else 1):
        source = places - cv2.remap(displacement, source, NO_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return source


def _noise_tiles(rng: np.random.Generator, view: View) -> list[Map]:
    """Draw a few tiles of noise, larger than a frame; each frame uses a random window of a tile, which is cheap."""
    size = (view.height + 64, view.width + 64, 3)
    tiles = (rng.standard_normal(size, np.float32) for _ in range(TILES))
    return [np.asarray(cv2.GaussianBlur(tile, (0, 0), 0.45) * 1.35, np.float32) for tile in tiles]


def _noisy(shown: Map, lamps: float, tiles: list[Map], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Add flicker and the sensor's noise."""
    lit = cv2.convertScaleAbs(shown, alpha=lamps)
    top, left = rng.integers(0, 64, 2)
    tile = tiles[rng.integers(len(tiles))][top : top + shown.shape[0], left : left + shown.shape[1]]
    if rng.random() < 0.5:
        tile = np.asarray(cv2.flip(tile, 1), np.float32)
    noisy = cv2.scaleAdd(shown, lamps, cv2.multiply(cv2.LUT(lit, NOISE_LEVELS), tile))
    return np.asarray(cv2.convertScaleAbs(np.maximum(noisy, 0, out=noisy)), np.uint8)
