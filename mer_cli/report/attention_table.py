"""Takes scores of attention maps against the truth, gives the table of them: block by block, method by method."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from itertools import groupby
from pathlib import Path

import numpy as np

from mer_cli.evaluation.run_text import settings
from mer_cli.evaluation.statistics import mean_interval
from mer_cli.evaluation.summary import TextTable
from mer_cli.inference.measure import Measured
from mer_cli.inference.truth import TruthScores
from mer_cli.report.collect import group_seeds
from mer_cli.training.atomic import write_text
from mer_cli.training.run import Run

FILE_NAME = "attention.csv"
HEADER = ("map", "mass / area", "95 %", "on other clips", "hit", "95 %")


@dataclass(frozen=True)
class AttentionRow:
    """What one kind of map scores, over the clips of all subjects; intervals are 95 %, over subjects.

    maps : what was scored; "the first minus ..." for the difference of two methods
    n_seeds : runs whose clip scores were averaged first; 0 for a yardstick, which needs no network
    block : 1 to 4, the first to the last; 0 where it does not matter
    mass, elsewhere, hit : means of `inference.truth.TruthScores`
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
    """The rows of each method, the one that was explained first; then how far the first is ahead; then the yardsticks.

    Raises
    ------
    RunError
        If a configuration comes with the same seed twice.
    """
    scores_of = {run.path: blocks for run, blocks in measured.runs}
    first = measured.runs[0][0]
    groups = sorted(group_seeds([run for run, _ in measured.runs]), key=lambda group: first not in group.runs)
    methods = [(_name(group.runs[0]), [scores_of[run.path] for run in group.runs]) for group in groups]
    rows: list[AttentionRow] = []
    for name, seeds in methods:
        blocks = list(zip(*seeds, strict=True))
        rows += [_row(name, len(seeds), block, _mean(of), measured) for block, of in enumerate(blocks, start=1)]
    (_, ahead_seeds), *others = methods
    for name, seeds in others:
        for block, pair in enumerate(zip(zip(*ahead_seeds, strict=True), zip(*seeds, strict=True), strict=True), 1):
            one, other = (_mean(of) for of in pair)
            gap = TruthScores(one.mass - other.mass, one.elsewhere - other.elsewhere, one.hit - other.hit)
            rows.append(_row(f"the first minus {name}", min(len(ahead_seeds), len(seeds)), block, gap, measured))
    for block, of_block in enumerate(measured.difference, start=1):
        rows.append(_row("|apex - onset|, no network", 0, block, of_block, measured))
    even = np.ones(len(measured.clip_ids))
    rows.append(_row("uniform map, random point", 0, 0, TruthScores(even, even, measured.areas), measured))
    return rows


def attention_sections(rows: Sequence[AttentionRow]) -> list[tuple[str, TextTable]]:
    """For people: what was scored, and under it a table of its blocks, the header first."""
    sections: list[tuple[str, TextTable]] = []
    for (maps, n_seeds), of_maps in groupby(rows, key=lambda row: (row.maps, row.n_seeds)):
        seeds = f", {n_seeds} seed{'s' if n_seeds > 1 else ''}" if n_seeds else ""
        sections.append((f"{maps}{seeds}", (HEADER, *map(_line, of_maps))))
    return sections


def write_attention(folder: Path, rows: Sequence[AttentionRow]) -> Path:
    """Write the rows as attention.csv into a folder.

    Raises
    ------
    RunError
        If the file can't be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(AttentionRow)])
    writer.writerows([_cell(value) for value in asdict(row).values()] for row in rows)
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
    return f"{value:.6f}" if isinstance(value, float) else str(value)


def _name(run: Run) -> str:
    config = run.config
    network = f"{config.model}, " if config.variant == config.model else ""
    return f"{network}{settings(config)} ({config.attention})"


def _mean(seeds: Sequence[TruthScores]) -> TruthScores:
    """Each clip's scores averaged over the seeds."""
    return TruthScores(
        mass=np.mean([scores.mass for scores in seeds], axis=0),
        elsewhere=np.mean([scores.elsewhere for scores in seeds], axis=0),
        hit=np.mean([scores.hit for scores in seeds], axis=0),
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
