"""The commands about all methods: the list of methods, and the grids of runs that compare methods or ablations."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mer_cli.cli import console
from mer_cli.cli.app import app
from mer_cli.cli.completion import complete_ablation, complete_methods, complete_store
from mer_cli.cli.engine import EngineFlag, SlurmFlag, check_engine_flags, engine_of, machine_of
from mer_cli.cli.flags import GridCommand, TimeLimitFlag
from mer_cli.cli.train import clip_warnings, show_faces, show_time_limit, train_with_progress
from mer_cli.errors import ConfigError

if TYPE_CHECKING:
    from mer_cli.engines.engine import Engine
    from mer_cli.runs.methods import Method
    from mer_cli.training.grids import Cell, LeftOut
    from mer_cli.training.time_limit import TimeLimit
    from mer_cli.training.train import FailedRun


LEGEND = (
    "Parameters are for 3 / 5 classes; descriptors with a support-vector machine have none. Grade: A fully public, "
    "A- public but for a detail that is ours, B needs labels or weights that you can get, C needs what is not public."
)
N_CLASSES = (3, 5)  # for which parameters are counted
FACTS = ("kind", "form", "name", "title", "grade", "input", "paper", "year", "note", "command")  # of the JSON
HOW_TO_TRAIN = "Train one: mer train --loso --model NAME. Train all but those quoted only: mer compare-methods"

Stores = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[STORE]...",
        help="Stores, each trained on its own; all of data/ if left out.",
        autocompletion=complete_store,
    ),
]
Out = Annotated[Path, typer.Option(help="Folder of all runs.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only print the plan, and the time that is left.")]


@app.command()
def models(
    as_json: Annotated[bool, typer.Option("--json", help="All that is known of the methods, as JSON.")] = False,
    template: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.py", help="Write a commented file with a method of your own, which trains as it is."
        ),
    ] = None,
    kind: Annotated[
        Literal["network", "learner", "estimator"] | None,
        typer.Option(help="With --template: kind of method. Default: network."),
    ] = None,
    check: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Check a method on made-up clips: your own, FILE.py:CLASS, or a network's name."
        ),
    ] = None,
    own_options: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="With --check: argument of the class. Repeatable."),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="With --check: what an estimator learns from, flow or a descriptor."),
    ] = None,
    classes: Annotated[
        int | None, typer.Option(min=2, metavar="N", help="With --check: number of classes. Default: 3.")
    ] = None,
    device: Annotated[
        Literal["auto", "cuda", "mps", "cpu"] | None,
        typer.Option(help="With --check: device whose memory and seconds are measured."),
    ] = None,
) -> None:
    """List the methods: those that `mer train --model` takes, as published or variants, and those only quoted.

    With --template or --check: begin a method of your own, or check one. Example: mer models --check ./mynet.py:MyNet
    """
    if sum((as_json, template is not None, check is not None)) > 1:
        raise ConfigError("mer models: give only one of --json, --template and --check.")
    of_check = {"--set": own_options, "--features": features, "--classes": classes, "--device": device}
    useless = [f"{flag} has no effect without --check" for flag, value in of_check.items() if value and not check]
    useless += ["--kind has no effect without --template"] if kind and not template else []
    if useless:
        raise ConfigError(f"{useless[0]}. Leave it out.")
    if template is not None:
        show_template(template, kind or "network")
    elif check is not None:
        show_check(check, own_options or [], features, classes or 3, device)
    else:
        list_methods(as_json)


def list_methods(as_json: bool) -> None:
    """Print all methods, as lines or as JSON."""
    from mer_cli.runs.methods import METHODS
    from mer_cli.runs.own_code import entry_points
    from mer_cli.training.cost import count_parameters

    counts = {
        method.name: {str(n): count_parameters(method, n) for n in N_CLASSES if method.is_network}
        for method in METHODS.values()
    }
    show_methods([(method, counts[method.name]) for method in METHODS.values()], entry_points(), as_json)


def show_template(path: Path, kind: Literal["network", "learner", "estimator"]) -> None:
    """Write a template, and print the commands that come next."""
    from mer_cli.runs.own_template import write_template

    commands = write_template(path, kind)
    console.print_lines([f"{path} written. Next:", *(f"    {command}" for command in commands)])


def show_check(
    given: str, set_options: Sequence[str], features: str | None, n_classes: int, device: str | None
) -> None:
    """Print a line for each finding about a method as soon as it is there; exit with 1 if one failed."""
    from mer_cli.runs.config import resolve_config
    from mer_cli.runs.own_method import find_any_method, parse_options
    from mer_cli.training.check_method import check_method

    method = find_any_method(given, parse_options(set_options), features, flag="--check")
    config = resolve_config(model=method.name, foreign=method.foreign, device=device)
    marks = []
    for finding in check_method(config, n_classes):
        console.print_lines(console.folded(finding.text, f"{finding.mark:8}{finding.name:12}"))
        marks.append(finding.mark)
    if "FAILED" in marks:
        console.err.print(f"{marks.count('FAILED')} of {len(marks)} checks failed")
        raise typer.Exit(1)
    more = "".join(f" --set {option}" for option in set_options) + (f" --features {features}" if features else "")
    console.print_lines([f"Train it: mer train --loso --model {given}{more}"])


def show_methods(
    methods: Sequence[tuple[Method, Mapping[str, int]]], installed: Mapping[str, str], as_json: bool
) -> None:
    """Print each method with its numbers of parameters, which are given by number of classes.

    Parameters
    ----------
    installed : "module:name" of the methods of installed packages, by name; they are not imported, and not in the JSON
    """
    if as_json:
        known = [
            {name: getattr(method, name) for name in FACTS} | {"parameters": dict(parameters)}
            for method, parameters in methods
        ]
        console.out.print_json(json.dumps(known), ensure_ascii=True)
        return
    cells = [("name", "method", "form", "grade", "parameters", "input; what keeps it from running, or differs")]
    for method, parameters in methods:
        counts = " / ".join(f"{count:,}" for count in parameters.values()) or "–"
        about = "; ".join(part for part in (method.input, method.note) if part)
        cells.append((method.name, method.title, method.form, method.grade, counts, about))
    console.print_lines(_method_lines(cells))
    for name, place in sorted(installed.items()):
        console.print_lines(console.folded(f"installed by another package: {name} ({place})"))
    for text in (LEGEND, HOW_TO_TRAIN):
        console.print_lines(console.folded(text))


def _method_lines(cells: Sequence[tuple[str, str, str, str, str, str]]) -> Iterator[str]:
    """Yield a line for each method; on a narrow terminal its title, input and note are folded below."""
    lines = console.aligned(cells)
    if console.fits(lines):
        yield from lines
        return
    heads = console.aligned([(name, form, grade, counts) for name, _, form, grade, counts, _ in cells])
    for head, (_, title, *_, about) in zip(heads, cells, strict=True):
        yield head
        yield from console.folded(f"{title}: {about}", "    ")


@app.command(cls=GridCommand)
def compare_methods(
    ctx: typer.Context,
    stores: Stores = None,
    methods: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="Only these, as `mer models` names them: ststnet,flow-svm.",
            autocompletion=complete_methods,
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Number of runs of each network, counting up from --seed.")] = 1,
    together: Annotated[
        bool, typer.Option("--together", help="Add a run of MEGC 2019's datasets together: the composite set.")
    ] = False,
    out: Out = Path("runs"),
    dry_run: DryRun = False,
    time_limit: TimeLimitFlag = None,
    engine: EngineFlag = "local",
    slurm: SlurmFlag = None,
) -> None:
    """Train every method that runs here on the same folds, cheapest first: the live rows of Tables 6 and 7.

    You can stop and restart it at any time. No weights are kept.
    Example: mer compare-methods --methods ststnet,flow-svm
    """
    from mer_cli.store.hdf5 import find_stores
    from mer_cli.training.grids import plan_comparison
    from mer_cli.training.time_limit import parse_time_limit

    check_engine_flags(engine, time_limit=time_limit)
    limit = parse_time_limit(time_limit)
    with engine_of(engine, slurm) as opened:
        plan = plan_comparison(
            stores or find_stores(),
            ctx.obj,
            seeds,
            out,
            methods=methods,
            together=together,
            machine=machine_of(opened, ctx.obj.get("device"), slurm),
        )
        show_grid(plan.cells)
        show_left_out(plan.left_out)
        failed = False if dry_run else train_grid(plan.cells, out, limit, opened, plan.left_out)
    if plan.left_out or failed:
        raise typer.Exit(1)


@app.command(cls=GridCommand)
def ablate(
    ctx: typer.Context,
    table: Annotated[
        str,
        typer.Option(
            help="The paper's table: 3, 4 or 5; or motion: what each step of --input gives.",
            autocompletion=complete_ablation,
        ),
    ],
    stores: Stores = None,
    seeds: Annotated[int, typer.Option(min=1, help="Number of runs of each row, counting up from --seed.")] = 1,
    out: Out = Path("runs"),
    dry_run: DryRun = False,
    time_limit: TimeLimitFlag = None,
    engine: EngineFlag = "local",
    slurm: SlurmFlag = None,
) -> None:
    """Train the runs of an ablation table, except those that are finished already.

    You can stop and restart it at any time. No weights are kept. Example: mer ablate --table 3 --seeds 5
    """
    from mer_cli.store.hdf5 import find_stores
    from mer_cli.training.grids import plan_grid
    from mer_cli.training.time_limit import parse_time_limit

    check_engine_flags(engine, time_limit=time_limit)
    limit = parse_time_limit(time_limit)
    with engine_of(engine, slurm) as opened:
        machine = machine_of(opened, ctx.obj.get("device"), slurm)
        cells = plan_grid(table, stores or find_stores(), ctx.obj, seeds, out, machine=machine)
        show_grid(cells)
        failed = not dry_run and train_grid(cells, out, limit, opened)
    if failed:
        raise typer.Exit(1)


def show_grid(cells: Sequence[Cell]) -> None:
    """Print the runs in the order in which they are trained, the progress of each, and the time left."""
    from mer_cli.training.grids import expected_seconds

    rows = [("protocol", "run", "seed", "folds", "finished", "a fold", "left")]
    left, unknown = 0.0, []
    for cell, seconds in zip(cells, expected_seconds(cells), strict=True):
        config = cell.plan.config
        counts = (str(config.seed), str(len(cell.plan.folds)), str(cell.n_finished))
        a_fold = time_left = "?"
        if seconds is not None:
            left += seconds * cell.n_turns
            a_fold = f"{'about ' if cell.seconds is None else ''}{_spell(seconds)}"
            time_left = _spell(seconds * cell.n_turns)
        elif cell.n_missing:
            unknown.append(cell.name)
        rows.append((config.protocol_id, cell.name, *counts, a_fold, time_left if cell.n_missing else ""))
    console.print_lines(console.aligned(rows, gap=3), console.err)
    times = [f"about {console.spell_seconds(left)} left"] if left or not unknown else []
    if unknown:
        times.append(f"time unknown until a fold is finished: {', '.join(dict.fromkeys(unknown))}")
    console.print_lines([f"{sum(cell.n_missing for cell in cells)} folds to train, {'; '.join(times)}"], console.err)
    show_faces(cell.plan for cell in cells)
    protocols = {(cell.plan.config.protocol_id, cell.plan.config.inner_val): cell.plan for cell in cells}
    told = [f"warning: {id}: {text}" for (id, _), plan in protocols.items() for text in clip_warnings(plan)]
    console.print_lines(dict.fromkeys(told), console.err)


def _spell(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else console.spell_seconds(seconds)


def train_grid(
    cells: Sequence[Cell],
    out: Path,
    limit: TimeLimit,
    engine: Engine,
    left_out: Sequence[LeftOut] = (),
    show: Callable[[Path], object] = console.print_path,
) -> bool:
    """Train the unfinished runs of a grid, and show each path when its run is finished; return whether any failed."""
    from mer_cli.training.grids import expected_seconds
    from mer_cli.training.train import Options

    expected = expected_seconds(cells)
    for cell, seconds in zip(cells, expected, strict=True):
        if seconds is not None:
            limit.expect(cell.plan.config.model, seconds)
    missing = ((cell, seconds) for cell, seconds in zip(cells, expected, strict=True) if cell.n_missing)
    # By name, because two cells may be one run: of a store that was given twice.
    todo = [*{cell.plan.config.run_name: (cell, seconds) for cell, seconds in missing}.values()]
    names = {cell.plan.config.run_name: f"{cell.plan.config.protocol_id}, {cell.name}" for cell, _ in todo}
    failed = train_with_progress(
        [cell.plan for cell, _ in todo],
        out,
        Options(save_weights="none", time_limit=limit, engine=engine),
        names=[*names.values()],
        seconds=[seconds for _, seconds in todo],
        on_run_end=show,
        goes_on=True,
    )
    show_left_out(left_out)  # again, hours after it was printed first
    show_failed(failed, names)
    show_time_limit(limit, [cell.plan for cell in cells], out)
    return bool(failed)


def show_failed(failed: Sequence[FailedRun], names: Mapping[str, str]) -> None:
    """Print on stderr why runs failed, `names` by run name; a cause that several runs share only once."""
    for cause in dict.fromkeys(run.cause for run in failed):
        first, *others = (run for run in failed if run.cause == cause)
        console.print_lines([f"failed: {names[first.plan.config.run_name]}: {first.reason}"], console.err)
        if others:
            same = ", ".join(names[run.plan.config.run_name] for run in others)
            console.print_lines([f"failed for the same reason: {same}"], console.err)


def show_left_out(left_out: Sequence[LeftOut]) -> None:
    """Print on stderr the methods that can't run on a store, and why; one line for methods with the same reason."""
    for reason in dict.fromkeys(lost.reason for lost in left_out):
        names = ", ".join(lost.method for lost in left_out if lost.reason == reason)
        console.print_lines([f"left out: {names}: {reason}"], console.err)
