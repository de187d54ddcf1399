"""The commands about all methods at once: what there is, and the runs that compare them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mer_cli import show, show_models
from mer_cli.app import app
from mer_cli.errors import MerError
from mer_cli.setting_flags import GridCommand, TimeLimitFlag
from mer_cli.train_steps import train_with_progress


@app.command()
def models(
    as_json: Annotated[bool, typer.Option("--json", help="All that is known of them, as JSON.")] = False,
) -> None:
    """List the methods: those that `mer train --model` takes, as published or variants, and those only quoted.

    Example: mer models --json
    """
    from mer_cli.models.catalogue import METHODS, count_parameters

    show_models.show_methods([(method, count_parameters(method)) for method in METHODS], as_json)


@app.command(cls=GridCommand)
def compare_methods(
    ctx: typer.Context,
    stores: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[STORE]...", help="Stores, each for itself; all of data/ if left out."),
    ] = None,
    methods: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Only these, as `mer models` names them: ststnet,flow-svm.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Number of runs of each network, counting up from --seed.")] = 1,
    together: Annotated[
        bool, typer.Option("--together", help="Besides, MEGC 2019's datasets in one run: the composite set.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("runs"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the plan, and the time that is left.")] = False,
    time_limit: TimeLimitFlag = None,
) -> None:
    """Train every method that runs here on the same folds, cheapest first: the live rows of Tables 6 and 7.

    May be stopped and started at will. No weights are kept. Example: mer compare-methods --methods ststnet,flow-svm
    """
    from mer_cli.store.overview import find_stores
    from mer_cli.training.comparison_plan import expected_seconds, plan_comparison
    from mer_cli.training.time_limit import parse_time_limit

    limit = parse_time_limit(time_limit)
    plan = plan_comparison(stores or find_stores(), ctx.obj, seeds, out, methods=methods, together=together)
    expected = expected_seconds(plan.cells)
    for cell, seconds in zip(plan.cells, expected, strict=True):
        if seconds is not None:
            limit.expect(cell.plan.config.model, seconds)
    show_models.show_comparison(plan, expected)
    show_models.show_left_out(plan.left_out)
    show.show_faces(cell.plan for cell in plan.cells)
    failed = []
    for number, cell in enumerate(plan.cells, start=1):
        if cell.n_missing and not dry_run and limit.has_time(cell.plan.config.model):
            show.show_cell(cell, number, len(plan.cells))
            try:
                typer.echo(train_with_progress(cell.plan, out, save_weights="none", time_limit=limit))
            except MerError as error:
                failed.append((cell, error))
    if not dry_run:  # hours after it was first said
        show_models.show_left_out(plan.left_out)
    show_models.show_failures(failed)
    show.show_time_limit(limit, [cell.plan for cell in plan.cells], out)
    if plan.left_out or failed:
        raise typer.Exit(1)
