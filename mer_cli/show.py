"""Results as a person reads them, printed to stdout; only `cli.py` calls it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from mer_cli import console

if TYPE_CHECKING:
    from mer_cli.doctor import Finding
    from mer_cli.evaluation.summary import Summary
    from mer_cli.store.build import BuildSummary
    from mer_cli.store.overview import Overview
    from mer_cli.training.loso import LosoPlan

FAILURES_SHOWN = 10


def show_build(summary: BuildSummary, overview: Overview) -> None:
    """How `preprocess` ended: counts beside the published ones, the first failures, where to look."""
    state = "was there already, built from the same release" if summary.already_built else "written"
    console.out.print(escape(f"{summary.path} {state}"))
    n_clips = summary.n_ok + summary.n_repaired + len(summary.failed)
    console.out.print(
        f"{n_clips} clips: {summary.n_ok} ok, {summary.n_repaired} repaired, {len(summary.failed)} failed"
    )
    for failed in summary.failed[:FAILURES_SHOWN]:
        console.out.print(escape(f"  failed: {failed.clip_id}: {failed.reason}"))
    if len(summary.failed) > FAILURES_SHOWN:
        console.out.print(f"  ... and {len(summary.failed) - FAILURES_SHOWN} more, all in audit.csv")
    show_counts(overview)
    console.out.print(escape(f"look at {summary.audit_dir}: a picture of every clip, and audit.csv"))


def show_overview(overview: Overview) -> None:
    """What a store holds: provenance, then the counts."""
    _facts(overview.facts)
    show_counts(overview)


def show_counts(overview: Overview) -> None:
    """Clips and subjects of each scheme beside the published counts."""
    table = _table(("scheme", "class", "clips", "published"), numeric=2)
    for scheme in overview.schemes:
        for number, (name, n_clips, published) in enumerate(scheme.rows):
            label = f"{scheme.protocol}, {scheme.n_subjects} subjects" if number == 0 else ""
            table.add_row(label, name, str(n_clips), "–" if published is None else str(published))
        table.add_section()
    console.out.print(table)
    for line in overview.notes:
        console.out.print(escape(line))


def show_plan(plan: LosoPlan, out: Path, save_weights: str) -> None:
    """What `train` is about to do, on stderr: it is progress, not a result."""
    config = plan.config
    size = f", weights {plan.weight_bytes * len(plan.wanted) / 1e6:.0f} MB" if save_weights == "last" else ""
    console.err.print(
        f"{config.protocol_id}: {len(plan.wanted)} of {len(plan.folds)} folds, {config.epochs} epochs, "
        f"seed {config.seed}, {config.device} {config.precision}{', compiled' if config.compile == 'on' else ''}{size}"
    )
    if config.generated:
        console.err.print("generated faces: no score of this run is a result on the dataset")
    if plan.warning:
        console.err.print(escape(f"warning: {plan.warning}"))
    if (out / config.run_name).exists():
        console.err.print(escape(f"{out / config.run_name} is there already"))


def show_summary(summary: Summary) -> None:
    """Scores of one run under one rule."""
    console.out.rule(escape(summary.title))
    _facts(summary.facts)
    for rows in (summary.classes, summary.confusion, summary.chance):
        table = _table(rows[0], numeric=1)
        for row in rows[1:]:
            table.add_row(*row)
        console.out.print(table)


def show_findings(findings: Iterable[Finding]) -> None:
    """What `doctor` found, a line each, and the fix under what is missing."""
    for finding in findings:
        mark = "missing" if finding.is_missing else "advice" if finding.fix else "ok"
        console.out.print(escape(f"{mark:8}{finding.what}: {finding.found}"))
        if finding.fix:
            console.out.print(escape(f"        fix: {finding.fix}"))


def show_command(line: str) -> None:
    """A command line of the demo, before it runs."""
    console.out.print(f"\n[bold]$ {escape(line)}[/bold]")


def show_demo(folder: Path) -> None:
    """The demo's report and where everything lies."""
    console.out.print()
    console.out.print(escape((folder / "report.md").read_text()), end="")
    console.out.print("\nEverything lies here:")
    places = {
        "raw": "the generated release, and what really moved in it (ground_truth)",
        "data": "the store, and the audit with a picture of every clip",
        "runs": "the run: its config, its folds with weights, and the held-out logits of every epoch",
        "report.md": "the report shown above",
    }
    for name, what in places.items():
        console.out.print(escape(f"  {folder / name}  {what}"))


def show_bench(figures: dict[str, Any], as_json: bool) -> None:
    """Figures of `bench`."""
    if as_json:
        console.out.print_json(json.dumps(figures), indent=2)
        return
    machine = f"{figures['device']}, {figures['threads']} threads, {figures['precision']}"
    _facts([("machine", machine), *((name, str(value)) for name, value in figures["step"].items())])


def _facts(facts: Sequence[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        console.out.print(escape(f"{name:{width}}  {value}"))


def _table(header: Sequence[str], numeric: int) -> Table:
    """A table whose columns from `numeric` on are numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for index, name in enumerate(header):
        table.add_column(name, justify="right" if index >= numeric else "left")
    return table
