"""`mer synth` writes generated faces; `mer import-official` converts weights of the released script."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mer_cli.cli import console
from mer_cli.cli.app import app
from mer_cli.cli.completion import complete_dataset


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


@app.command()
def synth(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET",
            help="casme2, samm, mmew, smic, smic-long, casme3, casme, dfme, casme3c or 4dme.",
            autocompletion=complete_dataset,
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write the release into.")],
    subjects: Annotated[int | None, typer.Option(help="Number of subjects; the dataset's own if left out.")] = None,
    clips: Annotated[int | None, typer.Option(help="Number of clips in all; the dataset's own if left out.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same images.")] = 0,
    intensity: Annotated[float, typer.Option(help="Factor on the motion; at 1 it peaks at 1-3 of 224 pixels.")] = 1.0,
    emotions: Annotated[
        str | None, typer.Option(help="Only these emotions, in equal numbers: happiness,surprise.")
    ] = None,
) -> None:
    """Write generated faces in a release's own layout, to try everything without a dataset licence.

    Example: mer synth casme2 raw --subjects 6 --clips 48
    """
    from mer_cli.datasets.registry import synthesise

    only = tuple(word.strip() for word in emotions.split(",")) if emotions else None
    with console.Steps("synth") as steps:
        root = synthesise(
            dataset,
            out,
            subjects=subjects,
            clips=clips,
            seed=seed,
            intensity=intensity,
            emotions=only,
            on_clip=steps.update,
        )
    console.print_path(root)
