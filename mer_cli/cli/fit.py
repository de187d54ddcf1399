"""The commands that make a model folder: `mer fit` trains a model, `mer import-official` converts released weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mer_cli.cli import console
from mer_cli.cli.app import app
from mer_cli.cli.completion import complete_run
from mer_cli.cli.flags import FitCommand, Stores
from mer_cli.cli.train import Set, prepare_with_progress, show_clips
from mer_cli.inference.purpose import PURPOSE


@app.command(cls=FitCommand, epilog=PURPOSE)
def fit(
    ctx: typer.Context,
    stores: Stores = None,
    set: Set = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Finished run of the same settings: its score goes into the card, its logits calibrate.",
            autocompletion=complete_run,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder of the model. Default: models/ and the run's name.")
    ] = None,
) -> None:
    """Train one model on all subjects of the stores, and write it with a card that says what is known about it.

    It has no score of its own, because nobody is left to test it on: --calibrate quotes the run that held people out.
    Example: mer fit data/casme2.h5 --calibrate runs/casme2-5-mmnet-released-s1-0a1b2c3d
    """
    from mer_cli.inference.fit_model import check_fit, default_folder, fit_model, hold_folder
    from mer_cli.runs.config import resolve_config
    from mer_cli.runs.own_method import parse_options
    from mer_cli.store.hdf5 import find_store
    from mer_cli.training.fit import plan_fit

    plan = plan_fit(stores or [find_store()], resolve_config(**ctx.obj, options=parse_options(set or ())))
    folder = out or default_folder(plan)
    facts = check_fit(plan, folder, calibrate)
    with hold_folder(folder):
        show_clips(plan)
        prepare_with_progress(plan, console.Steps)
        with console.Steps("epochs", plan.config.epochs) as shown:
            fit_model(plan, folder, facts, lambda epoch, _: shown.update(epoch, plan.config.epochs))
    console.print_path(folder)


@app.command("import-official")
def import_official(
    file: Annotated[Path, typer.Argument(metavar="FILE.pth", help="State dict saved by a released MMNet script.")],
    out: Annotated[Path, typer.Option(help="Folder to write the model into: model.safetensors, model.json, card.md.")],
    scheme: Annotated[
        str | None, typer.Option(help="Scheme of the script that saved it: casme2-5 or mmnet3. Names the classes.")
    ] = None,
) -> None:
    """Convert weights of the released MMNet script into a model folder; no code in the file is run.

    Example: mer import-official best.pth --out official
    """
    from mer_cli.inference.released import import_official as write_official

    console.print_path(write_official(file, out, scheme))
