"""`mer spot`: look for intervals of recordings that may be micro-expressions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mer_cli.cli import console
from mer_cli.cli.app import app
from mer_cli.errors import MerError
from mer_cli.inference.purpose import PURPOSE
from mer_cli.system.shown_text import visible, visible_json

if TYPE_CHECKING:
    from mer_cli.spotting.interval import Interval, Spotted

Format = Literal["text", "csv", "json"]


@app.command(epilog=PURPOSE)
def spot(
    recordings: Annotated[
        list[Path], typer.Argument(metavar="VIDEO|FOLDER...", help="Videos, or folders of numbered images.")
    ],
    fps: Annotated[
        float | None, typer.Option(min=0.001, metavar="X", help="Frames a second of folders of images.")
    ] = None,
    show_all: Annotated[
        bool, typer.Option("--all", help="Show what was rejected, too, and why: blink, head, speech, long, no face.")
    ] = False,
    format: Annotated[Format, typer.Option(metavar="FORMAT", help="text, csv or json.")] = "text",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="File to write. Default: print it.")] = None,
    predictor: Annotated[
        Path | None,
        typer.Option(metavar="FILE.dat", help="Dlib's 68-point model. Default: MER_PREDICTOR, or the installed one."),
    ] = None,
) -> None:
    """Look for intervals of recordings that may be micro-expressions, with onset, apex and offset.

    This is hard, and most of what is found is not a micro-expression: at MEGC 2025 the baseline reached an interval F1
    of .028 and .039 at spotting and a spot-then-recognise score (STRS) under .01, the best entry about .09.

    Example: mer spot interview.mp4 --all
    """
    from mer_cli.faces.landmarks import find_predictor
    from mer_cli.faces.recording import require_different
    from mer_cli.report.exports import require_writable

    require_different(recordings)
    require_writable(out)
    model = find_predictor(predictor)
    answers: list[tuple[str, Spotted]] = []
    failed = is_stopped = False
    for name, path in zip(_names(recordings), recordings, strict=True):
        try:
            answers.append((name, _spot(name, path, fps, model)))
        except KeyboardInterrupt:
            is_stopped = True
            break
        except MerError as error:
            if len(recordings) == 1:
                raise
            failed = True
            console.print_lines([f"error: {error}"], console.err)
            continue
        console.print_notes(f"{name}: {note}" for note in answers[-1][1].notes)
        is_stopped = answers[-1][1].interrupted
        if is_stopped:
            break
    if answers:
        _write(answers, format, out, show_all)
    if is_stopped:
        raise console.end_early(has_result=bool(answers))
    if failed:
        raise typer.Exit(1)


def _write(answers: Sequence[tuple[str, Spotted]], format: Format, out: Path | None, show_all: bool) -> None:
    from mer_cli.report.exports import write_report

    text = {"text": _text, "csv": _csv, "json": _json}[format](answers, show_all)
    if out is None:
        console.print_text(text)
    else:
        write_report(out, text)
        console.print_path(out)


def _names(recordings: Sequence[Path]) -> list[str]:
    """Return what each recording is called in the answer: its name, or its path if two have the same name."""
    names = [path.name or str(path) for path in recordings]
    return [name if names.count(name) == 1 else str(path) for name, path in zip(names, recordings, strict=True)]


def _spot(name: str, path: Path, fps: float | None, predictor: Path) -> Spotted:
    from mer_cli.faces.recording import open_recording
    from mer_cli.spotting.spot import spot

    recording = open_recording(path, fps)
    with console.Steps(name) as steps:
        return spot(recording, predictor, lambda done, total: steps.update(done, max(total or 0, done)))


def _shown(spotted: Spotted, show_all: bool) -> list[Interval]:
    rejected = spotted.rejected if show_all else ()
    return sorted((*spotted.intervals, *rejected), key=lambda interval: interval.onset)


def _text(answers: Sequence[tuple[str, Spotted]], show_all: bool) -> str:
    lines = []
    for name, spotted in answers:
        n_found = len(spotted.intervals)
        what = "1 interval that may be a micro-expression" if n_found == 1 else f"{n_found} intervals that may be"
        what += "" if n_found == 1 else " micro-expressions"
        frames = "1 frame" if spotted.n_frames == 1 else f"{spotted.n_frames} frames"
        lines.append(f"{name}: {frames}, {spotted.fps:.5g} a second: {what}; {len(spotted.rejected)} rejected")
        shown = _shown(spotted, show_all)
        if shown:
            rows: list[tuple[str, ...]] = [("onset", "apex", "offset", "from", "to", "score", "rejected as")]
            rows += [_cells(interval, spotted) for interval in shown]
            columns = len(rows[0]) if show_all else len(rows[0]) - 1
            lines += console.aligned([row[:columns] for row in rows], numeric=range(6), gap=3)
    return visible("".join(f"{line}\n" for line in lines))


def _cells(interval: Interval, spotted: Spotted) -> tuple[str, ...]:
    start, end = (f"{spotted.seconds_at(number):.2f} s" for number in (interval.onset, interval.offset))
    numbers = map(str, (interval.onset, interval.apex, interval.offset))
    return (*numbers, start, end, f"{interval.score:.1f}", interval.reason)


def _csv(answers: Sequence[tuple[str, Spotted]], show_all: bool) -> str:
    from mer_cli.report.exports import csv_text
    from mer_cli.spotting.interval_file import COLUMNS, interval_rows

    rows = (row for name, spotted in answers for row in interval_rows(name, spotted, _shown(spotted, show_all)))
    return csv_text([COLUMNS, *rows])


def _json(answers: Sequence[tuple[str, Spotted]], show_all: bool) -> str:
    recordings = [
        {
            "video": name,
            "fps": spotted.fps,
            "n_frames": spotted.n_frames,
            "interrupted": spotted.interrupted,
            "notes": spotted.notes,
            "intervals": [asdict(interval) for interval in _shown(spotted, show_all)],
        }
        for name, spotted in answers
    ]
    return visible_json(json.dumps({"purpose": PURPOSE, "recordings": recordings}, indent=2, allow_nan=False) + "\n")
