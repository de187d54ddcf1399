"""What a check of your own method found out, and the mark that stands before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Mark = Literal["ok", "note", "warning", "FAILED"]
NAMED = 4  # names that are listed before "and 3 more"


@dataclass(frozen=True)
class Finding:
    """A property of a method that was checked: its name, the mark, and a sentence with the numbers.

    mark : "FAILED" if the method can't be trained as it is, or its scores would not mean what they seem to; "warning"
        and "note" for what you should know
    """

    name: str
    mark: Mark
    text: str


def some_of(names: Sequence[str]) -> str:
    """Return names as a text; of many names only the first ones."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def tolerance_of(values: NDArray[np.floating]) -> float:
    """Return the largest difference that rounding may make between two computations of some values.

    Parameters
    ----------
    values : (n, k), k values for each of n clips; what matters of them is how they differ among the clips
    """
    spread = float((values.max(axis=0) - values.min(axis=0)).max())
    return 1e-5 * float(np.abs(values).max()) + 1e-3 * spread


def spell_bytes(n_bytes: float) -> str:
    """Return a size as text, for example "38 MB"."""
    for unit in ("bytes", "kB", "MB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}" if unit != "bytes" else f"{n_bytes:.0f} bytes"
        n_bytes /= 1000
    return f"{n_bytes:.3g} GB"
