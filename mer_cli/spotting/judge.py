"""Judge a motion that came and went: whether it may be a micro-expression, or is a blink, the head, speech or too long.

The limits are in pixels of the 224 crop, in which a face is about 170 pixels wide, and in seconds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mer_cli.spotting.find import Candidate
from mer_cli.spotting.interval import Reason
from mer_cli.spotting.measure import EYES, MOUTH

LONGEST = 0.6  # seconds; a micro-expression lasts half a second at most, and the ends are found to about 0.05 s
LARGEST = 4.0  # pixels; larger motion is a macro-expression
BLINK = 1.0  # pixels that both eyelids go and come back, on average over the eye
BLINK_LEAK = 0.5  # pixels by which a blink moves other regions at most, because lids reach into them
BLINK_LEAK_SHARE = 0.2  # of the motion of the lids, if that is more
BLINK_MARGIN = 0.15  # seconds; the lids may be closed before and after they move other regions
HEAD_MARGIN = 0.05  # seconds
HEAD = 3.0  # pixels; a head is never quite still
HEAD_RATIO = 1.0  # of the motion that is left, above which the head's motion explains it
SPEECH = 0.3  # of the time around a motion in which the mouth moves, from which it speaks
SPEECH_SHARE = 0.3  # of the motion that is the mouth's
BLINK_DIP = 0.12  # of an eye's contrast that a lid hides at least
EDGE = 0.1  # seconds from a time without a face


def judge(candidate: Candidate) -> Reason:
    """Return why a candidate can't be a micro-expression, or ""."""
    run = candidate.run
    if min(candidate.onset - run.seconds[0], run.seconds[-1] - candidate.offset) < EDGE:
        return "no face"
    if _is_blink(candidate):
        return "blink"
    if candidate.busy > SPEECH and candidate.shares[MOUTH].sum() >= SPEECH_SHARE:
        return "speech"
    part = run.between(candidate.onset - HEAD_MARGIN, candidate.offset + HEAD_MARGIN)
    head = float(np.linalg.norm(np.ptp(run.head[part], axis=0), axis=-1).max())
    if head > max(HEAD, HEAD_RATIO * candidate.amplitude):
        return "head"
    is_long = candidate.offset - candidate.onset > LONGEST or candidate.amplitude > LARGEST
    return "long" if is_long else ""


def _is_blink(candidate: Candidate) -> bool:
    """Return whether both eyes close and open during a candidate, and nothing else moves more than that explains.

    A lid moves less than the flow sees, or farther, so the contrast of the eyes counts, too: a lid hides it.
    """
    run = candidate.run
    part = run.between(candidate.onset - BLINK_MARGIN, candidate.offset + BLINK_MARGIN)
    lids = min(map(_excursion, run.paths[part][:, EYES, 1].T))
    closing = min(_dip(contrast) for contrast in run.eyes[part].T)
    if closing < BLINK_DIP and lids < BLINK:
        return False
    return candidate.shares[EYES].sum() > 0 or candidate.amplitude < max(BLINK_LEAK, BLINK_LEAK_SHARE * lids)


def _excursion(path: NDArray[np.float64]) -> float:
    """Return how far a path goes away from both of its ends."""
    return float(np.abs(path - np.interp(np.arange(len(path)), [0, len(path) - 1], path[[0, -1]])).max())


def _dip(contrast: NDArray[np.float64]) -> float:
    """Return the share of an eye's contrast that is lost between two moments with more."""
    lowest = int(contrast.argmin())
    ends = min(float(contrast[: lowest + 1].max()), float(contrast[lowest:].max()))
    return 1 - float(contrast[lowest]) / max(ends, 1e-9)
