"""A run's settings in words, and the command lines that continue it. Nothing is printed here."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from mer_cli.training.config import NETWORK_OPTIONS, RECIPE_STAMPS, TrainConfig, resolve_config
from mer_cli.training.run import Run
from mer_cli.training.sessions import DEFAULT_ROOT

# Where the numbers were computed, not what was asked for: left out where a run's settings are named.
_NOT_A_CHANGE = frozenset({"scheme", "model", "variant", "recipe", "seed", "device", "precision", "compile"})


def settings(config: TrainConfig) -> str:
    """Give variant, recipe and every setting that departs from them: "baseline, released recipe, epochs 10"."""
    variant = "" if config.variant == config.model else f"{config.variant}, "
    stamp = f" ({RECIPE_STAMPS[config.recipe]})" if config.recipe in RECIPE_STAMPS else ""
    changes = (f", {name.replace('_', ' ')} {value}" for name, value in _changes(config).items())
    return f"{variant}{config.recipe} recipe{stamp}{''.join(changes)}"


def progress(run: Run) -> str:
    """Give "14 of 26 folds"."""
    return f"{len(run.folds)} of {len(run.folds) + len(run.missing)} folds"


def unfinished(run: Run) -> str:
    """Say that folds are missing, and how to go on."""
    return (
        f"{run.path}: {progress(run)} are finished — expected all of them, or the score is not that of "
        f"{run.config.protocol_id}. Continue with: {train_command(run)}"
    )


def train_command(run: Run) -> str:
    """Give the command line that continues a run, with the stores and the folder that its last session was given."""
    config, session = run.config, run.sessions[-1]
    stores = " ".join(shlex.quote(store) for store in session.stores)
    tested = " ".join(f"--test {shlex.quote(store)}" for store in session.test_stores)
    variant = {} if config.variant == config.model else {"variant": config.variant}
    named = {"scheme": config.scheme, **variant, "recipe": config.recipe, "seed": config.seed, **_changes(config)}
    return f"mer train {stores} {tested or '--loso'} {_flags(run, named)}"


def ablate_command(table: int, runs: Sequence[Run]) -> str:
    """Give the command line for a table's other rows, which differ from these runs in what the table varies only.

    Parameters
    ----------
    runs : of one store; the command covers the seeds of them all
    """
    config = runs[0].config
    seeds = [run.config.seed for run in runs]
    changes = {name: value for name, value in _changes(config).items() if name not in NETWORK_OPTIONS}
    named = {"scheme": config.scheme, "recipe": config.recipe, "seed": min(seeds), **changes}
    (store,) = runs[0].sessions[-1].stores
    n_seeds = max(seeds) - min(seeds) + 1
    return f"mer ablate --table {table} {shlex.quote(store)} --seeds {n_seeds} {_flags(runs[0], named)}"


def _flags(run: Run, settings: Mapping[str, object]) -> str:
    """The settings as flags, then where to compute and the folder of all runs."""
    config, out = run.config, run.sessions[-1].out
    machine = {"device": config.device, "precision": config.precision, "compile": config.compile}
    flags = [_flag(name.replace("_", "-"), value) for name, value in {**settings, **machine}.items()]
    if out != DEFAULT_ROOT:
        flags.append(f"--out {shlex.quote(out)}")
    return " ".join(flags)


def _flag(name: str, value: object) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name} {value}"


def _changes(config: TrainConfig) -> dict[str, Any]:
    standard = resolve_config(config.recipe, config.variant)
    names = [name for name in TrainConfig.model_fields if name not in _NOT_A_CHANGE]
    return {name: getattr(config, name) for name in names if getattr(config, name) != getattr(standard, name)}
