"""Judge the probabilities of a run's held-out clips, each subject by a temperature fitted on the other subjects only.

Only the rule `last` is judged. Under `best-test` the logits were chosen by the held-out labels, so any calibration of
them is too good; and `mer fit`, whose probabilities this is for, trains a fixed number of epochs and chooses none.

The network that held a subject out made that subject's logits, and the temperature they are divided by comes from the
held-out clips of all other subjects: so neither saw the subject's labels. What a subject's labels did reach are the
networks of the other folds, which trained on that subject. One number fitted on hundreds of clips carries little of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mer_cli.errors import RunError
from mer_cli.evaluation.calibration import (
    N_BINS,
    bound_note,
    brier,
    calibrate,
    ece,
    equal_mass_bins,
    equal_width_bins,
    expected_ece,
    fit_temperature,
    gaps_by_bin,
    log_loss,
    silence_threshold,
    top_of,
)
from mer_cli.evaluation.epoch_rules import evaluate, folds_of
from mer_cli.evaluation.statistics import interval_of_sums, mean_interval
from mer_cli.records import subject_of
from mer_cli.runs.config import require_classes
from mer_cli.runs.directory import Run

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """The probabilities of a run's held-out clips before and after calibration, with the truth.

    clip_ids : sorted · labels : (n,) the true classes
    before, after : (n, classes), the softmax of the logits, and of the logits divided by `temperatures[subject]`
    temperature : fitted on all held-out clips; the one to give to a model for new people
    temperatures : by subject ("dataset/subject"), fitted on the held-out clips of the others
    thresholds : (n,) top probability up to which the answer says nothing, by the classes of the others' clips
    largest : (n,) the commonest class among the others' clips, which always naming it would name
    """

    clip_ids: tuple[str, ...]
    labels: NDArray[np.int64] = field(repr=False)
    before: Array = field(repr=False)
    after: Array = field(repr=False)
    temperature: float
    temperatures: Mapping[str, float]
    thresholds: Array = field(repr=False)
    largest: NDArray[np.int64] = field(repr=False)

    @property
    def n_subjects(self) -> int:
        return len(self.temperatures)

    @property
    def answered(self) -> NDArray[np.bool_]:
        """Whether each clip's answer says something: its top probability is above its threshold."""
        return np.asarray(self.after.max(axis=1) > self.thresholds)

    @property
    def note(self) -> str:
        """A sentence if the temperature is at a limit, otherwise ""."""
        return bound_note(self.temperature)


def calibration_of(run: Run, dataset: str | None = None) -> Calibration:
    """Return the calibration of a finished run's last epoch, cross-fitted by subject.

    Parameters
    ----------
    dataset : judge the folds of this dataset only, by its own subjects; all folds if left out

    Raises
    ------
    ConfigError
        If the run predicts action units.
    RunError
        As `evaluate`, or if there are held-out clips of one subject only.
    """
    require_classes(run.config, f"{run.path}, --calibration")
    evaluate(run, "last", dataset)  # refuses folds that are missing, and logits that are not numbers
    found = {
        clip_id: logits
        for fold in folds_of(run, dataset)
        for clip_id, logits in zip(fold.clip_ids, fold.logits[-1].astype(np.float64), strict=True)
    }
    clip_ids = tuple(sorted(found))
    logits = np.array([found[clip_id] for clip_id in clip_ids])
    labels = np.array([run.labels[clip_id] for clip_id in clip_ids], np.int64)
    subjects = np.array([subject_of(clip_id) for clip_id in clip_ids])
    if len(set(subjects)) < 2:
        raise RunError(
            f"{run.path}: all held-out clips are of one subject ({subjects[0]}). Calibration is fitted on other "
            "subjects than it is judged on. Train a run with more subjects."
        )
    after, thresholds, largest = np.empty_like(logits), np.empty(len(labels)), np.empty_like(labels)
    temperatures = {}
    for subject in sorted(set(subjects.tolist())):
        own = subjects == subject
        temperatures[subject] = fit_temperature(logits[~own], labels[~own])
        after[own] = calibrate(logits[own], temperatures[subject])
        of_class = _clips_of_class(run, subject)
        thresholds[own], largest[own] = silence_threshold(of_class), int(np.argmax(of_class))
    return Calibration(
        clip_ids=clip_ids,
        labels=labels,
        before=calibrate(logits, 1.0),
        after=after,
        temperature=fit_temperature(logits, labels),
        temperatures=temperatures,
        thresholds=thresholds,
        largest=largest,
    )


def _clips_of_class(run: Run, without: str) -> list[int]:
    """Return how many of a run's clips have each class, without those of a subject."""
    labels = [label for clip_id, label in run.labels.items() if subject_of(clip_id) != without]
    return [labels.count(label) for label in range(len(run.class_names))]


@dataclass(frozen=True)
class Error:
    """An error of the probabilities before and after calibration, less is better, with 95 % intervals.

    change : after minus before, of the same clips
    exact : what it would be on average if the calibrated probabilities were exactly true; None if not computed
    """

    name: str
    before: float
    after: float
    change: float
    after_interval: tuple[float, float]
    change_interval: tuple[float, float]
    exact: float | None = None


def errors_of(found: Calibration) -> tuple[Error, ...]:
    """Return the errors of a run's probabilities: ECE with equal and with adaptive bins, Brier score, log-likelihood.

    The intervals draw subjects. That of an ECE is shifted upwards, because drawing clips twice adds noise to every bin:
    compare it with `exact`, not with 0.
    """
    return (
        _ece_error("ECE, 10 bins of equal width", found, adaptive=False),
        _ece_error("ECE, 10 bins of equally many clips", found, adaptive=True),
        _mean_error("Brier score", brier(found.before, found.labels), brier(found.after, found.labels), found),
        _mean_error(
            "negative log-likelihood",
            log_loss(found.before, found.labels),
            log_loss(found.after, found.labels),
            found,
        ),
    )


def _mean_error(name: str, before: Array, after: Array, found: Calibration) -> Error:
    return Error(
        name,
        float(before.mean()),
        float(after.mean()),
        float((after - before).mean()),
        mean_interval(after, found.clip_ids),
        mean_interval(after - before, found.clip_ids),
    )


def _ece_error(name: str, found: Calibration, *, adaptive: bool) -> Error:
    columns = []
    for probabilities in (found.before, found.after):
        top, right = top_of(probabilities, found.labels)
        bins = equal_mass_bins(top) if adaptive else equal_width_bins(top)
        columns.append(gaps_by_bin(bins, right - top))
    before, after = (np.hstack([table, np.ones((len(table), 1))]) for table in columns)
    both = np.hstack([columns[1], before])  # after, before, number of clips

    def change(sums: Array) -> Array:
        return _ece_of_sums(sums[:, [*range(N_BINS), -1]]) - _ece_of_sums(sums[:, N_BINS:])

    values = [ece(probabilities, found.labels, adaptive=adaptive) for probabilities in (found.before, found.after)]
    return Error(
        name,
        values[0],
        values[1],
        values[1] - values[0],
        interval_of_sums(after, found.clip_ids, _ece_of_sums),
        interval_of_sums(both, found.clip_ids, change),
        expected_ece(found.after, adaptive=adaptive),
    )


def _ece_of_sums(sums: Array) -> Array:
    """Return the ECE of each draw from its sums: the gap in each bin, then the number of clips."""
    return np.asarray(np.abs(sums[:, :-1]).sum(axis=1) / sums[:, -1])


@dataclass(frozen=True)
class Bin:
    """A point of a reliability diagram: clips of similar confidence.

    confidence : their mean top probability · accuracy : the share that is right
    low, high : 95 % interval of the accuracy, drawing subjects
    """

    n_clips: int
    confidence: float
    accuracy: float
    low: float
    high: float


def reliability(probabilities: Array, labels: NDArray[np.int64], clip_ids: tuple[str, ...]) -> tuple[Bin, ...]:
    """Return the points of a reliability diagram, lowest confidence first, without the bins that have no clip.

    Parameters
    ----------
    probabilities : (n, classes) · labels : (n,) · clip_ids : of the same clips
    """
    top, right = top_of(probabilities, labels)
    bins = equal_width_bins(top)
    points = []
    for number in np.unique(bins):
        inside = (bins == number).astype(np.float64)
        low, high = _share_interval(right, inside, clip_ids)
        n_clips = inside.sum()
        points.append(
            Bin(int(n_clips), float((top * inside).sum() / n_clips), float((right * inside).sum() / n_clips), low, high)
        )
    return tuple(points)


@dataclass(frozen=True)
class Answered:
    """What is answered if the top probability must reach a threshold.

    threshold : None for each clip's own, `Calibration.thresholds`, which the probability must exceed
    n_answered, coverage : number and share of the clips that are answered
    accuracy : share of the answers that are right, with its 95 % interval over subjects; None if none is answered
    chance : share that always naming the largest class would have right on the same clips
    silent : share that would have been right among the clips that are not answered; None if all are
    """

    threshold: float | None
    n_answered: int
    coverage: float
    accuracy: float | None
    interval: tuple[float, float] | None
    chance: float | None
    silent: float | None


def answered_at(found: Calibration, threshold: float | None) -> Answered:
    """Return how many clips are answered at a threshold, and how many of the answers are right."""
    top, right = top_of(found.after, found.labels)
    is_answered = found.answered if threshold is None else top >= threshold
    n_answered, by_chance = int(is_answered.sum()), found.largest == found.labels
    silent = float(right[~is_answered].mean()) if n_answered < len(top) else None
    if not n_answered:
        return Answered(threshold, 0, 0.0, None, None, None, silent)
    return Answered(
        threshold,
        n_answered,
        n_answered / len(top),
        float(right[is_answered].mean()),
        _share_interval(right, is_answered.astype(np.float64), found.clip_ids),
        float(by_chance[is_answered].mean()),
        silent,
    )


def risk_coverage(probabilities: Array, labels: NDArray[np.int64]) -> tuple[Array, Array, Array]:
    """Return the curve of accuracy against share answered, for every threshold that changes them, highest first.

    Returns
    -------
    threshold, coverage, accuracy
        (k,) each: of the clips whose top probability is at least the threshold

    Source
    ------
    Geifman and El-Yaniv, Selective classification for deep neural networks, NeurIPS 2017
    """
    top, right = top_of(probabilities, labels)
    order = np.argsort(-top, kind="stable")
    top, right = top[order], right[order]
    last = np.append(np.flatnonzero(np.diff(top)), len(top) - 1)  # clips of equal probability are answered together
    n_answered = last + 1
    return top[last], n_answered / len(top), right.cumsum()[last] / n_answered


def _share_interval(right: Array, inside: Array, clip_ids: tuple[str, ...]) -> tuple[float, float]:
    """Return the 95 % interval of the share that is right among some clips (`inside` 1, otherwise 0)."""

    def share(sums: Array) -> Array:
        return np.asarray(sums[:, 0] / np.where(sums[:, 1] > 0, sums[:, 1], np.nan))

    return interval_of_sums(np.stack([right * inside, inside], axis=1), clip_ids, share)
