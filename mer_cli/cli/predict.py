"""`mer predict`: classify what happens in recordings, or say why there is no answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mer_cli.cli import console
from mer_cli.cli.app import app
from mer_cli.cli.completion import complete_run, complete_store
from mer_cli.errors import ConfigError, MerError
from mer_cli.inference.purpose import PURPOSE
from mer_cli.system.shown_text import visible

if TYPE_CHECKING:
    from mer_cli.inference.predict import OnStep, Prediction

Format = Literal["text", "csv", "json", "html"]


@app.command(epilog=PURPOSE)
def predict(
    videos: Annotated[
        list[Path],
        typer.Argument(metavar="VIDEO|FOLDER...", help="Recordings: videos, or folders of numbered images."),
    ],
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL",
            help="Folder of mer fit or mer import-official, a run with weights, or an ONNX file of mer export. "
            "Default: the two small models that come with mer, trained on generated faces.",
            autocompletion=complete_run,
        ),
    ] = None,
    onset: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Number of the onset frame. Default: intervals are spotted.")
    ] = None,
    apex: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Number of the apex frame. Default: the strongest motion after --onset."),
    ] = None,
    fps: Annotated[
        float | None, typer.Option(min=0.001, metavar="X", help="Frames a second of folders of images.")
    ] = None,
    format: Annotated[Format, typer.Option(metavar="FORMAT", help="text, csv, json or html.")] = "text",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="File to write. Default: print it.")] = None,
    store: Annotated[
        list[Path] | None,
        typer.Option(help="With a run: its store, if it was moved.", autocompletion=complete_store),
    ] = None,
    code: Annotated[
        str | None, typer.Option(metavar="FILE.py:CLASS", help="Code of a network of your own, which is run.")
    ] = None,
    predictor: Annotated[
        Path | None,
        typer.Option(metavar="FILE.dat", help="Dlib's 68-point model. Default: MER_PREDICTOR, or the installed one."),
    ] = None,
) -> None:
    """Classify the micro-expressions in recordings, or say why there is no answer.

    Without --onset, intervals are spotted first, which is hard: most of what is spotted is something else. A recording
    or clip gets no answer if the face can't be judged: no face or several, a small face, too few frames a second, a
    head that moves more than the face, an image unlike the training clips, probabilities that say nothing.
    Without --model you get action units, with the side of the face, and an emotion, from models that have seen
    generated faces only: no score on real ones is known.

    Example: mer predict talk.mp4

    Example: mer predict talk.mp4 --model casme2-mmnet --format html --out talk.html
    """
    from mer_cli.faces.landmarks import find_predictor
    from mer_cli.faces.recording import open_recording, require_different
    from mer_cli.inference.open_model import open_model
    from mer_cli.inference.predict import predict as predict_one
    from mer_cli.inference.shipped import open_shipped
    from mer_cli.report.exports import require_writable

    if len(videos) > 1 and onset is not None:
        raise ConfigError(f"--onset names a frame of one recording, and {len(videos)} are given. Give one.")
    require_different(videos)
    require_writable(out)
    if model is None and (store or code):
        raise ConfigError(
            f"{'--store' if store else '--code'} has no effect without --model. Add it, or leave this out."
        )
    landmarks = find_predictor(predictor)
    asked, units = open_shipped() if model is None else (open_model(model, store or (), code), None)

    def ask(video: Path, on_step: OnStep) -> Prediction:
        recording, with_maps = open_recording(video, fps), format == "html"
        return predict_one(
            recording, asked, landmarks, on_step, units=units, onset=onset, apex=apex, with_maps=with_maps
        )

    predictions, failed, is_stopped = _ask_each(videos, ask)
    if predictions:
        _write(predictions, format, out)
    console.print_lines((f"error: {error}" for error in failed), console.err)
    if is_stopped:
        raise console.end_early(has_result=bool(predictions))
    if failed:
        raise typer.Exit(1)


def _ask_each(
    videos: Sequence[Path], ask: Callable[[Path, OnStep], Prediction]
) -> tuple[list[Prediction], list[MerError], bool]:
    """Return the predictions, the errors of recordings that can't be used, and whether Ctrl-C ended it."""
    predictions: list[Prediction] = []
    failed: list[MerError] = []
    for video in videos:
        try:
            with console.Steps(video.name) as steps:
                predictions.append(ask(video, _shown(steps)))
        except KeyboardInterrupt:
            return predictions, failed, True
        except MerError as error:
            if len(videos) == 1:
                raise
            failed.append(error)
            continue
        if not predictions[-1].is_whole:
            return predictions, failed, True
    return predictions, failed, False


def _shown(steps: console.Steps) -> OnStep:
    """Return a listener that shows the frames of a recording, and then its clips, in a bar."""

    def on_step(what: str, done: int, total: int | None) -> None:
        steps.update(done, max(total or done, done))

    return on_step


def _write(predictions: Sequence[Prediction], format: Format, out: Path | None) -> None:
    """Print the answers, or write them into a file; notes go to stderr."""
    from mer_cli.inference.answers import text_lines, to_csv, to_json
    from mer_cli.report.exports import write_report
    from mer_cli.report.prediction_page import render_page

    def to_text(predictions: Sequence[Prediction]) -> str:
        return visible("".join(f"{line}\n" for line in text_lines(predictions)))

    if format == "text" and out is None:
        for line in text_lines(predictions):
            console.print_lines(console.folded(line))
    else:
        text = {"text": to_text, "csv": to_csv, "json": to_json, "html": render_page}[format](predictions)
    for prediction in predictions:
        console.print_notes(f"{prediction.path}: {note}" for note in prediction.notes)
    if out is not None:
        write_report(out, text)
        console.print_path(out)
    elif format != "text":
        console.print_text(text)
