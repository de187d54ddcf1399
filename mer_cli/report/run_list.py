"""Lists run directories with their state and score; a damaged run gets a row and raises no error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mer_cli.errors import RunError
from mer_cli.evaluation.epoch_rules import Scores, evaluate
from mer_cli.evaluation.run_text import own_options, progress, remarks, train_command
from mer_cli.runs.claims import Claim, living_claims
from mer_cli.runs.directory import Run, read_run, run_dirs
from mer_cli.runs.disk import DiskUse, disk_use
from mer_cli.runs.run_config import RunConfig, other_version

RULE = "last"  # the rule of the listed scores; every run has it


@dataclass(frozen=True)
class RunRow:
    """One run in the list; fields that are unknown for a damaged run are "" or None.

    state : "finished", "14 of 26 folds", "other version" or "damaged"
    accuracy, uf1 : under RULE, if the run is finished and has a single score (not of several test datasets); else None
    marks : options of your own method ("width=64"), the protocol if its id is that of leaving one subject out,
        and warnings on the scores: "generated faces", "permuted labels"
    hint : how to continue an unfinished run, or what is wrong with a damaged one
    at_work : the living claims on its folds
    """

    path: Path
    state: str
    protocol_id: str
    seed: int | None
    accuracy: float | None
    uf1: float | None
    marks: tuple[str, ...]
    disk: DiskUse
    hint: str
    at_work: tuple[Claim, ...]


def list_runs(places: Sequence[Path]) -> list[RunRow]:
    """Return a row for each run directory at or below the places, each once, sorted by name.

    Parameters
    ----------
    places : folders, also one inside another; a folder that holds no run, or doesn't exist, adds nothing
    """
    found = {path.resolve(): path for place in places for path in run_dirs(place)}
    return [_row(path) for path in sorted(found.values(), key=lambda path: (path.name, path))]


def _row(path: Path) -> RunRow:
    disk, at_work = disk_use(path), tuple(living_claims(path).values())
    try:
        if sentence := other_version(path):
            return RunRow(path, "other version", "", None, None, None, (), disk, sentence, at_work)
        run = read_run(path)
        scores = _scores(run)
    except (RunError, OSError) as error:
        return RunRow(path, "damaged", "", None, None, None, (), disk, str(error), at_work)
    return RunRow(
        path=path,
        state=progress(run) if run.missing else "finished",
        protocol_id=run.config.protocol_id,
        seed=run.config.seed,
        accuracy=scores.accuracy if scores else None,
        uf1=scores.uf1 if scores else None,
        marks=_marks(run.config),
        disk=disk,
        hint=f"{path}: continue with: {train_command(run)}" if run.missing else "",
        at_work=at_work,
    )


def _marks(config: RunConfig) -> tuple[str, ...]:
    protocol = "" if config.is_loso or config.is_across else config.protocol()
    generated = "generated faces" if config.generated else ""
    units = "scores are means over action units" if config.predicts_units else ""
    return tuple(filter(None, (*own_options(config), protocol, units, generated, *remarks(config))))


def _scores(run: Run) -> Scores | None:
    has_one = not run.config.is_across or len(run.config.test_datasets) == 1
    return evaluate(run, RULE) if has_one and not run.missing else None
