"""Make of new clips what a network sees of them, before anything that its training clips fix; no torch is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_cli.errors import ConfigError
from mer_cli.inference.model import NewClip
from mer_cli.motion.cache import kept_flow
from mer_cli.motion.canonical import canonical_images
from mer_cli.motion.images import Sources, draw_motion, sources_of
from mer_cli.motion.inputs import Backend, MotionInput, Step


def inputs_of(
    clips: Sequence[NewClip], motion: MotionInput | None, flow: Backend | None, steps: Sequence[Step] = ()
) -> dict[str, NDArray[Any]]:
    """Return the inputs of a network for some clips, by name: images as they are, planes of motion not normalised.

    Parameters
    ----------
    motion : what the network sees of motion; None if it sees the images
    flow : how the flow is computed; None if the network needs none
    steps : taken to make motion comparable (`motion.canonical`)

    Raises
    ------
    ConfigError
        If the network sees whole clips and a clip has no frames.
    """
    if motion and motion.needs_clips("clip") and any(clip.frames is None for clip in clips):
        raise ConfigError("The network sees whole clips, and a clip has only its onset and apex. Give its frames.")
    if motion is None:
        pairs = np.stack([np.stack([clip.onset, clip.apex]) for clip in clips])
        if steps:
            pairs = np.stack(
                [
                    canonical_images(pair, clip.onset, clip.landmarks, steps)
                    for pair, clip in zip(pairs, clips, strict=True)
                ]
            )
        return {"onset": pairs[:, 0], "apex": pairs[:, 1]}
    return {"planes": np.stack([draw_motion(_sources_of(clip, motion, flow, steps), motion) for clip in clips])}


def _sources_of(clip: NewClip, motion: MotionInput, flow: Backend | None, steps: Sequence[Step]) -> Sources:
    moved = kept_flow(clip.pairs, clip.landmarks, flow, steps).astype(np.float32) if flow else None
    seen = (clip.onset, clip.apex) if motion.needs_apex else None
    return sources_of(moved, seen, clip.landmarks, clip.frames, steps)
