"""`mer runs` lists run directories; `mer runs rm` removes some."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from mer_cli.cli import console
from mer_cli.cli.app import app
from mer_cli.cli.completion import complete_run
from mer_cli.errors import ConfigError
from mer_cli.system.shown_text import visible_json

if TYPE_CHECKING:
    from mer_cli.report.run_list import RunRow


def show_run_list(rows: Sequence[RunRow]) -> None:
    """Print a line for each run, and below how to continue those that are not finished."""
    from mer_cli.evaluation.summary import fraction, percent
    from mer_cli.report.run_list import RULE

    if not rows:
        console.err.print("no runs found; train one: mer train --loso")
        return
    now = time.time()
    cells = [("run", "protocol", "seed", "state", "accuracy %", "UF1", "changed", "size", "")]
    for row in rows:
        accuracy = "" if row.accuracy is None else percent(row.accuracy)
        uf1 = "" if row.uf1 is None else fraction(row.uf1)
        seed = "" if row.seed is None else str(row.seed)
        disk = (spell_age(now - row.disk.changed), spell_bytes(row.disk.size))
        at_work = [f"{_folds(len(row.at_work))} at work"] if row.at_work else []
        marks = ", ".join([*row.marks, *at_work])
        cells.append((str(row.path), row.protocol_id, seed, row.state, accuracy, uf1, *disk, marks))
    console.print_lines(_run_lines(cells))
    if any(row.accuracy is not None for row in rows):
        console.out.print(f"accuracy and UF1: epoch rule {RULE}, over all held-out clips")
    console.print_notes(row.hint for row in rows if row.hint)


def _run_lines(cells: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Yield a line for each run; on a narrow terminal two: name and marks, then the rest without the seed."""
    lines = console.aligned(cells, numeric=(2, 4, 5, 7))
    if console.fits(lines):
        yield from lines
        return
    below = console.aligned([(protocol, *rest) for _, protocol, _, *rest, _ in cells], numeric=(2, 3, 5))
    for (path, *_, marks), line in zip(cells, below, strict=True):
        yield f"{path}  {marks}".rstrip()
        yield f"    {line}"


def show_run_json(rows: Sequence[RunRow]) -> None:
    """Print the runs as JSON: scores from 0 to 1, sizes in bytes, times in UTC, null if unknown."""
    from mer_cli.report.run_list import RULE

    listed = [
        {
            "run": str(row.path),
            "protocol": row.protocol_id or None,
            "seed": row.seed,
            "state": row.state,
            "epoch_rule": RULE,
            "accuracy": row.accuracy,
            "uf1": row.uf1,
            "marks": list(row.marks),
            "changed": datetime.fromtimestamp(row.disk.changed, UTC).isoformat(timespec="seconds"),
            "bytes": row.disk.size,
            "hint": row.hint or None,
        }
        for row in rows
    ]
    console.print_lines([visible_json(json.dumps(listed, indent=2, ensure_ascii=False))])


def show_removal(rows: Sequence[RunRow]) -> None:
    """Print on stderr what `mer runs rm` is about to remove, with a warning if folds of a run are at work."""
    now = time.time()
    for row in rows:
        age = now - row.disk.changed
        found = f"{row.path}: {row.state}, {spell_bytes(row.disk.size)}, changed {spell_age(age)}"
        console.print_lines([found], console.err)
        if row.at_work:
            places = ", ".join(sorted({claim.where or "an unknown machine" for claim in row.at_work}))
            warning = (
                f"  warning: {_folds(len(row.at_work))} of it at work right now, on {places}; the work would be lost"
            )
            console.print_lines([warning], console.err)


def _folds(number: int) -> str:
    return "1 fold" if number == 1 else f"{number} folds"


def spell_age(seconds: float) -> str:
    """Return an age as text, for example "just now", "3 min ago", "5 h ago" or "12 days ago"."""
    minutes = int(seconds // 60)
    if minutes < 1:
        return "just now"
    if minutes < 60:
        return f"{minutes} min ago"
    hours = minutes // 60
    return f"{hours} h ago" if hours < 48 else f"{hours // 24} days ago"


def spell_bytes(size: int) -> str:
    """Return a size in bytes as text, for example "12 kB", "38 MB" or "1.0 GB"."""
    if size < 1_000_000:
        return f"{size / 1e3:.0f} kB"
    return f"{size / 1e6:.0f} MB" if size < 1_000_000_000 else f"{size / 1e9:.1f} GB"


class ListByDefault(TyperGroup):
    """A command group that runs its command `list` if the user names no command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        named = bool(args) and (args[0] in self.commands or args[0] in ctx.help_option_names)
        as_typed = named or ctx.resilient_parsing  # a shell that completes the command's name wants all of them
        return super().parse_args(ctx, args if as_typed else ["list", *args])


runs = typer.Typer(
    cls=ListByDefault,
    help="List the runs with their state, scores, age and size, or remove some. Example: mer runs",
)
app.add_typer(runs, name="runs")


@runs.command("list")
def list_them(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="[FOLDER]...", help="Folders of runs; runs/ if left out.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the runs in the folders by name, and how to continue those that are not finished.

    Example: mer runs list elsewhere/runs --json
    """
    from mer_cli.report.run_list import list_runs

    show = show_run_json if as_json else show_run_list
    show(list_runs(folders or [Path("runs")]))


@runs.command("rm")
def remove(
    paths: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run directories.", autocompletion=complete_run)
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove without asking.")] = False,
) -> None:
    """Show runs, ask, and remove them with all their folds and weights.

    Example: mer runs rm runs/casme2-5-mmnet-released-s1-0a1b2c3d
    """
    from mer_cli.report.run_list import list_runs
    from mer_cli.runs.disk import check_removable, remove_run

    chosen = check_removable(paths)
    rows = list_runs(chosen)
    show_removal(rows)
    if not yes:
        if not sys.stdin.isatty():
            raise ConfigError(
                "mer runs rm: there is no terminal to ask for confirmation, so nothing was removed. In a script: "
                "mer runs rm --yes RUN..."
            )
        size = spell_bytes(sum(row.disk.size for row in rows))
        what = "this run" if len(rows) == 1 else f"these {len(rows)} runs"
        typer.confirm(f"Remove {what} ({size}) for good?", abort=True, err=True)
    for path in chosen:
        remove_run(path)
        console.print_lines([f"removed {path}"])
