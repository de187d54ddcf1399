"""Builds the rows of what the labels allow, and marks the scores above them.

A mark says that an accuracy is more than any one rule on the coded action units can reach on these clips. A published
number is marked only if it may be of as many clips; a guesser is not marked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from mer_cli.evaluation.ceiling import CARE, READS, SIDES, TOLD, UNITS, BestRule, C, Ceiling, bounds_of, is_above
from mer_cli.evaluation.ceiling_sources import RunCeiling, run_ceiling
from mer_cli.evaluation.statistics import METRICS, Spread
from mer_cli.evaluation.summary import percent
from mer_cli.report.entries import Protocol
from mer_cli.report.model import Cell, Column, Note, Row
from mer_cli.report.rows import HONEST, Cells, key_of, score_cell, table_row

MARKS = {UNITS: "†", SIDES: "‡"}
ACCURACY = "_accuracy"  # ends the keys of the columns that can be marked
CEILING = Note(
    f"ceiling: what the labels allow. `{UNITS}` gives each set of coded units its commonest class, counted on all "
    "these clips, so that no other rule on the set is right more often; its F1 and UAR are not bounds. `told` is "
    f"logistic regression on the units (C {C:g}, nothing is chosen) in the same folds, and {READS}."
)


def protocol_ceiling(protocol: Protocol) -> RunCeiling:
    """Return the ceiling of a protocol's clips from the first run whose stores are still where it was trained from.

    All runs have the same clips, so only those that name other paths are asked.
    """
    by_place = {
        (run.sessions[-1].stores, run.sessions[-1].test_stores): run for entry in protocol.entries for run in entry.runs
    }
    missing = ""
    for run in by_place.values():
        ceiling = run_ceiling(run, protocol.dataset)
        if ceiling.found:
            return ceiling
        missing = missing or ceiling.missing
    return RunCeiling(None, missing)


def with_ceiling(ceiling: RunCeiling, rows: Sequence[Row], columns: Sequence[Column]) -> tuple[list[Row], list[Note]]:
    """Return the rows with a mark at each accuracy above a bound, then the ceilings; and the notes on the marks.

    Without a ceiling the rows stay as they are, and a note says why.
    """
    found = ceiling.found
    if found is None:
        return list(rows), [Note(f"No ceiling: {ceiling.missing}.")]
    bounds = bounds_of(found)
    marked = [row if row.kind == "chance" else _marked(row, columns, bounds, found.n_clips) for row in rows]
    used = {mark for row in marked for cell in row.cells for mark in cell.marks}
    notes = [
        Note(f"Above {percent(rule.accuracy)} %, the most that {name} can reach on these clips. {CARE}", MARKS[name])
        for name, rule in bounds
        if MARKS[name] in used
    ]
    return [*marked, *_ceiling_rows(found, columns)], notes


def _ceiling_rows(ceiling: Ceiling, columns: Sequence[Column]) -> Iterator[Row]:
    """Yield a row for each bound, and one for what is learnt from the coded units."""
    keys = {column.key for column in columns}
    for name, rule in bounds_of(ceiling):
        cells = _cells({metric: Spread(getattr(rule, metric)) for metric in METRICS}, keys)
        chosen = key_of("best-test", "accuracy")
        cells |= {chosen: score_cell("accuracy", Spread(rule.accuracy))} if chosen in keys else {}
        yield table_row("ceiling", {"method": Cell(f"ceiling: {name}"), **cells}, columns)
    told = {metric: getattr(ceiling.told, metric) for metric in METRICS}
    yield table_row("ceiling", {"method": Cell(f"ceiling: {TOLD}"), **_cells(told, keys)}, columns)


def _cells(scores: dict[str, Spread], keys: set[str]) -> Cells:
    """Return the cells under each honest rule that a table has columns for: a ceiling depends on no epoch."""
    return {
        key: score_cell(metric, spread)
        for rule in HONEST
        for metric, spread in scores.items()
        if (key := key_of(rule, metric)) in keys
    }


def _marked(row: Row, columns: Sequence[Column], bounds: Sequence[tuple[str, BestRule]], n_clips: int) -> Row:
    of_key = dict(zip((column.key for column in columns), row.cells, strict=True))
    comparable = str(n_clips) in of_key.get("published_clips", Cell()).text.split(" or ")
    cells = []
    for key, cell in of_key.items():
        is_score = key.endswith(ACCURACY) and cell.value is not None and (comparable or not key.startswith("published"))
        above = [MARKS[name] for name, rule in bounds if is_score and is_above(cell.value or 0.0, rule)]
        cells.append(replace(cell, marks=(*cell.marks, *above[-1:])))
    return replace(row, cells=tuple(cells))
