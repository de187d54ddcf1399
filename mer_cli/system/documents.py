"""Read JSON and TOML files that may be damaged, with limits on their size and on the depth of what they hold."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from reprlib import Repr
from typing import Any

from mer_cli.system.files import read_bounded

LARGEST = 16 << 20  # bytes of a JSON file; a file of lists takes some thirty times as much memory
LARGEST_TOML = 1 << 20
DEEPEST = 32  # lists and tables in each other

# A key such as a.b.c with thousands of names, for which Python's library takes minutes.
_LONG_KEY = re.compile(rf"(?<![\w\"'-])(?:[\w\"'-]++[ \t]*+\.[ \t]*+){{{DEEPEST}}}")

_SHORT = Repr()
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxdict = 3, 10, 10
_SHORT.maxstring, _SHORT.maxlong, _SHORT.maxother = 80, 80, 80  # characters


def read_json(path: Path) -> Any:
    """Return what a JSON file in UTF-8 holds.

    Raises
    ------
    OSError
        If the file can't be read.
    ValueError
        If it is not a regular file, too large, too deep, or not JSON in UTF-8.
    """
    return parse_json(read_bounded(path, LARGEST))


def parse_json(content: bytes) -> Any:
    """Return what the content of a JSON file holds; raise a ValueError if it is too deep, or not JSON in UTF-8."""
    try:
        return _shallow(json.loads(content.decode("utf-8")))
    except RecursionError:
        raise _too_deep() from None


def read_toml(path: Path) -> dict[str, Any]:
    """Return what a TOML file in UTF-8 holds; a mark before the text, which some editors write, is ignored.

    Raises
    ------
    OSError
        If the file can't be read.
    UnicodeDecodeError
        If it is not text in UTF-8.
    ValueError
        If it is not a regular file, too large, too deep, or not TOML.
    """
    try:
        text = read_bounded(path, LARGEST_TOML).decode("utf-8-sig")
        if _LONG_KEY.search(text):
            raise _too_deep()
        held: dict[str, Any] = _shallow(tomllib.loads(text))
        return held
    except RecursionError:
        raise _too_deep() from None


def short_repr(value: object) -> str:
    """Return a value of a file as Python writes it, short_repr if it is long."""
    return _SHORT.repr(value)


def _shallow(held: Any) -> Any:
    """Return a value unchanged if no part of it lies deeper than `DEEPEST`; what prints it may then recurse."""
    level = [held]
    for _ in range(DEEPEST):
        level = [
            part
            for each in level
            if isinstance(each, dict | list)
            for part in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return held
    raise _too_deep()


def _too_deep() -> ValueError:
    return ValueError(f"it is nested more than {DEEPEST} levels deep")
