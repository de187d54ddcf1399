"""All tables of a report from the runs and stores at hand; each is there without any of them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from mer_cli.errors import ConfigError, StoreError
from mer_cli.evaluation.run_text import network_name
from mer_cli.report.count_tables import build_count_table
from mer_cli.report.method_tables import build_method_table
from mer_cli.report.model import Table
from mer_cli.report.placing import placed
from mer_cli.report.scores import score_runs
from mer_cli.store.hdf5 import StoreInfo, read_store
from mer_cli.store.overview import find_stores
from mer_cli.training.run import Run

COUNT_TABLES = (1, 2)
METHOD_TABLES = (3, 4, 5, 6, 7)
ALL = "all"


def table_numbers(wanted: str) -> tuple[int, ...]:
    """Give the tables that `--table` asks for.

    Raises
    ------
    ConfigError
        If it is neither a table's number nor "all".
    """
    known = (*COUNT_TABLES, *METHOD_TABLES)
    if wanted == ALL:
        return known
    if wanted not in map(str, known):
        raise ConfigError(
            f"--table: '{wanted}' is no table of the paper that is repeated here — expected "
            f"{', '.join(map(str, known))} or {ALL}. Choose one."
        )
    return (int(wanted),)


def read_stores(numbers: Sequence[int]) -> list[StoreInfo]:
    """Give what the stores of `data/` hold, where a table of counts is asked for; there need be none.

    Raises
    ------
    StoreError
        If one cannot be read.
    """
    if not set(numbers) & set(COUNT_TABLES):
        return []
    try:
        paths = find_stores()
    except StoreError:  # there is none: the tables have the published counts alone
        return []
    return [read_store(path) for path in paths]


def build_tables(numbers: Sequence[int], runs: Sequence[Run], stores: Sequence[StoreInfo]) -> tuple[Table, ...]:
    """Build the tables of these numbers, in their order.

    Parameters
    ----------
    runs : in any order; each table takes those that it has a place for
    stores : for the tables of counts

    Raises
    ------
    RunError
        If two runs share configuration and seed, or a run cannot be scored.
    """
    entries = score_runs(runs_in_tables(numbers, runs))
    tables = []
    for number in numbers:
        if number in COUNT_TABLES:
            tables.append(build_count_table(number, stores))
        else:
            held = {run.path for run in placed(number, runs)}
            tables.append(build_method_table(number, [entry for entry in entries if entry.runs[0].path in held]))
    return tuple(tables)


def runs_in_tables(numbers: Sequence[int], runs: Sequence[Run]) -> list[Run]:
    """Give the runs that any of these tables has a place for."""
    held = {run.path for number in numbers if number in METHOD_TABLES for run in placed(number, runs)}
    return [run for run in runs if run.path in held]


def left_out(numbers: Sequence[int], runs: Sequence[Run]) -> list[str]:
    """Give a sentence for each run that no table at all has a place for, and one on those that are in other tables."""
    held = {number: {run.path for run in placed(number, runs)} for number in METHOD_TABLES}
    nowhere, elsewhere = [], []
    for run in runs:
        of_run = [number for number in METHOD_TABLES if run.path in held[number]]
        if not of_run:
            nowhere.append(
                f"{run.path}: {run.config.protocol_id}, {network_name(run.config)} has no place in any table — "
                "expected leave one subject out, a dataset of a table or MEGC 2019's composite set, and a method of "
                f"it. Score it: mer evaluate {shlex.quote(str(run.path))}"
            )
        elif not set(of_run) & set(numbers):
            elsewhere.append(of_run[0])
    if not elsewhere:
        return nowhere
    others = ", ".join(f"mer report --table {number}" for number in sorted(set(elsewhere)))
    are = "1 run is in another table" if len(elsewhere) == 1 else f"{len(elsewhere)} runs are in other tables"
    return [*nowhere, f"{are}: {others}"]
