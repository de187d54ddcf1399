"""Reads a coding table: a workbook comes in, its rows go out as text, each with its row number in the spreadsheet.

Sheet and header row are found by content (the row holding most of the wanted columns), since releases put notes above
the header and empty sheets after the data. Every cell is read as text: a subject "01" stays "01", an apex "/" is no
crash. Columns match without case or spaces; blank and further columns are ignored.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mer_cli.datasets.suggest import did_you_mean
from mer_cli.errors import DatasetError

WHOLE_NUMBER = re.compile(r"[0-9]{1,9}(\.0*)?")  # a float cell of a re-saved table reads "46.0"


@dataclass(frozen=True)
class Row:
    """One row of a table: `number` as a spreadsheet program shows it (from 1), `cells` the wanted columns' text."""

    number: int
    cells: Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """The data rows of a coding table, in the file's order, without the blank ones."""

    path: Path
    sha256: str
    rows: tuple[Row, ...]


def read_table(path: Path, columns: Sequence[str]) -> Table:
    """Read the rows of a workbook that lie below its header.

    Parameters
    ----------
    path : an .xlsx file
    columns : the wanted columns, by the names that the published table gives them

    Returns
    -------
    Table whose rows hold just `columns`, as text without surrounding spaces; a blank cell is ""

    Raises
    ------
    DatasetError
        If the file is an .xls or no workbook, if a wanted column is missing or there twice, or if it has no data rows.
    """
    if path.suffix.casefold() == ".xls":
        raise DatasetError(
            f"{path}: an old .xls workbook, which is not read. Expected .xlsx. "
            "Open it in Excel or LibreOffice and save it as .xlsx."
        )
    content, sheets = _read_sheets(path)
    sheet, header = _find_header(path, sheets, columns)
    cells = sheets[sheet]
    positions = _match_columns(path, sheet, header, cells[header], columns)
    rows = []
    for index in range(header + 1, len(cells)):
        wanted = {column: cells[index][position] for column, position in positions.items()}
        if any(wanted.values()):
            rows.append(Row(index + 1, wanted))
    if not rows:
        raise DatasetError(
            f"{path}: sheet '{sheet}' has no rows below its header. Expected one row a clip. Download the table again."
        )
    return Table(path, hashlib.sha256(content).hexdigest(), tuple(rows))


def whole_number(text: str) -> int | None:
    """Give the frame number that a cell holds ("46", "46.0"), or None for anything else ("/", "", "46.5")."""
    return int(text.partition(".")[0]) if WHOLE_NUMBER.fullmatch(text) else None


def _read_sheets(path: Path) -> tuple[bytes, dict[str, list[list[str]]]]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(
            f"{path}: the coding table cannot be read ({error.strerror}). "
            "Expected a readable .xlsx file. Check its permissions."
        ) from error
    try:
        frames = pd.read_excel(
            io.BytesIO(content), sheet_name=None, header=None, dtype=str, na_filter=False, engine="openpyxl"
        )
    except Exception as error:  # openpyxl raises a dozen kinds for a damaged file, from BadZipFile to KeyError
        raise DatasetError(
            f"{path}: not a workbook that can be read ({error}). Expected the release's coding table as .xlsx. "
            "Download it again, or open it in Excel or LibreOffice and save it as .xlsx without a password."
        ) from error
    return content, {
        str(name): [[str(cell).strip() for cell in row] for row in frame.to_numpy().tolist()]
        for name, frame in frames.items()
    }


def _find_header(path: Path, sheets: Mapping[str, list[list[str]]], columns: Sequence[str]) -> tuple[str, int]:
    wanted = {_folded(column) for column in columns}
    best_hits, best = 0, ("", 0)
    for sheet, cells in sheets.items():
        for index, row in enumerate(cells):
            hits = len(wanted.intersection(map(_folded, row)))
            if hits > best_hits:
                best_hits, best = hits, (sheet, index)
    if best_hits < 2:  # one hit can be a word in a note
        raise DatasetError(
            f"{path}: no header row in any sheet ({', '.join(sheets)}). Expected a row with the columns "
            f"{', '.join(columns)}. Take the coding table as released."
        )
    return best


def _match_columns(path: Path, sheet: str, header: int, titles: list[str], columns: Sequence[str]) -> dict[str, int]:
    folded = [_folded(title) for title in titles]
    where = f"{path}: sheet '{sheet}' row {header + 1}"
    for column in columns:
        if folded.count(_folded(column)) > 1:
            raise DatasetError(f"{where}: column '{column}' is there twice. Expected it once. Delete the wrong one.")
    missing = [column for column in columns if _folded(column) not in folded]
    if missing:
        found = [title for title in titles if title]
        spare = [title for title in found if _folded(title) not in {_folded(column) for column in columns}]
        raise DatasetError(
            f"{where}: no column {', '.join(repr(column) for column in missing)}; found {', '.join(found)}."
            f"{did_you_mean(missing[0], spare)} Name the columns as in the released table."
        )
    return {column: folded.index(_folded(column)) for column in columns}


def _folded(title: str) -> str:
    return "".join(title.split()).casefold()
