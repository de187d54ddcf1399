"""`mer bench`: measure this machine's speed, and print the figures for people or for programs."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape

from mer_cli.cli import console
from mer_cli.cli.app import app

UNITS = (("bytes_per_s", 1e9, "GB/s"), ("operations_per_s", 1e9, "GFLOP/s"), ("_bytes", 1e9, "GB"), ("_s", 1, "s"))


def show_bench(figures: dict[str, Any], *, as_json: bool) -> None:
    """Print the figures of a benchmark: each part under its name, one figure on a line; or everything as JSON."""
    if as_json:
        console.out.print_json(json.dumps(figures, default=str), indent=2, ensure_ascii=True)
        return
    facts = {name: value for name, value in figures.items() if not isinstance(value, dict)}
    parts = {name: value for name, value in figures.items() if isinstance(value, dict)}
    for title, values in {"machine": facts, **parts}.items():
        console.out.rule(escape(title))
        lines = _flat(values)
        width = max(len(name) for name, _ in lines)
        console.print_lines(f"{name:{width}}  {text}" for name, text in lines)


def _flat(values: dict[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Return name and text of every figure, with the names of the groups that it is in first."""
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


Part = Literal["step", "epoch", "loso", "preprocess", "load", "all"]


@app.command()
def bench(
    part: Annotated[Part, typer.Argument(help="What to measure; all but preprocess if left out.")] = "all",
    as_json: Annotated[bool, typer.Option("--json", help="Figures as JSON.")] = False,
    device: Annotated[Literal["auto", "cuda", "cpu"], typer.Option(help="Where to measure.")] = "auto",
    repeats: Annotated[
        int, typer.Option(min=1, help="Measurements of a step; of an epoch a third as many. The median counts.")
    ] = 3,
) -> None:
    """Compare training with a plain float32 script and with the machine's limits, and reading with decompressing.

    Takes minutes on a GPU, half an hour on two cores. Example: mer bench step --json
    """
    from mer_cli.bench.ceilings import describe_machine, measure_ceilings
    from mer_cli.bench.training import bench_epoch, bench_load, bench_loso, bench_step
    from mer_cli.runs.config import resolve_config
    from mer_cli.training.hardware import resolve_hardware

    config = resolve_hardware(resolve_config(device=device), n_pairs=10**6)
    figures: dict[str, Any] = describe_machine(config)
    parts = ("step", "epoch", "loso", "load") if part == "all" else (part,)
    ceilings = measure_ceilings(config)
    figures["ceilings"] = {"bytes_per_s": ceilings.bytes_per_s, "operations_per_s": ceilings.operations_per_s}
    for name in parts:
        console.err.print(f"measuring: {name}")
        if name == "step":
            figures[name] = bench_step(config, repeats, ceilings)
        elif name == "epoch":
            figures[name] = bench_epoch(config, max(1, repeats // 3))
        elif name == "loso":
            figures[name] = bench_loso(config, ceilings)
        elif name == "load":
            figures[name] = bench_load(repeats)
        else:
            from mer_cli.bench.preprocess import bench_cut  # needs Dlib

            figures[name] = bench_cut(3 * repeats)
    show_bench(figures, as_json=as_json)
