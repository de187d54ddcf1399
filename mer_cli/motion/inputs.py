"""What a network on motion takes: which channels, at which size; and what a run may choose. It costs no import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Backend = Literal["tvl1", "fast"]
Channel = Literal["u", "v", "strain", "magnitude", "apex", "apex-grid"]
Normalisation = Literal["raw", "minmax8"]

GRID = 4  # rows and columns of blocks that "apex-grid" cuts the apex picture into


@dataclass(frozen=True)
class MotionInput:
    """The picture (P, size, size) that a network takes for each clip.

    size : rows and columns
    channels : "u", "v", the flow from onset to apex, right and down, in pixels of the crop; "strain" and "magnitude"
        of it; "apex", the grey apex; "apex-grid", its 4x4 blocks, a plane each
    """

    size: int
    channels: tuple[Channel, ...] = ("u", "v", "strain")

    @property
    def n_planes(self) -> int:
        """P, one for each channel, and one for each block of a grid."""
        return sum(GRID * GRID if channel == "apex-grid" else 1 for channel in self.channels)
