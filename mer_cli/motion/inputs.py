"""What a method sees of a clip: two images, motion between them, or arrays for a descriptor. Importing it is cheap.

What a method sees decides what a run must compute beforehand, and which groups of settings mean something to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Backend = Literal["tvl1", "fast"]
Channel = Literal["u", "v", "strain", "magnitude", "patches", "apex", "apex-grid", "dynamic"]
Normalisation = Literal["standard", "minmax8"]
Interpolation = Literal["linear", "tim"]
Span = Literal["clip", "apex"]
Seen = Literal["flow", "flows", "frames", "landmarks"]

GRID = 4  # rows and columns of blocks that "apex-grid" cuts the apex image into
PATCH_SIZE = 7
BROW_POINTS = range(17, 27)  # the landmarks, of 68, that "patches" are cut around
MOUTH_POINTS = range(48, 68)

_N_PLANES: dict[Channel, int] = {
    "apex-grid": GRID * GRID,
    "patches": len(BROW_POINTS) + len(MOUTH_POINTS),
    "dynamic": 3,
}


@dataclass(frozen=True)
class PairInput:
    """Onset and apex, each (3, 224, 224), augmented alike; what a network sees that says nothing else."""

    needs_landmarks = False
    groups = frozenset({"training", "augmentation", "machine"})

    def needs_flow(self, span: Span) -> bool:
        """Return False: the images come straight from the store."""
        return False

    def needs_clips(self, span: Span) -> bool:
        """Return False: two frames are enough."""
        return False


@dataclass(frozen=True)
class MotionInput:
    """The image (P, size, size) that a network sees of each clip.

    size : rows and columns
    channels : "u", "v", the flow from onset to apex, right and down, in pixels of the crop; "strain" and "magnitude"
        of it; "patches" of its magnitude at 30 landmarks, a plane each; "apex", the grey apex; "apex-grid", its 4x4
        blocks, a plane each; "dynamic", the dynamic image of the whole clip, a plane for each colour
    units : action units whose co-occurrence among the training clips the network sees too; most see none
    """

    size: int
    channels: tuple[Channel, ...] = ("u", "v", "strain")
    units: tuple[int, ...] = ()

    @property
    def groups(self) -> frozenset[str]:
        """Groups of settings that mean something to such a network."""
        return frozenset({"training", "normalisation", "machine"}) | ({"flow"} if self.needs_flow("apex") else set())

    @property
    def n_planes(self) -> int:
        """P, the sum over the channels; most have one plane."""
        return sum(_N_PLANES.get(channel, 1) for channel in self.channels)

    def needs_flow(self, span: Span) -> bool:
        """Whether the method sees the flow from onset to apex, which is computed before training."""
        return not {"u", "v", "strain", "magnitude", "patches"}.isdisjoint(self.channels)

    def needs_clips(self, span: Span) -> bool:
        """Whether the method sees every frame, which a store has after `mer preprocess --clips`."""
        return "dynamic" in self.channels

    @property
    def needs_apex(self) -> bool:
        """Whether the apex image itself is seen."""
        return not {"apex", "apex-grid"}.isdisjoint(self.channels)

    @property
    def needs_landmarks(self) -> bool:
        """Whether the landmarks must be those of a face."""
        return "patches" in self.channels


@dataclass(frozen=True)
class DescriptorInput:
    """What a descriptor sees of a clip at 224x224, as arrays, and the support-vector machine that learns from it.

    arrays : in the order of the function's arguments. "flow", (2, H, W) float32, from onset to apex, u and v in pixels;
        "flows", (T, 2, H, W) float32, from the onset to each later frame, or to the apex alone (`span`); "frames",
        (T, H, W) uint8, the grey clip from onset to offset; "landmarks", (68, 2) float32, x and y in pixels of the crop
    kernel : of the support-vector machine
    min_frames : frames that the descriptor needs, to which a shorter clip is interpolated
    """

    arrays: tuple[Seen, ...]
    kernel: Literal["linear", "rbf"] = "linear"
    min_frames: int = 2

    @property
    def groups(self) -> frozenset[str]:
        """Groups of settings that mean something to such a method."""
        of_array = {"flow": {"flow"}, "flows": {"flow", "span", "clips"}, "frames": {"clips"}, "landmarks": set()}
        return frozenset({"svm"}).union(*(of_array[name] for name in self.arrays))

    def needs_flow(self, span: Span) -> bool:
        """Whether the method sees the flow from onset to apex, which is computed before training."""
        return "flow" in self.arrays or ("flows" in self.arrays and span == "apex")

    def needs_clips(self, span: Span) -> bool:
        """Whether the method sees every frame, which a store has after `mer preprocess --clips`."""
        return "frames" in self.arrays or ("flows" in self.arrays and span == "clip")

    @property
    def needs_landmarks(self) -> bool:
        """Whether the landmarks must be those of a face."""
        return "landmarks" in self.arrays
