"""Write a small store of drawn clips, on which a learner can be tried without any release."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mer_cli.faces.crop import CROP_SIZE, N_LANDMARKS
from mer_cli.faces.frames import HALF_WINDOW, WINDOW
from mer_cli.store.hdf5 import StoreWriter
from mer_cli.store.schema import ARRAYS, COLUMNS, CroppedClip, drawn_attributes
from mer_cli.store.whole_clips import GZIP_LEVEL, EncodedClip, append_clips

DATASET = "drawn"
N_FRAMES = 12  # of a whole clip
ONSET, APEX = 10, 16  # frame numbers
COARSE = 7  # squares along a side of a drawn image


def write_drawn_store(path: Path, n_subjects: int, n_classes: int) -> None:
    """Write a store with landmarks and whole clips: each subject has a clip of each class, "class 1" and so on.

    Over a clip its image turns into another one. Each class turns into its own, so it can be learnt.
    """
    rng = np.random.default_rng(0)
    aims = rng.integers(0, 256, (n_classes, COARSE, COARSE, 3))
    ids = [f"{DATASET}/{subject:02}/clip{label + 1}" for subject in range(n_subjects) for label in range(n_classes)]
    encoded = []
    with StoreWriter(path, len(ids)) as writer:
        for number, clip_id in enumerate(ids):
            frames = _draw(rng, aims[number % n_classes])
            writer.append(_clip(clip_id, f"class {number % n_classes + 1}", frames))
            encoded.append(_encoded(frames, number))
        writer.finish(drawn_attributes(DATASET))
    append_clips(path, ids, [N_FRAMES] * len(ids), iter(encoded))


def _draw(rng: np.random.Generator, aim: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return the frames of a clip, (T, 224, 224, 3): squares that go a fifth of the way to those of the aim."""
    start = rng.integers(0, 256, (COARSE, COARSE, 3))
    parts = np.linspace(0, 0.2, N_FRAMES)[:, None, None, None]
    squares = (start + parts * (aim - start)).astype(np.uint8)
    side = CROP_SIZE // COARSE
    return squares.repeat(side, axis=1).repeat(side, axis=2)


def _clip(clip_id: str, emotion: str, frames: NDArray[np.uint8]) -> CroppedClip:
    _, subject, name = clip_id.split("/")
    angles = np.arange(N_LANDMARKS) * 2 * np.pi / N_LANDMARKS
    numbers = np.arange(-HALF_WINDOW, HALF_WINDOW + 1)
    arrays = {array: np.zeros(shape, dtype) for array, (shape, dtype) in ARRAYS.items()}
    arrays["landmarks"] = (CROP_SIZE / 2 + 80 * np.stack([np.cos(angles), np.sin(angles)], axis=1)).astype("<f4")
    arrays["transforms"] = np.eye(2, 3, dtype="<f4")
    for window, frame, centre in (("onset", frames[0], ONSET), ("apex", frames[APEX - ONSET], APEX)):
        arrays[f"{window}_window"] = np.broadcast_to(frame, (WINDOW, *frame.shape))
        arrays[f"{window}_window_frames"] = (numbers + centre).astype("<i4")
    columns = dict.fromkeys(COLUMNS, "") | {
        "id": clip_id,
        "subject": subject,
        "name": name,
        "emotion": emotion,
        "onset": ONSET,
        "apex": APEX,
        "offset": ONSET + N_FRAMES - 1,
        "fps": 200.0,
        "status": "ok",
    }
    return CroppedClip(columns, arrays, "drawn")


def _encoded(frames: NDArray[np.uint8], number: int) -> EncodedClip:
    compressed = [zlib.compress(frame.tobytes(), GZIP_LEVEL) for frame in frames]
    return EncodedClip(
        numbers=np.arange(ONSET, ONSET + N_FRAMES, dtype=np.int32),
        sizes=np.array([len(frame) for frame in compressed], np.int64),
        data=np.frombuffer(b"".join(compressed), np.uint8),
        digest=str(number),
    )
