"""The flags of the settings of a run, made from the help, limits and groups declared in `runs.config`."""

from __future__ import annotations

import inspect
from collections.abc import Container, Iterator
from copy import copy
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from typer.core import TyperCommand

from mer_cli.cli.completion import OF_SETTINGS, complete_store
from mer_cli.cli.config_file import ConfigFlag, config_given

Stores = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[STORE]...",
        help="Stores, one for each dataset; the one in data/ if left out.",
        autocompletion=complete_store,
    ),
]
FoldsFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Instead of --loso: hold out a list of subjects at a time. A CSV with the columns subject and fold.",
    ),
]
LeaveOneDatasetOut = Annotated[
    bool,
    typer.Option("--leave-dataset-out", help="Instead of --loso: hold out a store at a time, and average them."),
]
TimeLimitFlag = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Time the command may take, like 4m or 1h30m: no fold begins that would end later. Repeat the command to "
        "continue.",
    ),
]
METAVARS = {int: "N", float: "X", str: "NAME"}
WIDEST = 12  # columns up to which the legal values replace a name


class SettingsCommand(TyperCommand):
    """A command with a flag for each setting of a run; its function finds the given settings in `ctx.obj`.

    The flags are made when the command is used, because loading pydantic would double the time of `mer --help`.
    `--help` shows the settings that have an effect on the method in `--model`, with that method's defaults;
    `--help-all` shows the settings of all methods.
    """

    rows_are_networks = False
    refused: Container[str] = ()  # settings that the command never takes

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Note the method in `--model`, which the help is about, then read the flags."""
        ctx.meta["help_all"] = "--help-all" in args
        for word, after in pairwise([*args, ""]):
            flag, _, value = word.partition("=")
            if flag == "--model":
                ctx.meta.setdefault("model", value or after)
        return super().parse_args(ctx, ["--help" if word == "--help-all" else word for word in args])

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the command's own flags, then a flag for each setting, hidden if without effect on the method."""
        return [*super().get_params(ctx), *self._settings(ctx)]

    def invoke(self, ctx: Any) -> Any:
        """Call the command's function, with the settings by name in `ctx.obj`."""
        ctx.obj = {flag.name: ctx.params.pop(flag.name) for flag in _setting_flags()}
        ctx.obj.pop("help_all")
        with config_given(ctx, ctx.obj.pop("config")):
            return super().invoke(ctx)

    def _settings(self, ctx: Any) -> Iterator[Any]:
        from mer_cli.runs.config import OF_NETWORK, group_of, resolve_config
        from mer_cli.runs.methods import METHODS, MMNET

        named = _method_named(ctx.meta.get("model") or "")
        method = named if named and named.code else METHODS[MMNET]
        defaults = resolve_config(model=method.name, foreign=method.foreign)
        shown = method.groups - (set() if named else {"parts"})
        help_all, config, *flags = map(copy, _setting_flags())
        help_all.hidden = self.rows_are_networks  # all are shown anyway
        yield from (help_all, config)
        is_of_all = ctx.meta.get("help_all") or self.rows_are_networks
        for flag in flags:
            is_refused = flag.name in (OF_NETWORK if self.rows_are_networks else self.refused)
            flag.hidden = is_refused or not (is_of_all or group_of(flag.name) in shown)
            if not is_of_all:
                flag.help = f"{flag.help} Default: {_spell(getattr(defaults, flag.name)) or 'none'}."
            yield flag


class FitCommand(SettingsCommand):
    """The command that trains on every clip: its help hides the settings that would hold some back or add others."""

    refused = ("inner_val", "shuffle_labels", "pretrain")


class GridCommand(SettingsCommand):
    """A command that trains several networks: its help hides the settings that decide the network."""

    rows_are_networks = True


def _method_named(name: str) -> Any:
    """Return the method that the help is about: built in, or your own; None if there is none, which training tells."""
    from mer_cli.errors import MerError
    from mer_cli.runs.methods import METHODS
    from mer_cli.runs.own_code import is_own
    from mer_cli.runs.own_method import find_any_method

    try:
        return find_any_method(name) if is_own(name) else METHODS.get(name)
    except MerError:
        return None


def _spell(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


@cache
def _setting_flags() -> list[Any]:
    from mer_cli.runs.config import GROUPS, SETTINGS, TrainConfig, group_of

    def settings() -> None: ...

    flags = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,  # as in the method's recipe
            annotation=Annotated[
                field.annotation | None,  # type: ignore[operator]  # a field of a model always has one
                typer.Option(
                    *([f"--{name.replace('_', '-')}"] if field.annotation is bool and not field.default else []),
                    help=_help(name),
                    metavar=_metavar(field.annotation),
                    autocompletion=OF_SETTINGS.get(name),
                    rich_help_panel=GROUPS[group_of(name)][0],
                ),
            ],
        )
        for name, field in ((name, TrainConfig.model_fields[name]) for name in SETTINGS)
    ]
    help_all = Annotated[bool, typer.Option("--help-all", help="Show the settings of all methods and exit.")]
    flags.insert(0, inspect.Parameter("help_all", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=help_all))
    flags.insert(1, inspect.Parameter("config", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=ConfigFlag))
    settings.__signature__ = inspect.Signature(flags)  # type: ignore[attr-defined]  # what typer reads
    settings.__annotations__ = {flag.name: flag.annotation for flag in flags}
    maker = typer.Typer(add_completion=False)
    maker.command()(settings)
    return typer.main.get_command(maker).params


def _help(name: str) -> str:
    from mer_cli.runs.config import TrainConfig

    field = TrainConfig.model_fields[name]
    choices = "|".join(map(str, get_args(field.annotation)))
    return f"{field.description}{f' One of {choices}.' if len(choices) > WIDEST else ''}"


def _metavar(annotation: Any) -> str | None:
    """Return what stands for the value in the help: the legal values if they are short; nothing for a switch."""
    if annotation is bool:
        return None
    choices = "|".join(map(str, get_args(annotation)))
    return METAVARS.get(annotation, choices if len(choices) <= WIDEST else "NAME")
