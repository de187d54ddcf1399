"""Read the sheets of a workbook (.xlsx, .xlsm, .xlsb, .ods, .xls) in a process of its own, with limits.

The parser works on whatever bytes a file has. Damaged ones can make it run for minutes, take gigabytes or abort, which
no `except` catches; in a process of its own that ends in an error like any other. The limit on memory needs Linux.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys

from mer_cli.datasets import workbook_reader
from mer_cli.datasets.workbook_reader import MEMORY, PROCESSOR_S

MAGIC = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")  # of a zip; of an old workbook, which is a container too
WALL_S = 120


class UnreadableWorkbookError(ValueError):
    """A workbook that the parser refuses, or that it fails on."""


def is_workbook(content: bytes) -> bool:
    """Return whether a file's content begins like a workbook, whatever its name is."""
    return content.startswith(MAGIC)


def read_workbook(content: bytes) -> dict[str, list[list[str]]]:
    """Return the rows of each sheet, by its name, as text; a formula's cell has the value that was saved with it.

    Raises
    ------
    UnreadableWorkbookError
        If the content is not a workbook, is damaged or has a password, or reading it takes too much time or memory.
    """
    # Without the start-up code of site-packages; the path to them is passed on.
    command = [sys.executable, "-P", "-S", workbook_reader.__file__]
    places = json.dumps([str(place) for place in sys.path]).encode() + b"\n"
    try:
        ended = subprocess.run(command, input=places + content, capture_output=True, timeout=WALL_S, check=False)
    except subprocess.TimeoutExpired:
        raise UnreadableWorkbookError(f"reading it takes over {WALL_S} seconds") from None
    if ended.returncode:
        raise UnreadableWorkbookError(_why(ended.returncode, ended.stderr.decode("utf-8", "replace")))
    answer = json.loads(ended.stdout)
    if isinstance(answer, str):
        raise UnreadableWorkbookError(answer)
    return dict(answer)


def _why(code: int, said: str) -> str:
    """Return why the reading process was ended by something other than its own answer."""
    if "memory allocation" in said or "MemoryError" in said:
        return f"reading it takes over {MEMORY >> 30} GiB of memory"
    if sys.platform != "win32" and code == -signal.SIGXCPU:
        return f"reading it takes over {PROCESSOR_S} seconds"
    if code == 1 and said.strip():
        return f"the reader doesn't start: {said.strip().splitlines()[-1]}"
    return "its content makes the reader crash"
