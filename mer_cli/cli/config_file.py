"""The flags `--config` and `--print-config`: what a config file gives beside the command line, and a file of both."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints

import typer

from mer_cli.errors import ConfigError

if TYPE_CHECKING:
    from mer_cli.runs.config import TrainConfig
    from mer_cli.runs.plan import RunPlan

ConfigFlag = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Read settings and flags from a TOML file, which flags on the command line override. With train, also a "
        "run's config.json, to train that run again.",
    ),
]
PrintConfigFlag = Annotated[
    bool,
    typer.Option("--print-config", help="Print all settings as a TOML file for --config, and exit without training."),
]
NOT_IN_FILE = ("print_config",)
PROTOCOLS = {"loso", "test", "folds_file", "leave_dataset_out"}  # only one of these flags can be given
HELD = "config file"  # key in `ctx.meta`


@contextmanager
def config_given(ctx: Any, path: Path | None) -> Iterator[None]:
    """Add what the file at `path` gives to `ctx.params` and `ctx.obj`; in errors, name the file where it is the source.

    Parameters
    ----------
    ctx : of a `SettingsCommand`, with its settings by name in `ctx.obj`
    """
    if path is None:
        yield
        return
    from mer_cli.runs.config_file import SET

    given = _given(ctx)
    file = _read(ctx, Path(path), given)
    overridden = {*given, *(PROTOCOLS if PROTOCOLS & set(given) else ())}
    for name, value in file.flags.items():
        if name == SET:  # a later value of an option overrides an earlier one
            ctx.params[name] = [*value, *(ctx.params[name] or ())]
        elif name not in overridden:
            ctx.params[name] = value
    ctx.meta[HELD] = file, [name for name in given if name in ctx.obj]
    try:
        ctx.obj = file.override(ctx.obj)
        yield
    except ConfigError as error:
        raise ConfigError(file.respell(str(error), given)) from None


def _given(ctx: Any) -> list[str]:
    """Return the names of the flags and arguments that stand on the command line."""
    return [
        name
        for name, value in {**ctx.params, **ctx.obj}.items()
        if ctx.get_parameter_source(name).name == "COMMANDLINE" and value not in ((), [], None)
    ]


def _read(ctx: Any, path: Path, given: list[str]) -> Any:
    from mer_cli.runs.config_file import read_config_file
    from mer_cli.runs.replay import read_recorded

    if path.suffix != ".json":
        return read_config_file(path, _types_of_flags(ctx))
    if ctx.info_name != "train":
        raise ConfigError(f"--config: {path} replays a run, which only `mer train` does. Give a TOML file.")
    return read_recorded(path, given)


def _types_of_flags(ctx: Any) -> dict[str, Any]:
    """Return the type of each flag that the command's function declares, by name, with its limit."""
    from pydantic import Field

    types: dict[str, Any] = {}
    for name, hint in get_type_hints(inspect.unwrap(ctx.command.callback), include_extras=True).items():
        if get_origin(hint) is Annotated and name not in NOT_IN_FILE:
            kind, option = get_args(hint)[:2]
            least = getattr(option, "min", None)
            types[name] = kind if least is None else Annotated[kind, Field(ge=least)]
    return types


def _as_texts(value: Any) -> Any:
    """Return a flag's value as it stands in a file: without paths."""
    if isinstance(value, list | tuple):
        return list(map(_as_texts, value))
    return str(value) if isinstance(value, Path) else value


def check_replay(ctx: Any, plan: RunPlan, also: Collection[str] = ()) -> None:
    """Raise a ConfigError if the command replays a run, and the plan is that of another run.

    Parameters
    ----------
    also : settings in which the plan differs beside those that the command line overrides
    """
    from mer_cli.runs.replay import check_same_run

    if HELD in ctx.meta:
        file, changed = ctx.meta[HELD]
        check_same_run(file, plan, [*changed, *also])


def config_text(ctx: Any, config: TrainConfig) -> str:
    """Return a TOML file of the flags and settings of `mer train`; with a protocol, as they are planned on the stores.

    Parameters
    ----------
    ctx : with the flags and arguments by name in `ctx.params`
    """
    from mer_cli.datasets.scheme_file import is_scheme_file
    from mer_cli.runs.config import TrainConfig as Settings
    from mer_cli.runs.config_file import SET, settings_of, toml_text
    from mer_cli.store.hdf5 import find_store
    from mer_cli.training.plan import plan_run

    flags = {name: ctx.params[name] for name in _types_of_flags(ctx)}
    heading = "mer train --config FILE. No protocol (--loso) is given yet: what depends on the stores is auto."
    if any(flags[name] for name in PROTOCOLS):
        from mer_cli.inference.model_folder import read_initial

        flags["stores"] = flags["stores"] or [find_store()]
        plan = plan_run(
            flags["stores"],
            config,
            test_stores=flags["test"] or (),
            folds_file=flags["folds_file"],
            leave_dataset_out=flags["leave_dataset_out"],
            initial=read_initial(flags["init"]) if flags["init"] else None,
        )
        check_replay(ctx, plan)
        config, heading = plan.config, f"mer train --config FILE trains {plan.config.run_name}."
    options = flags.pop(SET, None)
    values = settings_of(config)
    # Your own method and scheme are named as they were given: what a run calls them leads nowhere.
    has_file = is_scheme_file(str(ctx.obj["scheme"]))
    own = [*(["model"] if config.foreign else []), *(["scheme"] if has_file else [])]
    values |= {name: ctx.obj[name] for name in own}
    about = {parameter.name: parameter.help for parameter in ctx.command.params}
    entries = [(name, _as_texts(value), about[name]) for name, value in flags.items() if value not in (None, (), [])]
    entries += [(name, value, str(Settings.model_fields[name].description)) for name, value in values.items()]
    return toml_text(entries, heading, dict(option.split("=", 1) for option in options or ()))
