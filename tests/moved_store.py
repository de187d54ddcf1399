"""Writes a true store whose faces are textures; between the labelled frames each clip's moves by whole pixels."""

import cv2
import numpy as np
from tiny_store import EMOTIONS, edited, write_store

from mer_cli.store.hdf5 import read_store

MARGIN = 8
SHIFTS = dict(zip(EMOTIONS, [(2, -1), (-3, 0), (0, 2), (1, 3), (-2, -2)], strict=True))  # (right, down), pixels


def texture(seed, size=224):
    """A smooth random picture with a margin to move in, (size + 16, size + 16) uint8."""
    noise = np.random.default_rng(seed).random((size + 2 * MARGIN, size + 2 * MARGIN), dtype=np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    return cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def moved(picture, right, down):
    """The picture without its margin, moved: what was at (x, y) is at (x + right, y + down)."""
    size = len(picture) - 2 * MARGIN
    return picture[MARGIN - down :, MARGIN - right :][:size, :size]


def write_moved_store(path, seed=0):
    """A store of five clips; its labelled frames move by `SHIFTS`; the others lie elsewhere.

    Its content hash tells stores of different seeds apart.
    """
    write_store(path)
    with edited(path) as file:
        for row, shift in enumerate(SHIFTS.values()):
            picture = texture([seed, row])
            file["onset_window"][row] = _window(picture, (0, 0))
            file["apex_window"][row] = _window(picture, shift)
        file.attrs["content_hash"] = f"{seed}" * 64
    return read_store(path)


def _window(picture, shift):
    labelled, other = moved(picture, *shift), moved(picture, 6, -6)
    return np.stack([labelled if index == 3 else other for index in range(7)])[..., None].repeat(3, axis=-1)
