"""The words that a shell offers when you press Tab: datasets, methods, schemes, tables, stores and runs.

Typer calls these functions with the beginning of the word, and drops what begins otherwise. Where nothing fits, the
shell offers file names. A shell waits for the answer, so nothing here loads torch, NumPy or HDF5. No file of yours is
run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import typer


def complete_dataset(incomplete: str) -> list[str]:
    """Return the datasets that `mer preprocess` reads."""
    from mer_cli.datasets.registry import DATASETS

    return list(DATASETS)


def complete_generated(incomplete: str) -> list[str]:
    """Return the datasets that `mer synth` writes, and the word for long videos."""
    from mer_cli.datasets.synthetic.long_settings import LONG

    return [*complete_dataset(incomplete), LONG]


def complete_release(incomplete: str) -> list[str]:
    """Return the datasets that `mer preprocess` reads, and the word for your own table."""
    from mer_cli.datasets.registry import OWN

    return [*complete_dataset(incomplete), OWN]


def complete_scheme(incomplete: str) -> list[str]:
    """Return the label schemes; in a list, those that it doesn't hold yet."""
    from mer_cli.datasets.schemes import AUTO, OWN_LABELS, SCHEMES
    from mer_cli.datasets.units import UNITS

    return _in_list(incomplete, (AUTO, *SCHEMES, OWN_LABELS, UNITS))


def complete_model(incomplete: str) -> list[str]:
    """Return the methods that run here, those of installed packages, and the Python files in a folder."""
    return [*_methods(), *_paths(incomplete, "", lambda path: path.suffix == ".py")]


def complete_methods(incomplete: str) -> list[str]:
    """Return the methods that run here and those of installed packages; in a list, those that it doesn't hold yet."""
    return _in_list(incomplete, _methods())


def complete_variant(incomplete: str) -> list[str]:
    """Return the named forms of MMNet."""
    from mer_cli.runs.variants import VARIANTS

    return list(VARIANTS)


def complete_recipe(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the recipes of the method that `--model` names earlier in the command, or of MMNet."""
    from mer_cli.runs.methods import METHODS, MMNET

    model = ctx.params.get("model") or MMNET
    return list(METHODS[model].recipes) if model in METHODS else []


def complete_rule(incomplete: str) -> list[str]:
    """Return the epoch rules."""
    from mer_cli.records import EPOCH_RULES

    return list(EPOCH_RULES)


def complete_table(incomplete: str) -> list[str]:
    """Return the tables of a report."""
    from mer_cli.report.model import ALL, EVERY_TABLE

    return [*EVERY_TABLE, ALL]


def complete_ablation(incomplete: str) -> list[str]:
    """Return the names of the ablation tables."""
    from mer_cli.runs.variants import GRIDS, MOTION

    return [*map(str, GRIDS), MOTION]


def complete_store(incomplete: str) -> list[str]:
    """Return the stores in `data/`, or in the folder that is typed already."""
    return _paths(incomplete, "data", lambda path: path.suffix == ".h5")


def complete_run(incomplete: str) -> list[str]:
    """Return the run directories in `runs/`, or in the folder that is typed already."""
    return _paths(incomplete, "runs", lambda path: (path / "config.json").is_file())


# By the name of the setting, for those whose legal values are not in their type.
OF_SETTINGS: dict[str, Callable[..., Any]] = {
    "scheme": complete_scheme,
    "model": complete_model,
    "variant": complete_variant,
    "recipe": complete_recipe,
}


def _methods() -> list[str]:
    from mer_cli.runs.methods import LIVE
    from mer_cli.runs.own_code import entry_points

    return [*(method.name for method in LIVE), *sorted(entry_points())]


def _in_list(incomplete: str, names: Iterable[str]) -> list[str]:
    """Return each name behind the list that is typed up to the last comma, except names that are in this list."""
    complete, comma, _ = incomplete.rpartition(",")
    return [f"{complete}{comma}{name}" for name in names if name not in complete.split(",")]


def _paths(incomplete: str, folder: str, is_wanted: Callable[[Path], bool]) -> list[str]:
    """Return the wanted paths in the folder that is typed already, or else in `folder`; [] if it can't be read."""
    end = max(map(incomplete.rfind, ("/", os.sep))) + 1
    beginning = incomplete[:end] or (f"{folder}/" if folder else "")
    try:
        found = sorted(path.name for path in Path(beginning).iterdir() if is_wanted(path))
    except OSError:  # no such folder, or you may not read it
        return []
    return [f"{beginning}{name}" for name in found]
