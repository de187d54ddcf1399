"""The commands that look at runs: a command builds a config, makes one library call, and prints; nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from mer_cli.cli import console, show
from mer_cli.cli.app import app

Runs = Annotated[
    list[Path] | None, typer.Argument(metavar="[RUN]...", help="Run directories; all of runs/ if left out.")
]


@app.command()
def evaluate(
    runs: Runs = None,
    rule: Annotated[
        str, typer.Option(help="Epoch rule: last, inner-val, or best-test (selected on the test subject).")
    ] = "last",
    compare: Annotated[
        list[Path] | None, typer.Option(metavar="RUN", help="Compare with this run; several seeds: several times.")
    ] = None,
    export: Annotated[Path | None, typer.Option(help="Write every held-out clip's prediction to this CSV.")] = None,
    export_megc: Annotated[
        Path | None, typer.Option(help="Write the log of MEGC 2019 to this CSV: fold, gt, pred of one run.")
    ] = None,
) -> None:
    """Score runs from their stored predictions: accuracy, UF1, UAR, each class, confusion, and chance beside them.

    Example: mer evaluate runs/casme2-5-mmnet-released-s1-0a1b2c3d --rule last
    """
    from mer_cli.evaluation.comparison import compare_runs, comparison_table
    from mer_cli.evaluation.summary import summarise, summarise_seeds
    from mer_cli.report.collect import collect_runs, group_seeds
    from mer_cli.report.exports import only_group, write_megc_log, write_predictions
    from mer_cli.runs.run_config import GENERATED

    found = collect_runs(runs or [Path("runs")]).under(rule)
    others = collect_runs(compare).under(rule) if compare else None
    for run in found.finished:
        show.show_summaries(summarise(run, rule))
    for group in group_seeds(found.finished):
        show.show_facts(summarise_seeds(group.runs, rule))
    show.show_notes(found.passed_over)
    found.require_scores()
    if others:
        show.show_notes(note for note in others.passed_over if note not in found.passed_over)
        others.require_scores()
        first, second = (only_group(runs.finished, "mer evaluate --compare").runs for runs in (found, others))
        show.show_facts([comparison_table(compare_runs(first, second, rule), first[0], second[0], rule)])
    if export:
        write_predictions(export, found.finished, rule)
    if export_megc:
        write_megc_log(export_megc, found.finished, rule)
        if found.finished[0].config.generated:
            show.show_notes([f"{export_megc}: {GENERATED}; its columns fold, gt, pred have no room to say so"])


@app.command()
def report(
    runs: Runs = None,
    table: Annotated[
        str, typer.Option(metavar="TABLE", help="summary, 1 to 7 (the paper's), methods, or all.")
    ] = "all",
    format: Annotated[
        Literal["markdown", "latex", "html", "csv", "json"], typer.Option(help="How it is written.")
    ] = "markdown",
    out: Annotated[Path | None, typer.Option(help="File to write; stdout if left out.")] = None,
    with_images: Annotated[
        bool, typer.Option("--with-images", help="Into HTML, the pictures that `mer explain` left in the runs.")
    ] = False,
) -> None:
    """Summarise your runs, then write the paper's tables with the published numbers beside yours.

    Every number has its protocol and its epoch rule. `--table methods` compares all runs, protocol by protocol.
    Example: mer report --format html --out report.html
    """
    from mer_cli.report.build import build_report, read_stores, table_ids
    from mer_cli.report.collect import collect_runs
    from mer_cli.report.exports import write_report
    from mer_cli.report.render import check_images, render

    check_images(format, with_images)
    ids = table_ids(table)
    found = collect_runs(runs or Path("runs"))
    built = build_report(ids, found.runs, read_stores(ids))
    show.show_notes((*found.outdated, *found.damaged, *built.notes))
    text = render(format, built.tables, built.runs, with_images)
    if out:
        write_report(out, text)
    else:
        typer.echo(text, nl=False)


@app.command()
def explain(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run directory, trained with --save-weights last.")],
    clips: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CLIP]...", help="Clips to draw; class means and a few clips if left out."),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(metavar="RAW", help="The generated release: score the maps by what really moved.")
    ] = None,
    compare: Annotated[
        list[Path] | None, typer.Option(metavar="RUN", help="With --truth: score this run as well; several times.")
    ] = None,
    store: Annotated[
        list[Path] | None, typer.Option(help="Where the run's store lies now. Default: where it was trained from.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the pictures. Default: RUN/explain.")] = None,
    device: Annotated[Literal["auto", "cuda", "cpu"], typer.Option(help="Where to compute the maps.")] = "auto",
) -> None:
    """Draw what the network looks at: onset, apex, difference and the attention maps, by the fold that held it out.

    The pictures show faces: don't pass them on where the dataset's licence forbids it.
    Example: mer explain runs/casme2-5-mmnet-released-s1-0a1b2c3d 05/EP03_02
    """
    from mer_cli.inference.explain import explain_run
    from mer_cli.report.attention_table import attention_rows, attention_sections, write_attention

    out = out or run / "explain"
    with console.Steps("maps") as steps:
        explained = explain_run(
            run, clips or (), out, steps.update, stores=store or (), truth=truth, compare=compare or (), device=device
        )
    rows = attention_rows(explained.measured) if explained.measured else []
    show.show_notes(explained.measured.left_out if explained.measured else ())
    show.show_explained(explained, attention_sections(rows), write_attention(out, rows) if rows else None)
