r"""Read your own data: a CSV with a row for each clip, which is a folder of frames or a video file.

    subject,clip,onset,apex,offset,label,path
    p01,smile_1,46,59,86,happiness,p01/smile_1
    p01,frown_1,1,,,negative,videos\p01_frown.mp4

`path` is relative to the folder given. A blank onset or offset means the first or last frame; a blank apex is found.
Optional columns: `action_units`, `fps`, and `counted_from`: with 0 there, the frames of a video are counted from 0, not
from 1. In a table with `onset_s`, `apex_s` and `offset_s` instead, the annotation is in seconds since the first frame.
The dataset is named after the file: My-lab.csv -> "my_lab". Its name holds no "-", because that separates dataset and
subject in a fold's id.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import partial
from pathlib import Path

from mer_cli.datasets.annotation import Field
from mer_cli.datasets.assemble import assemble
from mer_cli.datasets.by_time import WRITTEN
from mer_cli.datasets.dataset import Entry
from mer_cli.datasets.frame_files import (
    check_folder_name,
    check_inside,
    is_video,
)
from mer_cli.datasets.spelling import is_blank, one_spelling, spelt
from mer_cli.datasets.tables import Row, Table, read_table, whole_number
from mer_cli.errors import DatasetError, shortened
from mer_cli.records import ApexRule, Release, Source

COLUMNS = ("subject", "clip", "onset", "offset", "label", "path")
OPTIONAL_COLUMNS = ("apex", "action_units", "fps", "counted_from")
COLUMNS_BY_TIME = ("subject", "clip", "onset_s", "offset_s", "label", "path")
OPTIONAL_BY_TIME = ("apex_s", "action_units", "fps")
FRAME_COLUMNS: tuple[Field, ...] = ("onset", "apex", "offset")
SECONDS = re.compile(r"[0-9]{1,6}([.,][0-9]*)?")
UNKNOWN_FPS = 0.0
MOST_LETTERS = 50  # of the dataset's name, which is a part of every run's name


def load_own(
    root: Path,
    table_path: Path,
    source: Source | None,
    apex_rule: ApexRule,
    reserved: Collection[str],
    *,
    join_spellings: bool = False,
) -> Release:
    """Read a release of your own clips, listed in a CSV.

    Parameters
    ----------
    root : the folder that the paths are relative to
    table_path : the CSV
    source : "cropped" if the images are cut to the face already; None means raw
    apex_rule : how to find the apex of a clip without an annotated one
    reserved : names that the dataset, which is named after the CSV, must not have
    join_spellings : take two spellings of one subject or label as one; otherwise they are an error

    Raises
    ------
    DatasetError
        If the folder or the table can't be read, or the table's name can't be used as a dataset's name.
    """
    root = root.absolute()
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder. Give the folder that the table's paths start in.")
    name, table, entries, joined = read_own_table(table_path, reserved, join_spellings=join_spellings)
    place_of = partial(_place, root, root.resolve())
    assembled = assemble(name, UNKNOWN_FPS, entries, (), place_of, apex_rule)
    return Release(
        dataset=name,
        source=source or "raw",
        table_path=table.path,
        table_sha256=table.sha256,
        table_version="",
        clips=assembled.clips,
        failed=assembled.failed,
        errata=(*assembled.errata, *joined),
        numbering=assembled.numbering,
        table_notes=(f"{table.path.name}: {table.encoding}",) if table.encoding else (),
    )


def read_own_table(
    path: Path, reserved: Collection[str], *, join_spellings: bool
) -> tuple[str, Table, list[Entry], tuple[str, ...]]:
    """Return a dataset's name, its table, the entry of each row, and a sentence for each spelling that was joined.

    Parameters
    ----------
    path, reserved, join_spellings : as in `load_own`
    """
    name = _dataset_name(path, reserved)
    table = _read_table(path)
    read = [_read_row(table.path, row) for row in table.rows]
    entries, joined = one_spelling(str(table.path), read, ("subject", "emotion"), join=join_spellings)
    return name, table, entries, joined


def _read_table(path: Path) -> Table:
    """Return the table, whose annotation is in frame numbers or in seconds."""
    try:
        return read_table(path, COLUMNS, OPTIONAL_COLUMNS)
    except DatasetError:
        try:
            return read_table(path, COLUMNS_BY_TIME, OPTIONAL_BY_TIME)
        except DatasetError:
            pass  # the error about frame numbers, which are usual, is told
        raise


def _dataset_name(table_path: Path, reserved: Collection[str]) -> str:
    """Return the name of the dataset, which is that of its table."""
    name = re.sub(r"[^a-z0-9]+", "_", table_path.stem.casefold()).strip("_")
    if len(name) > MOST_LETTERS:
        raise DatasetError(
            f"{shortened(table_path.name)}: the dataset, named after the file, would have a name of {len(name)} "
            f"letters. Expected at most {MOST_LETTERS}. Rename the file, for example to mylab.csv."
        )
    if not name or name in reserved:
        raise DatasetError(
            f"{table_path}: the dataset, named after the file, would be '{name}'. Expected a name other than "
            f"{', '.join(reserved)}. Rename the file, for example to mylab.csv."
        )
    return name


def _place(root: Path, boundary: Path, entry: Entry) -> Path:
    """Return the folder or the video of a clip.

    Parameters
    ----------
    root : the folder that the paths are relative to · boundary : the same, with its links resolved
    """
    check_folder_name(entry.subject, "p01")
    check_folder_name(entry.name, "smile_1")
    (path,) = entry.keys
    if is_blank(path):
        raise DatasetError("the path is blank. Fill it in; a merged cell holds it in one row only.")
    place = root / path.replace("\\", "/")
    try:
        check_inside(place, boundary)
        is_there = place.is_dir() or (place.is_file() and is_video(place))
    except (OSError, ValueError) as error:  # too long for this disk, or with a character that no path can have
        reason = error.strerror if isinstance(error, OSError) else error
        raise DatasetError(f"path '{spelt(path)}' can't be looked up ({reason}). Correct the table.") from None
    if not is_there:
        raise DatasetError(f"path '{shortened(path)}' is neither a folder nor a video in {root}. Correct the table.")
    return place


def _read_row(path: Path, row: Row) -> Entry:
    cells = row.cells
    return Entry(
        where=f"row {row.number}",
        subject=cells["subject"],
        name=cells["clip"],
        emotion=cells["label"],
        action_units=cells.get("action_units", ""),
        keys=(cells["path"],),
        cells=_frame_cells(path, row),
        fps=_fps(path, row),
        seconds=_seconds(path, row),
    )


def _frame_cells(path: Path, row: Row) -> dict[Field, str]:
    """Return the annotated frame numbers, counted from 1 in a video whatever the table counts from."""
    cells: dict[Field, str] = {field: row.cells[field] for field in FRAME_COLUMNS if row.cells.get(field)}
    start = row.cells.get("counted_from", "")
    if start not in ("", "0", "1"):
        raise DatasetError(
            f"{path}: row {row.number}: counted_from '{start}' can't be the number of a video's first frame. Expected "
            "0, 1 or a blank cell, which means 1. Correct the table."
        )
    if start != "0":
        return cells
    if not is_video(Path(row.cells["path"].replace("\\", "/"))):
        raise DatasetError(
            f"{path}: row {row.number}: counted_from is 0, but the images of a folder have the numbers in their names. "
            "Leave the cell blank; it is for videos."
        )
    return {field: text if (number := whole_number(text)) is None else str(number + 1) for field, text in cells.items()}


def _seconds(path: Path, row: Row) -> dict[Field, float]:
    """Return the annotated times, in seconds since the first frame."""
    seconds: dict[Field, float] = {}
    for field in FRAME_COLUMNS:
        text = row.cells.get(WRITTEN.format(field), "")
        if not text:
            continue
        if not SECONDS.fullmatch(text):
            raise DatasetError(
                f"{path}: row {row.number}: {WRITTEN.format(field)} '{text}' is not a time. Expected seconds since the "
                "first frame, such as 62.4, or a blank cell. Correct the table."
            )
        seconds[field] = float(text.replace(",", "."))
    return seconds


def _fps(path: Path, row: Row) -> float | None:
    text = row.cells.get("fps", "")
    if text and not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        raise DatasetError(
            f"{path}: row {row.number}: fps '{text}' is not a number. Expected frames per second, such as 200, or a "
            "blank cell. Correct the table."
        )
    return float(text) if text else None
