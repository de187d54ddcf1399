"""Spot what may be micro-expressions in a recording: intervals in which the face, not the head, moved and came back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mer_cli.errors import ConfigError
from mer_cli.faces.recording import Recording
from mer_cli.spotting.find import STRONGEST, Candidate, find_candidates, runs_of
from mer_cli.spotting.follow import FaceFollower
from mer_cli.spotting.interval import Interval, Reason, Spotted
from mer_cli.spotting.judge import judge
from mer_cli.spotting.measure import Measured, MotionMeter

LEAST_FPS = 25.0  # below, a micro-expression of .2 s has fewer than five frames
GOOD_FPS = 60.0  # below, a note is given
MEASURED_FPS = 50.0  # frames a second at which motion is measured, at most; a micro-expression has ten of them
WINDOW = 0.2  # seconds, over which the motion of `Spotted` is told: about the rise of a micro-expression
SMALLEST_FACE = 80  # pixels, brows to chin; a motion of 1 in 224 would be less than .3 of a pixel there
SHORTEST = 0.4  # seconds, from which something can come and go with a moment before and after it
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
    n_read, n_frames = 0, recording.n_frames
    interrupted = False
    try:
        for n_before, frame in enumerate(recording.read(step=step)):
            stretch = follower.look(frame.image, frame.seconds)
            meter.add(frame.number, frame.seconds, frame.image, stretch, follower.n_faces)
            n_read = n_before * step + 1
            on_frame(n_read, n_frames)
    except KeyboardInterrupt:
        interrupted = True
    if not interrupted and n_frames and n_read <= n_frames < n_read + step:
        n_read = n_frames  # the last few were passed over
        on_frame(n_read, n_frames)
    return _spotted(meter.measured(), fps, n_read, recording.notes, interrupted=interrupted)


def _checked_fps(recording: Recording) -> float:
    if recording.fps is None:
        raise ConfigError(
            f"{recording.path}: a folder of images doesn't say how many frames a second it has. Give --fps."
            if recording.path.is_dir()
            else f"{recording.path}: the video doesn't say how many frames a second it has. Convert it, for example to "
            "MP4; or write its frames into a folder, and give --fps."
        )
    if recording.fps < LEAST_FPS:
        raise ConfigError(
            f"{recording.path}: {recording.fps:g} frames a second. Expected at least {LEAST_FPS:g}, because a "
            "micro-expression lasts half a second at most. Record with more."
        )
    return recording.fps


def _spotted(measured: Measured, fps: float, n_read: int, notes: tuple[str, ...], *, interrupted: bool) -> Spotted:
    candidates = find_candidates(runs_of(measured))
    intervals = [_interval(measured, candidate, judge(candidate)) for candidate in candidates]
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
        notes=(*notes, *_notes(measured, fps, None if interrupted else (n_read - 1) / fps)),
        interrupted=interrupted,
    )


def _interval(measured: Measured, candidate: Candidate, reason: Reason) -> Interval:
    """Return a candidate as numbers of frames, between those at which motion was measured."""
    times = [candidate.onset, candidate.apex, candidate.offset]
    onset, apex, offset = np.rint(np.interp(times, measured.seconds, measured.numbers)).astype(int).tolist()
    return Interval(onset, min(max(apex, onset), offset), offset, round(candidate.score, 2), reason)


def _told_motion(measured: Measured) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return how far the two regions that move most, and the head, moved in the last moment; NaN without a face."""
    before = np.maximum(np.searchsorted(measured.seconds, measured.seconds - WINDOW), 0)
    is_known = (measured.faces > 0) & (measured.faces[before] == measured.faces)
    moved = np.linalg.norm(measured.paths - measured.paths[before], axis=-1)
    motion = np.sort(moved, axis=-1)[:, -STRONGEST:].mean(axis=-1)
    head = np.linalg.norm(measured.head - measured.head[before], axis=-1).max(axis=-1)
    return tuple(np.where(is_known, values, np.nan).astype(np.float32) for values in (motion, head))  # type: ignore[return-value]


def slow_note(fps: float | None) -> str:
    """Return a note on a recording with few frames a second; "" if it has enough, or nobody knows."""
    if fps is None or fps >= GOOD_FPS:
        return ""
    return f"{fps:.3g} frames a second: the shortest micro-expressions last only a few frames; record with 100 or more"


def _notes(measured: Measured, fps: float, seconds: float | None) -> Iterator[str]:
    if seconds is not None and seconds < SHORTEST:
        yield f"it takes {seconds:.2g} s, and nothing can come and go in less than {SHORTEST:g} s"
    if slow := slow_note(fps):
        yield slow
    n_frames = len(measured.faces)
    n_without = int((measured.faces == 0).sum())
    if n_frames and n_without == n_frames:
        yield "no face was found in any frame"
    elif n_without:
        yield f"no face was found in {n_without / n_frames:.0%} of the frames; nothing was looked for there"
    share = float((measured.n_faces > 1).mean()) if n_frames else 0.0
    if share >= MANY_FACES:
        yield f"there are up to {measured.n_faces.max()} faces in {share:.0%} of the frames; the largest was followed"
    elif share:
        yield f"there are several faces in {share:.0%} of the frames; the largest was followed"
    if 0 < measured.size < SMALLEST_FACE:
        yield (
            f"the face measures {measured.size:.0f} pixels, and at least {SMALLEST_FACE} are needed: a "
            "micro-expression moves a smaller one by less than a third of a pixel"
        )
