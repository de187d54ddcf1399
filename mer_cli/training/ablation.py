"""The paper's ablations as grids of runs: a table's number and stores come in, the runs that make it go out.

Every cell is an ordinary run, so a grid may be stopped at any time, and shares its runs with other tables and with
`mer train`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import torch

from mer_cli.errors import ConfigError
from mer_cli.training.config import resolve_config
from mer_cli.training.executor import choose_folds_at_once
from mer_cli.training.grids import GRIDS
from mer_cli.training.history import read_history
from mer_cli.training.mmnet_settings import OF_NETWORK
from mer_cli.training.plan import plan_run
from mer_cli.training.run import is_finished
from mer_cli.training.run_plan import RunPlan


@dataclass(frozen=True)
class Cell:
    """One run of a grid.

    name : what is set in it: "baseline", "n_layers 3, n_heads 2", "ststnet"
    n_finished : folds that are there already · seconds : what one of them took, None where none is
    n_turns : in which the missing ones are trained; fewer than those where the machine trains several at once
    """

    name: str
    plan: RunPlan
    n_finished: int
    seconds: float | None
    n_turns: int

    @property
    def n_missing(self) -> int:
        return len(self.plan.folds) - self.n_finished


def plan_grid(table: int, stores: Sequence[Path], settings: Mapping[str, Any], n_seeds: int, out: Path) -> list[Cell]:
    """The runs of a table: each of its rows on each store, for each seed; the seeds innermost, so that they fill first.

    Parameters
    ----------
    settings : of `resolve_config`, for all runs alike
    n_seeds : seeds count up from the settings' own
    out : the folder of all runs, in which finished folds are looked for

    Raises
    ------
    ConfigError
        If the table is not one of the ablations', or a setting is one of the network, which its rows settle.
    """
    if table not in GRIDS:
        raise ConfigError(
            f"--table: {table} is no table of ablations — expected {', '.join(map(str, GRIDS))}. Choose one."
        )
    refuse_network(settings, f"the rows of table {table} are networks")
    first_seed = resolve_config(**settings).seed
    cells = []
    for store in stores:
        for row in GRIDS[table]:
            for seed in range(first_seed, first_seed + n_seeds):
                config = resolve_config(**{**settings, **row, "seed": seed})
                name = config.variant if "variant" in row else ", ".join(f"{key} {row[key]}" for key in row)
                cells.append(cell_of(name, plan_run([store], config), out))
    return cells


def refuse_network(settings: Mapping[str, Any], rows: str) -> None:
    """Raise a ConfigError where a setting is given that says which network it is.

    Parameters
    ----------
    rows : what has its own, for the error: "the rows of table 3 are networks"
    """
    for name in OF_NETWORK:
        if settings.get(name) is not None:
            flag = name.replace("_", "-") if settings[name] is not False else f"no-{name}"
            raise ConfigError(
                f"--{flag}: {rows} of their own — expected no setting of the network beside them. Leave it out."
            )


def seconds_left(cells: Sequence[Cell]) -> float | None:
    """An estimate from the folds that are finished; None where none is. Cells of other sizes are taken for alike."""
    known = [cell.seconds for cell in cells if cell.seconds is not None]
    if not known:
        return None
    typical = sum(known) / len(known)
    return sum(cell.n_turns * (typical if cell.seconds is None else cell.seconds) for cell in cells)


def cell_of(name: str, plan: RunPlan, out: Path) -> Cell:
    """A run with how far it is; finished folds are looked for in `out`, the folder of all runs."""
    path = out / plan.config.run_name
    finished = [fold.id for fold in plan.folds if is_finished(path, fold.id)]
    missing = [fold for fold in plan.folds if fold.id not in finished]
    histories = [path / "folds" / fold_id / "history.csv" for fold_id in finished]
    seconds = [sum(read_history(history, "seconds", plan.config.epochs)) for history in histories]
    n_turns = 0
    if missing:
        n_turns = ceil(len(missing) / choose_folds_at_once(plan.config, missing, None, torch.get_num_threads()))
    return Cell(name, plan, len(finished), sum(seconds) / len(seconds) if seconds else None, n_turns)
