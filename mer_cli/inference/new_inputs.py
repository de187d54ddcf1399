"""Make of new clips what a network sees of them, before anything that its training clips fix; no torch is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_cli.errors import ConfigError
from mer_cli.inference.model import NewClip
from mer_cli.motion.cache import kept_flow
from mer_cli.motion.flow import grey
from mer_cli.motion.images import Sources, draw_motion
from mer_cli.motion.inputs import Backend, MotionInput


def inputs_of(clips: Sequence[NewClip], motion: MotionInput | None, flow: Backend | None) -> dict[str, NDArray[Any]]:
    """Return the inputs of a network for some clips, by name: images as they are, planes of motion not normalised.

    Parameters
    ----------
    motion : what the network sees of motion; None if it sees the images
    flow : how the flow is computed; None if the network needs none

    Raises
    ------
    ConfigError
        If the network sees whole clips and a clip has no frames.
    """
    if motion and motion.needs_clips("clip") and any(clip.frames is None for clip in clips):
        raise ConfigError("The network sees whole clips, and a clip has only its onset and apex. Give its frames.")
    if motion is None:
        return {"onset": np.stack([clip.onset for clip in clips]), "apex": np.stack([clip.apex for clip in clips])}
    return {"planes": np.stack([draw_motion(_sources_of(clip, flow), motion) for clip in clips])}


def _sources_of(clip: NewClip, flow: Backend | None) -> Sources:
    moved = kept_flow(clip.onset, clip.apex, flow).astype(np.float32) if flow else None
    return Sources(flow=moved, apex=grey(clip.apex), landmarks=clip.landmarks, frames=clip.frames)
