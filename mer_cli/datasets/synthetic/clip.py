"""Draw the frames of a clip: the neutral face, moved and shaded by action units, with head motion, light and noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mer_cli.datasets.synthetic.plan import ClipPlan
from mer_cli.datasets.synthetic.render import HEIGHT, WIDTH, Map
from mer_cli.datasets.synthetic.subject import Subject
from mer_cli.system.opencv import cv2

STEP = 1 / 200  # seconds, step of the head's random walk at any frame rate
MAINS = 100.0  # hertz, flicker of lamps
AT_224 = 224 / 205  # crop pixels per frame pixel: the usual crop is about 205 frame pixels wide
SLOW = 0.006  # amplitude of the slow drift of the light
NOISE = 1.6  # standard deviation of the sensor's noise at mid-grey, of 255
HEAD = np.array([0.0144, 0.0144, 0.002, 1.5e-5])  # step of the head's random walk: x, y in pixels, degrees, scale
DRIFT = np.array([0.010, 0.010, 0.028, 1e-5])  # its steady part, per step
FADE = 0.8  # factor from frame to frame on the rest of an expression after its offset
PIVOT = (WIDTH / 2, HEIGHT * 0.55)


@dataclass(frozen=True)
class View:
    """How a release shows a drawn face: as a scaled window of the drawn image, whose edge is repeated outside it.

    width, height : of the shown image, pixels
    scale : shown pixels per drawn pixel
    left, top : the window's corner, drawn pixels
    """

    width: int
    height: int
    scale: float
    left: float = 0.0
    top: float = 0.0
    is_grey: bool = False

    def show(self, drawn: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the window of a drawn image: (height, width, 3) uint8, blue green red, or (height, width) grey."""
        if self.is_grey:
            drawn = np.asarray(cv2.cvtColor(drawn, cv2.COLOR_BGR2GRAY), np.uint8)
        return np.asarray(self.warp(drawn, cv2.INTER_CUBIC, cv2.BORDER_REPLICATE), np.uint8)

    def show_field(self, displacement: Map) -> Map:
        """Convert a displacement to shown pixels, (height, width, 2) float32; it is zero outside the drawn image."""
        shown = self.warp(displacement, cv2.INTER_LINEAR, cv2.BORDER_CONSTANT)
        return np.asarray(shown * np.float32(self.scale), np.float32)

    def warp(self, picture: NDArray[Any], interpolation: int, border: int) -> NDArray[Any]:
        """Return the window of a map over the drawn image."""
        # For pixel centres: the drawn (x + 0.5 - left) times the scale is the shown (x + 0.5).
        across, down = (self.scale * (0.5 - corner) - 0.5 for corner in (self.left, self.top))
        matrix = np.array([[self.scale, 0, across], [0, self.scale, down]])
        warped = cv2.warpAffine(picture, matrix, (self.width, self.height), flags=interpolation, borderMode=border)
        return np.asarray(warped)


@dataclass(frozen=True)
class Motion:
    """How the action units of a clip move and shade the neutral face in each frame.

    displacements : (units, HEIGHT, WIDTH, 2) float32, pixels (x, y), at the peak of each unit
    shadings : (units, HEIGHT, WIDTH) float32, relative change at the peak of each unit
    envelopes : (units, frames) float32, 0-1, the share of the peak in each frame
    """

    displacements: NDArray[np.float32]
    shadings: NDArray[np.float32]
    envelopes: NDArray[np.float32]

    def displacement(self, frame: int) -> Map:
        """Return the motion from the neutral face, (HEIGHT, WIDTH, 2) float32, pixels; frame 0 is the first drawn."""
        return np.tensordot(self.envelopes[:, frame], self.displacements, 1)

    def shading(self, frame: int) -> Map:
        """Return the factor on the neutral face's brightness, (HEIGHT, WIDTH) float32; frame 0 is the first drawn."""
        return 1 + np.tensordot(self.envelopes[:, frame], self.shadings, 1)


class Origins(NamedTuple):
    """For each pixel of a frame, the place of what it shows: on the head at rest, and on the neutral face at rest.

    head, face : (HEIGHT, WIDTH, 2) float32, pixels (x, y)
    """

    head: Map
    face: Map


def clip_motion(subject: Subject, plan: ClipPlan) -> Motion:
    """Compute the motion of a planned clip; the first unit peaks at the apex, others up to two frames from it."""
    rng = np.random.default_rng([*plan.seed, 1])
    n_frames, rise = plan.offset - plan.onset + 1, plan.apex - plan.onset
    fields = [subject.unit_field(unit.number, unit.side) for unit in plan.units]
    peaks = [np.float32(unit.peak / AT_224) for unit in plan.units]
    envelopes = []
    for index in range(len(plan.units)):
        lag = int(rng.integers(-2, 3)) if index else 0
        envelope = draw_envelope(n_frames, int(np.clip(rise + lag, 1, n_frames - 2)), rng)
        envelopes.append(_in_context(envelope, plan))
    return Motion(
        np.stack([field.displacement * peak for field, peak in zip(fields, peaks, strict=True)]),
        np.stack([field.shading * peak for field, peak in zip(fields, peaks, strict=True)]),
        np.stack(envelopes).astype(np.float32),
    )


# Draws a face in a frame, counted from 0, without light and noise: (HEIGHT, WIDTH, 3) float32, 0-255. The second
# argument is the matrix (2, 3) that leads from a place in the frame back to where the head was at rest.
Place = Callable[[int, NDArray[np.float64]], Map]


class StillClip:
    """The face of a planned clip whose head moves in the picture, but doesn't turn."""

    def __init__(self, subject: Subject, motion: Motion) -> None:
        self.subject, self.motion = subject, motion
        self.last = 0, np.eye(2, 3)  # the last drawn frame, and its matrix

    def place(self, frame: int, inverse: NDArray[np.float64]) -> Map:
        """Draw the face in a frame, without light and noise, as `Place` says."""
        self.last = frame, inverse
        moved, (x, y) = self.motion.displacement(frame), _at_rest(inverse)
        shading = cv2.merge([self.motion.shading(frame)] * 3)  # three times as fast as [..., None]
        picture = cv2.remap(
            self.subject.neutral * shading,
            (x - moved[..., 0]).astype(np.float32),
            (y - moved[..., 1]).astype(np.float32),
            cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.asarray(picture, np.float32)

    @property
    def origins(self) -> Origins:
        """Where what the last drawn frame shows comes from."""
        frame, inverse = self.last
        head = np.stack(_at_rest(inverse), axis=-1)
        return Origins(head.astype(np.float32), (head - self.motion.displacement(frame)).astype(np.float32))


def _at_rest(inverse: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return x and y of where each pixel of a frame is if the head is at rest, each (HEIGHT, WIDTH)."""
    across, down = np.arange(WIDTH, dtype=float)[None], np.arange(HEIGHT, dtype=float)[:, None]
    x, y = (row[0] * across + row[1] * down + row[2] for row in inverse)
    return x, y


def draw_frames(subject: Subject, plan: ClipPlan, motion: Motion) -> Iterator[NDArray[np.uint8]]:
    """Draw the frames of a planned clip of release 1, one by one: (HEIGHT, WIDTH, 3) uint8, blue green red."""
    return film(plan, StillClip(subject, motion).place)


def film(plan: ClipPlan, place: Place) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames of a planned clip as a camera records them: (HEIGHT, WIDTH, 3) uint8, blue green red.

    The head moves a little in the picture, lamps flicker, and the sensor adds noise. A frame that is not drawn is left
    out; the others are the same with it and without, but for the last digits of where a turned head is.
    """
    rng = np.random.default_rng([*plan.seed, 2])
    flicker, phase, slow = rng.uniform([0.002, 0.0, 0.5], [0.008, 2 * np.pi, 3.0])
    pose, velocity, drift = np.zeros(4), np.zeros(4), rng.normal(0, DRIFT)
    noise = _noise_bank(rng)
    n_steps = max(round(1 / (plan.fps * STEP)), 1)
    for frame in range(plan.last - plan.first + 1):
        for _ in range(n_steps):
            velocity = 0.9 * velocity + rng.normal(0, HEAD)
            pose = 0.98 * pose + velocity + (drift if frame else 0)
        tile = _noise_tile(noise, rng)
        if not plan.is_drawn(plan.first + frame):
            continue
        picture = place(frame, np.asarray(cv2.invertAffineTransform(pose_matrix(pose)), np.float64))
        time = frame / plan.fps
        waves = flicker * np.sin(2 * np.pi * MAINS * time + phase), SLOW * np.sin(2 * np.pi * slow * time + phase)
        lit = picture * np.float32(1 + plan.light * waves[0] + plan.light * waves[1])
        noisy = np.maximum(lit, 4)  # in place from here on: new arrays would take twice the time
        noisy /= 128
        np.sqrt(noisy, out=noisy)
        noisy *= np.float32(NOISE * plan.noise)
        noisy *= tile
        noisy += lit
        noisy += 0.5
        yield np.clip(noisy, 0, 255, out=noisy).astype(np.uint8)


def draw_envelope(n_frames: int, peak: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a curve (n_frames,) that rises smoothly to 1 at `peak` and falls to at most 0.25 at the end."""
    time = np.arange(n_frames, dtype=float)
    rising = np.clip(time / peak, 0, 1) ** rng.uniform(0.8, 1.25)
    falling = np.clip((n_frames - 1 - time) / (n_frames - 1 - peak), 0, 1) ** rng.uniform(0.8, 1.25)
    rest = rng.uniform(0, 0.25)
    envelope: NDArray[np.float64] = np.where(time <= peak, smooth(rising), rest + (1 - rest) * smooth(falling))
    return envelope


def _in_context(envelope: NDArray[np.float64], plan: ClipPlan) -> NDArray[np.float64]:
    """Extend an envelope from onset..offset to all drawn frames: 0 before, fading after, repeated where planned."""
    whole = np.zeros(plan.last - plan.first + 1)
    for onset in (plan.onset, *plan.again):
        start = onset - plan.first
        shown = envelope[: len(whole) - start]
        fading = envelope[-1] * FADE ** np.arange(1, len(whole) - start - len(shown) + 1)
        whole[start:] = np.maximum(whole[start:], np.concatenate([shown, fading]))
    return whole


def smooth(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values that go from 0 to 1 as `x` does, with level ends."""
    return x * x * (3 - 2 * x)


def pose_matrix(pose: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the matrix (2, 3) of a pose of the head: shift, roll and scale about a point of the face."""
    matrix = cv2.getRotationMatrix2D(PIVOT, float(pose[2]), float(1 + pose[3]))
    moved = np.asarray(matrix, np.float64)
    moved[:, 2] += pose[:2]
    return moved


def _noise_bank(rng: np.random.Generator) -> list[Map]:
    """Draw a few tiles of noise, larger than a frame; each frame uses a random window of a tile, which is cheap."""
    tiles = (rng.normal(size=(HEIGHT + 64, WIDTH + 64, 3)).astype(np.float32) for _ in range(3))
    return [np.asarray(cv2.GaussianBlur(tile, (0, 0), 0.45) * 1.35, np.float32) for tile in tiles]


def _noise_tile(bank: list[Map], rng: np.random.Generator) -> Map:
    tile = bank[rng.integers(len(bank))]
    y, x = rng.integers(0, 64, 2)
    window = tile[y : y + HEIGHT, x : x + WIDTH]
    return np.asarray(cv2.flip(window, 1), np.float32) if rng.random() < 0.5 else window
