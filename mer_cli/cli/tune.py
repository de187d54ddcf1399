"""`mer tune`: choose settings in each fold on its training subjects alone, and score the choice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mer_cli.cli import console
from mer_cli.cli.app import app
from mer_cli.cli.engine import EngineFlag, SlurmFlag, check_engine_flags, engine_of, machine_of
from mer_cli.cli.flags import SettingsCommand, Stores, TimeLimitFlag
from mer_cli.cli.methods import DryRun, show_grid, train_grid
from mer_cli.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mer_cli.training.grids import Cell

Try = Annotated[
    list[str] | None,
    typer.Option("--try", metavar="NAME=VALUE,...", help="A setting and its values: epochs=10,20. Repeatable."),
]


@app.command(cls=SettingsCommand)
def tune(
    ctx: typer.Context,
    stores: Stores = None,
    tries: Try = None,
    set: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Argument of your own method's class. Repeatable."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, metavar="N", help="Number of seeds, counting up from --seed.")] = 1,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of all runs.")] = Path("runs"),
    dry_run: DryRun = False,
    time_limit: TimeLimitFlag = None,
    engine: EngineFlag = "local",
    slurm: SlurmFlag = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the scores and choices as JSON.")] = False,
) -> None:
    """Choose settings without the held-out subjects: in each fold those that suit its inner subjects best.

    Trains every combination of the values with --inner-val, leaving one subject out, and scores what each fold chose.
    You can stop and restart it at any time. No weights are kept.
    Example: mer tune --model ststnet --try epochs=100,500 --try learning-rate=5e-5,1e-4 --inner-val 3
    """
    from mer_cli.store.hdf5 import find_store
    from mer_cli.training.time_limit import parse_time_limit
    from mer_cli.training.tuning import parse_tries, plan_tuning

    limit = parse_time_limit(time_limit)
    if not tries:
        raise ConfigError("mer tune: give at least one setting with its values. For example: --try epochs=10,20")
    check_engine_flags(engine, time_limit=time_limit)
    with engine_of(engine, slurm) as opened:
        machine = machine_of(opened, ctx.obj.get("device"), slurm)
        by_seed = plan_tuning(
            stores or [find_store()], ctx.obj, parse_tries(tries), seeds, out, set or (), machine=machine
        )
        cells = [cell for of_seed in by_seed for cell in of_seed]
        show_grid(cells)
        if dry_run:
            return
        failed = train_grid(cells, out, limit, opened, show=say_path)
    if failed:
        raise typer.Exit(1)
    if not limit.is_over:
        show_choice(by_seed, out, as_json)


def say_path(path: Path) -> None:
    """Print a run's path on stderr; stdout has the scores alone."""
    console.print_lines([str(path)], console.err)


def show_choice(by_seed: Sequence[Sequence[Cell]], out: Path, as_json: bool) -> None:
    """Print what each fold chose, and the score of the choice, as text or as JSON."""
    from mer_cli.evaluation.nested import summarise_nested
    from mer_cli.runs.directory import read_run

    runs = [[read_run(out / cell.plan.config.run_name) for cell in cells] for cells in by_seed]
    summary = summarise_nested(runs, [cell.name for cell in by_seed[0]])
    if as_json:
        typer.echo(json.dumps(summary.data, indent=2))
        return
    console.print_facts(summary.facts)
    for rows in (summary.settings, summary.chance):
        console.print_table(rows, numeric=1)
