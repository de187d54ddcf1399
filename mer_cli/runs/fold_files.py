"""The files of a fold: logits, history, weights and the machine, each checked by its SHA-256 in `done`.

`done` begins with the fold and the run that the files belong to, because a folder may be copied; then it has the lines
that `sha256sum` prints. A fold from before has no such beginning, and not all sums; the oldest have an empty `done`. A
fold from before has no `environment.json` either, and no score depends on it.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_cli.errors import RunError
from mer_cli.records import FoldPredictions
from mer_cli.runs.run_config import RunConfig
from mer_cli.system.arrays import read_arrays
from mer_cli.system.documents import parse_json, short_repr
from mer_cli.system.files import file_sha256, may_be_whole, read_bounded, unread

LOGITS, HISTORY, WEIGHTS, DONE = "logits.npz", "history.csv", "model.safetensors", "done"
ENVIRONMENT = "environment.json"

FoldFacts = Mapping[str, str | int]  # on the machine that trained a fold

MAY_BE_NAN = ("loss", "inner_uf1")  # the loss if training diverged; the UF1 of a single subject
LARGEST = 1 << 30  # bytes, of any file of a fold
LONGEST_ID = 1024  # characters of a clip's id
ROOM = 1 << 16  # bytes around the arrays of an npz file, and for the lines of `done`


def done_text(run: str, fold: str, folder: Path) -> str:
    """Return the text of `done` for the fold of a run whose other files are in `folder`, which has another name yet."""
    files = [folder / name for name in (LOGITS, HISTORY, WEIGHTS, ENVIRONMENT) if (folder / name).exists()]
    sums = (f"{file_sha256(file)}  {file.name}\n" for file in files)
    return f"{_belongs(run, fold)}\n{''.join(sums)}"


def _belongs(run: str, fold: str) -> str:
    return f"# fold {fold} of {run}"  # a comment to `sha256sum --check`


def read_checked(file: Path, limit: int, run: str | None) -> bytes:
    """Return the content of a file of a fold, which must be as it was written.

    Parameters
    ----------
    limit : largest size that the file may have, in bytes
    run : name of the run if all its files must have a checksum; None for a run from before that was so

    Raises
    ------
    OSError
        If it can't be read.
    ValueError
        If it has changed since it was written, is too large, or was written for another fold.
    """
    content = read_bounded(file, limit)
    lines = _lines_of_done(file.parent)
    if run is not None and _belongs(run, file.parent.name) not in lines:
        raise ValueError(f"{DONE} does not name fold {file.parent.name} of {run}")
    names = [line.partition("  ")[2] for line in lines]
    is_listed = file.name in names or run is not None or (bool(lines) and file.name != WEIGHTS)
    if is_listed and f"{hashlib.sha256(content).hexdigest()}  {file.name}" not in lines:
        raise ValueError("it has changed since it was written")
    return content


def _lines_of_done(folder: Path) -> list[str]:
    try:
        text = read_bounded(folder / DONE, ROOM).decode("utf-8")
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise ValueError(f"{DONE}: {error}") from None
    # Not splitlines: a name may hold a character that it takes for the end of a line.
    return [line for line in re.split(r"\r?\n", text) if line]


def check_weights(file: Path, run: str | None) -> None:
    """Raise a RunError if the weights of a fold are not those that were written; `run` is as in `read_checked`."""
    try:
        read_checked(file, LARGEST, run)
    except (OSError, ValueError) as error:
        raise damaged_fold(file, error) from None


def write_history(file: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write a fold's history as a CSV file: a row for each epoch, counted from 1."""
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(("epoch", *history[0]))
        writer.writerows((epoch, *row.values()) for epoch, row in enumerate(history, start=1))


def read_history(file: Path, column: str, n_epochs: int) -> list[float]:
    """Return one column (of `Method.history_columns`) of a fold's `history.csv`: a number for each epoch.

    The loss is NaN or infinite if training diverged. The inner UF1 is NaN if the fold has one training subject only,
    so that C could not be chosen. All other numbers are finite.

    Raises
    ------
    RunError
        If the file can't be read, has changed since it was written, or lacks a number.
    """
    try:
        content = read_checked(file, _largest_history(n_epochs), None)
        rows = csv.DictReader(StringIO(content.decode("utf-8"), newline=""))
        values = [float(row[column]) for row in rows]
        if len(values) != n_epochs:
            raise ValueError(f"it has {len(values)} epochs, config.json {n_epochs}")
        if column not in MAY_BE_NAN and not all(map(math.isfinite, values)):
            raise ValueError(f"{column} is not a finite number in every epoch")
        return values
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise damaged_fold(file, error) from None


def _largest_history(n_epochs: int) -> int:
    return min(ROOM + n_epochs * 1024, LARGEST)  # 1 kB for a line is plenty


def write_environment(file: Path, facts: FoldFacts) -> None:
    """Write the facts about the machine that trained a fold as JSON."""
    file.write_text(json.dumps(dict(facts), indent=2) + "\n", encoding="utf-8")


def read_environment(folder: Path, run: str | None) -> FoldFacts:
    """Return the facts about the machine that trained the fold in `folder`; none if nothing was recorded.

    Parameters
    ----------
    run : as in `read_checked`

    Raises
    ------
    RunError
        If the file was edited or damaged.
    """
    file = folder / ENVIRONMENT
    try:
        facts = parse_json(read_checked(file, ROOM, run))
        if not isinstance(facts, dict):
            raise ValueError("it does not hold names and values")
        odd = next((name for name, fact in facts.items() if type(fact) not in (str, int)), None)
        if odd is not None:
            raise ValueError(f"the value of {short_repr(odd)} is neither a text nor a number")
        return facts
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        if may_be_whole(error):
            raise RunError(unread(file, error)) from None
        raise RunError(
            f"{file}: was edited or damaged ({error}). Delete it: it says which machine trained the fold, and no score "
            "depends on it."
        ) from None


def write_logits(file: Path, predictions: FoldPredictions) -> None:
    """Write the logits of a fold's held-out clips, and of its inner clips if there are any, with the clips' ids."""
    arrays: dict[str, Any] = {"logits": predictions.logits, "clip_ids": _as_array(predictions.clip_ids)}
    if predictions.inner_logits is not None and predictions.inner_clip_ids:
        arrays["inner_logits"] = predictions.inner_logits
        arrays["inner_clip_ids"] = _as_array(predictions.inner_clip_ids)
    np.savez(file, **arrays)


def _as_array(clip_ids: Sequence[str]) -> NDArray[np.str_]:
    return np.array(clip_ids, dtype=np.str_)


def read_fold(
    folder: Path, config: RunConfig, held_out: Sequence[str], clips: Collection[str], run: str | None
) -> FoldPredictions:
    """Return the logits of a finished fold, which are of its clips: scores are joined by these ids.

    Parameters
    ----------
    held_out : ids of the fold's clips · clips : ids of all clips of the run
    run : as in `read_checked`

    Raises
    ------
    RunError
        If a file of the fold was edited or damaged.
    """
    file = folder / LOGITS
    try:
        limits = _largest_arrays(len(held_out), len(clips) - len(held_out), config)
        held = read_arrays(read_checked(file, min(sum(limits.values()) + ROOM, LARGEST), run), limits)
        clip_ids = tuple(map(str, held["clip_ids"]))
        if sorted(clip_ids) != sorted(held_out):
            raise ValueError("its clips are not those of the fold in clips.csv")
        _check_logits(held["logits"], clip_ids, config)
        predictions = FoldPredictions(folder.name, clip_ids, held["logits"])
        if config.inner_val:
            inner_ids = tuple(map(str, held["inner_clip_ids"]))
            if not all(map(clips.__contains__, inner_ids)) or set(inner_ids) & set(clip_ids):
                raise ValueError("its inner clips are not training clips of the run")
            _check_logits(held["inner_logits"], inner_ids, config)
            predictions = FoldPredictions(folder.name, clip_ids, held["logits"], inner_ids, held["inner_logits"])
        file = folder / HISTORY
        read_checked(file, _largest_history(config.epochs), run)
        return predictions
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise damaged_fold(file, error) from None


def _largest_arrays(n_held_out: int, n_others: int, config: RunConfig) -> dict[str, int]:
    """Return the largest size of each array of a fold, in bytes, by the number of clips, epochs and classes."""
    of_clip = {"logits": config.epochs * len(config.class_names) * 4, "clip_ids": LONGEST_ID * 4}
    held_out = {name: min(n_bytes * n_held_out, LARGEST) for name, n_bytes in of_clip.items()}
    return held_out | {f"inner_{name}": min(n_bytes * n_others, LARGEST) for name, n_bytes in of_clip.items()}


def _check_logits(logits: NDArray[np.float32], clip_ids: Sequence[str], config: RunConfig) -> None:
    shape = (config.epochs, len(clip_ids), len(config.class_names))
    if logits.shape != shape or logits.dtype != np.float32:
        raise ValueError(f"logits of shape {logits.shape}, {logits.dtype}, not {shape} of float32")


def damaged_fold(file: Path, error: Exception) -> RunError:
    """Return the error for a file of a fold that can't be used."""
    if may_be_whole(error):
        return RunError(unread(file, error))
    problem = f"{error} is missing" if isinstance(error, KeyError) else str(error)
    return RunError(
        f"{file}: was edited or damaged ({problem}). Delete {file.parent} and train again: only this fold is repeated."
    )
