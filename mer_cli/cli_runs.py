"""The commands that look after run directories: `mer runs` lists them, `mer runs rm` removes some."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mer_cli import show_runs
from mer_cli.app import app
from mer_cli.errors import ConfigError


class ListByDefault(TyperGroup):
    """A group whose command is `list` where none is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        named = bool(args) and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if named else ["list", *args])


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
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """List the runs below the folders by name, and how to continue those that are not finished.

    Example: mer runs list elsewhere/runs --json
    """
    from mer_cli.report.run_list import list_runs

    show = show_runs.show_run_json if as_json else show_runs.show_run_list
    show(list_runs(folders or [Path("runs")]))


@runs.command("rm")
def remove(
    paths: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run directories.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
) -> None:
    """Remove runs with all their folds and weights, after it has shown them and asked.

    Example: mer runs rm runs/casme2-5-mmnet-released-s1-0a1b2c3d
    """
    from mer_cli.report.run_list import list_runs
    from mer_cli.training.disk import check_removable, remove_run

    chosen = check_removable(paths)
    rows = list_runs(chosen)
    show_runs.show_removal(rows)
    if not yes:
        if not sys.stdin.isatty():
            raise ConfigError(
                "mer runs rm: there is no terminal to ask at — expected an answer before anything is removed. "
                "Nothing was removed; in a script: mer runs rm --yes RUN..."
            )
        size = show_runs.spell_bytes(sum(row.disk.size for row in rows))
        what = "this run" if len(rows) == 1 else f"these {len(rows)} runs"
        typer.confirm(f"Remove {what} ({size}) for good?", abort=True, err=True)
    for path in chosen:
        remove_run(path)
        typer.echo(f"removed {path}")
