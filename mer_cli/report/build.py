"""Builds a whole report from the runs and stores at hand: each run is placed and scored once, for all tables."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from mer_cli.errors import ConfigError, StoreError
from mer_cli.report.count_tables import build_count_table
from mer_cli.report.entries import Entry, score_runs
from mer_cli.report.method_tables import build_method_table
from mer_cli.report.model import ALL, COUNT_TABLES, EVERY_TABLE, METHODS, NUMBERS, SUMMARY, UNITS, Table
from mer_cli.report.placing import Places, place_runs
from mer_cli.report.summary import build_summary
from mer_cli.report.unit_table import build_unit_table
from mer_cli.runs.directory import Run
from mer_cli.store.hdf5 import StoreInfo, find_stores, read_store


@dataclass(frozen=True)
class Report:
    """The tables of a report.

    runs : the runs in the tables; an HTML page shows figures of them
    notes : a sentence on the runs that only other tables have a place for
    """

    tables: tuple[Table, ...]
    runs: tuple[Run, ...]
    notes: tuple[str, ...]


def table_ids(wanted: str) -> tuple[str, ...]:
    """Return the ids of the tables that `--table` asks for: every table for "all", else the table itself.

    Raises
    ------
    ConfigError
        If `wanted` is neither a table nor "all".
    """
    if wanted == ALL:
        return EVERY_TABLE
    if wanted not in EVERY_TABLE:
        raise ConfigError(
            f"--table: a report has no table '{wanted}'. Expected one of {', '.join(EVERY_TABLE)}, or {ALL}."
        )
    return (wanted,)


def read_stores(ids: Sequence[str]) -> list[StoreInfo]:
    """Return what each store in `data/` holds if `ids` has a table that counts clips (1 or 2), else an empty list."""
    if not set(ids) & set(COUNT_TABLES):
        return []
    try:
        paths = find_stores()
    except StoreError:  # there is none: the tables have only the published counts
        return []
    return [read_store(path) for path in paths]


def build_report(ids: Sequence[str], runs: Sequence[Run], stores: Sequence[StoreInfo]) -> Report:
    """Build a report with the tables `ids`, in their order.

    In a report of several tables, a table without a run of yours is collapsed, and the table of all methods has only
    the protocols of runs that no table of the paper has a place for. Runs that predict action units are in a table of
    their own, and in no other.

    Parameters
    ----------
    runs : in any order; each table takes the runs that it has a place for
    stores : counted in Tables 1 and 2

    Raises
    ------
    RunError
        If two runs share configuration and seed, or a run cannot be scored.
    """
    of_units = [run for run in runs if run.config.predicts_units]
    runs = [run for run in runs if not run.config.predicts_units]
    places = place_runs(runs)
    wanted = [number for number in NUMBERS if str(number) in ids]
    has_all = SUMMARY in ids or METHODS in ids
    shown = [run for run in runs if has_all or any(number in places[run.path].rows for number in wanted)]
    entries = score_runs(shown, places)
    tables = [
        build_unit_table(of_units) if id == UNITS else _build(id, entries, stores, alone=len(ids) == 1) for id in ids
    ]
    if len(ids) > 1:
        tables = [_collapsed(table, bool(runs)) for table in tables if table.id not in (METHODS, UNITS) or table.blocks]
    paths = {run.path for run in shown}
    elsewhere = [run for run in runs if run.path not in paths]
    homes = _homes(elsewhere, places) + [UNITS] * (len(of_units) if UNITS not in ids else 0)
    return Report(tuple(tables), tuple(shown), _notes(homes))


def _build(id: str, entries: Sequence[Entry], stores: Sequence[StoreInfo], *, alone: bool) -> Table:
    if id == SUMMARY:
        return build_summary(entries)
    if id in COUNT_TABLES:
        return build_count_table(int(id), stores)
    if id == METHODS:
        return build_method_table(None, entries if alone else _without_a_place(entries))
    return build_method_table(int(id), entries)


def _without_a_place(entries: Sequence[Entry]) -> list[Entry]:
    """Return all entries of those protocols in which at least one entry is in no table of the paper."""
    stray = {
        entry.clips
        for entry in entries
        if not any(number in entry.place.rows and entry.is_part_of(number) for number in NUMBERS)
    }
    return [entry for entry in entries if entry.clips in stray]


def _collapsed(table: Table, has_runs: bool) -> Table:
    """Return the table, collapsed if it has no run of yours: to one line, or if no runs exist hidden in HTML only."""
    return replace(table, collapsed="line" if has_runs else "closed") if table.absent else table


def _homes(runs: Collection[Run], places: Places) -> list[str]:
    """Return the table that each of the runs is in."""
    return [next((str(number) for number in NUMBERS if number in places[run.path].rows), METHODS) for run in runs]


def _notes(homes: Sequence[str]) -> tuple[str, ...]:
    """Return a sentence that names the `--table` to ask for to see runs that are in none of the wanted tables.

    Parameters
    ----------
    homes : the table of each of these runs
    """
    if not homes:
        return ()
    others = ", ".join(f"--table {id}" for id in sorted(set(homes)))
    are = "1 run is in another table" if len(homes) == 1 else f"{len(homes)} runs are in other tables"
    return (f"{are}: the same command with {others}",)
