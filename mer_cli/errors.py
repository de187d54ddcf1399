"""The errors that a user can fix; everything else is a bug and keeps its traceback.

    MerError
    ├── DatasetError   the raw release or its coding table
    ├── FaceError      an image, a face, or a landmark model
    ├── StoreError     the HDF5 store: schema, version, missing clip
    ├── ConfigError    a flag or a setting
    └── RunError       a run directory or one of its folds

A message says where the problem is, what is wrong with which value, what was expected if there are limits or choices,
and what to do. The library raises; only the command line prints, and exits with 1 (`cli/app.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class MerError(Exception):
    """The root of all errors that a user can fix."""


class DatasetError(MerError):
    """The raw release or its coding table is not as it should be."""


class FaceError(MerError):
    """An image can't be read or holds no usable face, or the landmark model is missing."""


class StoreError(MerError):
    """The HDF5 store is missing, damaged or of another version, or lacks what was asked for."""


class ConfigError(MerError):
    """A flag or a setting has a value that can't be used."""


class RunError(MerError):
    """A run directory is missing, incomplete, or belongs to another configuration."""


MOST_SHOWN = 80  # characters of a value in a message
MOST_OF_A_PATH = 1000  # characters of a path in a message: as good as all that exist
MOST_COMPARED = 200  # characters of a value; no name is close to a longer one


def shortened(text: str, most: int = MOST_SHOWN) -> str:
    """Return a text as a message quotes it: the middle of one with more than `most` characters is left out."""
    return text if len(text) <= most else f"{text[: most // 2]}...{text[-(most // 2) :]}"


def did_you_mean(value: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'casme2'?" for the known name closest to `value`, or "" if none is close."""
    by_folded = {name.casefold(): name for name in known}
    close = get_close_matches(value[:MOST_COMPARED].casefold(), by_folded, n=1)
    return f" Did you mean '{by_folded[close[0]]}'?" if close else ""


def unknown_name(kind: str, value: str, known: Iterable[str]) -> str:
    """Return the message for an unknown name of a `kind` ("scheme"), with the closest name and all known names."""
    names = tuple(known)
    return f"Unknown {kind} '{shortened(value)}'. Known: {', '.join(names)}.{did_you_mean(value, names)}"
