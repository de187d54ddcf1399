"""Read the rows of a coding table, a workbook or a CSV, as text.

Sheet and header row are found by content (the row with most of the wanted columns), because releases put notes above
the header and empty sheets after the data. Every cell is read as text: a subject "01" stays "01", and an apex "/"
causes no crash. Columns match without regard to case or spaces; blank and further columns are ignored.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mer_cli.datasets.spelling import looks
from mer_cli.datasets.table_text import UnknownEncodingError, read_text_rows
from mer_cli.datasets.workbook import UnreadableWorkbookError, is_workbook, read_workbook
from mer_cli.errors import DatasetError, did_you_mean, shortened
from mer_cli.system.files import read_bounded

WORKBOOKS = frozenset({".xlsx", ".xls", ".xlsm", ".xlsb", ".ods"})
LARGEST = 256 << 20  # bytes; a released table has 100 kB
SHOWN = 30  # titles of a wrong header that an error names
WHOLE_NUMBER = re.compile(r"[0-9]{1,9}(\.0*)?")  # a float cell of a re-saved table reads "46.0"


@dataclass(frozen=True)
class Row:
    """One row of a table: its number in a spreadsheet program, from 1, and the text of each wanted column."""

    number: int
    cells: Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """The data rows of a coding table, in the file's order, without the blank ones.

    columns : the columns that the table has, of those that were asked for
    titles : all titles of the header
    encoding : says which encoding a CSV was read in; "" for UTF-8 and for a workbook
    """

    path: Path
    sha256: str
    rows: tuple[Row, ...]
    columns: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()
    encoding: str = ""


def read_table(path: Path, columns: Sequence[str], optional: Sequence[str] = (), sheet: str = "") -> Table:
    """Read the rows of a table that lie below its header.

    Parameters
    ----------
    path : a workbook, or text with commas, semicolons or tabs
    columns : the wanted columns, by the names that the published table gives them
    optional : further columns, read if the table has them
    sheet : name of the sheet to prefer if several have the columns

    Returns
    -------
    the table; its rows hold only those columns, as text without surrounding spaces; a blank cell is ""

    Raises
    ------
    DatasetError
        If the file can't be read as a table, lacks a wanted column, has a wanted column twice, has no data rows, or
        has a character of value 0 in a wanted cell.
    """
    sha256, sheets, encoding = _read_sheets(path)
    sheet, header = _find_header(path, sheets, columns, sheet)
    cells = sheets[sheet]
    here = [folded(title) for title in cells[header]]
    positions = _match_columns(
        path, sheet, header, cells[header], columns, [column for column in optional if folded(column) in here]
    )
    rows = []
    for index in range(header + 1, len(cells)):
        wanted = {column: cells[index][position] for column, position in positions.items()}
        if any(wanted.values()):
            rows.append(Row(index + 1, wanted))
        for column, text in wanted.items():
            if "\0" in text:
                raise DatasetError(
                    f"{path}: row {index + 1}: {column} holds a NUL character. Type the cell anew, and save the table."
                )
    if not rows:
        raise DatasetError(f"{path}: sheet '{sheet}' has no rows below its header. Download the table again.")
    titles = tuple(title for title in cells[header] if title)
    return Table(path, sha256, tuple(rows), tuple(positions), titles, encoding)


def whole_number(text: str) -> int | None:
    """Return the frame number that a cell holds ("46", "46.0"), or None for anything else ("/", "", "46.5")."""
    return int(text.partition(".")[0]) if WHOLE_NUMBER.fullmatch(text) else None


def _read_sheets(path: Path) -> tuple[str, dict[str, list[list[str]]], str]:
    """Return a file's SHA-256, the cells of each sheet, and which encoding was taken if it is text but not UTF-8."""
    content = _read_content(path)
    encoding = ""
    try:
        if is_workbook(content):
            sheets = read_workbook(content)
        elif path.suffix.casefold() in WORKBOOKS:
            raise UnreadableWorkbookError("its content does not begin like a workbook's")
        else:
            rows, encoding = read_text_rows(content)
            sheets = {"csv": rows}
    except UnknownEncodingError as error:
        raise DatasetError(f"{path}: {error}") from None
    except UnreadableWorkbookError as error:
        raise DatasetError(
            f"{path}: can't be read as a table ({error}). Download the coding table again, or open it in Excel or "
            "LibreOffice and save it as .xlsx without a password."
        ) from None
    except (csv.Error, ValueError) as error:
        raise DatasetError(f"{path}: can't be read as a CSV ({error}). Save it again, as CSV or .xlsx.") from None
    stripped = {name: [[cell.strip() for cell in row] for row in rows] for name, rows in sheets.items()}
    return hashlib.sha256(content).hexdigest(), stripped, encoding


def _read_content(path: Path) -> bytes:
    try:
        return read_bounded(path, LARGEST)
    except OSError as error:
        raise DatasetError(
            f"{path}: the coding table can't be read ({error.strerror}). Check its permissions."
        ) from error
    except ValueError as error:
        raise DatasetError(
            f"{path}: the coding table can't be read ({error}). Give the path of the coding table."
        ) from None


def _find_header(
    path: Path, sheets: Mapping[str, list[list[str]]], columns: Sequence[str], preferred: str
) -> tuple[str, int]:
    wanted = {folded(column) for column in columns}
    best_hits, best = 0, ("", 0)
    for sheet, cells in sorted(sheets.items(), key=lambda item: item[0].casefold() != preferred.casefold()):
        for index, row in enumerate(cells):
            hits = len(wanted.intersection(map(folded, row)))
            if hits > best_hits:
                best_hits, best = hits, (sheet, index)
    if best_hits < 2:  # one hit can be a word in a note
        raise DatasetError(
            f"{path}: no header row in any sheet ({', '.join(sheets)}). Expected a row with the columns "
            f"{', '.join(columns)}. Take the coding table as released."
        )
    return best


def _match_columns(
    path: Path, sheet: str, header: int, titles: list[str], needed: Sequence[str], optional: Sequence[str]
) -> dict[str, int]:
    here, columns = [folded(title) for title in titles], (*needed, *optional)
    where = f"{path}: sheet '{sheet}' row {header + 1}"
    for column in columns:
        if here.count(folded(column)) > 1:
            raise DatasetError(f"{where}: there are two columns '{column}'. Delete the wrong one.")
    missing = [column for column in needed if folded(column) not in here]
    if missing:
        found = [shortened(title) for title in titles if title]
        shown = ", ".join(found[:SHOWN]) + (f" and {len(found) - SHOWN} more" if len(found) > SHOWN else "")
        spare = [title for title in found if folded(title) not in {folded(column) for column in columns}]
        raise DatasetError(
            f"{where}: no column {', '.join(repr(column) for column in missing)}; found {shown}."
            f"{did_you_mean(missing[0], spare)} Expected {', '.join(needed)}. "
            "Add or rename the column."
        )
    return {column: here.index(folded(column)) for column in columns}


def folded(title: str) -> str:
    """Return a column's title as titles are compared: by its looks, without spaces."""
    return "".join(looks(title).split())
