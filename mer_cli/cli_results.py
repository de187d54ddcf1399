"""The commands that look at runs: a command builds a config, makes one library call, and prints; nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from mer_cli import show
from mer_cli.app import app

Runs = Annotated[
    list[Path] | None, typer.Argument(metavar="[RUN]...", help="Run directories; all of runs/ if left out.")
]


@app.command()
def evaluate(
    runs: Runs = None,
    rule: Annotated[str, typer.Option(help="Epoch rule: last, or best-test (selected on the test subject).")] = "last",
    compare: Annotated[
        list[Path] | None, typer.Option(metavar="RUN", help="Compare with this run; several seeds: several times.")
    ] = None,
    export: Annotated[Path | None, typer.Option(help="Write every held-out clip's prediction to this CSV.")] = None,
) -> None:
    """Score runs from their stored predictions: accuracy, UF1, UAR, each class, confusion, and chance beside them.

    Example: mer evaluate runs/casme2-5-mmnet-released-s1-0a1b2c3d --rule last
    """
    from mer_cli.evaluation.comparison import compare_runs, comparison_table
    from mer_cli.evaluation.summary import summarise
    from mer_cli.report.collect import collect_runs, write_predictions

    found = collect_runs(runs or [Path("runs")])
    for run in found.finished:
        show.show_summaries(summarise(run, rule))
    show.show_notes((*found.outdated, *found.unfinished))
    found.require_scores()
    if compare:
        others = collect_runs(compare).finished
        comparison = compare_runs(found.finished, others, rule)
        show.show_comparison(comparison_table(comparison, found.finished[0], others[0]))
    if export:
        write_predictions(export, found.finished, rule)


@app.command()
def report(
    runs: Runs = None,
    format: Annotated[Literal["markdown"], typer.Option(help="How it is written.")] = "markdown",
    out: Annotated[Path | None, typer.Option(help="File to write; stdout if left out.")] = None,
) -> None:
    """Write the paper's tables beside ours, with the protocol and the epoch rule of every number.

    Example: mer report --format markdown
    """
    from mer_cli.report.collect import collect_runs, write_report
    from mer_cli.report.render import render_markdown
    from mer_cli.report.table6 import build_table6, left_out

    found = collect_runs(runs or Path("runs"))
    show.show_notes((*found.outdated, *left_out(found.runs)))
    text = render_markdown([build_table6(found.runs)])
    if out:
        write_report(out, text)
    else:
        typer.echo(text, nl=False)
