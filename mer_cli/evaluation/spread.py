"""A score of several seeds as one: mean, standard deviation over the seeds, and the interval of the mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mer_cli.evaluation import metrics
from mer_cli.evaluation.epoch_rules import Scores
from mer_cli.evaluation.statistics import Metric, bootstrap_interval, count_by_subject
from mer_cli.training.run import Run

METRICS: dict[str, tuple[Metric, Callable[[Scores], float]]] = {
    "accuracy": (metrics.accuracy, lambda scores: scores.accuracy),
    "uf1": (metrics.uf1, lambda scores: scores.uf1),
    "uar": (metrics.uar, lambda scores: scores.uar),
}


@dataclass(frozen=True)
class Spread:
    """A score of several seeds, as a share.

    sd : over the seeds, None for one
    low, high : 95 % interval over subjects; None under a rule that chose the epoch on them, for none covers that
    lost : share of the interval's draws in which a class had no clip
    """

    mean: float
    sd: float | None = None
    low: float | None = None
    high: float | None = None
    lost: float = 0.0


def spread(name: str, by_seed: Sequence[Scores], run: Run) -> Spread:
    """Give the spread of one of METRICS.

    Parameters
    ----------
    by_seed : the scores of each seed under one rule, on the clips of `run`
    """
    metric, of_scores = METRICS[name]
    values = [of_scores(scores) for scores in by_seed]
    mean = float(np.mean(values))
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    if by_seed[0].selected_on_test or by_seed[0].n_subjects < 2:
        return Spread(mean, sd)
    counts = [count_by_subject(scores.predicted, run.labels, len(run.class_names)) for scores in by_seed]
    interval = bootstrap_interval(counts, metric)
    return Spread(mean, sd, interval.low, interval.high, interval.lost)
