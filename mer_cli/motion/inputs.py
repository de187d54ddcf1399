"""What a method sees of a clip: two images, motion between them, arrays for a descriptor, or what a learner asks for.

What a method sees decides what a run must compute beforehand, and which groups of settings have an effect. Importing
this module is cheap.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

Backend = Literal["tvl1", "fast", "fine"]
Channel = Literal["u", "v", "strain", "magnitude", "patches", "apex", "apex-grid", "dynamic"]
Normalisation = Literal["standard", "minmax", "minmax8"]
Interpolation = Literal["linear", "tim"]
Span = Literal["clip", "apex"]
Seen = Literal["flow", "flows", "frames", "landmarks"]
Shown = Literal["flow", "frames", "landmarks"]
Step = Literal["head", "face", "shape", "average"]

CROP = "crop"  # the input as it is
CANONICAL = "canonical"  # the input after all steps
STEPS: tuple[Step, ...] = ("head", "face", "shape", "average")

GRID = 4  # rows and columns of blocks that "apex-grid" cuts the apex image into
PATCH_SIZE = 7
BROW_POINTS = range(17, 27)  # the landmarks, of 68, that "patches" are cut around
MOUTH_POINTS = range(48, 68)

_N_PLANES: dict[Channel, int] = {
    "apex-grid": GRID * GRID,
    "patches": len(BROW_POINTS) + len(MOUTH_POINTS),
    "dynamic": 3,
}


def n_planes_of(channel: Channel) -> int:
    """Return the number of planes that a channel has in the input of a network."""
    return _N_PLANES.get(channel, 1)


def steps_of(text: str) -> tuple[Step, ...]:
    """Return the steps that a value of `mer train --input` names, in the order of `STEPS` (`motion.canonical`).

    Parameters
    ----------
    text : "crop", without any; "canonical", with all; or some of them, such as "head+face"

    Raises
    ------
    ValueError
        If it names something else.
    """
    if text in (CROP, CANONICAL):
        return STEPS if text == CANONICAL else ()
    named = text.split("+")
    if not set(named) <= set(STEPS) or len(set(named)) < len(named):
        raise ValueError(f"must be {CROP}, {CANONICAL}, or some of {', '.join(STEPS)}, joined by +")
    return tuple(step for step in STEPS if step in named)


def text_of_steps(steps: Collection[Step]) -> str:
    """Return the value of `mer train --input` that stands for some steps."""
    if not steps:
        return CROP
    return CANONICAL if set(steps) == set(STEPS) else "+".join(step for step in STEPS if step in steps)


@dataclass(frozen=True)
class PairInput:
    """The input of a network that declares no other: onset and apex, each (3, 224, 224), augmented alike."""

    needs_landmarks = False
    groups = frozenset({"epochs", "training", "augmentation", "input", "device", "machine"})

    def needs_flow(self, span: Span) -> bool:
        """Return False, whatever the span: no flow is needed, the images come straight from the store."""
        return False

    def needs_clips(self, span: Span) -> bool:
        """Return False, whatever the span: whole clips are not needed, onset and apex are enough."""
        return False


@dataclass(frozen=True)
class MotionInput:
    """The image that a network on motion sees of each clip, (P, size, size): P planes, for one or more channels.

    size : rows and columns
    channels : "u" and "v", the flow from onset to apex, right and down, in pixels of the crop; "strain" and
        "magnitude" of that flow; "patches" of the magnitude at 30 landmarks, a plane each; "apex", the grey apex image;
        "apex-grid", the 4x4 blocks of the apex image, a plane each; "dynamic", the dynamic image of the whole clip, a
        plane for each colour
    units : action units, if the network also sees how often they occur together in the training clips; most see none
    """

    size: int
    channels: tuple[Channel, ...] = ("u", "v", "strain")
    units: tuple[int, ...] = ()

    @property
    def groups(self) -> frozenset[str]:
        """Names of the groups of settings that have an effect on a network with this input."""
        of_all = frozenset({"epochs", "training", "normalisation", "device", "machine"})
        return of_all | ({"flow", "input"} if self.needs_flow("apex") else set())

    @property
    def n_planes(self) -> int:
        """The number P of planes of the image; most channels have a single plane."""
        return sum(map(n_planes_of, self.channels))

    def needs_flow(self, span: Span) -> bool:
        """Tell whether the flow from onset to apex must be computed before training; `span` has no effect."""
        return not {"u", "v", "strain", "magnitude", "patches"}.isdisjoint(self.channels)

    def needs_clips(self, span: Span) -> bool:
        """Tell whether the network sees every frame of a clip (`mer preprocess --clips`); `span` has no effect."""
        return "dynamic" in self.channels

    @property
    def needs_apex(self) -> bool:
        """Whether the network sees the apex image itself, not only motion."""
        return not {"apex", "apex-grid"}.isdisjoint(self.channels)

    @property
    def needs_landmarks(self) -> bool:
        """Whether landmarks are used, so that a face must have been found in every clip."""
        return "patches" in self.channels


@dataclass(frozen=True)
class DescriptorInput:
    """The arrays that a descriptor gets of a clip at 224x224, and the support-vector machine that learns from it.

    arrays : in the order of the descriptor function's arguments. "flow", (2, H, W) float32, from onset to apex, u and v
        in pixels; "flows", (T, 2, H, W) float32, from the onset to each later frame (span "clip") or to the apex alone
        (span "apex"); "frames", (T, H, W) uint8, the grey clip from onset to offset; "landmarks", (68, 2) float32, x
        and y in pixels of the crop
    kernel : kernel of the support-vector machine
    min_frames : number of frames that the descriptor needs; a shorter clip is interpolated to that many
    """

    arrays: tuple[Seen, ...]
    kernel: Literal["linear", "rbf"] = "linear"
    min_frames: int = 2

    @property
    def groups(self) -> frozenset[str]:
        """Names of the groups of settings that have an effect on a method with this input."""
        of_array = {
            "flow": {"flow", "input"},
            "flows": {"flow", "span", "clips"},
            "frames": {"clips"},
            "landmarks": set(),
        }
        return frozenset({"svm"}).union(*(of_array[name] for name in self.arrays))

    def needs_flow(self, span: Span) -> bool:
        """Tell whether the flow from onset to apex must be computed before training.

        Parameters
        ----------
        span : "flows" run from the onset to each later frame ("clip") or to the apex alone ("apex")
        """
        return "flow" in self.arrays or ("flows" in self.arrays and span == "apex")

    def needs_clips(self, span: Span) -> bool:
        """Tell whether the descriptor sees every frame of a clip, which a store has after `mer preprocess --clips`.

        Parameters
        ----------
        span : as in `needs_flow`
        """
        return "frames" in self.arrays or ("flows" in self.arrays and span == "clip")

    @property
    def needs_landmarks(self) -> bool:
        """Whether landmarks are used, so that a face must have been found in every clip."""
        return "landmarks" in self.arrays


@dataclass(frozen=True)
class ViewInput:
    """What a learner may ask of each clip, besides its onset and apex images (`training.learner.Clips`).

    arrays : "flow", from onset to apex; "frames", the whole clip; "landmarks", of the onset. What is named here is
        computed or checked before training, and a store that lacks it is refused
    """

    arrays: tuple[Shown, ...] = ()

    @property
    def groups(self) -> frozenset[str]:
        """Names of the groups of settings that have an effect on a learner with this input."""
        return frozenset({"epochs", "device"}) | ({"flow"} if "flow" in self.arrays else set())

    def needs_flow(self, span: Span) -> bool:
        """Tell whether the flow from onset to apex must be computed before training; `span` has no effect."""
        return "flow" in self.arrays

    def needs_clips(self, span: Span) -> bool:
        """Tell whether the learner sees every frame of a clip (`mer preprocess --clips`); `span` has no effect."""
        return "frames" in self.arrays

    @property
    def needs_landmarks(self) -> bool:
        """Whether landmarks are used, so that a face must have been found in every clip."""
        return "landmarks" in self.arrays
