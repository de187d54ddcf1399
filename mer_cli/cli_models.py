"""The command that lists the methods: those that train here, and those whose published numbers are only quoted."""

from __future__ import annotations

from typing import Annotated

import typer

from mer_cli import show_models
from mer_cli.app import app


@app.command()
def models(
    as_json: Annotated[bool, typer.Option("--json", help="All that is known of them, as JSON.")] = False,
) -> None:
    """List the methods: networks that `mer train --model` takes, and methods whose numbers are only quoted.

    Example: mer models --json
    """
    from mer_cli.models.catalogue import METHODS, count_parameters

    show_models.show_methods([(method, count_parameters(method)) for method in METHODS], as_json)
