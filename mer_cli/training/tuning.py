"""Plan the runs among which `mer tune` chooses: one for each combination of the values to try, all with inner clips.

Every one is an ordinary run, which `mer train` would make as well. What is chosen among them, fold by fold, is decided
in `evaluation.nested`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from mer_cli.errors import ConfigError, unknown_name
from mer_cli.runs.config import SETTINGS, TrainConfig, group_of, has_effect, require_classes, resolve_config
from mer_cli.runs.own_method import parse_options
from mer_cli.training.grids import Cell, cell_of
from mer_cli.training.machine import Machine
from mer_cli.training.plan import plan_run

_NOT_TRIED = ("protocol", "device", "machine")  # groups of settings that say what is measured, and where
TRIABLE = tuple(
    name for name in SETTINGS if group_of(name) not in _NOT_TRIED and name not in ("model", "variant", "inner_val")
)


def parse_tries(texts: Sequence[str]) -> dict[str, list[Any]]:
    """Return the values to try by the name of the setting, from texts like "epochs=10,20" and "learning-rate=.001".

    Raises
    ------
    ConfigError
        If a text has no value, names a setting twice, or names none that can be tried.
    """
    tries: dict[str, list[Any]] = {}
    for text in texts:
        flag, _, values = text.partition("=")
        name = flag.strip().removeprefix("--").replace("-", "_")
        words = list(dict.fromkeys(word for part in values.split(",") if (word := part.strip())))
        if not words:
            raise ConfigError(
                f"--try {text!r}: names no value. Give a setting and its values, separated by commas: --try "
                "epochs=10,20."
            )
        if name in SETTINGS and name not in TRIABLE:
            raise ConfigError(
                f"--try: '{flag}' can't be tried, because it doesn't say how the method learns. Leave it out."
            )
        if name not in TRIABLE:
            known = [each.replace("_", "-") for each in TRIABLE]
            raise ConfigError(f"--try: {unknown_name('setting', name.replace('_', '-'), known)}")
        if name in tries:
            raise ConfigError(f"--try: {flag} is given twice. Give all its values at once: --try {flag}=10,20.")
        tries[name] = [_value(name, word) for word in words]
    return tries


def _value(name: str, word: str) -> Any:
    """Return the value that a word stands for; the word itself if it is none, which `resolve_config` refuses."""
    annotation: Any = TrainConfig.model_fields[name].annotation
    choices = {str(choice): choice for choice in get_args(annotation)}
    if choices:
        return choices.get(word, word)
    try:
        return TypeAdapter(annotation).validate_python(word)
    except ValidationError:
        return word


def plan_tuning(
    stores: Sequence[Path],
    settings: Mapping[str, Any],
    tries: Mapping[str, Sequence[Any]],
    n_seeds: int,
    out: Path,
    options: Sequence[str] = (),
    *,
    machine: Machine | None = None,
) -> list[list[Cell]]:
    """Return the runs to choose among: for each seed a list, with a run for each combination of values, in their order.

    Parameters
    ----------
    stores : of different datasets; under LOSO each of their subjects is held out once
    settings : arguments of `resolve_config`, the same for all runs
    tries : from `parse_tries`
    options : arguments of your own class, as --set takes them
    machine : the machine that will train, if it is not this one

    Raises
    ------
    MerError
        If there is nothing to choose among, the method has no inner clips, or a setting or a store can't be used.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    for name in sorted(tries.keys() & given.keys()):
        flag = name.replace("_", "-")
        raise ConfigError(f"--{flag} is given beside --try {flag}. Leave one of them out.")
    plain = resolve_config(**{**given, "inner_val": None}, options=parse_options(options))
    require_classes(plain, "mer tune")
    if not has_effect(plain.method, "inner_val", given):
        raise ConfigError(
            f"mer tune: {plain.model} has no epochs, so there is nothing to choose on inner subjects. It chooses "
            "its C on the training subjects of each fold already. Expected a network or a learner."
        )
    if not given.get("inner_val"):
        raise ConfigError(
            "mer tune: give --inner-val N, the number of training subjects in each fold that choose the settings. For "
            "example: --inner-val 3"
        )
    configs: dict[TrainConfig, str] = {}
    for values in product(*tries.values()):
        chosen = dict(zip(tries, values, strict=True))
        config = resolve_config(**{**given, **chosen}, options=parse_options(options))
        configs.setdefault(
            config, ", ".join(f"{name.replace('_', ' ')} {_spell(value)}" for name, value in chosen.items())
        )
    if len(configs) < 2:
        raise ConfigError("mer tune: there is only one setting to choose. Give several values: --try epochs=10,20")
    return [
        [
            cell_of(name, plan_run(stores, config.model_copy(update={"seed": seed}), machine=machine), out, machine)
            for config, name in configs.items()
        ]
        for seed in range(plain.seed, plain.seed + n_seeds)
    ]


def _spell(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)
