"""Gives a store of `moved_store` what some methods take beside its windows: landmarks, action units, whole clips."""

import zlib

import numpy as np
from moved_store import SHIFTS, moved, texture
from tiny_store import edited

from mer_cli.faces.mean_face import MEAN_FACE
from mer_cli.store.whole_clips import GZIP_LEVEL, EncodedClip, append_clips

UNITS = dict(zip(SHIFTS, ["6+12", "4+L10", "4B+A17", "L12 or L14", "1+2"], strict=True))
N_FRAMES = (3, 4, 2, 5, 3)


def complete_store(path, units=UNITS):
    """Landmarks are those of one face; in a whole clip the face moves on from its onset by whole pixels."""
    with edited(path) as file:
        file["landmarks"][:] = MEAN_FACE
        file["transforms"][:] = [[1, 0, 0], [0, 1, 0]]  # a pixel of the source frame is one of the crop
        clip_ids = file["clips/id"].asstr()[:].tolist()
        file["clips/action_units"][:] = [units[clip_id] for clip_id in clip_ids]
    append_clips(path, clip_ids, N_FRAMES[: len(clip_ids)], map(_moving, range(len(clip_ids))))
    return path


def _moving(row):
    n_frames, (right, down) = N_FRAMES[row], list(SHIFTS.values())[row]
    picture = texture([0, row])
    frames = [moved(picture, right * t // (n_frames - 1), down * t // (n_frames - 1)) for t in range(n_frames)]
    compressed = [zlib.compress(frame[..., None].repeat(3, axis=-1).tobytes(), GZIP_LEVEL) for frame in frames]
    return EncodedClip(
        numbers=np.arange(10, 10 + n_frames, dtype=np.int32),
        sizes=np.array([len(frame) for frame in compressed], np.int64),
        data=np.frombuffer(b"".join(compressed), np.uint8),
        digest=str(row),
    )
