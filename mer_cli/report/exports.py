"""Writes files for other programs and people: predictions with probabilities, MEGC's log, a rendered report."""

from __future__ import annotations

import csv
import errno
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile

from mer_cli.errors import MOST_OF_A_PATH, ConfigError, RunError, shortened
from mer_cli.evaluation.calibration_text import Judged, calibration_rows
from mer_cli.evaluation.epoch_rules import SELECTED_ON_TEST, evaluate
from mer_cli.evaluation.summary import prediction_table
from mer_cli.evaluation.tried import SETTINGS_TRIED, settings_beside
from mer_cli.report.collect import RunGroup, group_seeds
from mer_cli.runs.config import require_classes
from mer_cli.runs.directory import Run
from mer_cli.system.files import replacing, write_bytes
from mer_cli.system.shown_text import csv_cell


def only_group(runs: Sequence[Run], asked: str) -> RunGroup:
    """Return the runs as one group if they differ only in their seed; raise a RunError otherwise.

    Parameters
    ----------
    asked : the flag that needs a single configuration, for the error: "--export p.csv"
    """
    groups = group_seeds(runs)
    if len(groups) != 1:
        named = ", ".join(group.runs[0].path.name for group in groups)
        raise RunError(
            f"{asked}: the runs have {len(groups)} configurations ({named}). Give runs that differ only in their seed."
        )
    return groups[0]


SELECTED = "-selected-on-test"  # in the name of a file whose predictions were selected on the test subject


def stamped_path(path: Path, rule: str) -> Path:
    """Return the path that an export is written to: under `best-test`, the name says what its predictions are.

    A device or a pipe keeps its name.
    """
    if rule != "best-test" or SELECTED in path.stem or (path.exists() and not path.is_file() and not path.is_dir()):
        return path
    return path.with_name(f"{path.stem}{SELECTED}{path.suffix}")


def write_predictions(path: Path, runs: Sequence[Run], rule: str) -> Path:
    """Write the held-out predictions of runs of one configuration as CSV, and return the path that was written to.

    An existing file is replaced atomically. The columns are those of `evaluation.summary.prediction_table`. The remarks
    also say how many settings of the method were tried on these clips, as the runs in the same folder show.

    Raises
    ------
    RunError
        If the runs differ in more than their seed (their rows would look the same), a fold is missing, or the file
        can't be written.
    """
    group = only_group(runs, f"--export {path}")
    n_settings = settings_beside(group.runs[0])
    told = [SETTINGS_TRIED.format(n_settings)] if n_settings > 1 else []
    tables = [prediction_table(run, evaluate(run, rule), told) for run in group.runs]
    path = stamped_path(path, rule)
    write_csv(path, [tables[0][0], *(row for table in tables for row in table[1:])], "--export")
    return path


def write_megc_log(path: Path, runs: Sequence[Run], rule: str, *, yes_selected_on_test: bool = False) -> Path:
    """Write the log of MEGC 2019, `fold, gt, pred`, a row for each held-out clip, sorted by fold and clip.

    Parameters
    ----------
    runs : one run, because no column names the seed
    rule : chooses the epoch of the predictions; under `best-test` the one picked for F1, not for accuracy
    yes_selected_on_test : whether the user knows what a log under `best-test` is; no column of it can say so

    Returns
    -------
    the path that was written to

    Raises
    ------
    RunError
        If there are several runs, or the rule is `best-test` and the user didn't say so, or the file can't be written.
    """
    if rule == "best-test" and not yes_selected_on_test:
        raise RunError(
            f"--export-megc {path}: under best-test the predictions are {SELECTED_ON_TEST}, and the columns fold, gt, "
            "pred can't say so. Give --rule last, or add --yes-selected-on-test to write them into a file with that in "
            "its name."
        )
    for run in runs:
        require_classes(run.config, f"--export-megc {path}")
    if len(runs) != 1:
        named = ", ".join(run.path.name for run in runs)
        raise RunError(
            f"--export-megc {path}: there are {len(runs)} runs ({named}), and the columns fold, gt, pred have no seed. "
            "Name one run: mer evaluate RUN --export-megc FILE.csv"
        )
    (run,) = runs
    predicted = evaluate(run, rule).predicted
    clips = sorted(predicted, key=lambda clip_id: (run.fold_of[clip_id], clip_id))
    rows = [(run.fold_of[clip_id], str(run.labels[clip_id]), str(predicted[clip_id])) for clip_id in clips]
    path = stamped_path(path, rule)
    write_csv(path, [("fold", "gt", "pred"), *rows], "--export-megc")
    return path


def check_calibration_file(path: Path | None, *, calibration: bool) -> None:
    """Raise a ConfigError if a file is asked for that `write_calibrations` can't write, or without --calibration."""
    if path is None:
        return
    if not calibration:
        raise ConfigError(f"--out {path} has no effect without --calibration. Add it, or leave --out out.")
    if path.suffix.lower() not in (".png", ".csv"):
        raise ConfigError(f"--out {path}: ends with neither .png (a picture) nor .csv (the clips). Give one of them.")


def write_calibrations(path: Path, judged: Sequence[Judged]) -> None:
    """Write calibrations as a picture (.png), or as CSV with a row for each held-out clip of runs of one configuration.

    Raises
    ------
    RunError
        If the runs of a CSV differ in more than their seed, or the file can't be written.
    """
    if path.suffix.lower() == ".csv":
        only_group([each.run for each in judged], f"--out {path}")
        write_csv(path, calibration_rows(judged), "--out")
        return
    from mer_cli.report.calibration_picture import draw_calibrations  # here: matplotlib takes half a second

    write_bytes(path, draw_calibrations(judged))


def write_report(path: Path, text: str) -> None:
    """Write a rendered report, replacing the file atomically; raise a RunError if it can't be written."""
    _write_whole(path, text, "--out")


def require_writable(path: Path | None) -> None:
    """Raise a RunError now if a report can't be written at the end of long work; None is standard output."""
    if path is None:
        return
    target = path.resolve()
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "")
        if target.exists() and not target.is_file():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=target.parent, prefix=".", suffix=".partial"):
            pass
    except OSError as error:
        raise _unwritten(path, "--out", error) from None


def write_csv(path: Path, rows: Iterable[Sequence[str]], flag: str) -> None:
    """Write rows as CSV in UTF-8, replacing the file atomically; no cell is a formula or holds a control character.

    Parameters
    ----------
    flag : named in the error

    Raises
    ------
    RunError
        If the file can't be written.
    """
    _write_whole(path, csv_text(rows), flag)


def csv_text(rows: Iterable[Sequence[str]]) -> str:
    """Return rows as the text of a CSV; no cell is a formula or holds a control character."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([csv_cell(cell) for cell in row] for row in rows)
    return text.getvalue()


def _write_whole(path: Path, text: str, flag: str) -> None:
    """Replace a file (or the target of a link) atomically; write directly into a device or a pipe."""
    try:
        target = path.resolve()
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "")
        if target.exists() and not target.is_file():
            target.write_text(text, encoding="utf-8", newline="")
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise _unwritten(path, flag, error) from None


def _unwritten(path: Path, flag: str, error: OSError) -> RunError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    shown = shortened(str(path), MOST_OF_A_PATH)
    return RunError(f"{flag} {shown}: can't be written ({reason}). Give another path.")
