"""Results as a person reads them, printed to stdout; only the command line calls it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from mer_cli.cli import console

if TYPE_CHECKING:
    from rich.console import Console

    from mer_cli.cli.doctor import Finding
    from mer_cli.evaluation.summary import Summary, TextTable
    from mer_cli.inference.explain import Explained
    from mer_cli.runs.plan import RunPlan
    from mer_cli.training.grids import Cell
    from mer_cli.training.time_limit import TimeLimit


def show_plan(plan: RunPlan, out: Path, save_weights: str) -> None:
    """What `train` is about to do, on stderr: it is progress, not a result."""
    config = plan.config
    keeps_weights = save_weights == "last" and plan.weight_bytes > 0
    size = f", weights {plan.weight_bytes * len(plan.wanted) / 1e6:.0f} MB" if keeps_weights else ""
    if not config.method.is_network:
        how = f"{config.model} and a support-vector machine"
    else:
        compiled = ", compiled" if config.compile == "on" else ""
        how = f"{config.epochs} epochs, seed {config.seed}, {config.device} {config.precision}{compiled}"
    n_folds = f"{len(plan.wanted)} of {len(plan.folds)} folds"
    console.err.print(f"{config.protocol_id}, {config.protocol()}: {n_folds}, {how}{size}")
    if config.inner_val:
        n_inner = sum(len(fold.inner) for fold in plan.wanted) / len(plan.wanted)
        console.err.print(
            f"{config.inner_val} training subjects of each fold ({n_inner:.0f} clips in the mean) are set aside to "
            "choose its epoch by, and not trained on"
        )
    if config.shuffle_labels:
        console.err.print("training labels permuted: a null control, whose accuracy must be chance")
    show_faces([plan])
    for warning in plan.warnings:
        console.err.print(escape(f"warning: {warning}"))
    if (out / config.run_name).exists():
        console.err.print(escape(f"{out / config.run_name} is there already"))


def show_faces(plans: Iterable[RunPlan]) -> None:
    """Print the stamp on stderr if any run is on generated faces."""
    if any(plan.config.generated for plan in plans):
        console.err.print("generated faces: no score of this run is a result on the dataset")


def show_notes(notes: Iterable[str]) -> None:
    """What was passed over and why, on stderr."""
    for note in notes:
        console.err.print(escape(f"note: {note}"))


def show_facts(tables: Iterable[TextTable]) -> None:
    """Names with their values, each table under the title in its first row."""
    for (title, _), *rows in tables:
        console.out.rule(escape(title))
        console.print_facts([(name, value) for name, value in rows])


def show_explained(explained: Explained, sections: Iterable[tuple[str, TextTable]], csv_path: Path | None) -> None:
    """The numbers where there are any, then the files."""
    if explained.measured is not None:
        n_clips, n_subjects = len(explained.measured.clip_ids), explained.measured.n_subjects
        console.out.print(
            f"Attention against the truth: {n_clips} clips of {n_subjects} subjects, each by the network that held it "
            "out, last epoch. Generated faces: not a result on the dataset."
        )
    for heading, rows in sections:
        console.out.print(f"\n{escape(heading)}")
        _table(console.out, rows, numeric=1)
    for path in (*explained.pictures, *([csv_path] if csv_path else [])):
        console.out.print(escape(str(path)))
    if explained.undrawn:
        show_notes(
            [f"no clip of {', '.join(explained.undrawn)} was recognised, so none is drawn. Name clips to see them."]
        )


def show_grid(cells: Sequence[Cell], table: int) -> None:
    """The plan of `ablate`: each run, how far it is, and the time left for all."""
    from mer_cli.training.grids import seconds_left

    rows = [("protocol", "row", "seed", "folds", "finished")]
    for cell in cells:
        config = cell.plan.config
        n_folds = len(cell.plan.folds)
        rows.append((config.protocol_id, cell.name, str(config.seed), str(n_folds), str(cell.n_finished)))
    _table(console.err, rows, numeric=2)
    left = seconds_left(cells)
    guess = (
        "time left not known before one is finished" if left is None else f"about {console.spell_seconds(left)} left"
    )
    console.err.print(f"table {table}: {sum(cell.n_missing for cell in cells)} folds to train, {guess}")
    show_faces(cell.plan for cell in cells)


def show_cell(cell: Cell, number: int, n_cells: int) -> None:
    """The run that `ablate` is about to continue."""
    console.err.print(f"run {number} of {n_cells}: {cell.plan.config.protocol_id}, {cell.name}")


def show_time_limit(limit: TimeLimit, plans: Iterable[RunPlan], out: Path) -> None:
    """Print on stderr how many folds the time limit left out, if it did, and how to go on."""
    from mer_cli.runs.directory import folds_to_train

    if not limit.is_over:
        return
    n_left = sum(len(folds_to_train(out / plan.config.run_name, plan.wanted, resume=True)) for plan in plans)
    are_left = "1 fold is" if n_left == 1 else f"{n_left} folds are"
    console.err.print(f"the time limit of {console.spell_seconds(limit.seconds)} is over; {are_left} left.")
    longest = max(limit.longest.values(), default=0)
    if longest > limit.seconds:
        console.err.print(
            f"A fold takes {console.spell_seconds(longest)}, longer than the limit, so each command trains only the "
            "folds it begins with."
        )
    console.err.print("Type the same command again to go on.")


def show_summaries(summaries: Iterable[Summary]) -> None:
    """Scores of one run under one rule."""
    for summary in summaries:
        console.out.rule(escape(summary.title))
        console.print_facts(summary.facts)
        for rows in (summary.datasets, summary.classes, summary.confusion, summary.chance):
            if rows:
                _table(console.out, rows, numeric=2 if rows is summary.datasets else 1)


def show_findings(findings: Iterable[Finding]) -> None:
    """What `doctor` found, a line each, and the fix under what is missing."""
    for finding in findings:
        mark = "missing" if finding.is_missing else "advice" if finding.fix else "ok"
        console.out.print(escape(f"{mark:8}{finding.what}: {finding.found}"))
        if finding.fix:
            console.out.print(escape(f"        fix: {finding.fix}"))


def show_command(line: str) -> None:
    """A command line of the demo, before it runs."""
    console.out.print(f"\n[bold]$ {escape(line)}[/bold]")


def _table(where: Console, rows: Sequence[Sequence[str]], numeric: int) -> None:
    """Rows of cells, the header first, whose columns from `numeric` on are numbers."""
    for line in console.aligned(rows, numeric=range(numeric, len(rows[0])), gap=3):
        where.print(escape(line))
