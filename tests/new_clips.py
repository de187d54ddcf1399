"""Makes new clips of what a store holds, as `mer predict` cuts them out of a video."""

from pathlib import Path

import numpy as np

from mer_cli.inference.model import NewClip
from mer_cli.store.hdf5 import read_landmarks, read_pairs
from mer_cli.store.whole_clips import read_clip


def new_clips(path, clip_ids, whole=False):
    """The clips of a store at `path`, in the order of `clip_ids`; with all frames if `whole`."""
    path = Path(path)
    onset, apex = read_pairs(path, list(clip_ids))
    landmarks = read_landmarks(path, list(clip_ids))
    return [
        NewClip(onset[row], apex[row], landmarks[row], read_clip(path, clip_id) if whole else None)
        for row, clip_id in enumerate(clip_ids)
    ]


def held_out(run, fold):
    """The last epoch's logits of a fold's held-out clips as the run stored them, by clip id."""
    (found,) = (held for held in run.folds if held.fold == fold)
    return dict(zip(found.clip_ids, np.asarray(found.logits[-1]), strict=True))
