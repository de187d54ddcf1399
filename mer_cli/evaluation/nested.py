"""Chooses the settings of each fold on its training subjects alone, among finished runs that held some of them back.

Every run has inner clips (`mer train --inner-val`): clips of training subjects that it did not train on. In each fold
the runs are compared by their UF1 on these clips, at the epoch that `inner-val` chooses in each of them, and the
predictions of the best one count. No label of a held-out clip plays a part, so the pooled score is honest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mer_cli.errors import RunError
from mer_cli.evaluation.chance import run_chance
from mer_cli.evaluation.epoch_rules import Scores, apply_rule, folds_of, inner_uf1, without_inner
from mer_cli.evaluation.run_text import own_classes, remarks, unfinished
from mer_cli.evaluation.statistics import METRICS, Spread, counts_of, few_subjects, spread
from mer_cli.evaluation.summary import Facts, TextTable, fraction, percent, spread_text
from mer_cli.evaluation.targets import targets_of
from mer_cli.records import FoldPredictions
from mer_cli.runs.directory import Run
from mer_cli.runs.folds import inner_labels
from mer_cli.runs.rare_classes import rare_text_of
from mer_cli.runs.run_config import GENERATED

NESTED = "settings chosen in each fold on {} training subjects, of {} settings"


@dataclass(frozen=True)
class Nested:
    """The pooled scores of predictions whose settings were chosen fold by fold.

    chosen : place of the chosen run among the runs, by fold id
    inner : UF1 that each run was judged by, by fold id
    """

    scores: Scores
    chosen: Mapping[str, int]
    inner: Mapping[str, tuple[float, ...]]


def choose_settings(runs: Sequence[Run], dataset: str | None = None) -> Nested:
    """Choose a run in each fold by its inner clips, and score the chosen predictions together.

    Parameters
    ----------
    runs : one for each setting, of one seed and on the same clips; of equals the first is chosen
    dataset : pool over the folds of this test dataset only; over all folds if left out

    Raises
    ------
    RunError
        If a run is unfinished or has no inner clips, or two runs differ in clips, folds, seed or inner clips.
    """
    for run in runs:
        _check_alike(runs[0], run)
    of_run = [{fold.fold: fold for fold in folds_of(run, dataset)} for run in runs]
    chosen: dict[str, int] = {}
    inner: dict[str, tuple[float, ...]] = {}
    for name, first in of_run[0].items():
        judged = []
        for run, folds in zip(runs, of_run, strict=True):
            if folds[name].inner_clip_ids != first.inner_clip_ids:
                raise RunError(f"{run.path}, fold {name}: its inner clips are not those of {runs[0].path}. {AGAIN}")
            judged.append(_judge(run, folds[name]))
        inner[name] = tuple(judged)
        chosen[name] = judged.index(max(judged))
    taken = [of_run[place][name] for name, place in chosen.items()]
    labels = {name: _labels(runs[place], of_run[place][name]) for name, place in chosen.items()}
    averaged = runs[0].config.averages_datasets and dataset is None
    n_classes, targets = len(runs[0].class_names), targets_of(runs[0].config)
    scores = apply_rule("inner-val", taken, runs[0].labels, n_classes, labels, averaged=averaged, targets=targets)
    return Nested(scores, chosen, inner)


AGAIN = "Train them with the same --seed and --inner-val."


def _check_alike(first: Run, run: Run) -> None:
    if run.missing:
        raise RunError(unfinished(run))
    if not run.config.inner_val:
        raise RunError(without_inner(str(run.path)))
    if (run.labels, run.fold_of) != (first.labels, first.fold_of):
        raise RunError(f"{run.path} and {first.path} are not runs on the same clips, labels and folds.")
    if (run.config.seed, run.config.inner_val) != (first.config.seed, first.config.inner_val):
        raise RunError(f"{run.path} and {first.path} differ in seed or number of inner subjects. {AGAIN}")


def _judge(run: Run, fold: FoldPredictions) -> float:
    """Return the UF1 on the fold's inner clips at the epoch that `inner-val` chooses, smoothed as it is for that."""
    try:
        return float(max(inner_uf1(fold, _labels(run, fold), len(run.class_names), targets_of(run.config))))
    except RunError as error:
        raise RunError(f"{run.path}, {error}") from None


def _labels(run: Run, fold: FoldPredictions) -> Mapping[str, int]:
    return inner_labels(fold.fold, fold.inner_clip_ids, run.labels, run.config)


def nested_text(runs: Sequence[Run]) -> str:
    """Return the rule in words: "settings chosen in each fold on 3 training subjects, of 6 settings"."""
    text = NESTED.format(runs[0].config.inner_val, len(runs))
    return text.replace(" 1 training subjects", " 1 training subject")


@dataclass(frozen=True)
class NestedSummary:
    """What `mer tune` shows: facts with the scores, how often each setting was chosen, guessers; and all of it as JSON.

    data : what `--json` prints
    """

    facts: Facts
    settings: TextTable
    chance: TextTable
    data: Mapping[str, Any]


def summarise_nested(by_seed: Sequence[Sequence[Run]], names: Sequence[str]) -> NestedSummary:
    """Choose the settings fold by fold for each seed, and return the scores with all that must stand beside them.

    Parameters
    ----------
    by_seed : for each seed its runs, one for each setting · names : of the settings, in the order of the runs
    """
    first = by_seed[0][0]
    found = [choose_settings(runs) for runs in by_seed]
    scores = [nested.scores for nested in found]
    n_chosen = [sum([*nested.chosen.values()].count(place) for nested in found) for place in range(len(names))]
    spreads = {metric: spread(metric, scores, first) for metric in METRICS}
    return NestedSummary(
        facts=_facts(by_seed, scores, spreads),
        settings=(
            ("settings", "folds that chose it", "inner UF1, average"),
            *((name, str(n_chosen[place]), fraction(_mean_inner(found, place))) for place, name in enumerate(names)),
        ),
        chance=(
            ("guesser", "accuracy %", "UF1", "UAR"),
            *(
                (row.name, percent(row.accuracy), fraction(row.uf1), fraction(row.uar))
                for row in run_chance(first, "last", None)
            ),
        ),
        data={
            "schema": 1,
            "rule": nested_text(by_seed[0]),
            "protocol": f"{first.config.protocol_id}, {first.config.protocol()}",
            "generated": first.config.generated,
            "model": first.config.model,
            "remarks": list(remarks(first.config)),
            "n_clips": scores[0].n_clips,
            "n_subjects": scores[0].n_subjects,
            **{metric: asdict(each) for metric, each in spreads.items()},
            "settings": [
                {"name": name, "runs": [runs[place].path.name for runs in by_seed], "chosen": n_chosen[place]}
                for place, name in enumerate(names)
            ],
            "seeds": [
                {
                    "seed": runs[0].config.seed,
                    **{metric: getattr(nested.scores, metric) for metric in METRICS},
                    "chosen": {fold: names[place] for fold, place in sorted(nested.chosen.items())},
                }
                for runs, nested in zip(by_seed, found, strict=True)
            ],
        },
    )


def _mean_inner(found: Sequence[Nested], place: int) -> float:
    values = [judged[place] for nested in found for judged in nested.inner.values()]
    return sum(values) / len(values)


def _facts(by_seed: Sequence[Sequence[Run]], scores: Sequence[Scores], spreads: Mapping[str, Spread]) -> Facts:
    first = by_seed[0][0]
    config = first.config
    seeds = ", ".join(str(runs[0].config.seed) for runs in by_seed)
    told = (
        ("faces", GENERATED if config.generated else ""),
        ("protocol", f"{config.protocol_id}, {config.protocol()}"),
        ("rule", nested_text(by_seed[0])),
        ("clips, subjects", f"{scores[0].n_clips}, {scores[0].n_subjects}"),
        ("classes of your scheme", own_classes(config)),
        ("rare classes", rare_text_of(first)),
        ("few subjects", few_subjects(min(counts_of(scores[0], first).sizes), of_smallest=scores[0].averaged)),
        ("remarks", ", ".join(remarks(config))),
        ("model", config.model),
        ("seeds" if len(by_seed) > 1 else "seed", seeds),
        ("accuracy", spread_text(spreads["accuracy"], percent, " %")),
        ("UF1", spread_text(spreads["uf1"], fraction)),
        ("UAR", spread_text(spreads["uar"], fraction)),
    )
    return tuple((name, text) for name, text in told if text)
