r"""Make text from others safe to show: no terminal obeys it, no reader is misled by it, no spreadsheet computes it.

The names in a release, a store or a run that somebody sent may hold terminal escapes, characters that reverse the text
after them, or a formula.
"""

from __future__ import annotations

import json
import re

# Control characters but tab and newline, marks of direction, line separators, characters of no width, surrogates.
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
FORMULA = ("=", "+", "-", "@", "\t", "\r")
NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


def visible(text: str) -> str:
    r"""Return a text with each character that can't be seen as its number: `\x1b` for an escape, `\u202e`."""
    return UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def visible_json(text: str) -> str:
    """Return JSON with the same content, in which characters that can't be seen are escaped."""
    return UNSEEN.sub(lambda found: json.dumps(found[0])[1:-1] if ord(found[0]) != 0x7F else "\\u007f", text)


def without_formula(text: str) -> str:
    """Return a text for a CSV; an apostrophe keeps a spreadsheet program from computing it as a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def csv_cell(text: str) -> str:
    """Return a text for a cell of a CSV: as `visible` and `without_formula` change it, but a number as it is."""
    shown = visible(text)
    return shown if NUMBER.fullmatch(shown) else without_formula(shown)
