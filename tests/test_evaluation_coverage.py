"""How often a 95 % interval holds the true score, by the number of subjects: the figures of docs/protocol.md.

Subjects are drawn from a population whose score is known: they differ in accuracy, in mix of classes and in number of
clips. `python tests/test_evaluation_coverage.py` prints the whole table of docs/protocol.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import bootstrap, multinomial

from mer_cli.evaluation.statistics import METRICS, SubjectCounts, bootstrap_interval

SHARES = {3: (0.55, 0.25, 0.20), 5: (0.40, 0.25, 0.13, 0.11, 0.11)}  # of the classes in the population
N_CLIPS, FEWEST = 8.0, 1  # of a subject, beyond the fewest; as uneven as CASME II's
N_DRAWS = 2_000
N_ENUMERATED = 6  # subjects whose draws are enumerated


def population(rng: np.random.Generator, n_subjects: int, n_classes: int, skill: float) -> NDArray[np.int64]:
    """Draw subjects of a population, each with a confusion matrix, (subjects, classes, classes)."""
    shares = np.array(SHARES[n_classes])
    mixes = rng.dirichlet(3 * shares, n_subjects)
    abilities = rng.normal(np.log(skill / (1 - skill)), 0.8, n_subjects)
    easier = np.linspace(0.6, -0.6, n_classes)  # the common classes are
    found = np.zeros((n_subjects, n_classes, n_classes), np.int64)
    for subject, n_clips in enumerate(FEWEST + rng.negative_binomial(1.2, 1.2 / (1.2 + N_CLIPS), n_subjects)):
        truth = rng.choice(n_classes, n_clips, p=mixes[subject])
        is_right = rng.random(n_clips) < 1 / (1 + np.exp(-abilities[subject] - easier[truth]))
        other = rng.choice(n_classes, n_clips, p=shares)
        other = np.where(other == truth, (truth + 1) % n_classes, other)
        np.add.at(found[subject], (truth, np.where(is_right, truth, other)), 1)
    return found


def enumerated(n_subjects: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Every way to draw as many subjects as there are, (ways, subjects), and the probability of each."""
    bars = combinations(range(2 * n_subjects - 1), n_subjects - 1)
    ways = np.array([np.diff([-1, *bar, 2 * n_subjects - 1]) - 1 for bar in bars])
    return ways, multinomial.pmf(ways, n_subjects, np.full(n_subjects, 1 / n_subjects))


def intervals(found: NDArray[np.int64], name: str, seed: int) -> Iterator[tuple[str, float, float]]:
    """Yield the ends of each kind of interval: ours, percentile and BCa of SciPy, and exact enumeration."""
    metric, n_subjects, n_classes = METRICS[name], len(found), found.shape[-1]
    counts = SubjectCounts(tuple(f"casme2/{subject:02d}" for subject in range(n_subjects)), found)
    ours = bootstrap_interval([counts], metric)
    yield "ours", ours.low, ours.high
    rng = np.random.default_rng(seed)
    for method in ("percentile", "BCa"):
        low, high = bootstrap(
            (np.arange(n_subjects),),
            lambda picked, axis: metric(found[picked].sum(axis=-3)),
            n_resamples=N_DRAWS,
            method=method,
            rng=rng,
        ).confidence_interval
        yield method, low, high
    if n_subjects <= N_ENUMERATED:
        ways, weights = enumerated(n_subjects)
        scores = metric((ways @ found.reshape(n_subjects, -1)).reshape(-1, n_classes, n_classes))
        order = np.argsort(scores)
        low, high = scores[order][np.searchsorted(np.cumsum(weights[order]), [0.025, 0.975])]
        yield "enumerated", low, high


def coverage(n_classes: int, skill: float, name: str, n_subjects: int, n_simulations: int) -> dict[str, float]:
    """Return for each kind of interval the share of the simulations in which it holds the population's score."""
    metric = METRICS[name]
    true = float(metric(population(np.random.default_rng(1), 60_000, n_classes, skill).sum(0)))
    rng = np.random.default_rng([2, n_subjects, n_classes])
    held: dict[str, list[bool]] = {}
    for simulation in range(n_simulations):
        found = population(rng, n_subjects, n_classes, skill)
        with np.errstate(all="ignore"):  # SciPy's BCa of equal draws
            for kind, low, high in intervals(found, name, simulation):
                held.setdefault(kind, []).append(bool(low <= true <= high))
    return {kind: float(np.mean(hits)) for kind, hits in held.items()}


def mean_coverage(n_classes: int, skill: float, name: str, sizes: Sequence[int], n_simulations: int) -> float:
    """Return how often the interval of a mean over datasets, of `sizes` subjects each, holds the population's score."""
    true = float(METRICS[name](population(np.random.default_rng(1), 60_000, n_classes, skill).sum(0)))
    subjects = tuple(f"{dataset}/{subject:02d}" for dataset, size in enumerate(sizes) for subject in range(size))
    rng = np.random.default_rng([4, *sizes, n_classes])
    n_held = 0
    for _ in range(n_simulations):
        counts = SubjectCounts(subjects, population(rng, len(subjects), n_classes, skill), averaged=True)
        interval = bootstrap_interval([counts], METRICS[name])
        n_held += interval.low <= true <= interval.high
    return n_held / n_simulations


@pytest.mark.slow
def test_the_interval_of_a_mean_over_datasets_holds_the_truth_as_often_as_it_says():
    assert mean_coverage(3, 0.65, "accuracy", (16, 24, 28), 150) >= 0.91


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The BCa confidence interval cannot be calculated")
def test_with_few_subjects_our_interval_holds_the_truth_more_often_than_percentile_bca_and_enumeration():
    for n_subjects, least in ((6, 0.90), (26, 0.92)):
        found = coverage(3, 0.65, "accuracy", n_subjects, 250)
        assert found["ours"] >= max(found.values())
        assert found["ours"] >= least
    assert found["percentile"] <= 0.95


def test_exact_enumeration_is_the_percentile_interval_without_its_noise():
    found = population(np.random.default_rng(3), 6, 3, 0.65)
    ways, weights = enumerated(6)
    assert (len(ways), weights.sum()) == (462, pytest.approx(1))
    assert (ways.sum(axis=1) == 6).all()
    ends = {kind: (low, high) for kind, low, high in intervals(found, "accuracy", 0)}
    assert ends["enumerated"] == pytest.approx(ends["percentile"], abs=0.03)
    assert ends["ours"][0] < ends["enumerated"][0] < ends["enumerated"][1] < ends["ours"][1]


if __name__ == "__main__":
    import warnings

    warnings.simplefilter("ignore")
    for n_classes, skill in ((3, 0.65), (5, 0.55)):
        for name in ("accuracy", "uf1"):
            for n_subjects in (6, 10, 15, 26):
                shown = coverage(n_classes, skill, name, n_subjects, 400)
                print(n_classes, name, n_subjects, {kind: f"{100 * share:.1f}" for kind, share in shown.items()})
            for sizes in ((6, 6, 6), (16, 24, 28)):
                print(n_classes, name, "mean over", sizes, mean_coverage(n_classes, skill, name, sizes, 300))
