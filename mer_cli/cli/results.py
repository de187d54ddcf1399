"""The commands that show results of runs: `mer evaluate`, `mer report` and `mer explain`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape

from mer_cli.cli import console
from mer_cli.cli.app import app
from mer_cli.cli.completion import complete_rule, complete_run, complete_store, complete_table
from mer_cli.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mer_cli.evaluation.calibration_text import Judged
    from mer_cli.evaluation.summary import Summary, TextTable
    from mer_cli.inference.explain import Explained
    from mer_cli.runs.run_config import RunConfig

Runs = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[RUN]...", help="Run directories; all of runs/ if left out.", autocompletion=complete_run),
]


@app.command()
def evaluate(
    runs: Runs = None,
    rule: Annotated[
        str,
        typer.Option(
            help="Epoch rule: last, inner-val, or best-test (selected on the test subject).",
            autocompletion=complete_rule,
        ),
    ] = "last",
    compare: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="RUN", help="Compare with this run. Repeat it for several seeds.", autocompletion=complete_run
        ),
    ] = None,
    export: Annotated[Path | None, typer.Option(help="CSV file for the prediction of every held-out clip.")] = None,
    export_megc: Annotated[
        Path | None, typer.Option(help="CSV file for one run's log in the format of MEGC 2019: fold, gt, pred.")
    ] = None,
    yes_selected_on_test: Annotated[
        bool,
        typer.Option(
            "--yes-selected-on-test",
            help="Write the log of --export-megc under best-test, whose columns can't say what it is.",
        ),
    ] = False,
    calibration: Annotated[
        bool,
        typer.Option("--calibration", help="Show how far the probabilities can be trusted, and when to give none."),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With --calibration: picture (.png), or clips with probabilities (.csv)."),
    ] = None,
    spotting: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="PRED.csv TRUTH.csv",
            help="Score spotted intervals instead of runs: MEGC's interval F1, and STRS where emotions are predicted.",
        ),
    ] = None,
) -> None:
    """Score runs from their stored predictions: accuracy, UF1, UAR, each class, confusion, and chance.

    Example: mer evaluate runs/casme2-5-mmnet-released-s1-0a1b2c3d --rule last
    """
    if spotting:
        if runs or compare or export or export_megc or calibration or out:
            raise ConfigError("--spotting: scores two files, not runs. Leave the runs and the other flags out.")
        show_spotting(*spotting)
        return
    from mer_cli.evaluation.calibration_text import judge, require_last
    from mer_cli.evaluation.comparison import compare_runs, comparison_table
    from mer_cli.evaluation.summary import summarise, summarise_seeds
    from mer_cli.evaluation.tried import several_settings
    from mer_cli.report.collect import collect_runs, group_seeds
    from mer_cli.report.exports import check_calibration_file, only_group, write_megc_log, write_predictions

    if calibration:
        require_last(rule)
    check_calibration_file(out, calibration=calibration)
    found = collect_runs(runs or [Path("runs")]).under(rule)
    others = collect_runs(compare).under(rule) if compare else None
    for run in found.finished:
        show_summaries(summarise(run, rule))
    for group in group_seeds(found.finished):
        show_facts(summarise_seeds(group.runs, rule))
    console.print_notes(found.passed_over)
    found.require_scores()
    if others:
        console.print_notes(note for note in others.passed_over if note not in found.passed_over)
        others.require_scores()
        first, second = (only_group(runs.finished, "mer evaluate --compare").runs for runs in (found, others))
        show_facts([comparison_table(compare_runs(first, second, rule), first[0], second[0], rule)])
    console.print_notes(several_settings(found.finished))
    if export:
        show_renamed(export, write_predictions(export, found.finished, rule))
    if export_megc:
        written = write_megc_log(export_megc, found.finished, rule, yes_selected_on_test=yes_selected_on_test)
        show_renamed(export_megc, written)
        _show_stamps(written, found.finished[0].config)
    if calibration:
        show_calibrations([each for run in found.finished for each in judge(run)], out)


def show_spotting(predicted: Path, true: Path) -> None:
    """Print the scores of spotted intervals, which are in one file, against the truth in another."""
    from mer_cli.evaluation.spotting import score_spotting
    from mer_cli.evaluation.spotting_text import spotting_facts, spotting_table
    from mer_cli.spotting.interval_file import read_intervals

    scores = score_spotting(read_intervals(predicted), read_intervals(true))
    console.print_notes(scores.notes)
    console.print_facts(spotting_facts(scores))
    console.print_table(spotting_table(scores), numeric=1)


def _show_stamps(log: Path, config: RunConfig) -> None:
    """Print the stamps of a run that the columns of its log have no place for."""
    from mer_cli.evaluation.run_text import remarks
    from mer_cli.runs.run_config import GENERATED

    stamps = [GENERATED if config.generated else "", *remarks(config)]
    console.print_notes(f"{log}: {stamp}; the columns fold, gt, pred can't say so" for stamp in stamps if stamp)


def show_calibrations(judged: Sequence[Judged], out: Path | None) -> None:
    """Print the tables of calibrations, and write the picture or the clips if a file is named."""
    from mer_cli.evaluation.calibration_text import summarise_calibration
    from mer_cli.report.exports import write_calibrations

    for summary in map(summarise_calibration, judged):
        console.out.rule(escape(summary.title))
        console.print_facts(summary.facts)
        for rows in (summary.errors, summary.answers):
            console.print_table(rows, numeric=1)
    if out:
        write_calibrations(out, judged)
        console.print_path(out)


def show_renamed(asked: Path, written: Path) -> None:
    """Print a note if an export has another name than asked for, because of what its predictions are."""
    if written != asked:
        console.print_notes(
            [f"{asked}: written as {written}, because the predictions are selected on the test subject"]
        )


@app.command()
def report(
    runs: Runs = None,
    table: Annotated[
        str,
        typer.Option(
            metavar="TABLE",
            help="summary, 1 to 7 (the paper's), methods, units, or all.",
            autocompletion=complete_table,
        ),
    ] = "all",
    format: Annotated[
        Literal["markdown", "latex", "html", "csv", "json"],
        typer.Option(metavar="FORMAT", help="markdown, latex, html, csv or json."),
    ] = "markdown",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="File to write. Default: print it.")] = None,
    with_images: Annotated[
        bool, typer.Option("--with-images", help="Add to HTML the images that `mer explain` wrote into the runs.")
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
    console.print_notes((*found.outdated, *found.damaged, *built.notes))
    text = render(format, built.tables, built.runs, with_images)
    if out:
        write_report(out, text)
    else:
        console.print_text(text)


@app.command()
def explain(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", help="Run directory, trained with --save-weights last.", autocompletion=complete_run
        ),
    ],
    clips: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CLIP]...", help="Clips to draw; class averages and a few clips if left out."),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(metavar="RAW", help="The generated release, to score the maps by the true motion.")
    ] = None,
    compare: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="RUN", help="With --truth: score this run as well. Repeatable.", autocompletion=complete_run
        ),
    ] = None,
    store: Annotated[
        list[Path] | None,
        typer.Option(
            help="The run's store, if it was moved. Default: where it was trained from.",
            autocompletion=complete_store,
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CODE",
            help="If the run is of your own network: its code, FILE.py:CLASS or MODULE:CLASS, which is executed. "
            "Repeatable.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the images. Default: RUN/explain.")] = None,
    device: Annotated[Literal["auto", "cuda", "cpu"], typer.Option(help="Where to compute the maps.")] = "auto",
) -> None:
    """Draw where a network's answer comes from: onset, apex, motion and maps, by the fold that held the clip out.

    MMNet has attention maps; the answer of any other network is attributed to the pixels that it sees.
    The images show faces: don't share them if the dataset's licence forbids it.
    Example: mer explain runs/casme2-5-mmnet-released-s1-0a1b2c3d 05/EP03_02
    """
    from mer_cli.inference.explain import explain_run
    from mer_cli.report.attention_table import attention_rows, attention_sections, write_attention

    out = out or run / "explain"
    with console.Steps("maps") as steps:
        explained = explain_run(
            run,
            clips or (),
            out,
            steps.update,
            stores=store or (),
            truth=truth,
            compare=compare or (),
            codes=model or (),
            device=device,
        )
    rows = attention_rows(explained.measured) if explained.measured else []
    console.print_notes(explained.measured.left_out if explained.measured else ())
    show_explained(explained, attention_sections(rows), write_attention(out, rows) if rows else None)


def show_summaries(summaries: Iterable[Summary]) -> None:
    """Print the summaries, each of which has the scores of one run under one epoch rule."""
    for summary in summaries:
        console.out.rule(escape(summary.title))
        console.print_facts(summary.facts)
        for rows in (summary.datasets, summary.classes, summary.confusion, summary.chance):
            if rows:
                console.print_table(rows, numeric=2 if rows is summary.datasets else 1)


def show_facts(tables: Iterable[TextTable]) -> None:
    """Print tables of names and values; the first row of each table holds its title."""
    for (title, _), *rows in tables:
        console.out.rule(escape(title))
        console.print_facts([(name, value) for name, value in rows])


def show_explained(explained: Explained, sections: Iterable[tuple[str, TextTable]], csv_path: Path | None) -> None:
    """Print the scores of the maps, if there are any, then the paths of the files written."""
    from mer_cli.evaluation.statistics import few_subjects

    if explained.measured is not None:
        n_clips, n_subjects = len(explained.measured.clip_ids), explained.measured.n_subjects
        console.out.print(
            f"Maps against the truth: {n_clips} clips of {n_subjects} subjects, each by the network that held it "
            "out, last epoch. Generated faces: not a result on the dataset."
        )
        console.print_lines(text for text in [few_subjects(n_subjects)] if text)
    for heading, rows in sections:
        console.out.print(f"\n{escape(heading)}")
        console.print_table(rows, numeric=1)
    console.print_lines(str(path) for path in (*explained.pictures, csv_path) if path)
    if explained.undrawn:
        console.print_notes(
            [f"no clip of {', '.join(explained.undrawn)} was recognised, so none is drawn. Name clips to draw them."]
        )
