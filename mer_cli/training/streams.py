"""The random streams of a fold: seeds from the run's seed and the fold's name, never from data. No torch.

So a fold is the same whichever folds are trained beside it, and what one stream is used for moves no other.
"""

from __future__ import annotations

from typing import Literal

Stream = Literal["weights", "draws", "inner", "shuffle", "shuffle-inner", "dropout"]

_NUMBERS: dict[Stream, int] = {"weights": 0, "draws": 1, "inner": 2, "shuffle": 3, "shuffle-inner": 4, "dropout": 5}


def fold_seed(seed: int, fold_id: str, stream: Stream) -> list[int]:
    """Entropy for numpy's generators: batch order and augmentation are "draws"."""
    return [seed, *fold_id.encode(), _NUMBERS[stream]]
