"""Spot what may be micro-expressions in a recording: intervals in which the face, not the head, moved and came back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from mer_cli.errors import ConfigError
from mer_cli.faces.crop import BOX_SCALE
from mer_cli.faces.recording import Recording
from mer_cli.spotting.find import Candidate, find_candidates, runs_of
from mer_cli.spotting.follow import FaceFollower
from mer_cli.spotting.interval import Interval, Spotted
from mer_cli.spotting.judge import judge
from mer_cli.spotting.measure import Measured, MotionMeter

LEAST_FPS = 25.0
GOOD_FPS = 60.0
MEASURED_FPS = 50.0  # frames a second at which motion is measured, at most; a micro-expression has ten of them
WINDOW = 0.2  # seconds, over which the motion of `Spotted` is told: about the rise of a micro-expression
SMALLEST_FACE = 80  # pixels
MANY_FACES = 0.5  # of the frames, from which several faces are told


def spot(recording: Recording, predictor: Path, on_frame: Callable[[int, int | None], None]) -> Spotted:
    """Spot intervals of motion that may be micro-expressions, reading the recording once, one frame at a time.

    Ctrl-C ends the reading, and what was found in the frames so far is returned.

    Parameters
    ----------
    predictor : Dlib's file of the model of 68 landmarks
    on_frame : is told the number of frames read so far, and of all frames if it is known

    Raises
    ------
    ConfigError
        If nobody knows the frames a second, or there are fewer than 25.
    FaceError
        If a frame can't be read, or `predictor` is not such a model.
    """
    fps = _checked_fps(recording)
    step = max(round(fps / MEASURED_FPS), 1)
    follower, meter = FaceFollower(predictor), MotionMeter()
    n_read = 0
    interrupted = False
    try:
        for frame in recording.read():
            if n_read % step == 0:
                stretch = follower.look(frame.image, frame.seconds)
                meter.add(frame.number, frame.seconds, frame.image, stretch, follower.n_faces)
            n_read += 1
            on_frame(n_read, recording.n_frames)
    except KeyboardInterrupt:
        interrupted = True
    return _spotted(meter.measured(), fps, n_read, recording.notes, interrupted=interrupted)


def _checked_fps(recording: Recording) -> float:
    if recording.fps is None:
        raise ConfigError(
            f"{recording.path}: a folder of images doesn't say how many frames a second it has. Give --fps."
        )
    if recording.fps < LEAST_FPS:
        raise ConfigError(
            f"{recording.path}: {recording.fps:g} frames a second. Expected at least {LEAST_FPS:g}, because a "
            "micro-expression lasts half a second at most. Record with more; if the header is wrong, give --fps."
        )
    return recording.fps


def _spotted(
    measured: Measured, fps: float, n_read: int, notes: tuple[str, ...], *, interrupted: bool
) -> Spotted:
    candidates = find_candidates(runs_of(measured))
    judged = [(candidate, judge(candidate, candidates)) for candidate in candidates]
    intervals = [_interval(measured, candidate, reason) for candidate, reason in judged]
    motion, head = _told_motion(measured)
    return Spotted(
        fps=fps,
        n_frames=n_read,
        intervals=tuple(interval for interval in intervals if not interval.reason),
        rejected=tuple(interval for interval in intervals if interval.reason),
        numbers=measured.numbers,
        motion=motion,
        head=head,
        n_faces=measured.n_faces,
        notes=(*notes, *_notes(measured, fps)),
        interrupted=interrupted,
    )
