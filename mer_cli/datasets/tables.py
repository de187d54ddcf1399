"""Read the rows of a coding table, a workbook or a CSV, as text.

Sheet and header row are found by content (the row with most of the wanted columns), because releases put notes above
the header and empty sheets after the data. Every cell is read as text: a subject "01" stays "01", and an apex "/"
causes no crash. Columns match without regard to case or spaces; blank and further columns are ignored.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mer_cli.errors import DatasetError, did_you_mean

WORKBOOKS = frozenset({".xlsx", ".xls"})
WHOLE_NUMBER = re.compile(r"[0-9]{1,9}(\.0*)?")  # a float cell of a re-saved table reads "46.0"


@dataclass(frozen=True)
class Row:
    """One row of a table: its number in a spreadsheet program, from 1, and the text of each wanted column."""

    number: int
    cells: Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """The data rows of a coding table, in the file's order, without the blank ones."""

    path: Path
    sha256: str
    rows: tuple[Row, ...]


def read_table(path: Path, columns: Sequence[str], optional: Sequence[str] = (), sheet: str = "") -> Table:
    """Read the rows of a table that lie below its header.

    Parameters
    ----------
    path : an .xlsx or .xls file, or text: UTF-8 or Latin-1, with commas, semicolons or tabs
    columns : the wanted columns, by the names that the published table gives them
    optional : further columns, read if the table has them
    sheet : name of the sheet to prefer if several have the columns

    Returns
    -------
    the table; its rows hold only those columns, as text without surrounding spaces; a blank cell is ""

    Raises
    ------
    DatasetError
        If the file can't be read as a table, lacks a wanted column, has a wanted column twice, or has no data rows.
    """
    content, sheets = _read_sheets(path)
    sheet, header = _find_header(path, sheets, columns, sheet)
    cells = sheets[sheet]
    titles = [_folded(title) for title in cells[header]]
    positions = _match_columns(
        path, sheet, header, cells[header], [*columns, *(column for column in optional if _folded(column) in titles)]
    )
    rows = []
    for index in range(header + 1, len(cells)):
        wanted = {column: cells[index][position] for column, position in positions.items()}
        if any(wanted.values()):
            rows.append(Row(index + 1, wanted))
    if not rows:
        raise DatasetError(f"{path}: sheet '{sheet}' has no rows below its header. Download the table again.")
    return Table(path, hashlib.sha256(content).hexdigest(), tuple(rows))


def whole_number(text: str) -> int | None:
    """Return the frame number that a cell holds ("46", "46.0"), or None for anything else ("/", "", "46.5")."""
    return int(text.partition(".")[0]) if WHOLE_NUMBER.fullmatch(text) else None


def _read_sheets(path: Path) -> tuple[bytes, dict[str, list[list[str]]]]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(
            f"{path}: the coding table can't be read ({error.strerror}). Check its permissions."
        ) from error
    try:
        is_workbook = path.suffix.casefold() in WORKBOOKS
        sheets = _read_workbook(content, path.suffix) if is_workbook else {"csv": read_text_rows(content)}
    except Exception as error:  # openpyxl alone raises a dozen kinds for a damaged file, from BadZipFile to KeyError
        raise DatasetError(
            f"{path}: can't be read as a table ({error}). Download the coding table again, or open it in Excel or "
            "LibreOffice and save it as .xlsx without a password."
        ) from error
    return content, {name: [[str(cell).strip() for cell in row] for row in rows] for name, rows in sheets.items()}


def _read_workbook(content: bytes, suffix: str) -> dict[str, list[list[Any]]]:
    """Return the rows of each sheet, by its name; a formula cell has the value that was saved with it."""
    import pandas as pd  # not above: the description of a dataset needs `Row` alone

    engine: Literal["calamine", "openpyxl"] = "calamine" if suffix.casefold() == ".xls" else "openpyxl"
    frames = pd.read_excel(io.BytesIO(content), sheet_name=None, header=None, dtype=str, na_filter=False, engine=engine)
    return {str(name): frame.to_numpy().tolist() for name, frame in frames.items()}


def read_text_rows(content: bytes) -> list[list[str]]:
    """Return the cells of a CSV, as text: UTF-8 or Latin-1, with commas, semicolons or tabs; short rows are filled up.

    Raises
    ------
    csv.Error
        If it can't be read as a CSV.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text)))
    width = max(map(len, rows), default=0)
    return [row + [""] * (width - len(row)) for row in rows]


def _delimiter(text: str) -> str:
    """Return the separator (comma, semicolon or tab) that occurs most often in the header."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    return max(",;\t", key=header.count)


def _find_header(
    path: Path, sheets: Mapping[str, list[list[str]]], columns: Sequence[str], preferred: str
) -> tuple[str, int]:
    wanted = {_folded(column) for column in columns}
    best_hits, best = 0, ("", 0)
    for sheet, cells in sorted(sheets.items(), key=lambda item: item[0].casefold() != preferred.casefold()):
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
            raise DatasetError(f"{where}: there are two columns '{column}'. Delete the wrong one.")
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
