"""The flags of `mer train`: one for every field of `TrainConfig`, whose help and limits are written once, there."""

from __future__ import annotations

import inspect
from copy import copy
from functools import cache
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

TimeLimitFlag = Annotated[
    str | None,
    typer.Option(
        metavar="4m|1h30m",
        help="Begin no fold that would probably end later than this; the same command trains the rest.",
    ),
]


class TrainCommand(TyperCommand):
    """A command with those flags.

    They are made when the command is used: pydantic, loaded for them, would double the time of `mer --help`.
    The command finds their values in `ctx.obj`.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        return [*super().get_params(ctx), *_setting_flags()]

    def invoke(self, ctx: Any) -> Any:
        ctx.obj = {flag.name: ctx.params.pop(flag.name) for flag in _setting_flags()}
        return super().invoke(ctx)


class GridCommand(TrainCommand):
    """One whose rows say which method they are: it refuses settings of the network, and its help does not name them."""

    def get_params(self, ctx: Any) -> list[Any]:
        from mer_cli.runs.config import OF_NETWORK

        return [_hidden(flag) if flag.name in OF_NETWORK else flag for flag in super().get_params(ctx)]


@cache
def _hidden(flag: Any) -> Any:
    hidden = copy(flag)
    hidden.hidden = True
    return hidden


@cache
def _setting_flags() -> list[Any]:
    from mer_cli.runs.config import TrainConfig

    def settings() -> None: ...

    flags = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,  # "as in the recipe": the defaults are the model's
            annotation=Annotated[
                field.annotation | None,  # type: ignore[operator]  # a field of a model always has one
                typer.Option(help=f"{field.description} {field.default} as released.", rich_help_panel="Settings"),
            ],
        )
        for name, field in TrainConfig.model_fields.items()
    ]
    settings.__signature__ = inspect.Signature(flags)  # type: ignore[attr-defined]  # what typer reads
    settings.__annotations__ = {flag.name: flag.annotation for flag in flags}
    maker = typer.Typer(add_completion=False)
    maker.command()(settings)
    return typer.main.get_command(maker).params
