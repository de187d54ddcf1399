"""Open the engine that --engine names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mer_cli.engines.engine import Engine
from mer_cli.engines.local import LocalEngine
from mer_cli.errors import ConfigError, unknown_name

NAMES = ("local", "ray", "slurm")


@contextmanager
def open_engine(text: str, slurm: str | None, say: Callable[[str], None]) -> Iterator[Engine]:
    """Yield the engine that is named "local", "ray", "ray:ADDRESS" or "slurm"; it is closed at the end of the block.

    Parameters
    ----------
    slurm : options of the jobs, "partition=gpu,time=120" · say : called with a sentence for the user

    Raises
    ------
    ConfigError
        If the engine is unknown, is not installed or can't be reached, or an option is unknown or not its own.
    """
    name, _, address = text.partition(":")
    if name not in NAMES:
        raise ConfigError(f"--engine: {unknown_name('engine', name, NAMES)}")
    if address and name != "ray":
        raise ConfigError(f"--engine {text}: only Ray has an address. Expected {name}, or ray:HOST:PORT.")
    if slurm is not None and name != "slurm":
        raise ConfigError(f"--slurm has no effect with --engine {name}. Leave it out, or give --engine slurm.")
    if name == "slurm":
        from mer_cli.engines.slurm import SlurmEngine
        from mer_cli.engines.slurm_options import parse_slurm_options

        yield SlurmEngine(parse_slurm_options(slurm) if slurm is not None else {}, say)
    elif name == "ray":
        from mer_cli.engines.ray_engine import RayEngine

        with RayEngine(address or None) as engine:
            yield engine
    else:
        yield LocalEngine()
