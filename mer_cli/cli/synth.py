"""`mer synth`: write generated faces, as releases of clips or as long videos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mer_cli.cli import console
from mer_cli.cli.app import app
from mer_cli.cli.completion import complete_generated
from mer_cli.datasets.synthetic.long_settings import LONG, LongSettings, read_size
from mer_cli.errors import ConfigError

USUAL = LongSettings()
WIDTH, HEIGHT = USUAL.size


@app.command()
def synth(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET",
            help="casme2, samm, mmew, smic, smic-long, casme3, casme, dfme, casme3c or 4dme; long for long videos.",
            autocompletion=complete_generated,
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write the release into.")],
    subjects: Annotated[
        int | None,
        typer.Option(help=f"Number of subjects. Default: as many as the dataset has; {USUAL.subjects} for long."),
    ] = None,
    clips: Annotated[int | None, typer.Option(help="Number of clips in all; the dataset's own if left out.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same images.")] = 0,
    intensity: Annotated[
        float, typer.Option(help="Factor on the expressions' motion; at 1 it peaks at 1-3 of 224 pixels.")
    ] = 1.0,
    emotions: Annotated[
        str | None, typer.Option(help="Only these emotions, in equal numbers: happiness,surprise.")
    ] = None,
    release: Annotated[
        int,
        typer.Option(
            metavar="1|2",
            help="Version of the generator: 1, whose images never change, or 2, nearer to real recordings.",
        ),
    ] = 1,
    light: Annotated[float, typer.Option(help="Factor on the flicker and the drift of the light.")] = 1.0,
    noise: Annotated[float, typer.Option(help="Factor on the noise of the images.")] = 1.0,
    seconds: Annotated[
        float | None, typer.Option(help=f"Length of a long video; {USUAL.seconds:g} if left out.")
    ] = None,
    fps: Annotated[
        float | None, typer.Option(help=f"Frames a second of a long video; {USUAL.fps:g} if left out.")
    ] = None,
    size: Annotated[
        str | None, typer.Option(help=f"Size of a long video's frames; {WIDTH}x{HEIGHT} if left out.")
    ] = None,
    distractors: Annotated[
        str | None,
        typer.Option(help="What else happens in a long video: macro,blink,head,speech (all, if left out) or none."),
    ] = None,
) -> None:
    """Write generated faces in a release's own layout, to try everything without a dataset licence.

    DATASET long: long videos with micro- and macro-expressions, blinks, head turns and speech, to try mer spot on.
    A minute at 200 frames a second takes about four minutes of one core and 560 MB; as many videos as cores are drawn
    at a time.

    --release 2: lengths and action units as in real coding tables; subjects with habits, more hair and glasses; heads
    that turn, eyes that blink and look elsewhere, and mouths that move beside the expression.

    Example: mer synth casme2 raw --subjects 6 --clips 48

    Example: mer synth casme2 raw --release 2 --noise 1.5

    Example: mer synth long videos --subjects 4 --seconds 30
    """
    only, kinds = (
        tuple(word.strip() for word in words.split(",")) if words else None for words in (emotions, distractors)
    )
    of_clips = {"release": release, "light": light, "noise": noise}
    of_long = {"seconds": seconds, "fps": fps, "size": read_size(size) if size else None, "distractors": kinds}
    if dataset.strip().lower() == LONG:
        if clips is not None:
            raise ConfigError("--clips has no effect with long, which has one video of each subject. Leave it out.")
        for flag, factor in of_clips.items():
            if factor != 1:
                raise ConfigError(f"--{flag} has no effect with long, only with a release of clips. Leave it out.")
        given = {"subjects": subjects, "emotions": only, **of_long, "seed": seed, "intensity": intensity}
        console.print_path(_write_long(out, {name: value for name, value in given.items() if value is not None}))
        return
    for flag, value in of_long.items():
        if value is not None:
            raise ConfigError(f"--{flag} has no effect with {dataset}, only with long. Leave it out.")
    size_of_release = {"subjects": subjects, "clips": clips, "emotions": only}
    console.print_path(
        _write_release(dataset, out, {**size_of_release, "seed": seed, "intensity": intensity, **of_clips})
    )


def _write_long(out: Path, given: dict[str, Any]) -> Path:
    from mer_cli.datasets.registry import synthesise_long

    if given.get("distractors") == ("none",):
        given["distractors"] = ()
    settings = LongSettings(**given)
    with console.Steps("synth", settings.subjects) as steps:
        return synthesise_long(out, settings, steps.update)


def _write_release(dataset: str, out: Path, settings: dict[str, Any]) -> Path:
    from mer_cli.datasets.registry import synthesise
    from mer_cli.datasets.stamp import STAMP

    is_replaced = (out / STAMP).is_file()
    with console.Steps("synth") as steps:
        written = synthesise(dataset, out, **settings, on_clip=steps.update)
    if is_replaced:
        console.print_notes([f"{out}: the generated release that was there is replaced"])
    return written
