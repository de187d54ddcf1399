"""The commands around the experiment: generated faces, the demo, this machine, weights from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mer_cli.cli import console, show
from mer_cli.cli.app import app
from mer_cli.cli.demo import show_demo


@app.command("import-official")
def import_official(
    file: Annotated[Path, typer.Argument(metavar="FILE.pth", help="State dict saved by a released MMNet script.")],
    out: Annotated[Path, typer.Option(help="Folder to write model.safetensors into.")],
) -> None:
    """Turn weights of the released MMNet script into ours; the file is read as plain weights, no code in it runs.

    Example: mer import-official best.pth --out official
    """
    from mer_cli.models.official import convert_official

    typer.echo(convert_official(file, out))


@app.command()
def synth(
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET", help="casme2, samm, mmew, smic, smic-long, casme3 or casme.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write the release into.")],
    subjects: Annotated[int | None, typer.Option(help="Number of subjects; the dataset's own if left out.")] = None,
    clips: Annotated[int | None, typer.Option(help="Clips, all subjects together; the dataset's own number.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same pictures.")] = 0,
    intensity: Annotated[float, typer.Option(help="Factor on the motion; at 1 it peaks at 1-3 of 224 pixels.")] = 1.0,
    emotions: Annotated[str | None, typer.Option(help="Only these, in equal numbers: happiness,surprise.")] = None,
) -> None:
    """Write generated faces in a release's own layout, to try everything without a licence.

    Example: mer synth casme2 raw --subjects 6 --clips 48
    """
    from mer_cli.datasets.registry import synthesise

    only = tuple(word.strip() for word in emotions.split(",")) if emotions else None
    with console.Steps("synth") as steps:
        root = synthesise(
            dataset, out, subjects=subjects, clips=clips, seed=seed, intensity=intensity, emotions=only,
            on_clip=steps.update,
        )  # fmt: skip
    typer.echo(root)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for all that the demo writes.")] = Path("demo"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the faces and of the training.")] = 1,
) -> None:
    """Run the whole pipeline on generated faces, a few minutes on two cores; no licensed data, no download.

    Example: mer demo --out demo
    """
    from mer_cli.cli.demo import run_demo
    from mer_cli.report.summary import summarise_runs
    from mer_cli.runs.directory import read_run

    runs = run_demo(out, seed, show.show_command)
    show_demo(out, summarise_runs([read_run(run) for run in runs]))


@app.command()
def doctor() -> None:
    """Say what this machine has and lacks for each command, with the fix.

    Example: mer doctor
    """
    from mer_cli.cli.doctor import examine

    findings = examine()
    show.show_findings(findings)
    if any(finding.is_missing for finding in findings):
        raise typer.Exit(1)
