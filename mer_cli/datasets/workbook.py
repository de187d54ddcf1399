"""Read the sheets of a workbook (.xlsx, .xlsm, .xlsb, .ods, .xls) in a process of its own, with limits.

The parser works on whatever bytes a file has. Damaged ones can make it run for minutes, take gigabytes or abort, which
no `except` catches; in a process of its own that ends in an error like any other. Starting it takes a tenth of a
second. Only the limit on time works on every system; that on memory needs Linux.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Any, NoReturn

MAGIC = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")  # of a zip; of an old workbook, which is a container too
PROCESSOR_S = 15  # a sheet of a million cells takes five
WALL_S = 120
MEMORY = 1 << 30
CELLS = 5_000_000  # of all sheets; the largest released table has 34,000

Sheets = dict[str, list[list[str]]]


class UnreadableWorkbookError(ValueError):
    """A workbook that the parser refuses, or that it fails on."""


def is_workbook(content: bytes) -> bool:
    """Return whether a file's content begins like a workbook, whatever its name is."""
    return content.startswith(MAGIC)


def read_workbook(content: bytes) -> Sheets:
    """Return the rows of each sheet, by its name, as text; a formula's cell has the value that was saved with it.

    Raises
    ------
    UnreadableWorkbookError
        If the content is not a workbook, is damaged or has a password, or reading it takes too much time or memory.
    """
    code = f"import sys; sys.path[:] = {sys.path!r}; from mer_cli.datasets.workbook import main; main()"
    command = [sys.executable, "-P", "-X", "utf8", "-c", code]
    try:
        ended = subprocess.run(command, input=content, capture_output=True, timeout=WALL_S, check=False)
    except subprocess.TimeoutExpired:
        raise UnreadableWorkbookError(f"reading it takes over {WALL_S} seconds") from None
    if ended.returncode:
        raise UnreadableWorkbookError(_why(ended.returncode, ended.stderr.decode("utf-8", "replace")))
    answer = json.loads(ended.stdout)
    if isinstance(answer, str):
        raise UnreadableWorkbookError(answer)
    return dict(answer)


def _why(code: int, said: str) -> str:
    """Return why the process that reads a workbook was ended by something other than its own answer."""
    if "memory allocation" in said or "MemoryError" in said:
        return f"reading it takes over {MEMORY >> 30} GiB of memory"
    if sys.platform != "win32" and code in {-signal.SIGXCPU, -signal.SIGKILL}:
        return f"reading it takes over {PROCESSOR_S} seconds"
    if code == 1 and said.strip():
        return f"the reader doesn't start: {said.strip().splitlines()[-1]}"
    return "its content makes the reader crash"


def main() -> NoReturn:
    """Read a workbook from stdin, and write its sheets to stdout as JSON, or a text that says why it can't."""
    content = sys.stdin.buffer.read()
    import python_calamine  # before the limits, which do not count what is loaded

    _limit()
    try:
        answer: object = list(_sheets(python_calamine, content).items())
    except MemoryError:
        raise
    except BaseException as error:  # a panic of the parser is not an Exception
        answer = " ".join(str(error).split()) or type(error).__name__
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()
    sys.exit(0)


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


def _sheets(calamine: Any, content: bytes) -> Sheets:
    import io

    book = calamine.CalamineWorkbook.from_filelike(io.BytesIO(content))
    sheets: Sheets = {}
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
