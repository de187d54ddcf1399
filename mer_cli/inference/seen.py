"""Put new clips through exactly what training puts stored clips through, so that a network sees what it learnt from.

The arithmetic is that of `training.batches`, `motion.images` and `training.inputs`; here it only gets its images from
memory instead of a store.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mer_cli.errors import ConfigError
from mer_cli.inference.model import NewClip
from mer_cli.inference.new_inputs import inputs_of
from mer_cli.motion.cache import kept_flow
from mer_cli.motion.images import normalise, standardise
from mer_cli.motion.inputs import MotionInput
from mer_cli.runs.config import TrainConfig
from mer_cli.training.batches import IMAGENET_MEAN, IMAGENET_STD, plain_images
from mer_cli.training.inputs import describe


@dataclass(frozen=True)
class Fixed:
    """What the training clips of one network fix of its input; None for what its input doesn't need.

    mean, deviation : (1, P, 1, 1) float32, of each plane of motion over the training clips
    graph : (A, A) float32, of the action units that occur together
    """

    mean: NDArray[np.float32] | None = None
    deviation: NDArray[np.float32] | None = None
    graph: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Drawn:
    """What a network sees of clips, but for what its training clips fix: drawn once, for all networks of a run.

    images : (N, P, S, S) float32 for a network on motion; otherwise onset and apex, each (N, S, S, 3) uint8 RGB
    """

    images: tuple[NDArray[np.uint8] | NDArray[np.float32], ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.images[0])


def draw(clips: Sequence[NewClip], config: TrainConfig) -> Drawn:
    """Return what a network sees of clips; at least one is needed.

    Parameters
    ----------
    config : settings that the network was trained with

    Raises
    ------
    ConfigError
        If the network sees whole clips and a clip has no frames.
    """
    sees = config.method.sees
    motion = sees if isinstance(sees, MotionInput) else None
    flow = config.flow if motion and motion.needs_flow("apex") else None
    return Drawn(tuple(inputs_of(clips, motion, flow, config.steps).values()))


def network_inputs(drawn: Drawn, rows: slice, config: TrainConfig, fixed: Fixed) -> tuple[Tensor, ...]:
    """Return the inputs of a network for some of the clips that were drawn, on the CPU, as in `loop.Batches`."""
    images = [held[rows] for held in drawn.images]
    if not isinstance(config.method.sees, MotionInput):
        mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
        return tuple(plain_images(torch.from_numpy(held), mean, std) for held in images)
    planes = np.asarray(images[0], np.float32)
    if fixed.mean is not None and fixed.deviation is not None:
        planes = standardise(planes, fixed.mean, fixed.deviation)
    else:
        planes = normalise(planes, config.normalisation, np.arange(0))
    shared = () if fixed.graph is None else (torch.from_numpy(fixed.graph.copy()),)
    return (torch.from_numpy(planes), *shared)


def vectors(clips: Sequence[NewClip], config: TrainConfig) -> NDArray[np.float32]:
    """Return the vectors, (N, D), that a descriptor computes from clips; at least one is needed.

    Raises
    ------
    ConfigError
        If the descriptor sees whole clips and a clip has no frames.
    """
    return np.stack([describe(_Arrays(clip, config), config) for clip in clips])


class _Arrays:
    """The arrays of a new clip (a `training.inputs.ClipArrays`)."""

    def __init__(self, clip: NewClip, config: TrainConfig) -> None:
        self.clip, self.config = clip, config

    def landmarks(self) -> NDArray[np.float32]:
        return self.clip.landmarks

    def frames(self) -> NDArray[np.uint8]:
        if self.clip.frames is None:
            raise ConfigError(
                f"{self.config.model} sees whole clips, and this clip has only its onset and apex. Give its frames."
            )
        return self.clip.frames

    def flow(self) -> NDArray[np.float32]:
        clip, config = self.clip, self.config
        return kept_flow(clip.pairs, clip.landmarks, config.flow, config.steps).astype(np.float32)
