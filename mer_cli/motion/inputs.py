"""What the input of a network on motion is made of, and what a run may choose; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Backend = Literal["tvl1", "fast"]
Channel = Literal["u", "v", "strain", "magnitude", "patches", "apex", "apex-grid", "dynamic"]
Normalisation = Literal["raw", "minmax8"]
Interpolation = Literal["linear", "tim"]

GRID = 4  # rows and columns of blocks that "apex-grid" cuts the apex into
PATCH_SIZE = 7
BROW_POINTS = range(17, 27)  # the landmarks, of 68, that "patches" are cut around
MOUTH_POINTS = range(48, 68)

_N_PLANES: dict[Channel, int] = {
    "apex-grid": GRID * GRID,
    "patches": len(BROW_POINTS) + len(MOUTH_POINTS),
    "dynamic": 3,
}


@dataclass(frozen=True)
class MotionInput:
    """The input (P, size, size) of a network for each clip.

    size : rows and columns
    channels : "u", "v", the flow from onset to apex, right and down, in pixels of the crop; "strain" and "magnitude"
        of it; "patches" of its magnitude at 30 landmarks, a plane each; "apex", the grey apex; "apex-grid", its 4x4
        blocks, a plane each; "dynamic", the dynamic image of the whole clip, a plane for each colour
    units : action units whose co-occurrence in the training clips is an input, too; empty for most networks
    """

    size: int
    channels: tuple[Channel, ...] = ("u", "v", "strain")
    units: tuple[int, ...] = ()

    @property
    def n_planes(self) -> int:
        """P, the sum over the channels; most have one plane."""
        return sum(_N_PLANES.get(channel, 1) for channel in self.channels)

    @property
    def needs_flow(self) -> bool:
        return not {"u", "v", "strain", "magnitude", "patches"}.isdisjoint(self.channels)

    @property
    def needs_apex(self) -> bool:
        return not {"apex", "apex-grid"}.isdisjoint(self.channels)

    @property
    def needs_landmarks(self) -> bool:
        return "patches" in self.channels

    @property
    def needs_clips(self) -> bool:
        return "dynamic" in self.channels
