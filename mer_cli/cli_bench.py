"""The command that measures this machine's speed."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from mer_cli import console
from mer_cli.app import app

Part = Literal["step", "epoch", "loso", "preprocess", "load", "all"]


@app.command()
def bench(
    part: Annotated[Part, typer.Argument(help="What to measure; all but preprocess where left out.")] = "all",
    as_json: Annotated[bool, typer.Option("--json", help="Figures as JSON.")] = False,
    device: Annotated[Literal["auto", "cuda", "cpu"], typer.Option(help="Where to measure.")] = "auto",
    repeats: Annotated[
        int, typer.Option(min=1, help="Measured turns of a step; of an epoch a third of them. The median counts.")
    ] = 3,
) -> None:
    """Measure training beside a plain float32 script, beside the machine's ceilings, and reading beside decompressing.

    Takes minutes on a GPU, half an hour on two cores. Example: mer bench step --json
    """
    from mer_cli.bench.ceilings import measure_ceilings
    from mer_cli.bench.load import bench_load
    from mer_cli.bench.loso import bench_loso
    from mer_cli.bench.machine import describe_machine
    from mer_cli.bench.training import bench_epoch, bench_step
    from mer_cli.show_bench import show_bench
    from mer_cli.training.config import resolve_config
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
            from mer_cli.bench.preprocess import bench_cut  # which needs Dlib

            figures[name] = bench_cut(3 * repeats)
    show_bench(figures, as_json=as_json)
