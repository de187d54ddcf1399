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
        metavar="NAME",
        help="Where the work is done: local (this machine), ray, ray:ADDRESS (a running cluster) or slurm (jobs).",
    ),
]
SlurmFlag = Annotated[
    str | None,
    typer.Option(
        "--slurm",
        metavar="N=X,...",
        help="Options of SLURM's jobs, such as time=120.",
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


def elsewhere(engine: Engine) -> Engine | None:
    """Return the engine for work on single clips, whose files have to be on a disk that its machines share, else None.

    A SLURM cluster has such a disk. Ray's nodes may not, so clips are computed on this machine, and the nodes get what
    the folds need of them.
    """
    return engine if engine.is_detached else None


def check_engine_flags(
    engine: str,
    *,
    gpus: str | None = None,
    folds_at_once: int | None = None,
    jobs: int | None = None,
    time_limit: str | None = None,
    resume: bool = True,
) -> None:
    """Refuse flags that the engine can't follow, before anything is computed."""
    name = engine.partition(":")[0]
    if gpus and name != "local":
        raise ConfigError(f"--gpus has no effect with --engine {name}, which gives each fold a GPU. Leave it out.")
    if folds_at_once and name == "slurm":
        raise ConfigError(
            "--folds-at-once has no effect with --engine slurm, whose jobs train one fold after the other. Leave it "
            "out; the number of jobs at once is --slurm array_parallelism=N."
        )
    if jobs and name != "local":
        raise ConfigError(
            f"--jobs has no effect with --engine {name}, which uses all of its machines. Leave it out; the number of "
            "SLURM's jobs is --slurm array_parallelism=N."
        )
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
