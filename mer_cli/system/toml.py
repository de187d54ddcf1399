"""Values of TOML, which Python's library reads and does not write."""

from __future__ import annotations

import json
from typing import Any


def spell(value: Any) -> str:
    """Return a text, number, bool or list of these as TOML writes it."""
    if isinstance(value, float):
        return repr(value)  # JSON has no word for infinity
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(spell, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
