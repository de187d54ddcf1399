"""Judge a motion that came and went: whether it may be a micro-expression, or is a blink, the head, speech or too long.

The limits are in pixels of the 224 crop, in which a face is about 170 pixels wide, and in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mer_cli.spotting.find import Candidate, Run
from mer_cli.spotting.interval import Reason
from mer_cli.spotting.measure import EYES, MOUTH

LONGEST = 0.6  # seconds; a micro-expression lasts half a second at most, and the ends are found to about 0.05 s
SHORTEST = 0.06  # seconds; anything shorter is a jump of the picture
LARGEST = 4.0  # pixels; larger motion is a macro-expression
BLINK = 1.0  # pixels that both eyelids go and come back, on average over the eye
BLINK_RATIO = 3.0  # times the motion elsewhere that the eyelids move at least, if a blink explains it
BLINK_MARGIN = 0.05  # seconds
HEAD = 3.0  # pixels; a head is never quite still
HEAD_RATIO = 1.0  # of the motion that is left, above which the head's motion explains it
SPEECH_SECONDS = 1.5  # to either side in which a mouth that speaks moves again
SPEECH_SHARE = 0.5  # of the motion that is the mouth's
SPEECH_PEAKS = 4
EDGE = 0.1  # seconds from a time without a face


def judge(candidate: Candidate, others: Sequence[Candidate]) -> Reason:
    """Return why a candidate can't be a micro-expression, or "".

    Parameters
    ----------
    others : all candidates of the recording, to see whether the mouth moves again and again
    """
    run = candidate.run
    part = run.between(candidate.onset - BLINK_MARGIN, candidate.offset + BLINK_MARGIN)
    if min(candidate.onset - run.seconds[0], run.seconds[-1] - candidate.offset) < EDGE:
        return "no face"
    if _is_blink(run, part, candidate):
        return "blink"
    if _spoken(candidate, others):
        return "speech"
    head = float(np.linalg.norm(np.ptp(run.head[part], axis=0), axis=-1).max())
    if head > max(HEAD, HEAD_RATIO * candidate.amplitude):
        return "head"
    is_long = candidate.offset - candidate.onset > LONGEST or candidate.amplitude > LARGEST
    return "long" if is_long else ""


def _is_blink(run: Run, part: slice, candidate: Candidate) -> bool:
    """Return whether both eyelids go and come back during a candidate, so far that they explain the rest of it."""
    lids = min(map(_excursion, run.paths[part][:, EYES, 1].T))
    elsewhere = 0.0 if candidate.shares[EYES].sum() > 0 else candidate.amplitude
    return lids > max(BLINK, BLINK_RATIO * elsewhere)


def _excursion(path: NDArray[np.float64]) -> float:
    """Return how far a path goes away from both of its ends."""
    return float(np.abs(path - np.interp(np.arange(len(path)), [0, len(path) - 1], path[[0, -1]])).max())


def _spoken(candidate: Candidate, others: Sequence[Candidate]) -> bool:
    """Return whether the mouth makes most of a candidate's motion, and moves again and again around it."""
    if candidate.shares[MOUTH].sum() < SPEECH_SHARE:
        return False
    near = [
        other
        for other in others
        if other.run is candidate.run
        and abs(other.apex - candidate.apex) < SPEECH_SECONDS
        and other.shares[MOUTH].sum() >= SPEECH_SHARE
    ]
    return len(near) >= SPEECH_PEAKS
