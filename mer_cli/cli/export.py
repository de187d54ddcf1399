"""`mer export`: write a trained network as an ONNX file, which runs without mer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mer_cli.cli import console
from mer_cli.cli.app import app
from mer_cli.cli.completion import complete_run, complete_store
from mer_cli.errors import ConfigError


@app.command()
def export(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="Folder that mer fit wrote, or run directory, trained with --save-weights last.",
            autocompletion=complete_run,
        ),
    ],
    onnx: Annotated[bool, typer.Option("--onnx", help="Write ONNX files, the only format.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write; a folder for several folds. Default: FOLDER.onnx, or RUN/onnx/FOLD.onnx."),
    ] = None,
    fold: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Fold of a run. Repeatable; all finished folds if left out.")
    ] = None,
    store: Annotated[
        list[Path] | None,
        typer.Option(
            help="Store to check the file on. Default: the run's own, or one in data/ of the model's datasets.",
            autocompletion=complete_store,
        ),
    ] = None,
    code: Annotated[
        str | None, typer.Option(metavar="FILE.py:CLASS", help="Code of a network of your own, which is run.")
    ] = None,
) -> None:
    """Write a trained network as an ONNX file, which runs without mer, and check it against torch.

    It needs the extra `export`. The file says what the model is for and what it was trained on.
    Example: mer export models/casme2-5-mmnet-released-s1-0a1b2c3d --onnx
    """
    if not onnx:
        raise ConfigError(f"mer export needs --onnx, the only format. Type: mer export {model} --onnx")
    from mer_cli.inference.export_model import export_model
    from mer_cli.inference.purpose import PURPOSE

    console.print_lines([PURPOSE], console.err)
    with console.Steps("export") as steps:
        for file in export_model(model, steps.update, out=out, folds=fold or (), stores=store or (), code=code):
            console.print_path(file.path)
            checked = f"checked on {file.checked_on}: largest difference from torch {file.difference:.1e}"
            console.print_notes([checked, *([file.generated] if file.generated else [])])
