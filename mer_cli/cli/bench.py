"""`mer bench`: measure this machine's speed, and print the figures for people or for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape

from mer_cli.cli import console
from mer_cli.cli.app import app
from mer_cli.cli.bench_faces import measure_flow, measure_threshold, show_flow, show_threshold
from mer_cli.errors import ConfigError

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


Part = Literal["step", "epoch", "loso", "preprocess", "load", "cluster", "flow", "threshold", "all"]


@app.command()
def bench(
    part: Annotated[Part, typer.Argument(help="What to measure; all means step, epoch, loso and load.")] = "all",
    as_json: Annotated[bool, typer.Option("--json", help="Figures as JSON.")] = False,
    device: Annotated[Literal["auto", "cuda", "cpu"], typer.Option(help="Where to measure.")] = "auto",
    repeats: Annotated[
        int,
        typer.Option(min=1, help="Measurements of a step or a method; of an epoch a third as many. The median counts."),
    ] = 3,
    nodes: Annotated[
        str | None,
        typer.Option(metavar="N,...", help="With cluster: numbers of nodes to simulate. Default: 1,4,26,100."),
    ] = None,
    lost_every: Annotated[
        float | None,
        typer.Option(
            metavar="HOURS", min=0, help="With cluster: average hours after which a node is lost. Default: 24."
        ),
    ] = None,
    seconds: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json", help="With cluster: use the seconds that `mer bench cluster --json` measured earlier."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="With flow and threshold: seed of the drawn faces. Default: 100.")
    ] = None,
    subjects: Annotated[
        int | None, typer.Option(min=1, help="With flow and threshold: number of subjects. Default: 8; 10.")
    ] = None,
    clips: Annotated[
        int | None,
        typer.Option(min=1, help="With flow: number of clips; with threshold, at each intensity. Default: 40; 100."),
    ] = None,
    release: Annotated[
        int | None, typer.Option(help="With flow and threshold: release of the generator, 1 or 2. Default: 1.")
    ] = None,
    raft_weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE.pth", help="With flow: also measure torchvision's raft_small or raft_large."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME,...", help="With threshold: methods, as `mer models` names them: flow-svm,ststnet."),
    ] = None,
    flow: Annotated[
        Literal["tvl1", "fast", "fine"] | None,
        typer.Option(help="With threshold: optical flow of the methods that see one. Default: the method's own."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="With threshold: folder of the drawn clips and the runs, used again next time.")
    ] = None,
) -> None:
    """Measure training, reading and preprocessing on this machine, optical flows, or the motion that a method needs.

    step, epoch and loso: training, against a plain float32 script and the machine's limits. load: reading, against
    decompressing. all: these four, in minutes on a GPU, half an hour on two cores. cluster: simulate Table 6 on
    several nodes. flow: optical flows against the true motion of drawn faces, and what canonical-svm recognises from
    each. threshold: the motion at which a method is half-way between chance and ceiling.

    Example: mer bench step --json

    Example: mer bench flow

    Example: mer bench threshold --model flow-svm --out ladder
    """
    drawn = {"--seed": seed, "--subjects": subjects, "--clips": clips, "--release": release}
    of_part: dict[str, dict[str, Any]] = {
        "cluster": {"--nodes": nodes, "--lost-every": lost_every, "--seconds": seconds},
        "flow": drawn | {"--raft-weights": raft_weights},
        "threshold": drawn | {"--model": model, "--flow": flow, "--out": out},
    }
    _refuse_useless(part, of_part)
    if part == "cluster":
        show_cluster(_simulate_cluster(device, repeats, nodes, lost_every, seconds), as_json=as_json)
    elif part == "flow":
        show_flow(measure_flow(seed, subjects, clips, release, raft_weights), as_json=as_json)
    elif part == "threshold":
        settings = {"flow": flow, "device": None if device == "auto" else device}
        show_threshold(measure_threshold(model, out, seed, subjects, clips, release, settings), as_json=as_json)
    else:
        show_bench(_measure(part, device, repeats), as_json=as_json)


def _refuse_useless(part: str, of_part: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise a ConfigError for a flag that was given and has no effect; `of_part` has the flags of each part."""
    useful = of_part.get(part, {})
    for flag, value in {flag: value for flags in of_part.values() for flag, value in flags.items()}.items():
        if value is not None and flag not in useful:
            parts = " or ".join(f"`mer bench {name}`" for name, flags in of_part.items() if flag in flags)
            raise ConfigError(f"{flag} has no effect without {parts}. Leave it out.")


def _measure(part: Part, device: Literal["auto", "cuda", "cpu"], repeats: int) -> dict[str, Any]:
    """Return the figures of a part, or of all that need no face detector, with facts about this machine."""
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
    return figures


# --- The simulation of a cluster ---


def _simulate_cluster(
    device: Literal["auto", "cuda", "cpu"],
    repeats: int,
    nodes: str | None,
    lost_every: float | None,
    seconds: Path | None,
) -> dict[str, Any]:
    """Return facts about the machine, the pace of each method on it, and what the simulation says."""
    import psutil

    from mer_cli.bench.ceilings import describe_machine
    from mer_cli.bench.cluster import LOST_EVERY_H, NODES, bench_cluster, parse_nodes, queue_folds
    from mer_cli.bench.fold_seconds import measure_pace, read_paces
    from mer_cli.runs.config import resolve_config
    from mer_cli.runs.methods import LIVE
    from mer_cli.training.hardware import resolve_hardware

    wanted = NODES if nodes is None else parse_nodes(nodes)
    settings = {method.name: resolve_config(model=method.name) for method in LIVE}
    if seconds is not None:
        machine, paces = read_paces(seconds, settings)
    else:
        ours = resolve_hardware(resolve_config(device=device), n_pairs=10**6)
        machine = describe_machine(ours) | {"load_before": round(psutil.getloadavg()[0], 2)}
        paces = {}
        with console.Steps("methods measured", len(settings)) as progress:
            for name, config in settings.items():  # the dearest come first, so the time left is rather too long
                settled = resolve_config(model=name, device=ours.device if config.method.is_network else None)
                paces[name] = measure_pace(resolve_hardware(settled, n_pairs=10**6), repeats)
                progress.update(len(paces), len(settings))
    cores = machine["threads"] if machine["kind"] == "cpu" else 1  # a GPU does a fold at a time
    hours = LOST_EVERY_H if lost_every is None else lost_every
    queue = queue_folds(settings, paces, cores)
    return {
        "machine": machine,
        "paces": {name: {"pair_s": pace.pair_s, "start_s": pace.start_s} for name, pace in paces.items()},
        "lost_every_hours": hours,
        "simulation": bench_cluster(queue, cores, wanted, hours),
    }


def show_cluster(figures: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a simulation: the machine, and a table for each way of using nodes; or everything as JSON."""
    from mer_cli.bench.cluster import TRIALS, WAYS

    if as_json:
        console.out.print_json(json.dumps(figures, default=str), indent=2, ensure_ascii=True)
        return
    machine, found = figures["machine"], figures["simulation"]
    console.print_lines([f"measured on: {machine['device']}, {machine['threads']} threads"])
    console.print_lines(
        [
            f"{found['folds']:,} folds, {found['node_hours']:.1f} hours of one node; the longest, of "
            f"{found['longest_fold']}, takes {found['longest_fold_hours']:.2f} hours",
            f"each node is lost every {figures['lost_every_hours']:g} hours on average; hours are medians of "
            f"{TRIALS} simulations",
        ]
    )
    for way, title in WAYS.items():
        rows = [("nodes", "hours", "worst", "no losses", "efficiency", "longest fold", "lost folds", "repeated h")]
        for n_nodes, of_nodes in found[way].items():
            hours = (of_nodes[name] for name in ("hours", "worst_hours", "hours_without_losses"))
            shares = (of_nodes[name] for name in ("efficiency", "longest_fold_share"))
            rows.append(
                (
                    n_nodes,
                    *(f"{value:.2f}" for value in hours),
                    *(f"{value:.0%}" for value in shares),
                    f"{of_nodes['lost_folds']:g}",
                    f"{of_nodes['repeated_hours']:.2f}",
                )
            )
        console.out.rule(escape(title))
        console.print_table(rows, numeric=0)
