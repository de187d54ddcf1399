"""Pictures to measure with: generated, smooth with a sensor's noise, as large as a store's. No time depends on them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mer_cli.faces.crop import CROP_SIZE
from mer_cli.faces.frames import HALF_WINDOW
from mer_cli.training.batches import Windows

N_CLASSES = 5
WINDOW = 2 * HALF_WINDOW + 1
NOISE = 3  # grey levels either way


def draw_windows(n_clips: int) -> Windows:
    """Onset and apex windows of clips whose apex comes 60 frames after the onset, the offset 30 later."""
    rng = np.random.default_rng(0)
    pictures = np.stack([[draw_picture(rng) for _ in range(2)] for _ in range(n_clips)]).swapaxes(0, 1)
    windows = np.repeat(pictures[:, :, None], WINDOW, axis=2)
    numbers = np.tile(np.arange(WINDOW, dtype=np.int32), (n_clips, 1))
    return Windows(windows[0], windows[1], numbers, numbers + 60, numbers[:, -1] + 90)


def draw_picture(rng: np.random.Generator) -> NDArray[np.uint8]:
    """(224, 224, 3) uint8: patches of colour under noise."""
    patches = rng.integers(NOISE, 256 - NOISE, (14, 14, 3)).repeat(CROP_SIZE // 14, 0).repeat(CROP_SIZE // 14, 1)
    noise = rng.integers(-NOISE, NOISE + 1, (CROP_SIZE, CROP_SIZE, 1))
    return np.asarray(patches + noise, dtype=np.uint8)


def uneven_folds(n_clips: int, n_folds: int) -> list[NDArray[np.int64]]:
    """Rows held out in each fold: from a few clips to several times as many, as CASME II's subjects have them."""
    shares = np.linspace(1, 6, n_folds)
    ends = np.round(np.cumsum(shares) / shares.sum() * n_clips).astype(int)
    return np.split(np.arange(n_clips), ends[:-1])
