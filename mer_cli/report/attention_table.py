"""Tabulate how well maps agree with the truth of generated faces, by method, kind of map and block of the network."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import groupby
from pathlib import Path

import numpy as np

from mer_cli.evaluation.run_text import settings
from mer_cli.evaluation.statistics import mean_interval
from mer_cli.evaluation.summary import TextTable
from mer_cli.inference.truth import ATTENTION, Measured, TruthScores
from mer_cli.report.collect import RunGroup, group_seeds
from mer_cli.runs.directory import Run
from mer_cli.runs.methods import MMNET
from mer_cli.system.files import write_text
from mer_cli.system.shown_text import csv_cell

FILE_NAME = "attention.csv"
HEADER = ("map", "mass / area", "95 %", "on other clips", "hit", "95 %")


@dataclass(frozen=True)
class AttentionRow:
    """The average scores of one kind of map over all clips; intervals are 95 %, over subjects.

    maps : method and kind of map, or the yardstick; "the first minus ..." for the difference of two methods
    n_seeds : number of seeds that the scores were averaged over; 0 for a yardstick, which needs no network
    block : block of the network that attention maps come from, 1 to 4; 1 for an attribution, which is one map; 0 for a
        yardstick without blocks
    mass, elsewhere, hit : averages of the fields of `inference.truth.TruthScores`
    """

    maps: str
    n_seeds: int
    block: int
    mass: float
    mass_low: float
    mass_high: float
    elsewhere: float
    hit: float
    hit_low: float
    hit_high: float


def attention_rows(measured: Measured) -> list[AttentionRow]:
    """Return rows for each method, then for the first method minus each other method, then for the yardsticks.

    The first method is the run that `mer explain` was given. Differences are over the seeds that both methods have, of
    maps of the same kind; without a common seed there is no row.
    """
    first = measured.runs[0][0]
    groups = sorted(group_seeds([run for run, _ in measured.runs]), key=lambda group: first not in group.runs)
    methods = list(zip(_names(groups, measured), (_by_seed(group, measured) for group in groups), strict=True))
    rows: list[AttentionRow] = []
    for name, of_seed in methods:
        rows += [_row(name, len(of_seed), block, mean, measured) for block, mean in _means(of_seed, of_seed)]
    (_, ahead), *others = methods
    for (name, of_seed), group in zip(others, groups[1:], strict=True):
        is_alike = _kind(group.runs[0], measured) == _kind(first, measured)
        common = sorted(ahead.keys() & of_seed.keys()) if is_alike else []
        for (block, one), (_, other) in zip(_means(ahead, common), _means(of_seed, common), strict=True):
            gap = TruthScores(one.mass - other.mass, one.elsewhere - other.elsewhere, one.hit - other.hit)
            rows.append(_row(f"the first minus {name}", len(common), block, gap, measured))
    for block, of_block in enumerate(measured.difference, start=1):
        rows.append(_row("|apex - onset|, no network", 0, block, of_block, measured))
    for group in groups:
        of_input = next((scores for run, scores in measured.seen if run in group.runs), None)  # alike for all seeds
        if of_input is not None:
            rows.append(_row(f"input of {_network(group.runs[0])}, no network", 0, 1, of_input, measured))
    even = np.ones(len(measured.clip_ids))
    rows.append(_row("uniform map, random point", 0, 0, TruthScores(even, even, measured.areas), measured))
    return rows


def attention_sections(rows: Sequence[AttentionRow]) -> list[tuple[str, TextTable]]:
    """Return a title and a table for each kind of map; a table has a row for each block, after the header."""
    sections: list[tuple[str, TextTable]] = []
    for (maps, n_seeds), of_maps in groupby(rows, key=lambda row: (row.maps, row.n_seeds)):
        seeds = f", {n_seeds} seed{'s' if n_seeds > 1 else ''}" if n_seeds else ""
        sections.append((f"{maps}{seeds}", (HEADER, *map(_line, of_maps))))
    return sections


def write_attention(folder: Path, rows: Sequence[AttentionRow]) -> Path:
    """Write the rows into `folder` as attention.csv, marked as generated faces, and return the path of the file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*(field.name for field in fields(AttentionRow)), "generated"])
    writer.writerows([*(_cell(value) for value in asdict(row).values()), "true"] for row in rows)
    write_text(folder / FILE_NAME, text.getvalue())
    return folder / FILE_NAME


def _line(row: AttentionRow) -> tuple[str, ...]:
    return (
        f"M{row.block}" if row.block else "any",
        f"{row.mass:.2f}",
        f"{row.mass_low:.2f} to {row.mass_high:.2f}",
        f"{row.elsewhere:.2f}",
        f"{row.hit:.2f}",
        f"{row.hit_low:.2f} to {row.hit_high:.2f}",
    )


def _cell(value: str | int | float) -> str:
    return f"{value:.6f}" if isinstance(value, float) else csv_cell(str(value))


def _names(groups: Sequence[RunGroup], measured: Measured) -> list[str]:
    """Return a name for each group of runs; groups with the same name get the name of a run folder appended."""
    names = [_name(group.runs[0], measured) for group in groups]
    return [
        f"{name}, {group.runs[0].path.name}" if names.count(name) > 1 else name
        for name, group in zip(names, groups, strict=True)
    ]


def _name(run: Run, measured: Measured) -> str:
    kind = _kind(run, measured)
    return f"{_network(run)} ({f'{run.config.attention} {kind}' if kind == ATTENTION else kind})"


def _network(run: Run) -> str:
    network = f"{run.config.model}, " if run.config.variant == MMNET else ""
    return f"{network}{settings(run.config)}"


def _kind(run: Run, measured: Measured) -> str:
    """Return the kind of the maps of a run."""
    kinds = {each.path: kind for (each, _), kind in zip(measured.runs, measured.kinds, strict=True)}
    return kinds[run.path]


def _by_seed(group: RunGroup, measured: Measured) -> dict[int, tuple[TruthScores, ...]]:
    """Return for each seed of a group the scores of the network's blocks, first to last."""
    scores_of = {run.path: blocks for run, blocks in measured.runs}
    return {run.config.seed: scores_of[run.path] for run in group.runs}


def _means(of_seed: Mapping[int, tuple[TruthScores, ...]], seeds: Collection[int]) -> Iterator[tuple[int, TruthScores]]:
    """Yield the number of each block, from 1, and its scores averaged over `seeds`; nothing if there are no seeds."""
    for block, scores in enumerate(zip(*(of_seed[seed] for seed in seeds), strict=True), start=1):
        yield (
            block,
            TruthScores(
                mass=np.mean([one.mass for one in scores], axis=0),
                elsewhere=np.mean([one.elsewhere for one in scores], axis=0),
                hit=np.mean([one.hit for one in scores], axis=0),
            ),
        )


def _row(maps: str, n_seeds: int, block: int, scores: TruthScores, measured: Measured) -> AttentionRow:
    return AttentionRow(
        maps,
        n_seeds,
        block,
        float(scores.mass.mean()),
        *mean_interval(scores.mass, measured.clip_ids),
        float(scores.elsewhere.mean()),
        float(scores.hit.mean()),
        *mean_interval(scores.hit, measured.clip_ids),
    )
