"""Compares two methods by their runs, one for each seed: the difference in UF1 (or mean F1), and how sure it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mer_cli.errors import RunError
from mer_cli.evaluation.epoch_rules import SELECTED_ON_TEST, Scores, evaluate
from mer_cli.evaluation.run_text import settings
from mer_cli.evaluation.statistics import Comparison, compare, counts_of
from mer_cli.evaluation.summary import TextTable, fraction, signed_fraction
from mer_cli.evaluation.targets import targets_of
from mer_cli.runs.config import TrainConfig
from mer_cli.runs.directory import Run
from mer_cli.runs.run_config import GENERATED


def compare_runs(first: Sequence[Run], second: Sequence[Run], rule: str) -> Comparison:
    """Compare the UF1 of two methods, first minus second, over the seeds that both have a run for.

    Raises
    ------
    RunError
        If the runs differ in clips, labels or folds, the methods have no seed in common, or a run can't be scored.
    """
    reference = first[0]
    for run in (*first[1:], *second):
        if (run.labels, run.fold_of) != (reference.labels, reference.fold_of):
            raise RunError(
                f"{run.path} ({run.config.protocol_id}) and {reference.path} ({reference.config.protocol_id}) are not "
                "runs on the same clips, labels and folds. Compare runs of one store and scheme."
            )
    scored = [{run.config.seed: evaluate(run, rule) for run in runs} for runs in (first, second)]
    one = under_seeds_of(scored[1], scored[0], first[0].config)
    other = under_seeds_of(scored[0], scored[1], second[0].config)
    if not one.keys() & other.keys():
        raise RunError(
            f"{first[0].path} and {second[0].path} have no seed in common ({', '.join(map(str, one))} and "
            f"{', '.join(map(str, other))}). Train both with the same --seed."
        )
    return compare_scores(one, other, reference)


def under_seeds_of(others: Iterable[int], scores: Mapping[int, Scores], config: TrainConfig) -> dict[int, Scores]:
    """Return the scores by seed; a method without random draws gets its single score repeated for each of `others`.

    Parameters
    ----------
    others : seeds of the method that this method is compared with
    scores : by seed
    config : settings of any of this method's runs
    """
    draws_nothing = not config.method.is_random and not config.shuffle_labels
    return {seed: score for score in scores.values() for seed in others} if draws_nothing else dict(scores)


def compare_scores(first: Mapping[int, Scores], second: Mapping[int, Scores], run: Run) -> Comparison:
    """Compare the UF1 of two methods that are scored already, first minus second, over the seeds that both have.

    Parameters
    ----------
    first, second : scores by seed, under one rule, with at least one seed in common
    run : any of the runs; all have the same clips, labels and folds
    """
    seeds = sorted(first.keys() & second.keys())
    targets = first[seeds[0]].targets
    return compare(
        seeds,
        [counts_of(first[seed], run) for seed in seeds],
        [counts_of(second[seed], run) for seed in seeds],
        targets.uf1,
        _discordant(first[seeds[0]], second[seeds[0]], run),
    )


def comparison_table(comparison: Comparison, first: Run, second: Run, rule: str) -> TextTable:
    """Return the table of names and values that `mer evaluate --compare` prints; the first row is the title.

    Parameters
    ----------
    first, second : any run of the first method, and any of the second
    """
    every = ", right if every unit is" if first.config.predicts_units else ""
    faces = [("faces", GENERATED)] if first.config.generated or second.config.generated else []
    selected = f": {SELECTED_ON_TEST}, so no p-value holds" if rule == "best-test" else ""
    return (
        ("comparison", ""),
        *faces,
        ("protocol", f"{first.config.protocol_id}, {first.config.protocol()}"),
        ("epoch rule", f"{rule}{selected}"),
        ("first", f"{first.config.model}, {settings(first.config)}"),
        ("second", f"{second.config.model}, {settings(second.config)}"),
        ("seeds in common", str(comparison.n_seeds)),
        (
            f"{targets_of(first.config).names['uf1']} of the first minus the second",
            signed_fraction(comparison.difference),
        ),
        ("p, whole subjects swapped", fraction(comparison.p_value)),
        ("smallest difference found 4 times in 5", fraction(comparison.detectable)),
        (
            f"p of McNemar's test, seed {comparison.mcnemar_seed} (over clips{every}, so too small)",
            fraction(comparison.mcnemar),
        ),
    )


def _discordant(one: Scores, other: Scores, run: Run) -> tuple[int, int]:
    """Return how many clips only `one` predicts correctly, and how many only `other` does."""
    right = [{clip for clip, label in scores.predicted.items() if run.labels[clip] == label} for scores in (one, other)]
    return len(right[0] - right[1]), len(right[1] - right[0])
