"""`mer status` tells how far runs are, whoever trains them: once, or again and again."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mer_cli.cli import console
from mer_cli.cli.app import app
from mer_cli.cli.completion import complete_run
from mer_cli.cli.console import spell_seconds
from mer_cli.errors import ConfigError, RunError, shortened
from mer_cli.system.shown_text import visible, visible_json

if TYPE_CHECKING:
    from mer_cli.runs.claims import Claim
    from mer_cli.runs.failures import Failure
    from mer_cli.runs.progress import ProgressReader, RunProgress

SECONDS_BETWEEN_LOOKS = 3.0
LONGEST_ERROR = 200  # characters; the log has all
Found = Mapping[Path, "RunProgress"]


@app.command("status")
def status(
    places: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FOLDER|RUN]...",
            help="Run directories, or folders of runs; runs/ if left out.",
            autocompletion=complete_run,
        ),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until all folds are finished, or Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show how far runs are: folds that are finished, at work or failed, and the time left.

    Example: mer status --watch
    """
    from mer_cli.runs.directory import DEFAULT_ROOT
    from mer_cli.runs.progress import ProgressReader

    if watch and as_json:
        raise ConfigError("mer status: give either --watch or --json, not both.")
    for place in places or []:
        if not place.is_dir():
            raise RunError(f"{place}: there is no such folder. Name a run directory, or a folder of runs.")
    reader, chosen = ProgressReader(), places or [Path(DEFAULT_ROOT)]
    if watch:
        _watch(reader, chosen)
        return
    found = _read(reader, chosen)
    if as_json:
        console.print_lines([visible_json(json.dumps(_as_json(found), indent=2, ensure_ascii=False))])
    elif not found:
        console.err.print("no runs found; train one: mer train --loso")
    else:
        console.print_lines(_overview(found, chosen))
        console.print_notes(run.problem for run in found.values() if run.problem)


def _read(reader: ProgressReader, places: Sequence[Path]) -> dict[Path, RunProgress]:
    """Return how far each run at or below the places is, each once, sorted by name."""
    from mer_cli.runs.directory import run_dirs

    found = {path.resolve(): path for place in places for path in run_dirs(place)}
    return {path: reader.read(path) for path in sorted(found.values(), key=lambda path: (path.name, path))}


def _watch(reader: ProgressReader, places: Sequence[Path]) -> None:
    """Show the runs again and again: redrawn on a terminal, otherwise a line for each change."""
    try:
        (_redraw if console.out.is_terminal else _tell_changes)(reader, places)
    except KeyboardInterrupt:
        return


def _redraw(reader: ProgressReader, places: Sequence[Path]) -> None:
    from rich.live import Live
    from rich.text import Text

    with Live(console=console.out, auto_refresh=False) as live:
        while True:
            found = _read(reader, places)
            lines = _overview(found, places) if found else ["no runs found yet"]
            live.update(Text("\n".join(map(visible, lines))), refresh=True)
            if _is_over(found):
                return
            time.sleep(SECONDS_BETWEEN_LOOKS)


def _tell_changes(reader: ProgressReader, places: Sequence[Path]) -> None:
    before = _read(reader, places)
    console.print_lines(_overview(before, places) if before else ["no runs found yet"])
    while not _is_over(before):
        time.sleep(SECONDS_BETWEEN_LOOKS)
        found = _read(reader, places)
        clock = time.strftime("%H:%M:%S")
        console.print_lines(f"{clock}  {change}" for change in _changes(before, found))
        before = found
        if _is_over(found):
            console.print_lines([_total(found)])


def _is_over(found: Found) -> bool:
    """Return whether nothing is at work and nothing is missing, except folds that were given up."""
    return bool(found) and not any(run.missing for run in found.values())


def _changes(before: Found, after: Found) -> Iterator[str]:
    """Yield a line for each thing that has changed between two looks."""
    for path, run in after.items():
        if path not in before:
            yield f"{path}: {_folds(run)}"
            continue
        for change in _changes_of(before[path], run):
            yield f"{path}: {change}"
    for path in before:
        if path not in after:
            yield f"{path}: was removed"


def _changes_of(old: RunProgress, new: RunProgress) -> Iterator[str]:
    if new.problem != old.problem:
        yield new.problem or "can be read again"
    for fold in sorted(new.finished - old.finished):
        yield f"{fold} finished ({len(new.finished)} of {len(new.folds)})"
    for fold, failure in new.failed.items():
        if fold not in old.failed or old.failed[fold].times != failure.times:
            yield f"{fold} {_failed(failure)}"
    for fold, claim in new.at_work.items():
        earlier = old.at_work.get(fold)
        if earlier is None or (earlier.host, earlier.pid) != (claim.host, claim.pid):
            yield f"{fold} begun on {_who(claim)}"
    for fold in old.at_work:
        if fold not in new.at_work and fold not in new.finished and old.failed.get(fold) == new.failed.get(fold):
            yield f"{fold} is no longer at work"


def _overview(found: Found, places: Collection[Path]) -> list[str]:
    """Return a line for all runs, and below each unfinished one with its folds; a finished one only if it is named."""
    named = {place.resolve() for place in places}
    unfinished = [run for run in found.values() if run.missing or run.given_up]
    damaged = [run for run in found.values() if run.problem]
    finished = [run for run in found.values() if not (run.missing or run.given_up or run.problem)]
    shown = [*unfinished, *damaged, *(run for run in finished if run.path.resolve() in named)]
    heads = console.aligned([_cells(run) for run in shown]) if shown else []
    lines = [_total(found)]
    for run, head in zip(shown, heads, strict=True):
        lines.append(head)
        lines += [f"    {fold}  {spell_seconds(claim.since)} on {_who(claim)}" for fold, claim in run.at_work.items()]
        lines += [f"    {fold}  {_failed(failure)}" for fold, failure in run.failed.items()]
    return lines


def _cells(run: RunProgress) -> tuple[str, str, str, str, str]:
    from mer_cli.runs.progress import seconds_left

    return str(run.path), _folds(run), *_counts([run]), _left(seconds_left([run])) if run.at_work else ""


def _total(found: Found) -> str:
    from mer_cli.runs.progress import seconds_left

    runs = [run for run in found.values() if not run.problem]
    n_finished = sum(len(run.finished) == len(run.folds) for run in runs)
    n_folds, n_done = sum(len(run.folds) for run in runs), sum(len(run.finished) for run in runs)
    counts = [count for count in _counts(runs) if count]
    left = [_left(seconds_left(runs))] if any(run.at_work for run in runs) else []
    named = "1 run" if len(found) == 1 else f"{len(found)} runs"
    return f"{named}, {n_finished} finished: " + ", ".join([f"{n_done} of {n_folds} folds", *counts, *left])


def _folds(run: RunProgress) -> str:
    return "can't be read" if run.problem else f"{len(run.finished)} of {len(run.folds)} folds"


def _counts(runs: Collection[RunProgress]) -> tuple[str, str]:
    n_at_work, n_given_up = sum(len(run.at_work) for run in runs), sum(len(run.given_up) for run in runs)
    return f"{n_at_work} at work" if n_at_work else "", f"{n_given_up} failed" if n_given_up else ""


def _left(seconds: float | None) -> str:
    return "time left unknown" if seconds is None else f"{spell_seconds(seconds)} left"


def _who(claim: Claim) -> str:
    """Return where a fold is computed, and by whom: "node7 (slurm, job 17_3)"."""
    if not claim.pid:
        return "an unknown machine (its claim can't be read)"
    by = f"job {claim.job}" if claim.job else f"process {claim.pid}"
    elsewhere = f" on {claim.host}" if claim.host != claim.where and not claim.job else ""
    return f"{claim.where} ({claim.engine}, {by}{elsewhere})"


def _failed(failure: Failure) -> str:
    """Return a failure in a line: "failed 3 times on node7: out of memory; log: logs/17_3.err"."""
    times = "once" if failure.times == 1 else f"{failure.times} times"
    where = f" on {failure.host}" if failure.host else ""
    error = shortened(" ".join(failure.error.split()), LONGEST_ERROR)
    return f"failed {times}{where}: {error}" + (f"; log: {failure.log}" if failure.log else "")


def _as_json(found: Found) -> dict[str, Any]:
    """Return the runs as JSON has them: times in seconds, null if unknown."""
    from mer_cli.runs.progress import seconds_left

    return {
        "runs": [
            {
                "run": str(run.path),
                "problem": run.problem or None,
                "folds": len(run.folds),
                "finished": len(run.finished),
                "missing": len(run.missing),
                "at_work": [{"fold": fold, **asdict(claim)} for fold, claim in run.at_work.items()],
                "failed": [
                    {"fold": fold, "given_up": fold in run.given_up, **asdict(failure)}
                    for fold, failure in run.failed.items()
                ],
                "seconds_of_a_fold": run.seconds,
                "seconds_left": seconds_left([run]),
            }
            for run in found.values()
        ],
        "seconds_left": seconds_left(found.values()),
    }
