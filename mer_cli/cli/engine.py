"""The flags --engine and --slurm, and what the commands that have them do with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from mer_cli.cli import console
from mer_cli.errors import ConfigError

if TYPE_CHECKING:
    from mer_cli.engines.engine import Engine
    from mer_cli.training.machine import Machine

EngineFlag = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="local|ray[:ADDRESS]|slurm",
        help="What does the work: this machine, Ray (its own cluster or the one at ADDRESS), or jobs of SLURM.",
    ),
]
SlurmFlag = Annotated[
    str | None,
    typer.Option(
        "--slurm",
        metavar="NAME=VALUE,...",
        help="With --engine slurm: options of its jobs, such as partition=gpu,gres=gpu:1,time=120.",
    ),
]


@contextmanager
def engine_of(engine: str, slurm: str | None) -> Iterator[Engine]:
    """Yield the engine that the flags name; what it has to say goes to stderr."""
    from mer_cli.engines.choose import open_engine

    with open_engine(engine, slurm, say) as opened:
        yield opened


def say(sentence: str) -> None:
    """Print a sentence of an engine on stderr."""
    console.print_lines([sentence], console.err)


def machine_of(engine: Engine, device: str | None, slurm: str | None) -> Machine | None:
    """Return the machine that the runs are planned for: None is this one.

    Parameters
    ----------
    device, slurm : as given with --device and --slurm, None if they were left out
    """
    if engine.name == "local":
        return None
    from mer_cli.training.machine import ask_machine

    return ask_machine(engine, device or "auto", slurm or "")


def check_engine_flags(
    engine: str, *, gpus: str | None = None, time_limit: str | None = None, resume: bool = True
) -> None:
    """Refuse flags that the engine can't follow, before anything is computed."""
    name = engine.partition(":")[0]
    if gpus and name != "local":
        raise ConfigError(f"--gpus has no effect with --engine {name}, which gives each fold a GPU. Leave it out.")
    if name == "slurm" and time_limit:
        raise ConfigError(
            "--time-limit has no effect with --engine slurm, whose jobs go on when the command ends. Leave it out; "
            "--slurm time=120 limits a job, and what is missing then is submitted again."
        )
    if name == "slurm" and not resume:
        raise ConfigError(
            "--no-resume can't be used with --engine slurm, whose jobs may be submitted again at any time and skip "
            "what is finished. Remove the run first: mer runs rm RUN."
        )
