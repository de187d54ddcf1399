"""Figures of `mer bench` for people and for programs."""

from __future__ import annotations

import json
from typing import Any

from rich.markup import escape

from mer_cli import console

UNITS = (("bytes_per_s", 1e9, "GB/s"), ("operations_per_s", 1e9, "GFLOP/s"), ("_bytes", 1e9, "GB"), ("_s", 1, "s"))


def show_bench(figures: dict[str, Any], *, as_json: bool) -> None:
    """Each part under its name, a figure a line; or everything as JSON."""
    if as_json:
        console.out.print_json(json.dumps(figures, default=str), indent=2)
        return
    facts = {name: value for name, value in figures.items() if not isinstance(value, dict)}
    parts = {name: value for name, value in figures.items() if isinstance(value, dict)}
    for title, values in {"machine": facts, **parts}.items():
        console.out.rule(escape(title))
        lines = list(_flat(values))
        width = max(len(name) for name, _ in lines)
        for name, text in lines:
            console.out.print(escape(f"{name:{width}}  {text}"))


def _flat(values: dict[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Name and text of every figure, those of inner groups behind the group's name."""
    lines: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, dict):
            lines += _flat(value, f"{above}{name} ")
        elif isinstance(value, list):
            for number, entry in enumerate(value, start=1):
                lines += _flat(entry, f"{above}{name} {number} ")
        else:
            lines.append((above + name.removesuffix("_per_s").removesuffix("_s"), _text(name, value)))
    return lines


def _text(name: str, value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    for ending, factor, unit in UNITS:
        if name.endswith(ending) and not name.startswith("clips"):
            return f"{value / factor:.4g} {unit}"
    return f"{value:.4g}"
