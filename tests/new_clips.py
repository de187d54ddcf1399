"""Makes new clips of what a store holds, as `mer predict` cuts them out of a video."""

from pathlib import Path

import numpy as np

from mer_cli.inference.model import NewClip
from mer_cli.motion.cache import read_near
from mer_cli.store.hdf5 import read_landmarks, read_store
from mer_cli.store.whole_clips import read_clip


def new_clips(path, clip_ids, whole=False):
    """The clips of a store at `path`, in the order of `clip_ids`; with all frames if `whole`."""
    path = Path(path)
    store = read_store(path)
    clips = []
    for clip_id in clip_ids:
        (onset, apex), *others = read_near(store, clip_id)
        landmarks = read_landmarks(path, [clip_id])[0]
        clips.append(NewClip(onset, apex, landmarks, read_clip(path, clip_id) if whole else None, tuple(others)))
    return clips


def held_out(run, fold):
    """The last epoch's logits of a fold's held-out clips as the run stored them, by clip id."""
    (found,) = (held for held in run.folds if held.fold == fold)
    return dict(zip(found.clip_ids, np.asarray(found.logits[-1]), strict=True))
