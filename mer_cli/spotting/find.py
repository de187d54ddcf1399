"""Find, in the measured motion of a face, the intervals in which something moved and came back, and judge them.

A path is compared with the mean of where it was a moment before and where it is a moment later: a steady drift of the
head cancels out, and what goes and returns remains. The moment has several lengths, from 0.08 s to 1 s, so that slow
expressions are found too, and then rejected as such. Camera noise and what the fit of the head leaves are in every
recording, so a region counts by how far it stands out of its own median over the recording.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from mer_cli.spotting.measure import EYES, MOUTH, REGIONS, Measured

Floats = NDArray[np.float64]

ELSEWHERE = [index for index in range(len(REGIONS)) if index not in EYES]
MOMENTS = (0.08, 0.12, 0.18, 0.25, 0.5, 1.0)  # seconds to either side that a place is compared with
SMOOTHING = 0.02  # seconds, sigma of the Gaussian that paths are smoothed with
RAYLEIGH = 1.1774  # median of the length of a vector whose two parts have deviation 1
LEAST_NOISE = 0.03  # pixels of the crop; a recording without noise would make every motion stand out
STRONGEST = 2  # regions whose mean says how much moves; an expression on one side has hardly more
LOWEST_PEAK = 4.0  # times the noise that they stand out
THRESHOLD = 12.0  # times its noise that the curve of a motion rises and falls
APART = 0.12  # seconds between two peaks
APART_SHARE = 0.25  # of a candidate's time that others may cover
SPEECH_MOMENT = 1  # of MOMENTS, about half a syllable
MOVES = 0.3  # pixels by which a mouth moves, however much it moves in the rest of the recording
SPEECH_SECONDS = 1.5  # to either side of a motion, in which a mouth that speaks moves, too
OWN_SECONDS = 0.25  # to either side that belong to the motion itself
REACH = 2.0  # seconds to either side in which an expression begins and ends
LOW, HIGH = 0.35, 0.6  # parts of the rise through which the line to the onset is drawn
TURN = 0.3  # of the rise so far; where a path goes back by more, another motion begins
RETURN = 0.5  # of its larger side that the smaller side of a peak must have


@dataclass(frozen=True)
class Candidate:
    """A motion that came and went; times in seconds.

    amplitude : how far the regions moved, a mean over those that moved most, pixels of the crop
    score : how far it stands out of the noise
    shares : (regions,) of the motion that each region had
    busy : share of the time around it in which the mouth stands out of its noise
    """

    run: Run
    onset: float
    apex: float
    offset: float
    amplitude: float
    score: float
    shares: Floats = field(repr=False)
    busy: float = 0.0


@dataclass(frozen=True)
class Run:
    """A part of a recording in which one face is followed, at equal steps of time.

    seconds : (T,) · paths, head, eyes : as in `Measured` · step : seconds
    """

    seconds: Floats = field(repr=False)
    paths: Floats = field(repr=False)
    head: Floats = field(repr=False)
    eyes: Floats = field(repr=False)
    step: float

    def between(self, start: float, end: float) -> slice:
        """Return the indices of the steps from `start` to `end`, in seconds, at least one."""
        first, last = np.searchsorted(self.seconds, [start, end])
        first = min(int(first), len(self.seconds) - 1)
        return slice(first, max(int(last), first + 1))


def runs_of(measured: Measured) -> list[Run]:
    """Return the parts of a recording in which one face is followed, resampled to equal steps and smoothed."""
    if len(measured.seconds) < 2:
        return []
    step = float(np.median(np.diff(measured.seconds)))
    if step <= 0:
        return []
    ends = np.flatnonzero(np.diff(measured.faces)) + 1
    parts = (part for part in np.split(np.arange(len(measured.faces)), ends) if measured.faces[part[0]] > 0)
    return [_run(measured, part, step) for part in parts if len(part) > 2]


def _run(measured: Measured, part: NDArray[np.intp], step: float) -> Run:
    times = measured.seconds[part]
    even = np.arange(times[0], times[-1] + step / 2, step)
    paths, head, eyes = (
        _smooth(_resample(even, times, values[part]), step) for values in (measured.paths, measured.head, measured.eyes)
    )
    return Run(even, paths, head, eyes, step)


def _resample(even: Floats, times: Floats, values: Floats) -> Floats:
    columns = values.reshape(len(values), -1).T
    return np.stack([np.interp(even, times, column) for column in columns], axis=1).reshape(-1, *values.shape[1:])


def _smooth(values: Floats, step: float) -> Floats:
    return np.asarray(gaussian_filter1d(values, SMOOTHING / step, axis=0, mode="nearest"))


def find_candidates(runs: Sequence[Run]) -> list[Candidate]:
    """Return every motion of a face that came and went, by onset; the noise is that of all runs together.

    The eyes are looked at by themselves, because a blink would hide what the rest of the face does. What the eyes do at
    the time of a motion elsewhere is left out.
    """
    if not runs:
        return []
    noise = np.stack([_noise([_bumps(run, moment) for run in runs]) for moment in MOMENTS])
    found: list[Candidate] = []
    for run in runs:
        elsewhere = list(_candidates(run, noise, ELSEWHERE))
        eyes = (one for one in _candidates(run, noise, EYES) if _overlap(one, elsewhere) < APART_SHARE)
        found += [*elsewhere, *eyes]
    return sorted(found, key=lambda candidate: candidate.onset)


def _bumps(run: Run, moment: float) -> Floats:
    """Return how far each region is from the mean of its places a moment before and after, (T, regions, 2)."""
    n = max(round(moment / run.step), 1)
    padded = np.pad(run.paths, ((n, n), (0, 0), (0, 0)), mode="edge")
    bumps = run.paths - (padded[: -2 * n] + padded[2 * n :]) / 2
    bumps[:n] = bumps[max(len(bumps) - n, 0) :] = np.nan  # nobody knows what was before, or what comes
    return np.asarray(bumps)


def _bump_at(run: Run, moment: float, place: int) -> Floats:
    """Return the row of `_bumps` at a place that has a moment before and after it, (regions, 2)."""
    n = max(round(moment / run.step), 1)
    return np.asarray(run.paths[place] - (run.paths[place - n] + run.paths[place + n]) / 2)


def _strongest(bumps: Floats, noise: Floats) -> Floats:
    """Return how far the regions that moved most stand out of their noise, (T,)."""
    lengths = np.linalg.norm(bumps, axis=-1) / noise
    return np.asarray(np.sort(np.nan_to_num(lengths), axis=-1)[:, -STRONGEST:].mean(axis=-1))


def _noise(bumps: Sequence[Floats]) -> Floats:
    """Return the noise of each region over all runs, (regions,): robust, so that expressions don't count."""
    lengths = np.linalg.norm(np.concatenate(bumps), axis=-1)
    known = lengths[~np.isnan(lengths[:, 0])]
    if not len(known):
        return np.full(len(REGIONS), np.inf)
    return np.asarray(np.maximum(np.median(known, axis=0) / RAYLEIGH, LEAST_NOISE))


def _candidates(run: Run, noise: Floats, regions: Sequence[int]) -> Iterator[Candidate]:
    """Yield the candidates of a run in some regions, those that stand out most first.

    The bumps of one moment are held at a time: those of all moments would take gigabytes for a few hours.

    Parameters
    ----------
    noise : (moments, regions)
    """
    strongest = np.stack(
        [_strongest(_bumps(run, moment)[:, regions], noise[at, regions]) for at, moment in enumerate(MOMENTS)]
    )  # (moments, T)
    height = strongest.max(axis=0)
    peaks, _ = find_peaks(height, height=LOWEST_PEAK, distance=max(round(APART / run.step), 1))
    taken: list[Candidate] = []
    moves = np.minimum(LOWEST_PEAK * noise[SPEECH_MOMENT, MOUTH], MOVES)
    of_mouth = np.linalg.norm(_bumps(run, MOMENTS[SPEECH_MOMENT])[:, MOUTH], axis=-1) / moves
    mouth = np.nan_to_num(np.sort(of_mouth, axis=-1)[:, -STRONGEST:].mean(axis=-1)) > 1
    for peak in sorted(peaks, key=lambda peak: -height[peak]):
        moment = int(strongest[:, peak].argmax())
        bump = np.zeros((len(REGIONS), 2))
        bump[regions] = _bump_at(run, MOMENTS[moment], int(peak))[regions]
        candidate = _shape(run, int(peak), bump, noise[moment])
        if candidate is not None and candidate.score >= THRESHOLD and _overlap(candidate, taken) < APART_SHARE:
            taken.append(candidate)
            yield replace(candidate, busy=_busy(run, mouth, candidate))


def _busy(run: Run, mouth: NDArray[np.bool_], candidate: Candidate) -> float:
    """Return the share of the time before and after a candidate, without itself, in which the mouth moves."""
    around = run.between(candidate.onset - SPEECH_SECONDS, candidate.offset + SPEECH_SECONDS)
    own = run.between(candidate.onset - OWN_SECONDS, candidate.offset + OWN_SECONDS)
    times = np.arange(len(mouth))
    other = (times >= around.start) & (times < around.stop) & ((times < own.start) | (times >= own.stop))
    return float(mouth[other].mean()) if other.any() else 0.0


def _overlap(candidate: Candidate, others: Iterable[Candidate]) -> float:
    """Return the part of a candidate's time that others cover."""
    shared = (min(candidate.offset, other.offset) - max(candidate.onset, other.onset) for other in others)
    return sum(max(seconds, 0.0) for seconds in shared) / max(candidate.offset - candidate.onset, 1e-9)


def _shape(run: Run, peak: int, bump: Floats, noise: Floats) -> Candidate | None:
    """Return the candidate at a peak: its curve is the motion in the direction in which each region moved there.

    None if the curve has no peak there: it only goes, or only returns.
    """
    lengths = np.linalg.norm(bump, axis=-1)
    weights = lengths / noise**2
    direction = bump * (weights / np.maximum(lengths, 1e-9) / max(weights.sum(), 1e-9))[:, None]
    part = run.between(run.seconds[peak] - REACH, run.seconds[peak] + REACH)
    curve = np.einsum("trc,rc->t", run.paths[part], direction)
    at = peak - part.start
    near = max(round(APART / run.step / 2), 1)
    first = max(at - near, 0)
    at = first + int(curve[first : at + near + 1].argmax())
    rise, to_onset = _side(curve[: at + 1][::-1])
    fall, to_offset = _side(curve[at:])
    if min(rise, fall) < RETURN * max(rise, fall):
        return None
    time = float(run.seconds[part.start + at])
    of_curve = float(np.sqrt(((np.linalg.norm(direction, axis=-1) * noise) ** 2).sum()))
    return Candidate(
        run=run,
        onset=time - to_onset * run.step,
        apex=time + _vertex(curve, at) * run.step,
        offset=time + to_offset * run.step,
        amplitude=min(rise, fall),
        score=min(rise, fall) / of_curve,
        shares=weights / max(weights.sum(), 1e-9),
    )


def _side(curve: Floats) -> tuple[float, float]:
    """Return by how much a curve falls from its first value until it turns, and after how many steps it is down.

    It is down where a line through 60 % and 35 % of the fall meets the bottom: noise hides where a smooth fall ends.
    """
    lowest = np.minimum.accumulate(curve)
    turned = np.flatnonzero(curve - lowest > TURN * np.maximum(curve[0] - lowest, 1e-9))
    down = curve[: turned[0]] if len(turned) else curve
    bottom = int(down.argmin())
    fall = float(curve[0] - curve[bottom])
    if fall <= 0:
        return 0.0, 0.0
    share = (curve[: bottom + 1] - curve[bottom]) / fall
    high, low = (_crossing(share, level) for level in (HIGH, LOW))
    return fall, min(low + (low - high) * LOW / (HIGH - LOW), float(bottom) + 1)


def _crossing(share: Floats, level: float) -> float:
    """Return where a curve that begins at 1 and ends at 0 first falls below a level, between two steps."""
    index = int(np.flatnonzero(share < level)[0])
    before, after = share[index - 1], share[index]
    return float(index - 1 + (before - level) / (before - after))


def _vertex(curve: Floats, at: int) -> float:
    """Return where the parabola through three values has its peak, in steps from the middle one."""
    if not 0 < at < len(curve) - 1:
        return 0.0
    left, middle, right = curve[at - 1 : at + 2]
    bend = left - 2 * middle + right
    return float(np.clip((left - right) / (2 * bend), -0.5, 0.5)) if bend < 0 else 0.0
