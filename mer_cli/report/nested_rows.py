"""Builds rows of settings chosen fold by fold: what `mer tune` gives, from any finished runs with inner subjects.

Where a block has several settings of a method with the same number of inner subjects, the honest way to use them all is
to choose in each fold by its inner subjects. So the block has a row with that score, under `inner-val`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mer_cli.errors import RunError
from mer_cli.evaluation.epoch_rules import Scores
from mer_cli.evaluation.nested import choose_settings, nested_text
from mer_cli.evaluation.run_text import settings_key, trained_with
from mer_cli.evaluation.statistics import spread
from mer_cli.report.entries import Entry, metrics_of
from mer_cli.report.lines import with_form
from mer_cli.report.model import Cell
from mer_cli.report.rows import Cells, key_of, score_cell
from mer_cli.runs.directory import Run
from mer_cli.runs.variants import TUNED

RULE = "inner-val"


@dataclass(frozen=True)
class NestedRow:
    """A row of settings chosen fold by fold; `competes` says whether it can be bold."""

    cells: Cells
    competes: bool


def nested_rows(entries: Sequence[Entry]) -> Iterator[NestedRow]:
    """Yield a row for each method and number of inner subjects of which a block has several settings.

    Runs whose inner clips differ can't be compared in a fold, and have no row.
    """
    groups: dict[tuple[str, int], dict[str, Entry]] = {}
    for entry in entries:
        if RULE in entry.rules and entry.is_finished and not entry.config.shuffle_labels:
            same = groups.setdefault((entry.config.model, entry.config.inner_val), {})
            same.setdefault(settings_key(entry.config), entry)
    for _, by_settings in sorted(groups.items()):
        tried = sorted(by_settings.values(), key=lambda entry: entry.config.run_name)
        seeds = sorted(set.intersection(*(set(entry.by_seed(RULE)) for entry in tried)))
        if len(tried) > 1 and seeds:
            try:
                yield _row(tried, seeds)
            except RunError:
                continue


def _row(tried: Sequence[Entry], seeds: Sequence[int]) -> NestedRow:
    by_seed = [[_run_of(entry, seed) for entry in tried] for seed in seeds]
    scores: list[Scores] = [choose_settings(runs, tried[0].dataset).scores for runs in by_seed]
    is_tuned = any(entry.is_tuned for entry in tried)
    has_more = any(trained_with(entry.config) for entry in tried)
    stamp = f" ({TUNED})" if is_tuned else ""
    cells = {"method": Cell(f"{with_form(tried[0].config.method)}, {nested_text(by_seed[0])}{stamp}")}
    for metric in metrics_of(RULE):
        cells[key_of(RULE, metric)] = score_cell(metric, spread(metric, scores, by_seed[0][0]))
    return NestedRow(cells | {"seeds": Cell(", ".join(map(str, seeds)))}, not (is_tuned or has_more))


def _run_of(entry: Entry, seed: int) -> Run:
    return next(run for run in entry.runs if run.config.seed == seed)
