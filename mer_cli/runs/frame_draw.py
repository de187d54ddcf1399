"""Say how far from the labelled frames a training draw reaches, and of which clips a store's windows cut it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mer_cli.faces.frames import HALF_WINDOW
from mer_cli.motion.inputs import PairInput
from mer_cli.runs.config import TrainConfig
from mer_cli.runs.plan import PlannedStore

Reach = NDArray[np.int64]


def draw_reach(frame_jitter: str, rise: NDArray[np.integer], fall: NDArray[np.integer]) -> tuple[Reach, Reach]:
    """Return how many frames before and after onset and apex a draw may reach, without regard to the windows.

    Parameters
    ----------
    rise, fall : (N,) frames from onset to apex, and from apex to offset

    Returns
    -------
    before, after : (2, N) int64 each, row 0 for the onset and row 1 for the apex
    """
    before, after = np.zeros((2, len(rise)), np.int64), np.zeros((2, len(rise)), np.int64)
    if frame_jitter == "released":
        after[0] = before[1] = _quarter(0.15, rise)
    elif frame_jitter == "released-3":
        after[0], before[1], after[1] = _quarter(0.2, rise), _quarter(0.15, rise), _quarter(0.15, fall)
    elif frame_jitter == "around":
        before[:], after[:] = 2, 2
    return before, after


def _quarter(share: float, n_frames: NDArray[np.integer]) -> Reach:
    """Return a share of a quarter of each clip's frames, at least 0."""
    return np.maximum(np.floor(share * n_frames / 4).astype(np.int64), 0)


def cut_draw_warning(config: TrainConfig, stores: Sequence[PlannedStore]) -> str | None:
    """Return a sentence if the released draw of frames would leave the windows of some training clips."""
    if not isinstance(config.method.sees, PairInput) or config.frame_jitter not in {"released", "released-3"}:
        return None
    numbers = np.concatenate(
        [
            store.info.clips.loc[list(store.clips), ["onset", "apex", "offset"]].to_numpy(np.int64)
            for store in stores
            if store.role != "test"
        ]
    )
    before, after = draw_reach(config.frame_jitter, numbers[:, 1] - numbers[:, 0], numbers[:, 2] - numbers[:, 1])
    farthest = np.maximum(before, after).max(axis=0)
    n_cut = int((farthest > HALF_WINDOW).sum())
    if not n_cut:
        return None
    return (
        f"--frame-jitter {config.frame_jitter}: in {n_cut} of {len(farthest)} training clips the released script would "
        f"draw frames up to {farthest.max()} from onset or apex; the store holds {HALF_WINDOW} on either side, which "
        "the draw is limited to."
    )
