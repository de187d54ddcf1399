"""The commands for code that is never ported: `mer folds` for its training, `mer import-predictions` for its result."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mer_cli.cli import console
from mer_cli.cli.app import app
from mer_cli.cli.completion import complete_scheme, complete_store
from mer_cli.cli.flags import FoldsFile, LeaveOneDatasetOut, Stores
from mer_cli.cli.train import show_clips, show_folds_file

if TYPE_CHECKING:
    from mer_cli.runs.plan import RunPlan

Scheme = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Label scheme, as for `mer train`; auto uses the dataset's own.",
        autocompletion=complete_scheme,
    ),
]
Test = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="STORE",
        help="Instead of leaving subjects out: test on this store. Repeatable.",
        autocompletion=complete_store,
    ),
]


@app.command()
def folds(
    stores: Stores = None,
    scheme: Scheme = "auto",
    test: Test = None,
    folds_file: FoldsFile = None,
    leave_dataset_out: LeaveOneDatasetOut = False,
    inner_val: Annotated[
        int, typer.Option(min=0, metavar="N", help="Number of training subjects of each fold to hold back as inner.")
    ] = 0,
    seed: Annotated[
        int, typer.Option(min=0, metavar="N", help="Seed of the choice of inner subjects, and of permuted labels.")
    ] = 1,
    shuffle_labels: Annotated[
        bool, typer.Option("--shuffle-labels", help="Permute the training labels of each fold: a null control.")
    ] = False,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CSV to write: a row for each clip of each fold.")
    ] = None,
) -> None:
    """Show the folds that `mer train` would train, or write them as CSV for another program, with training labels only.

    Example: mer folds data/casme2.h5 --scheme mmnet3 --csv folds.csv
    """
    from mer_cli.report.exports import write_csv
    from mer_cli.runs.config import resolve_config
    from mer_cli.runs.predictions import FOLD_COLUMNS, fold_rows, fold_table
    from mer_cli.runs.protocol import plan_protocol
    from mer_cli.store.hdf5 import find_store

    config = resolve_config(scheme=scheme, inner_val=inner_val, seed=seed, shuffle_labels=shuffle_labels)
    plan = plan_protocol(
        stores or [find_store()],
        config,
        test_stores=test or (),
        folds_file=folds_file,
        leave_dataset_out=leave_dataset_out,
    )
    show_protocol(plan)
    show_folds_file(folds_file, plan)
    if csv is None:
        console.print_table(fold_table(plan), numeric=1)
        console.out.print("numbers of clips; those of a class are training clips")
        return
    write_csv(csv, [FOLD_COLUMNS, *fold_rows(plan)], "--csv")
    console.print_path(csv)


@app.command("import-predictions")
def import_predictions(
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="CSV with clip_id, and a score for each class.")],
    name: Annotated[str, typer.Option(metavar="TEXT", help="Name of the method in the tables.")],
    epoch_rule: Annotated[
        str, typer.Option(metavar="TEXT", help="How the epoch was chosen, in words: fixed 60 epochs.")
    ],
    stores: Stores = None,
    scheme: Scheme = "auto",
    test: Test = None,
    folds_file: FoldsFile = None,
    leave_dataset_out: LeaveOneDatasetOut = False,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed that the method was trained with.")] = 1,
    shuffle_labels: Annotated[
        bool, typer.Option("--shuffle-labels", help="It was trained on the labels of mer folds --shuffle-labels.")
    ] = False,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of all runs.")] = Path("runs"),
) -> None:
    """Make a run of predictions that another program made, stamped as trained outside mer, and never ranked.

    Example: mer import-predictions preds.csv --name "MyNet (TensorFlow)" --epoch-rule "fixed 60 epochs"
    """
    from mer_cli.evaluation.run_text import UNCHECKED, stated_rule
    from mer_cli.runs.changed_code import changed_since
    from mer_cli.runs.predictions import import_predictions
    from mer_cli.store.hdf5 import find_store

    found = import_predictions(
        file,
        stores or [find_store()],
        name=name,
        epoch_rule=epoch_rule,
        scheme=scheme,
        test_stores=test or (),
        folds_file=folds_file,
        leave_dataset_out=leave_dataset_out,
        out=out,
        seed=seed,
        shuffle_labels=shuffle_labels,
    )
    show_protocol(found.plan)
    show_folds_file(folds_file, found.plan)
    console.print_lines([f"{stated_rule(found.plan.config)}; {UNCHECKED}"], console.err)
    if found.n_tied:
        clips = "1 clip has" if found.n_tied == 1 else f"{found.n_tied} clips have"
        console.print_notes([f"{clips} the same best score for two classes; the first class of the scheme counts"])
    if found.is_new:
        console.print_notes(changed_since(out, found.plan))
    else:
        console.print_lines([f"{found.path} is up to date"], console.err)
    console.print_path(found.path)


def show_protocol(plan: RunPlan) -> None:
    """Print on stderr the protocol of a plan, and what to know about its clips."""
    config = plan.config
    n_tested = sum(len(fold.test) for fold in plan.folds)
    n_folds = "1 fold" if len(plan.folds) == 1 else f"{len(plan.folds)} folds"
    what = f"{config.protocol_id}, {config.protocol()}: {n_folds}, {n_tested} held-out clips"
    console.print_lines([what], console.err)
    show_clips(plan)
