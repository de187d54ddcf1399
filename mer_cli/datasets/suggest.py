"""The "did you mean" end of an error about a name that is not known."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(value: str, known: Iterable[str]) -> str:
    """Give " Did you mean 'casme2'?" for the known name closest to `value`, or "" where none is close."""
    by_folded = {name.casefold(): name for name in known}
    close = get_close_matches(value.casefold(), by_folded, n=1)
    return f" Did you mean '{by_folded[close[0]]}'?" if close else ""


def unknown_name(kind: str, value: str, known: Iterable[str]) -> str:
    """Give the whole message for an unknown name, with all known ones and the closest."""
    names = tuple(known)
    return f"Unknown {kind} '{value}'. Known: {', '.join(names)}.{did_you_mean(value, names)}"
