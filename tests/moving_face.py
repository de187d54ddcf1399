"""Recordings in memory of one real photograph, whose mouth, eyes and head move as a test wants."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from photo_release import HEAD_SIZE, head

from mer_cli.faces.recording import Frame

MOUTH = (154, 182)  # of the photograph's head, (x, y) in pixels
EYES = ((130, 127), (183, 130))


def bump(seconds, onset, apex, offset):
    """0 before the onset and after the offset, 1 at the apex, smooth between."""
    share = np.clip(np.minimum((seconds - onset) / (apex - onset), (offset - seconds) / (offset - apex)), 0, 1)
    return share * share * (3 - 2 * share)


@dataclass
class MovingFace:
    """A recording: `lift`, `blink`, `shift` are functions of the seconds: mouth in pixels, lids 0-1, head in pixels."""

    n_frames: int = 120
    fps: float | None = 50.0
    lift: object = lambda seconds: 0.0
    blink: object = lambda seconds: 0.0
    shift: object = lambda seconds: 0.0
    n_faces: int = 1
    is_black: bool = False
    path: Path = Path("face.avi")
    notes: tuple[str, ...] = ()
    width, height = HEAD_SIZE

    def read(self, numbers=None, step=1):
        rng = np.random.default_rng(1)
        picture = head().astype(np.float32)
        y, x = np.mgrid[: picture.shape[0], : picture.shape[1]].astype(np.float32)
        near = np.exp(-((x - MOUTH[0]) ** 2 + (y - MOUTH[1]) ** 2) / (2 * 16**2))
        for index in range(self.n_frames):
            if index % step:
                continue
            seconds = index / (self.fps or 50.0)
            closed = self._closed(picture, self.blink(seconds))
            moved = cv2.remap(
                closed, x - np.float32(self.shift(seconds)), y + np.float32(self.lift(seconds)) * near, cv2.INTER_CUBIC
            )
            flicker = 1 + 0.01 * np.sin(20 * seconds)
            shown = np.clip(moved * flicker + rng.normal(0, 1.5, moved.shape), 0, 255).astype(np.uint8)
            shown = np.zeros_like(shown) if self.is_black else np.hstack([shown] * self.n_faces)
            yield Frame(index + 1, seconds, shown)

    def _closed(self, picture, share):
        """Draw the skin of the upper lid over a share of each eye."""
        if not share:
            return picture
        shown = picture.copy()
        for x, y in EYES:
            top, bottom = y - 7, y - 7 + round(13 * share)
            shown[top:bottom, x - 13 : x + 13] = picture[y - 9, x - 13 : x + 13]
        return cv2.GaussianBlur(shown, (0, 0), 0.8)
