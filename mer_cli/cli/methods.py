"""The commands about all methods at once: the list of methods, and the runs that compare them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from mer_cli.cli import console
from mer_cli.cli.app import app
from mer_cli.cli.flags import GridCommand, TimeLimitFlag
from mer_cli.cli.train import show_faces, show_time_limit, train_with_progress
from mer_cli.errors import MerError

if TYPE_CHECKING:
    from mer_cli.runs.methods import Method
    from mer_cli.training.grids import Cell, Comparison, LeftOut


LEGEND = (
    "Parameters are for 3 / 5 classes; descriptors with a support-vector machine have none. Grade: A fully public, "
    "A- but for a detail that is ours, B needs labels or weights that can be had, C what is not public."
)
N_CLASSES = (3, 5)  # of which parameters are counted
FACTS = ("kind", "form", "name", "title", "grade", "input", "paper", "year", "note", "command")  # of the JSON
HOW_TO_TRAIN = "Train one: mer train --loso --model NAME, or all that are not quoted only: mer compare-methods"


def show_methods(methods: Sequence[tuple[Method, Mapping[str, int]]], as_json: bool) -> None:
    """Every method with its number of parameters by number of classes."""
    if as_json:
        known = [
            {name: getattr(method, name) for name in FACTS} | {"parameters": dict(parameters)}
            for method, parameters in methods
        ]
        console.out.print_json(json.dumps(known))
        return
    cells = [("name", "method", "form", "grade", "parameters", "input; what keeps it from running, or differs")]
    for method, parameters in methods:
        counts = " / ".join(f"{count:,}" for count in parameters.values()) or "–"
        said = "; ".join(part for part in (method.input, method.note) if part)
        cells.append((method.name, method.title, method.form, method.grade, counts, said))
    for line in _method_lines(cells):
        console.out.print(escape(line))
    for sentences in (LEGEND, HOW_TO_TRAIN):
        for line in console.folded(sentences, ""):
            console.out.print(line)


def _method_lines(cells: Sequence[tuple[str, str, str, str, str, str]]) -> Iterator[str]:
    """A line for each method; on a narrow terminal its title and what is said of it stand below, folded."""
    lines, wide = console.aligned(cells), console.width()
    if wide is None or max(map(len, lines)) <= wide:
        yield from lines
        return
    heads = console.aligned([(name, form, grade, counts) for name, _, form, grade, counts, _ in cells])
    for head, (_, title, *_, said) in zip(heads, cells, strict=True):
        yield head
        yield from console.folded(f"{title}: {said}", "    ")


def show_comparison(plan: Comparison, seconds: Sequence[float | None]) -> None:
    """The runs in the order in which they are trained, how far each is, and the time that is left.

    Parameters
    ----------
    seconds : that a fold of each takes, None where that is not known
    """
    lines = [("protocol", "method", "seed", "folds", "finished", "a fold", "left")]
    for cell, of_fold in zip(plan.cells, seconds, strict=True):
        config = cell.plan.config
        counts = (str(config.seed), str(len(cell.plan.folds)), str(cell.n_finished))
        about = "" if cell.seconds is not None else "about "
        times = ("?", "?") if of_fold is None else (f"{about}{_spell(of_fold)}", _spell(of_fold * cell.n_turns))
        if not cell.n_missing:
            times = (times[0], "")
        lines.append((config.protocol_id, cell.name, *counts, *times))
    for line in console.aligned(lines, gap=3):
        console.err.print(escape(line))
    left = sum(of_fold * cell.n_turns for cell, of_fold in zip(plan.cells, seconds, strict=True) if of_fold)
    unknown = {
        cell.name: None for cell, of_fold in zip(plan.cells, seconds, strict=True) if cell.n_missing and of_fold is None
    }
    known = "about {} left for those that are known" if unknown else "about {} left"
    times_left = [known.format(console.spell_seconds(left))] if left or not unknown else []
    times_left += [f"time not known before a fold of it is finished: {', '.join(unknown)}"] if unknown else []
    n_missing = sum(cell.n_missing for cell in plan.cells)
    console.err.print(f"{n_missing} folds to train, {'; '.join(times_left)}")


def show_left_out(left_out: Sequence[LeftOut]) -> None:
    """Methods that a store can't serve, those of one reason together."""
    for reason in dict.fromkeys(lost.reason for lost in left_out):
        names = ", ".join(lost.method for lost in left_out if lost.reason == reason)
        console.err.print(escape(f"left out: {names}: {reason}"))


def show_failures(failed: Sequence[tuple[Cell, MerError]]) -> None:
    """Runs that ended in an error."""
    for cell, error in failed:
        console.err.print(escape(f"failed: {cell.plan.config.protocol_id}, {cell.name}: {error}"))


def _spell(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else console.spell_seconds(seconds)


@app.command()
def models(
    as_json: Annotated[bool, typer.Option("--json", help="All that is known of them, as JSON.")] = False,
) -> None:
    """List the methods: those that `mer train --model` takes, as published or variants, and those only quoted.

    Example: mer models --json
    """
    from mer_cli.runs.methods import METHODS
    from mer_cli.training.cost import count_parameters

    counts = {
        method.name: {str(n): count_parameters(method.name, n) for n in N_CLASSES if method.is_network}
        for method in METHODS.values()
    }
    show_methods([(method, counts[method.name]) for method in METHODS.values()], as_json)


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
    from mer_cli.store.hdf5 import find_stores
    from mer_cli.training.grids import expected_seconds, plan_comparison
    from mer_cli.training.time_limit import parse_time_limit

    limit = parse_time_limit(time_limit)
    plan = plan_comparison(stores or find_stores(), ctx.obj, seeds, out, methods=methods, together=together)
    expected = expected_seconds(plan.cells)
    for cell, seconds in zip(plan.cells, expected, strict=True):
        if seconds is not None:
            limit.expect(cell.plan.config.model, seconds)
    show_comparison(plan, expected)
    show_left_out(plan.left_out)
    show_faces(cell.plan for cell in plan.cells)
    failed = []
    for number, cell in enumerate(plan.cells, start=1):
        if cell.n_missing and not dry_run and limit.has_time(cell.plan.config.model):
            show_cell(cell, number, len(plan.cells))
            try:
                typer.echo(train_with_progress(cell.plan, out, save_weights="none", time_limit=limit))
            except MerError as error:
                failed.append((cell, error))
    if not dry_run:  # hours after it was first said
        show_left_out(plan.left_out)
    show_failures(failed)
    show_time_limit(limit, [cell.plan for cell in plan.cells], out)
    if plan.left_out or failed:
        raise typer.Exit(1)


@app.command(cls=GridCommand)
def ablate(
    ctx: typer.Context,
    table: Annotated[int, typer.Option(help="The paper's table: 3, 4 or 5.")],
    stores: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[STORE]...", help="Stores, each for itself; all of data/ if left out."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Number of runs of each row, counting up from --seed.")] = 1,
    out: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("runs"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the plan, and the time that is left.")] = False,
    time_limit: TimeLimitFlag = None,
) -> None:
    """Train the runs of one of the paper's ablation tables; those that are there already are not trained again.

    May be stopped and started at will. No weights are kept. Example: mer ablate --table 3 --seeds 5
    """
    from mer_cli.store.hdf5 import find_stores
    from mer_cli.training.grids import plan_grid
    from mer_cli.training.time_limit import parse_time_limit

    limit = parse_time_limit(time_limit)
    cells = plan_grid(table, stores or find_stores(), ctx.obj, seeds, out)
    show_grid(cells, table)
    for number, cell in enumerate(cells, start=1):
        if cell.n_missing and not dry_run and limit.has_time(cell.plan.config.model):
            show_cell(cell, number, len(cells))
            typer.echo(train_with_progress(cell.plan, out, save_weights="none", time_limit=limit))
    show_time_limit(limit, [cell.plan for cell in cells], out)


def show_grid(cells: Sequence[Cell], table: int) -> None:
    """The plan of `ablate`: each run, how far it is, and the time left for all."""
    from mer_cli.training.grids import seconds_left

    rows = [("protocol", "row", "seed", "folds", "finished")]
    for cell in cells:
        config = cell.plan.config
        n_folds = len(cell.plan.folds)
        rows.append((config.protocol_id, cell.name, str(config.seed), str(n_folds), str(cell.n_finished)))
    console.print_table(rows, numeric=2, where=console.err)
    left = seconds_left(cells)
    guess = (
        "time left not known before one is finished" if left is None else f"about {console.spell_seconds(left)} left"
    )
    console.err.print(f"table {table}: {sum(cell.n_missing for cell in cells)} folds to train, {guess}")
    show_faces(cell.plan for cell in cells)


def show_cell(cell: Cell, number: int, n_cells: int) -> None:
    """The run that `ablate` is about to continue."""
    console.err.print(f"run {number} of {n_cells}: {cell.plan.config.protocol_id}, {cell.name}")
