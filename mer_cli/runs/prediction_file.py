"""Read a CSV of predictions that were made elsewhere; every mistake in it is named with the row it is in."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mer_cli.datasets.table_text import UnknownEncodingError, read_text_rows
from mer_cli.datasets.tables import folded
from mer_cli.errors import ConfigError, did_you_mean, unknown_name
from mer_cli.runs.plan import RunPlan
from mer_cli.system.files import read_bounded
from mer_cli.system.shown_text import visible, without_formula

CLIP_ID = "clip_id"
PREDICTED = "predicted"
TOLD = frozenset({"label", "class", "emotion", "fold", "part", "gt", "truth", "action_units"})  # must not be there
CERTAIN = 100.0  # the score of a class that is named; its probability (softmax) is 1
LARGEST = 1 << 29  # bytes; a million clips take a fifth of it
_SMALLEST, _LARGEST = float(np.finfo(np.float32).tiny), 1e30


@dataclass(frozen=True)
class ReadScores:
    """The scores in a file.

    logits : by clip id, (classes,) float32 in label order: each score minus the clip's best, so that float32 keeps
        which is best
    n_tied : number of clips of which two classes have the best score
    """

    logits: dict[str, NDArray[np.float32]]
    n_tied: int


@dataclass(frozen=True)
class _Sheet:
    """The cells of a file: header and data rows, each with its number in a spreadsheet program."""

    file: Path
    header_row: int
    titles: list[str]
    rows: list[tuple[int, list[str]]]

    @property
    def header(self) -> str:
        return f"{self.file} row {self.header_row}"


def read_content(file: Path) -> bytes:
    """Return the content of a file, with newlines as on Linux.

    Raises
    ------
    ConfigError
        If it can't be read.
    """
    try:
        return read_bounded(file, LARGEST).replace(b"\r\n", b"\n")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{file}: can't be read ({reason}). Give the path of a CSV of predictions.") from None


def read_scores(file: Path, content: bytes, plan: RunPlan) -> ReadScores:
    """Return the scores of all held-out clips of a planned run.

    Raises
    ------
    ConfigError
        If the file is not a CSV, lacks a column or has one that must not be there, has a value that can't be used, or
        its clips are not just the held-out ones.
    """
    sheet = _read_sheet(file, content)
    position = _find_columns(sheet, plan)
    held_out = {clip_id for fold in plan.folds for clip_id in fold.test}
    id_of = {visible(clip_id): clip_id for clip_id in held_out}  # as `mer folds --csv` writes it
    row_of: dict[str, int] = {}
    logits: dict[str, NDArray[np.float32]] = {}
    n_tied = 0
    for number, cells in sheet.rows:
        clip_id = id_of.get(cells[position[CLIP_ID]], cells[position[CLIP_ID]])
        if clip_id not in held_out:
            raise ConfigError(_not_held_out(f"{file} row {number}", clip_id, held_out, plan))
        if clip_id in row_of:
            raise ConfigError(
                f"{file} row {number}: clip {clip_id} is in row {row_of[clip_id]} already. Expected one row for each "
                "clip. Delete one of the two."
            )
        row_of[clip_id] = number
        scores = _scores_in(f"{file} row {number} ({clip_id})", cells, position, plan.config.class_names)
        n_tied += int(np.count_nonzero(scores == scores.max()) > 1)
        logits[clip_id] = _relative(scores)
    if missing := sorted(held_out - row_of.keys()):
        named = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        raise ConfigError(
            f"{file}: lacks {len(missing)} of the {len(held_out)} held-out clips: {named}. Expected a row for each. "
            "`mer folds --csv` writes them all."
        )
    return ReadScores(logits, n_tied)


def _read_sheet(file: Path, content: bytes) -> _Sheet:
    if not content.strip():
        raise ConfigError(f"{file}: is empty. Expected a header, and a row for each held-out clip.")
    try:
        cells = [[cell.strip() for cell in row] for row in read_text_rows(content).cells]
    except UnknownEncodingError as error:
        raise ConfigError(f"{file}: {error}") from None
    except (csv.Error, ValueError) as error:
        raise ConfigError(f"{file}: is not a CSV in UTF-8 ({error}). Save it as CSV in UTF-8.") from None
    rows = [(number, row) for number, row in enumerate(cells, start=1) if any(row)]
    if len(rows) < 2:
        raise ConfigError(f"{file}: has no row below its header. Expected a row for each held-out clip.")
    (header_row, titles), *rows = rows
    return _Sheet(file, header_row, titles, rows)


def _find_columns(sheet: _Sheet, plan: RunPlan) -> dict[str, int]:
    """Return the position of `clip_id`, and of `predicted` or each class, by name."""
    names = plan.config.class_names
    classes = f"a column for each class of {plan.config.scheme} ({', '.join(names)})"
    position: dict[str, int] = {}
    for place, title in enumerate(sheet.titles):
        name = _meant(sheet.header, title, (CLIP_ID, PREDICTED, *names))
        if name in position:
            raise ConfigError(f"{sheet.header}: there are two columns '{name}'. Delete the wrong one.")
        if name is not None:
            position[name] = place
        elif folded(title) in TOLD:
            raise ConfigError(
                f"{sheet.header}: has the column '{title}'. Predictions must not carry it: labels and folds are taken "
                "from the store. Delete the column."
            )
        elif title:
            raise ConfigError(f"{sheet.header}: {unknown_name('column', title, (CLIP_ID, *names, PREDICTED))}")
        elif row := next((number for number, cells in sheet.rows if cells[place]), None):
            raise ConfigError(f"{sheet.file} row {row}: has more cells than the header. Expected one for each column.")
    if CLIP_ID not in position:
        raise ConfigError(f"{sheet.header}: has no column '{CLIP_ID}'. Expected it and {classes}, or '{PREDICTED}'.")
    found = [name for name in names if name in position]
    if PREDICTED in position and found:
        raise ConfigError(
            f"{sheet.header}: has the column '{PREDICTED}' and the column '{found[0]}'. Expected {classes}, or "
            f"'{PREDICTED}' alone. Delete one or the other."
        )
    if PREDICTED not in position and len(found) < len(names):
        missing = ", ".join(f"'{name}'" for name in names if name not in position)
        raise ConfigError(f"{sheet.header}: has no column {missing}. Expected {classes}, or '{PREDICTED}' alone.")
    return position


def _scores_in(where: str, cells: list[str], position: Mapping[str, int], names: Sequence[str]) -> NDArray[np.float64]:
    """Return the scores in a row, in label order; those of a class that is named in `predicted` are 0 and `CERTAIN`."""
    scores = np.zeros(len(names))
    if PREDICTED in position:
        said = cells[position[PREDICTED]]
        name = _meant(where, said, names)
        if name is None:
            raise ConfigError(f"{where}: {PREDICTED}: {unknown_name('class', said, names)}")
        scores[names.index(name)] = CERTAIN
        return scores
    for label, name in enumerate(names):
        text = cells[position[name]]
        try:
            scores[label] = math.nan if "_" in text else float(text)  # Python alone reads 1_000 as a number
        except ValueError:
            scores[label] = math.nan
        if not math.isfinite(scores[label]):
            said = f"is '{text}'" if text else "is empty"
            raise ConfigError(f"{where}: {name} {said}. Expected a finite number, higher for the likelier class.")
    return scores


def _relative(scores: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the scores minus the best one as float32; what is below the best stays below it."""
    below = np.clip(scores / 2 - scores.max() / 2, -_LARGEST / 2, -_SMALLEST) * 2  # halves: the difference is finite
    return np.where(scores == scores.max(), 0.0, below).astype(np.float32)


def _not_held_out(where: str, clip_id: str, held_out: set[str], plan: RunPlan) -> str:
    if not clip_id:
        return f"{where}: has no clip_id. Expected the id of a held-out clip."
    if clip_id in plan.labels:
        return f"{where}: clip {clip_id} is only trained on in {plan.config.protocol_id}. Delete the row."
    if any(clip_id in store.info.clips.index for store in plan.stores):
        return f"{where}: clip {clip_id} is left out by the scheme {plan.config.scheme}. Delete the row."
    return f"{where}: {plan.config.protocol_id} has no clip '{clip_id}'.{did_you_mean(clip_id, held_out)}"


def _meant(where: str, title: str, names: Sequence[str]) -> str | None:
    """Return the name that a cell spells, if need be in other case or with other spaces; None if it spells none.

    Raises
    ------
    ConfigError
        If it is none of the names as they are written, and may be several of them.
    """
    written = {name: without_formula(visible(name)) for name in names}  # as a CSV of this program has it
    spelt = without_formula(visible(title))
    for name in names:
        if spelt == written[name]:
            return name
    alike = [name for name in names if folded(written[name]) == folded(spelt)]
    if len(alike) > 1:
        raise ConfigError(f"{where}: '{title}' may be '{alike[0]}' or '{alike[1]}'. Spell it as one of them.")
    return alike[0] if alike else None
