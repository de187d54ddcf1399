"""`mer import-official` converts weights of the released script."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mer_cli.cli import console
from mer_cli.cli.app import app


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
