"""Plan grids of runs: the paper's ablation tables, and all methods on the same folds, the cheapest first.

Every cell is an ordinary run. So a grid can be stopped at any time, and shares its runs with other grids and with
`mer train`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import ceil
from pathlib import Path
from typing import Any

import torch

from mer_cli.datasets.scheme_file import datasets_in, is_scheme_file
from mer_cli.datasets.schemes import AUTO, SCHEMES, resolve_scheme
from mer_cli.errors import ConfigError, DatasetError, StoreError, unknown_name
from mer_cli.runs.config import OF_NETWORK, TrainConfig, check_settings, has_effect, require_classes, resolve_config
from mer_cli.runs.directory import is_finished
from mer_cli.runs.fold_files import read_history
from mer_cli.runs.methods import LIVE, METHODS, MMNET, Method
from mer_cli.runs.own_code import is_own
from mer_cli.runs.own_method import find_any_method
from mer_cli.runs.plan import RunPlan
from mer_cli.runs.variants import GRIDS, MOTION, MOTION_ROWS
from mer_cli.store.hdf5 import StoreInfo, read_store
from mer_cli.training.cost import count_operations
from mer_cli.training.hardware import choose_folds_at_once
from mer_cli.training.machine import Machine
from mer_cli.training.plan import plan_run


@dataclass(frozen=True)
class Cell:
    """One run of a grid.

    name : row of the table or name of the method, such as "baseline", "n_layers 3, n_heads 2", "ststnet"
    n_finished : number of finished folds · seconds : average time of a finished fold, None if there is none
    n_turns : number of rounds in which the missing folds are trained; a round may train several folds in parallel
    """

    name: str
    plan: RunPlan
    n_finished: int
    seconds: float | None
    n_turns: int

    @property
    def n_missing(self) -> int:
        return len(self.plan.folds) - self.n_finished


def plan_grid(
    table: str,
    stores: Sequence[Path],
    settings: Mapping[str, Any],
    n_seeds: int,
    out: Path,
    *,
    machine: Machine | None = None,
) -> list[Cell]:
    """Return the runs of an ablation table: for each store, for each row of the table, for each seed.

    Parameters
    ----------
    table : number of the table in the paper, a key of `GRIDS`; or "motion", `MOTION_ROWS`, of which a method that uses
        no random numbers is trained with one seed
    settings : arguments of `resolve_config`, the same for all runs
    n_seeds : number of seeds, counting up from the seed in the settings
    out : folder of all runs, where finished folds are looked for
    machine : the machine that will train, if it is not this one

    Raises
    ------
    ConfigError
        If the table is not an ablation table, or a setting decides the network, which the rows do.
    """
    rows = _rows_of(table)
    _refuse_network(settings, f"each row of table {table}", *(("input", "flow", "scale") if table == MOTION else ()))
    given = settings.get("seed")
    first_seed = TrainConfig.model_fields["seed"].default if given is None else given
    cells = []
    for store in stores:
        for name, row in rows.items():
            wanted = {key: value for key, value in {**settings, **row}.items() if key != "seed"}
            is_random = METHODS[row.get("model", MMNET)].is_random or settings.get("shuffle_labels")
            for seed in range(first_seed, first_seed + n_seeds) if is_random else [None]:
                config = resolve_config(**wanted, seed=seed)
                if table != MOTION:
                    require_classes(config, f"--table {table}")
                cells.append(cell_of(name, plan_run([store], config, machine=machine), out, machine))
    return cells


def _rows_of(table: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the settings of the rows of an ablation table, by name."""
    if table == MOTION:
        return MOTION_ROWS
    number = int(table) if table.isdecimal() else 0
    if number not in GRIDS:
        known = ", ".join([*map(str, GRIDS), MOTION])
        raise ConfigError(f"--table: '{table}' is not an ablation table. Available: {known}.")
    return {row.get("variant") or ", ".join(f"{key} {row[key]}" for key in row): row for row in GRIDS[number]}


def _refuse_network(settings: Mapping[str, Any], row: str, *others: str) -> None:
    """Raise a ConfigError if a setting (also one of the `others`) decides the network, which each `row` does."""
    for name in (*OF_NETWORK, *others):
        if settings.get(name) is not None:
            flag = name.replace("_", "-") if settings[name] is not False else f"no-{name}"
            raise ConfigError(f"--{flag} can't be set here: {row} is a network of its own. Leave it out.")


def cell_of(name: str, plan: RunPlan, out: Path, machine: Machine | None = None) -> Cell:
    """Return a planned run with its progress.

    Parameters
    ----------
    out : folder of all runs, where finished folds are looked for
    machine : the machine that will train, if it is not this one
    """
    path = out / plan.config.run_name
    finished = [fold.id for fold in plan.folds if is_finished(path, fold.id)]
    missing = [fold for fold in plan.folds if fold.id not in finished]
    histories = [path / "folds" / fold_id / "history.csv" for fold_id in finished]
    seconds = [sum(read_history(history, "seconds", plan.config.epochs)) for history in histories]
    n_turns = 0
    if missing:
        threads, memory = (machine.threads, machine.memory) if machine else (torch.get_num_threads(), None)
        n_turns = ceil(len(missing) / choose_folds_at_once(plan.config, missing, None, threads, memory=memory))
    return Cell(name, plan, len(finished), sum(seconds) / len(seconds) if seconds else None, n_turns)


COMPARABLE = 10  # largest ratio of arithmetic at which a network's time is estimated from another network


@dataclass(frozen=True)
class LeftOut:
    """A method that can't run on a store; the reason says what the store lacks, and which command adds it."""

    method: str
    reason: str


@dataclass(frozen=True)
class Comparison:
    """The runs of a comparison in the order in which they are trained, and the methods that can't run."""

    cells: tuple[Cell, ...]
    left_out: tuple[LeftOut, ...]


def plan_comparison(
    stores: Sequence[Path],
    settings: Mapping[str, Any],
    n_seeds: int,
    out: Path,
    *,
    methods: str | None = None,
    together: bool = False,
    machine: Machine | None = None,
) -> Comparison:
    """Return the runs of each method under each protocol, for each seed (a classical method has one run, not several).

    Parameters
    ----------
    settings : arguments of `resolve_config`; each setting goes to the methods that use it. `scheme` may name several
        schemes, separated by commas: each store gets the schemes that cover it. If it is left out, a store gets every
        scheme that is for its dataset alone, except those that are only used on request
    n_seeds : number of seeds, counting up from the seed in the settings
    out : folder of all runs, where finished folds are looked for
    methods : names separated by commas, or your own methods as --model takes them, all of which must be able to run on
        the stores; None takes all methods that run here, and leaves out those that the stores lack something for
    together : whether to add runs on the stores of MEGC 2019's datasets taken together
    machine : the machine that will train, if it is not this one

    Raises
    ------
    MerError
        If a store can't be read, a name or a setting can't be used, or a store lacks what a named method needs.
    """
    _refuse_network(settings, "each method (--methods)")
    given = {name: value for name, value in settings.items() if value is not None and name != "scheme"}
    configs = method_configs(methods, given)
    protocols = [*_protocols([read_store(path) for path in stores], settings.get("scheme"), together=together)]
    cells: list[Cell] = []
    left_out: list[LeftOut] = []
    for name in sorted(configs, key=lambda name: running_order(configs[name])):
        for infos, scheme in protocols:
            try:
                paths = [info.path for info in infos]
                cells += _cells(configs[name], paths, scheme, n_seeds, out, machine)
            except (StoreError, DatasetError, ConfigError) as error:
                if methods or (isinstance(error, ConfigError) and len(protocols) == 1):
                    raise
                left_out.append(LeftOut(name, str(error)))
    return Comparison(tuple(cells), tuple(dict.fromkeys(left_out)))


def expected_seconds(cells: Sequence[Cell]) -> list[float | None]:
    """Return for each cell the seconds that one of its folds takes, estimated from finished folds; None if unknown.

    A cell with finished folds gets their average. Otherwise the time comes from the cells of the same method or row.
    For a network without such cells, it comes from the network nearest in arithmetic, times the ratio of the two, if
    the ratio is at most `COMPARABLE`; small networks spend their time on other things. Times are proportional to
    training clips and epochs, so the same method takes longer under a scheme with more clips.
    """
    known: dict[str, list[float]] = {}  # seconds of a clip in an epoch, by method
    for cell in cells:
        if cell.seconds is not None:
            known.setdefault(cell.name, []).append(cell.seconds / _passes(cell))
    rates = {name: sum(rates) / len(rates) for name, rates in known.items()}
    guesses = {cell.name: _guess_rate(cell, cells, rates) for cell in cells}
    expected: list[float | None] = []
    for cell in cells:
        rate = guesses[cell.name]
        guess = None if rate is None else rate * _passes(cell)
        expected.append(guess if cell.seconds is None else cell.seconds)
    return expected


def _guess_rate(cell: Cell, cells: Sequence[Cell], rates: Mapping[str, float]) -> float | None:
    """Return the seconds of a clip in an epoch, estimated from the known `rates` by name; None if unknown."""
    if cell.name in rates:
        return rates[cell.name]
    work = _operations(cell.plan.config)
    known = {other.name: _operations(other.plan.config) for other in cells if other.name in rates}
    ratios = {work / done: rates[name] for name, done in known.items() if done}
    nearest = min(ratios, key=lambda ratio: max(ratio, 1 / ratio), default=None) if work else None
    if nearest is None or not 1 / COMPARABLE <= nearest <= COMPARABLE:
        return None
    return nearest * ratios[nearest]


def method_configs(methods: str | None, given: Mapping[str, Any], *, flag: str = "--methods") -> dict[str, TrainConfig]:
    """Return the settings of several methods, by the method's name.

    Parameters
    ----------
    methods : as in `plan_comparison`
    given : arguments of `resolve_config`, each of which goes to the methods that use it
    flag : that named the methods, for errors

    Raises
    ------
    ConfigError
        If a name or a setting can't be used, or a setting has no effect with any of the methods.
    """
    named = _named(methods, flag)
    _check_useful(given, named)
    configs = {}
    for method in named:
        fitting = {setting: value for setting, value in given.items() if _is_of_use(method, setting, given)}
        configs[method.name] = resolve_config(**fitting, model=method.name, foreign=method.foreign)
    return configs


def _named(methods: str | None, flag: str) -> list[Method]:
    """Return the named methods in the table's order, then your own; all that run here if `methods` is None."""
    if methods is None:
        return list(LIVE)
    wanted = [name for part in methods.split(",") if (name := part.strip())]
    if not wanted:
        raise ConfigError(f"{flag}: {methods!r} names no method. Separate names by commas: ststnet,flow-svm.")
    named = [find_any_method(name if is_own(name) else name.casefold(), flag=flag) for name in wanted]
    own = list(dict.fromkeys(method for method in named if method.foreign))
    for one, other in combinations(own, 2):
        if one.name == other.name:
            raise ConfigError(
                f"{flag}: {one.code} and {other.code} are both called '{one.name}'. Give one of the classes another "
                "NAME."
            )
    return [*(method for method in LIVE if method in named), *own]


def _check_useful(given: Mapping[str, Any], methods: Collection[Method]) -> None:
    """Refuse a setting without effect on any of the methods, unless it asks for what they do anyway."""
    for setting, value in given.items():
        if setting == "recipe" and not any(value in method.recipes for method in LIVE):
            known = dict.fromkeys(recipe for method in LIVE for recipe in method.recipes)
            raise ConfigError(f"--recipe: {unknown_name('recipe', value, known)}")
        if not any(_is_of_use(method, setting, given) or _accepts(method, setting, given) for method in methods):
            names = ", ".join(method.name for method in methods)
            raise ConfigError(f"--{setting.replace('_', '-')} has no effect with {names}. Leave it out.")


def _is_of_use(method: Method, setting: str, given: Mapping[str, Any]) -> bool:
    if setting == "recipe":
        return given["recipe"] in method.recipes
    return has_effect(method, setting, given)


def _accepts(method: Method, setting: str, given: Mapping[str, Any]) -> bool:
    beside = {"span": given["span"]} if "span" in given and has_effect(method, "span", given) else {}
    try:
        check_settings(method, beside | {setting: given[setting]})
    except ConfigError:
        return False
    return setting != "recipe"


def _protocols(
    infos: Sequence[StoreInfo], schemes: str | None, *, together: bool
) -> Iterator[tuple[tuple[StoreInfo, ...], str]]:
    """Yield each store with each of its schemes; last the stores that are trained on together."""
    wanted = [scheme.strip() for scheme in schemes.split(",")] if schemes else []
    for info in infos:
        emotions = {info.dataset: set(info.clips["emotion"])}
        own = wanted or usual_schemes(info.dataset) or [AUTO]
        fitting = [name for name in own if _covers(name, info.dataset)] or own[:1]  # to raise its error
        resolved = ((name, resolve_scheme(name, emotions)) for name in fitting)
        for scheme in dict.fromkeys(name if scheme.origin else scheme.name for name, scheme in resolved):
            yield (info,), scheme
    if together:
        (composite,) = (scheme for scheme in SCHEMES.values() if scheme.composite)
        parts = tuple(info for info in infos if info.dataset in composite.datasets)
        if len(parts) < 2:
            raise ConfigError(
                f"--together needs stores of at least 2 of {', '.join(composite.datasets)}, got {len(parts)}. Name the "
                "stores, or leave it out."
            )
        yield parts, composite.name


def usual_schemes(dataset: str) -> list[str]:
    """Return the names of the schemes that a store of the dataset is trained under if --scheme is left out."""
    alone = (scheme for scheme in SCHEMES.values() if scheme.datasets == (dataset,))
    return [scheme.name for scheme in alone if not scheme.on_request]


def _covers(scheme: str, dataset: str) -> bool:
    """Return whether a scheme covers the dataset, or is unknown, which raises an error later."""
    if is_scheme_file(scheme):
        return dataset in datasets_in(Path(scheme))
    found = SCHEMES.get(scheme.casefold())
    return found is None or dataset in found.datasets


def _cells(
    config: TrainConfig, stores: Sequence[Path], scheme: str, n_seeds: int, out: Path, machine: Machine | None
) -> list[Cell]:
    draws = config.method.is_random or config.shuffle_labels
    seeds = range(config.seed, config.seed + (n_seeds if draws else 1))
    settled = (config.model_copy(update={"scheme": scheme, "seed": seed}) for seed in seeds)
    return [cell_of(config.model, plan_run(stores, each, machine=machine), out, machine) for each in settled]


def running_order(config: TrainConfig) -> tuple[bool, bool, int]:
    """Return the sort key: classical methods first, among them those that see whole clips last."""
    if not config.method.is_network:
        return False, config.method.sees.needs_clips("clip"), 0
    return True, False, config.epochs * _operations(config)


def _passes(cell: Cell) -> float:
    """Return the average number of training clips of a fold times the epochs."""
    folds = cell.plan.folds
    return sum(len(fold.train) for fold in folds) / len(folds) * cell.plan.config.epochs


def _operations(config: TrainConfig) -> int:
    """Return the arithmetic of one clip, 0 of a classical method; the number of classes hardly matters."""
    return count_operations(config.method, 3, **config.network_options) if config.method.is_network else 0
