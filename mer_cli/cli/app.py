"""The Typer application that the commands register with. It alone turns errors into text and exit codes.

Exit codes: 0, 1 for a `MerError`, 2 for a wrong use of the command line, 130 for Ctrl-C and SIGTERM.
"""

from __future__ import annotations

import errno
import os
import re
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mer_cli import __version__
from mer_cli.cli import console
from mer_cli.errors import MerError, shortened
from mer_cli.system.files import failure
from mer_cli.system.shown_text import visible

# In the order in which a user needs them, then the rest.
ORDER = (
    *("preprocess", "info", "train", "evaluate", "report", "ceiling", "explain", "runs", "status", "models"),
    *("fit", "spot", "predict", "export"),
    *("ablate", "compare-methods", "tune", "folds", "import-predictions"),
    *("synth", "demo", "doctor", "bench", "upgrade", "import-official"),
)


class Commands(TyperGroup):
    """The group of all commands, which turns their errors into messages and exit codes."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands in the order in which the help lists them."""
        return sorted(self.commands, key=ORDER.index)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, whose help is folded to the terminal's width and not where its docstring is."""
        command = super().get_command(ctx, cmd_name)
        if command and command.help:
            paragraphs = re.sub(r"\s+(?=Example: )", "\n\n", command.help)
            command.help = re.sub(r"(?<=\S)\n(?=\S)", " ", paragraphs)
        return command

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except MerError as error:
            typer.echo(visible(f"error: {error}"), err=True)
            raise typer.Exit(1) from None
        except OSError as error:
            cause = TOO_LONG if error.errno == errno.ENAMETOOLONG else failure(error)
            if cause is None:
                raise
            if not error.filename and error.errno == errno.ENOSPC:  # standard output; its buffer would fail at exit
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            name = shortened(os.fsdecode(error.filename or "the results"))
            typer.echo(visible(f"error: {name}: {cause}"), err=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            typer.echo("stopped: finished work is kept, and the same command continues from there", err=True)
            raise typer.Exit(130) from None


TOO_LONG = f"{os.strerror(errno.ENAMETOOLONG)}. Expected at most 255 bytes for each part of a path. Shorten it."


app = typer.Typer(
    name="mer",
    cls=Commands,
    help="Micro-expression recognition: MMNet's leave-one-subject-out experiment, from the raw release to the tables.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def show_version(wanted: bool) -> None:
    """Print the version and exit, if `wanted` is True."""
    if wanted:
        console.out.print(f"mer {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Three commands make the experiment: mer preprocess casme2 /raw · mer train --loso · mer report."""
