"""Write coding tables cell by cell: text stays text, and a formula may carry the value that was computed for it.

The same cells result in the same bytes: no time of saving goes into a file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

LONG_AGO = datetime(2019, 7, 1)  # a workbook's times have no zone


class Formula(NamedTuple):
    """A formula cell and its computed value; the value is None if the file shall not hold one."""

    text: str
    value: int | None = None


class Blank(NamedTuple):
    """A cell that is stored in the file but empty, such as remains after its content was deleted."""


Cell = str | int | float | Formula | Blank | None
Sheets = Mapping[str, Sequence[Sequence[Cell]]]


def write_workbook(path: Path, sheets: Sheets) -> None:
    """Write sheets into a workbook, in the format that the extension of `path` names: .xlsx or .xls."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_xls(path, sheets) if path.suffix == ".xls" else _write_xlsx(path, sheets)


def _write_xlsx(path: Path, sheets: Sheets) -> None:
    import xlsxwriter  # not above: every process that draws would load it

    with xlsxwriter.Workbook(str(path)) as book:
        book.set_properties({"created": LONG_AGO})
        blank = book.add_format({"align": "left"})  # a blank cell is kept for its format alone
        for title, rows in sheets.items():
            sheet = book.add_worksheet(title)
            for at, row in enumerate(rows):
                for across, cell in enumerate(row):
                    _write_cell(sheet, at, across, cell, blank)


def _write_cell(sheet: Any, row: int, column: int, cell: Cell, blank: Any) -> None:
    if isinstance(cell, Formula):
        sheet.write_formula(row, column, cell.text, None, "" if cell.value is None else cell.value)
    elif isinstance(cell, Blank):
        sheet.write_blank(row, column, None, blank)
    elif isinstance(cell, str):
        sheet.write_string(row, column, cell)
    elif cell is not None:
        sheet.write_number(row, column, cell)


def _write_xls(path: Path, sheets: Sheets) -> None:
    import xlwt  # not above: every process that draws would load it

    book = xlwt.Workbook()
    for title, rows in sheets.items():
        sheet = book.add_sheet(title)
        for at, row in enumerate(rows):
            for across, cell in enumerate(row):
                if cell is not None:
                    sheet.write(at, across, cell)
    book.save(str(path))
