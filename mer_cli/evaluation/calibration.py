"""Turn logits into probabilities that mean what they say, measure how well they do, and say when they say nothing.

A network's softmax is not a probability: small networks on few clips name a class with 99 % and are right half the
time. Temperature scaling divides all logits by one number T, fitted so that held-out clips are as likely as possible.
It never changes which class is named, and one number can't fit noise as a table of bins would.

Source
------
temperature scaling: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 4.2
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import softmax
from scipy.stats import binomtest

LOWEST, HIGHEST = 0.05, 100.0  # of a temperature
N_BINS = 10
N_DRAWS = 1000
SEED = 0

Logits = NDArray[np.floating[Any]]
Probabilities = NDArray[np.float64]
Labels = NDArray[np.integer[Any]]


def fit_temperature(logits: Logits, labels: Labels) -> float:
    """Return the temperature, from .05 to 100, under which held-out clips have the least negative log-likelihood.

    The likelihood is concave in 1 / T, so there is one best T; `bound_note` says what it means if that is a limit. It
    is 1 if every T is as good as any other, because no clip's logits differ.

    Parameters
    ----------
    logits : (n, classes) of clips that the network was not trained on, n >= 1
    labels : (n,) int, the true classes
    """
    scores = _checked(logits, labels)
    true = np.take_along_axis(scores, np.asarray(labels)[:, None], axis=1)[:, 0]

    def slope(log_temperature: float) -> float:
        """Return the derivative of the mean negative log-likelihood by 1 / T."""
        expected = (softmax(scores / np.exp(log_temperature), axis=1) * scores).sum(axis=1)
        return float((expected - true).mean())

    if not scores.any():
        return 1.0
    low, high = np.log(LOWEST), np.log(HIGHEST)
    if slope(low) <= 0:
        return LOWEST
    if slope(high) >= 0:
        return HIGHEST
    return float(np.exp(brentq(slope, low, high, xtol=1e-9)))


def bound_note(temperature: float) -> str:
    """Return a sentence if a fitted temperature is the smallest or largest that is allowed, otherwise ""."""
    if temperature <= LOWEST:
        return (
            f"The temperature is at its lower limit of {LOWEST:g}: nearly all held-out clips are right, too few are "
            "wrong to say how sure the network should be. The probabilities are too high."
        )
    if temperature >= HIGHEST:
        return (
            f"The temperature is at its upper limit of {HIGHEST:g}: the logits say nothing about held-out clips. The "
            "probabilities are nearly equal."
        )
    return ""


def calibrate(logits: Logits, temperature: float) -> Probabilities:
    """Return class probabilities: the softmax, over the last axis, of the logits divided by the temperature."""
    probabilities: Probabilities = softmax(np.asarray(logits, np.float64) / temperature, axis=-1)
    return probabilities


def combine(logits: Logits, temperature: float) -> tuple[Probabilities, Probabilities]:
    """Return one answer of several networks for each clip, and how far the networks differ.

    The temperature of a run was fitted on single networks, each on its own held-out subject. The mean of several is
    usually less sure than each of them: docs/calibration.md measures by how much, on generated people.

    Parameters
    ----------
    logits : (networks, n, classes)

    Returns
    -------
    probabilities : (n, classes), the mean of the networks' calibrated probabilities
    spread : (n, classes), their standard deviation over the networks; NaN for a single network. The networks of a run
        share most of their training clips, so it is smaller than that of networks trained on other people
    """
    each = calibrate(logits, temperature)
    spread = each.std(axis=0, ddof=1) if len(each) > 1 else np.full(each.shape[1:], np.nan)
    return each.mean(axis=0), spread


def as_two_classes(logits: Logits) -> Logits:
    """Return the logits of action units, (...), as those of the classes "absent" and "shown", (..., 2).

    The softmax over the two is the sigmoid, so what is said of classes holds for units.
    """
    return np.stack([np.zeros_like(logits), logits], axis=-1)


def silence_threshold(clips_of_class: Sequence[int]) -> float:
    """Return the top probability up to which an answer says nothing, from the number of training clips of each class.

    Always naming the largest class needs no picture and is right as often as that class occurs. Its share is known
    from the training clips only roughly, so the threshold is the upper end of the share's 95 % interval (Wilson's).
    """
    found = binomtest(max(clips_of_class), sum(clips_of_class)).proportion_ci(0.95, method="wilson")
    return float(found.high)


def says_nothing(probabilities: Probabilities, clips_of_class: Sequence[int]) -> bool:
    """Return whether the answer for a clip is no surer than always naming the largest class would be.

    Parameters
    ----------
    probabilities : (classes,), calibrated; of an uncalibrated network they are far too high, and nearly all would pass
    clips_of_class : number of training clips of each class
    """
    return bool(np.max(probabilities) <= silence_threshold(clips_of_class))


def log_loss(probabilities: Probabilities, labels: Labels) -> NDArray[np.float64]:
    """Return each clip's negative log-likelihood (natural logarithm) of its true class; at most 69, at 1e-30."""
    true = np.take_along_axis(probabilities, np.asarray(labels)[:, None], axis=1)[:, 0]
    return np.asarray(-np.log(np.maximum(true, 1e-30)))


def brier(probabilities: Probabilities, labels: Labels) -> NDArray[np.float64]:
    """Return each clip's squared distance from the truth, summed over the classes: 0 to 2.

    Source
    ------
    Brier, Verification of forecasts expressed in terms of probability, 1950
    """
    truth = np.eye(probabilities.shape[1])[np.asarray(labels)]
    return np.asarray(((probabilities - truth) ** 2).sum(axis=1))


def equal_width_bins(top: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the bin of each top probability among ten of equal width; 0 to .1 is the first, upper ends included.

    Source
    ------
    Naeini et al., Obtaining well calibrated probabilities using Bayesian binning, AAAI 2015; Guo et al. 2017
    """
    return np.searchsorted(np.arange(1, N_BINS) / N_BINS, top, side="left").astype(np.int64)


def equal_mass_bins(top: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the bin of each top probability among ten with equally many clips, lowest first (adaptive bins).

    Source
    ------
    Nixon et al., Measuring calibration in deep learning, CVPR workshops 2019
    """
    ranks = np.empty(len(top), np.int64)
    ranks[np.argsort(top, kind="stable")] = np.arange(len(top))
    return ranks * N_BINS // max(len(top), 1)


def gaps_by_bin(bins: NDArray[np.int64], gaps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each clip and bin the clip's gap (right, 0 or 1, minus top probability) in its own bin, else 0."""
    table = np.zeros((len(bins), N_BINS))
    table[np.arange(len(bins)), bins] = gaps
    return table


def ece(probabilities: Probabilities, labels: Labels, *, adaptive: bool = False) -> float:
    """Return the expected calibration error: how far confidence and accuracy are apart, averaged over bins of clips.

    Bins are of the top class's probability, weighted by their clips. It is never quite 0 for few clips, however good
    the probabilities are; `expected_ece` says how large it then is.

    Parameters
    ----------
    adaptive : ten bins of equally many clips instead of ten of equal width
    """
    top, right = top_of(probabilities, labels)
    bins = equal_mass_bins(top) if adaptive else equal_width_bins(top)
    return float(np.abs(gaps_by_bin(bins, right - top).sum(axis=0)).sum() / len(top))


def expected_ece(probabilities: Probabilities, *, adaptive: bool = False) -> float:
    """Return the mean ECE if the probabilities were exactly true: the truth is drawn from them 1,000 times.

    Source
    ------
    consistency resampling: Bröcker and Smith, Increasing the reliability of reliability diagrams, 2007
    """
    top = probabilities.max(axis=1)
    bins = equal_mass_bins(top) if adaptive else equal_width_bins(top)
    right = np.random.default_rng(SEED).random((N_DRAWS, len(top))) < top
    in_bin = np.eye(N_BINS)[bins]  # (n, bins)
    return float(np.abs((right - top) @ in_bin).sum(axis=1).mean() / len(top))


def top_of(probabilities: Probabilities, labels: Labels) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the probability of each clip's named class, and 1 where it is the true one, otherwise 0."""
    named = probabilities.argmax(axis=1)
    return probabilities.max(axis=1), (named == np.asarray(labels)).astype(np.float64)


def _checked(logits: Logits, labels: Labels) -> NDArray[np.float64]:
    """Return logits as float64, less each clip's largest; raise ValueError if they do not fit the labels."""
    scores, classes = np.asarray(logits, np.float64), np.asarray(labels)
    if scores.ndim != 2 or classes.shape != scores.shape[:1] or not len(scores):
        raise ValueError(
            f"logits {scores.shape} and labels {classes.shape} must be (n, classes) and (n,), n at least 1"
        )
    if not np.isfinite(scores).all():
        raise ValueError("a logit is NaN or infinite")
    if not 0 <= classes.min() <= classes.max() < scores.shape[1]:
        raise ValueError(f"labels {classes.min()}..{classes.max()} are not among {scores.shape[1]} classes")
    return np.asarray(scores - scores.max(axis=1, keepdims=True))
