"""The label of a clip whose targets are action units: a whole number, as a class is, that says which units it shows.

Bit k is set if the unit of `class_names[k]` is coded. The label of a clip with none of the units is 0.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

NO_UNIT = "none"  # in place of a class name, for a clip that shows none of the units


def mask_of(coded: Collection[int], class_names: Iterable[str]) -> int:
    """Return the label of a clip whose coded action units have these numbers; other units leave no trace."""
    return sum(1 << place for place, name in enumerate(class_names) if int(name.removeprefix("AU")) in coded)


def bits_of(masks: ArrayLike, n_units: int) -> NDArray[np.bool_]:
    """Return which units labels name: for masks of shape (...) an array of shape (..., n_units)."""
    return np.asarray((np.asarray(masks, dtype=np.int64)[..., None] >> np.arange(n_units)) & 1 == 1)


def masks_of(bits: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the labels that name these units, the inverse of `bits_of`."""
    return np.asarray(bits.astype(np.int64) @ (1 << np.arange(bits.shape[-1], dtype=np.int64)))


def shown_in(mask: int) -> tuple[int, ...]:
    """Return the places in `class_names` of the units that a label names, ascending."""
    return tuple(place for place in range(mask.bit_length()) if mask >> place & 1)


def spell_mask(mask: int, class_names: tuple[str, ...]) -> str:
    """Return the units that a label names, such as "AU1+AU4"; "none" if there are none."""
    return "+".join(class_names[place] for place in shown_in(mask)) or NO_UNIT
