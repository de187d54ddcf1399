"""The process that parses a workbook: a script, started by `workbook`, with limits on what it may take.

It reads where to find libraries, a line of JSON, and then the workbook from stdin. To stdout it writes the sheets as
JSON, or a text that says why it can't. It imports nothing of this package, so that it starts in 50 ms.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from typing import Any

PROCESSOR_S = 15  # a sheet of a million cells takes five
MEMORY = 1 << 30
CELLS = 5_000_000  # of all sheets; the largest released table has 34,000


def main() -> None:
    """Read a workbook from stdin, and write its sheets or the reason why they can't be read to stdout."""
    sys.path[:] = json.loads(sys.stdin.buffer.readline())
    content = sys.stdin.buffer.read()
    import python_calamine  # before the limits, so that it has room

    _limit()
    try:
        answer: object = list(_sheets(python_calamine, content).items())
    except MemoryError:
        raise
    except BaseException as error:  # a panic of the parser is not an Exception
        answer = " ".join(str(error).split()) or type(error).__name__
    sys.stdout.write(json.dumps(answer))


def _limit() -> None:
    with suppress(ImportError):  # Windows
        import resource

        for kind, most in (
            (resource.RLIMIT_AS, MEMORY),
            (resource.RLIMIT_CPU, PROCESSOR_S),
            (resource.RLIMIT_CORE, 0),
        ):
            with suppress(OSError, ValueError):  # macOS refuses the first
                hard = resource.getrlimit(kind)[1]
                resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _sheets(calamine: Any, content: bytes) -> dict[str, list[list[str]]]:
    import io

    book = calamine.CalamineWorkbook.from_filelike(io.BytesIO(content))
    sheets: dict[str, list[list[str]]] = {}
    n_cells = 0
    for about in book.sheets_metadata:
        if about.typ != calamine.SheetTypeEnum.WorkSheet:
            continue
        rows = [[_text(cell) for cell in row] for row in book.get_sheet_by_name(about.name).to_python(False)]
        while rows and not any(rows[-1]):
            rows.pop()
        n_cells += sum(map(len, rows))
        if n_cells > CELLS:
            raise ValueError(f"it has over {CELLS:,} cells")
        sheets[about.name] = rows
    return sheets


def _text(cell: object) -> str:
    """Return a cell's text: a whole number without its decimals, a day with the time 0:00, as Excel keeps it."""
    import datetime

    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime.date) and not isinstance(cell, datetime.datetime):
        return f"{cell} 00:00:00"
    return str(cell)


if __name__ == "__main__":
    main()
