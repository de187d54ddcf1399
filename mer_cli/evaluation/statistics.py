"""Says how sure a score is, and whether two methods differ. What is resampled are subjects, never clips.

Clips of one subject resemble each other, so a binomial interval over clips is too narrow. Intervals and p-values are
computed from the counts of each held-out subject; all draws are made at once. Several seeds of one configuration have
an average, a standard deviation over the seeds, and an interval of the average.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, norm
from scipy.stats import t as student

from mer_cli.evaluation import metrics
from mer_cli.evaluation.epoch_rules import Scores
from mer_cli.evaluation.targets import CLASSES, Metric, Targets
from mer_cli.records import dataset_of, subject_of
from mer_cli.runs.directory import Run

N_DRAWS = 10_000
SEED = 0
LEVEL = 0.95
FEW_SUBJECTS = 15  # with fewer an interval holds the true score less often than it says; see docs/protocol.md
POWER_FACTOR = 1.96 + 0.84  # a two-sided test at .05 finds a difference of so many standard errors 4 times in 5


@dataclass(frozen=True)
class SubjectCounts:
    """One confusion matrix for each held-out subject, of one run under one epoch rule.

    subjects : "dataset/subject", sorted
    confusion : (subjects, classes, classes) int64, rows true; of action units (subjects, units, 2, 2)
    averaged : whether a score is the mean over the datasets' scores; else the counts of all subjects are pooled
    targets : the kind of what is counted
    """

    subjects: tuple[str, ...]
    confusion: NDArray[np.int64] = field(repr=False)
    averaged: bool = False
    targets: Targets = CLASSES

    @property
    def parts(self) -> tuple[slice, ...]:
        """The rows whose counts are pooled: those of each dataset if scores are averaged over datasets, else all."""
        if not self.averaged:
            return (slice(0, len(self.subjects)),)
        datasets = [dataset_of(subject) for subject in self.subjects]
        starts = [row for row, dataset in enumerate(datasets) if row == 0 or dataset != datasets[row - 1]]
        return tuple(slice(start, end) for start, end in pairwise([*starts, len(datasets)]))

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of subjects of each of `parts`."""
        return tuple(part.stop - part.start for part in self.parts)


@dataclass(frozen=True)
class Interval:
    """A 95 % bootstrap interval; `lost` is the share of draws in which a class had no clip and counted 0.

    An action unit without a clip is left out of that draw's mean instead.
    """

    low: float
    high: float
    lost: float


@dataclass(frozen=True)
class Comparison:
    """The difference of two methods on the same clips, first minus second, averaged over the seeds that both have.

    seeds : the common seeds, ascending
    p_value : of the permutation test over subjects
    detectable : smallest difference that this test would find 4 times in 5
    mcnemar : exact p-value over clips, of `mcnemar_seed` alone; it treats clips as independent, so it is too small
    """

    seeds: tuple[int, ...]
    difference: float
    p_value: float
    detectable: float
    mcnemar: float

    @property
    def n_seeds(self) -> int:
        return len(self.seeds)

    @property
    def mcnemar_seed(self) -> int:
        return self.seeds[0]


def counts_of(scores: Scores, run: Run) -> SubjectCounts:
    """Return the counts of each subject by which scores of `run` are resampled."""
    n_classes, targets = len(run.class_names), scores.targets
    return count_by_subject(scores.predicted, run.labels, n_classes, averaged=scores.averaged, targets=targets)


def count_by_subject(
    predicted: Mapping[str, int],
    labels: Mapping[str, int],
    n_classes: int,
    *,
    averaged: bool = False,
    targets: Targets = CLASSES,
) -> SubjectCounts:
    """Return a confusion matrix for each subject ("dataset/subject") from the predictions of held-out clips.

    Parameters
    ----------
    predicted, labels : class by clip id; clips without a prediction are left out
    averaged, targets : as in `SubjectCounts`
    """
    clips_of: dict[str, list[str]] = {}
    for clip_id in predicted:
        clips_of.setdefault(subject_of(clip_id), []).append(clip_id)
    subjects = tuple(sorted(clips_of))
    tables = [
        targets.count(
            [labels[clip] for clip in clips_of[name]], [predicted[clip] for clip in clips_of[name]], n_classes
        )
        for name in subjects
    ]
    return SubjectCounts(subjects, np.array(tables), averaged, targets)


def score_of(counts: SubjectCounts, metric: Metric) -> float:
    """Return a score of all subjects: of their pooled counts, or its mean over the datasets."""
    return float(_scores(np.ones((1, len(counts.subjects)), np.int64), counts, metric)[0])


def bootstrap_interval(runs: Sequence[SubjectCounts], metric: Metric) -> Interval:
    """Return the 95 % interval of a score averaged over seeds, by drawing subjects with replacement.

    If the score is the mean over datasets, as many subjects of each dataset are drawn as it has.

    Parameters
    ----------
    runs : counts for each seed, on the same subjects; a draw takes the same subjects for every seed
    metric : function of `metrics`, applied to the confusion matrix of each draw

    Source
    ------
    percentile bootstrap over clusters, ours; its ends as in `_ends`
    """
    draws = _drawn_subjects(*runs[0].sizes)
    scores = np.mean([_scores(draws, run, metric) for run in runs], axis=0)
    lost = np.zeros(len(draws), dtype=np.bool_)
    for part in runs[0].parts:
        of_part = runs[0].confusion[part]
        support = runs[0].targets.support
        n_of_class = support(_pool(draws[:, part], of_part))  # (draws, classes)
        lost |= (n_of_class[:, support(of_part.sum(axis=0)) > 0] == 0).any(axis=1)
    low, high = np.quantile(scores, _ends(*runs[0].sizes))
    return Interval(float(low), float(high), float(lost.mean()))


def mean_interval(values: NDArray[np.float64], clip_ids: Sequence[str]) -> tuple[float, float]:
    """Return the 95 % interval of a mean over clips by drawing subjects with replacement, each with all of its clips.

    Parameters
    ----------
    values : (n,) one for each clip of `clip_ids`, averaged over the seeds if there are several

    Source
    ------
    percentile bootstrap over clusters, ours; its ends as in `_ends`
    """
    names, row_of = np.unique([subject_of(clip_id) for clip_id in clip_ids], return_inverse=True)
    draws = _drawn_subjects(len(names))
    sums, counts = np.bincount(row_of, values), np.bincount(row_of)
    low, high = np.quantile((draws @ sums) / (draws @ counts), _ends(len(names)))
    return float(low), float(high)


def interval_of_sums(
    values: NDArray[np.float64], clip_ids: Sequence[str], score: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> tuple[float, float]:
    """Return the 95 % interval of a score that is computed from sums over clips, by drawing subjects with replacement.

    Parameters
    ----------
    values : (n, k) one row for each clip of `clip_ids`
    score : function of the sums of each draw, (draws, k) -> (draws,); draws for which it is NaN are left out

    Returns
    -------
    low and high end, as in `_ends`; both NaN if no draw has a score
    """
    names, row_of = np.unique([subject_of(clip_id) for clip_id in clip_ids], return_inverse=True)
    sums = np.zeros((len(names), values.shape[1]))
    np.add.at(sums, row_of, values)
    scores = score(_drawn_subjects(len(names)) @ sums)
    scores = scores[~np.isnan(scores)]
    if not len(scores):
        return float("nan"), float("nan")
    low, high = np.quantile(scores, _ends(len(names)))
    return float(low), float(high)


def _ends(*sizes: int) -> tuple[float, float]:
    """Return the shares of the draws that lie below the low and below the high end of a 95 % interval.

    .025 and .975 would do for many subjects. For few, the draws vary less than scores of other subjects would, by the
    factor sqrt((n - 1) / n), and the normal distribution has shorter tails than Student's t; both are made up for.

    Parameters
    ----------
    sizes : number of subjects; of each dataset, if subjects are drawn within each

    Source
    ------
    the "expanded percentile interval": Hesterberg, What teachers should know about the bootstrap, The American
    Statistician 69(4), 2015, section 4.3; for several datasets (degrees of freedom summed, n / (n - 1) averaged) ours
    """
    if min(sizes) < 2:
        return 0.0, 1.0
    freedom = sum(sizes) - len(sizes)
    quantile = student.ppf((1 + LEVEL) / 2, freedom) * np.sqrt(np.mean([size / (size - 1) for size in sizes]))
    return float(norm.cdf(-quantile)), float(norm.cdf(quantile))


def compare(
    seeds: Sequence[int],
    first: Sequence[SubjectCounts],
    second: Sequence[SubjectCounts],
    metric: Metric,
    discordant: tuple[int, int],
) -> Comparison:
    """Compare two methods by pairs of runs with the same seed and clips: difference, p-values, detectable difference.

    The permutation test swaps the predictions of the two methods for whole subjects; the observed difference counts as
    one of the draws.

    Parameters
    ----------
    seeds : ascending, in the order of `first` and of `second`
    first, second : counts for each seed, on the same subjects
    discordant : number of clips that only the first, and that only the second, predicts correctly, for the lowest seed

    Source
    ------
    paired permutation by cluster; ours
    """
    n_subjects = len(first[0].subjects)
    swaps = np.random.default_rng(SEED).integers(0, 2, (N_DRAWS, n_subjects))
    draws = _drawn_subjects(*first[0].sizes)
    observed, permuted, resampled = 0.0, np.zeros(N_DRAWS), np.zeros(N_DRAWS)
    for one, other in zip(first, second, strict=True):
        everyone = np.ones((1, n_subjects), np.int64)
        observed += float(_difference(metric, everyone, one, other)[0]) / len(first)
        permuted += _swapped_difference(metric, swaps, one, other) / len(first)
        resampled += _difference(metric, draws, one, other) / len(first)
    # Floats are summed in another order: a draw that is as far out as the observed one must count.
    n_as_far = int((np.abs(permuted) >= abs(observed) - 1e-12).sum())
    n_discordant = sum(discordant)
    return Comparison(
        seeds=tuple(seeds),
        difference=observed,
        p_value=(1 + n_as_far) / (1 + N_DRAWS),
        detectable=POWER_FACTOR * float(np.std(resampled)),
        mcnemar=float(binomtest(discordant[0], n_discordant).pvalue) if n_discordant else 1.0,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for the number of tests: the chance of any false alarm among them stays below the level.

    Parameters
    ----------
    p_values : 0..1, in any order; the result has the same order

    Source
    ------
    Holm, A simple sequentially rejective multiple test procedure, 1979
    """
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def few_subjects(n_subjects: int, *, of_smallest: bool = False) -> str:
    """Return a sentence that must stand beside intervals over fewer than `FEW_SUBJECTS` subjects, otherwise "".

    Parameters
    ----------
    of_smallest : whether it is the number of the smallest dataset, over which scores are averaged
    """
    if not 1 < n_subjects < FEW_SUBJECTS:
        return ""
    there = " in the smallest dataset" if of_smallest else ""
    return (
        f"Only {n_subjects} subjects{there}: a 95 % interval over fewer than {FEW_SUBJECTS} is rough, and holds the "
        "true score less often than 95 times in 100."
    )


def _difference(
    metric: Metric, draws: NDArray[np.int64], one: SubjectCounts, other: SubjectCounts
) -> NDArray[np.float64]:
    return _scores(draws, one, metric) - _scores(draws, other, metric)


def _swapped_difference(
    metric: Metric, swaps: NDArray[np.int64], one: SubjectCounts, other: SubjectCounts
) -> NDArray[np.float64]:
    """Return the difference of two methods with the predictions swapped of the subjects where `swaps` is 1, (draws,).

    Parameters
    ----------
    swaps : (draws, subjects), 0 or 1
    """
    differences = []
    for part in one.parts:
        kept, swapped = 1 - swaps[:, part], swaps[:, part]
        mixed = _pool(kept, one.confusion[part]) + _pool(swapped, other.confusion[part])
        counterpart = _pool(kept, other.confusion[part]) + _pool(swapped, one.confusion[part])
        differences.append(metric(mixed) - metric(counterpart))
    return np.asarray(np.mean(differences, axis=0))


def _scores(weights: NDArray[np.int64], counts: SubjectCounts, metric: Metric) -> NDArray[np.float64]:
    """Return the score of each draw of subjects, weighted by `weights` (draws, subjects)."""
    of_parts = [metric(_pool(weights[:, part], counts.confusion[part])) for part in counts.parts]
    return np.asarray(np.mean(of_parts, axis=0))


def _drawn_subjects(*sizes: int) -> NDArray[np.int64]:
    """Return how often each subject is drawn in each bootstrap draw, (draws, subjects).

    Parameters
    ----------
    sizes : number of subjects; of each dataset, if as many subjects of each dataset are drawn as it has
    """
    random = np.random.default_rng(SEED)
    drawn = []
    for n_subjects in sizes:
        picked = random.integers(0, n_subjects, (N_DRAWS, n_subjects))
        rows = np.arange(N_DRAWS)[:, None] * n_subjects
        counted = np.bincount((rows + picked).ravel(), minlength=N_DRAWS * n_subjects)
        drawn.append(counted.reshape(N_DRAWS, n_subjects))
    return np.concatenate(drawn, axis=1)


def _pool(weights: NDArray[np.int64], confusion: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sum the subjects' tables, weighted by `weights` (draws, subjects), to one for each draw: (draws, ...)."""
    flat = weights.astype(np.float64) @ confusion.reshape(len(confusion), -1).astype(np.float64)  # exact below 2^53
    return flat.reshape(-1, *confusion.shape[1:]).astype(np.int64)


METRICS: dict[str, Metric] = {"accuracy": metrics.accuracy, "uf1": metrics.uf1, "uar": metrics.uar}


@dataclass(frozen=True)
class Spread:
    """The mean of a score over several seeds, 0..1, with its spread.

    sd : standard deviation over the seeds, None for a single seed
    low, high : 95 % interval of the mean, over subjects; None with one subject (of any dataset, if scores are averaged
        over datasets), or if the epoch was chosen on the held-out subjects, because no interval covers that choice
    lost : share of the interval's draws in which a class had no clip
    """

    mean: float
    sd: float | None = None
    low: float | None = None
    high: float | None = None
    lost: float = 0.0


def spread(name: str, by_seed: Sequence[Scores], run: Run) -> Spread:
    """Return the mean of a score over seeds, its standard deviation and its 95 % interval over the subjects of `run`.

    Parameters
    ----------
    name : key of METRICS: "accuracy", "uf1" or "uar"
    by_seed : the scores of each seed under one rule, on the clips of `run`
    """
    values = [getattr(scores, name) for scores in by_seed]
    mean = float(np.mean(values))
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    if by_seed[0].selected_on_test:
        return Spread(mean, sd)
    counts = [counts_of(scores, run) for scores in by_seed]
    if min(counts[0].sizes) < 2:
        return Spread(mean, sd)
    interval = bootstrap_interval(counts, getattr(counts[0].targets, name))
    return Spread(mean, sd, interval.low, interval.high, interval.lost)
