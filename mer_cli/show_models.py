"""The list of methods as a person reads it, or as JSON; printed to stdout."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.markup import escape

from mer_cli import console

if TYPE_CHECKING:
    from mer_cli.models.catalogue import Method


def show_methods(methods: Sequence[tuple[Method, Mapping[str, int]]], as_json: bool) -> None:
    """Every method with its number of parameters by number of classes.

    Set by hand: a table of Rich would break its cells where they are wider than the terminal.
    """
    if as_json:
        known = [
            {"kind": method.kind, **asdict(method), "command": method.command, "parameters": dict(parameters)}
            for method, parameters in methods
        ]
        console.out.print_json(json.dumps(known))
        return
    lines = [("name", "method", "grade", "parameters", "input; what keeps it from running, or differs")]
    for method, parameters in methods:
        counts = " / ".join(f"{count:,}" for count in parameters.values()) or "quoted only"
        said = "; ".join(part for part in (method.input, method.note) if part)
        lines.append((method.name, method.title, method.grade, counts, said))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for *cells, said in lines:
        start = "  ".join(f"{cell:{width}}" for cell, width in zip(cells, widths[:-1], strict=True))
        console.out.print(escape(f"{start}  {said}"))
    console.out.print("Parameters are for 3 / 5 classes. Train one: mer train --loso --model NAME")
