"""Scores every configuration of a report once: its seeds under each epoch rule, each score with how sure it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mer_cli.evaluation.epoch_rules import Scores, usable_rules
from mer_cli.evaluation.scoring import evaluate
from mer_cli.evaluation.spread import METRICS, Spread, spread
from mer_cli.report.collect import group_seeds
from mer_cli.training.run import Run
from mer_cli.training.run_config import RunConfig


@dataclass(frozen=True)
class Entry:
    """What has a row for itself: the finished seeds of one configuration, or one run that lacks folds.

    scores : by rule, of each run · spreads : by rule and metric ("last", "uf1"); both empty for a run that lacks folds
    dataset : the one whose clips it is scored on, of a run over several datasets or across datasets; None for all
    """

    runs: tuple[Run, ...]
    scores: Mapping[str, tuple[Scores, ...]]
    spreads: Mapping[tuple[str, str], Spread]
    dataset: str | None = None

    @property
    def config(self) -> RunConfig:
        return self.runs[0].config

    @property
    def is_finished(self) -> bool:
        return not self.runs[0].missing

    @property
    def rules(self) -> tuple[str, ...]:
        return usable_rules(self.config)

    def by_seed(self, rule: str) -> dict[int, Scores]:
        """Give the scores of each seed; none of a run that lacks folds, or under a rule that it can't be scored by."""
        return {run.config.seed: scores for run, scores in zip(self.runs, self.scores.get(rule, ()), strict=False)}


def metrics_of(rule: str) -> tuple[str, ...]:
    """Give the scores that are shown under a rule; the released script, whose rule `best-test` is, has no UAR."""
    return tuple(name for name in METRICS if (rule, name) != ("best-test", "uar"))


def score_runs(runs: Sequence[Run]) -> tuple[Entry, ...]:
    """Group the seeds of each configuration and score them.

    A run that leaves one subject out over several datasets has an entry for all of their clips and one for each
    dataset's; a run across datasets has one for each dataset that it is tested on, and is not scored on them together.

    Raises
    ------
    RunError
        If two runs share configuration and seed, or a run cannot be scored.
    """
    groups = group_seeds([run for run in runs if not run.missing])
    unfinished = sorted((run for run in runs if run.missing), key=lambda run: (run.path.name, run.path))
    return (
        *(_score(group.runs, part) for group in groups for part in _parts(group.runs[0].config)),
        *(Entry((run,), {}, {}, part) for run in unfinished for part in _parts(run.config)),
    )


def _parts(config: RunConfig) -> tuple[str | None, ...]:
    """Return the datasets whose clips a run is scored on by themselves; None is all clips together."""
    if not config.is_loso:
        return config.test_datasets
    return (None, *config.test_datasets) if len(config.stores) > 1 else (None,)


def _score(runs: tuple[Run, ...], dataset: str | None) -> Entry:
    rules = usable_rules(runs[0].config)
    scores = {rule: tuple(evaluate(run, rule, dataset) for run in runs) for rule in rules}
    spreads = {(rule, name): spread(name, scores[rule], runs[0]) for rule in rules for name in metrics_of(rule)}
    return Entry(runs, scores, spreads, dataset)
