"""A recording in memory, of a real head in a picture or of whatever frames a test gives."""

from pathlib import Path

import cv2
import numpy as np

from mer_cli.faces.recording import Frame


class FramesInMemory:
    """A `Recording` that counts which frames were read."""

    numbers = None

    def __init__(self, frames, fps=200.0, path=Path("talk.mp4"), notes=()):
        self.frames, self.fps, self.path, self.notes = list(frames), fps, path, notes
        self.n_frames = self.last = len(self.frames)
        self.height, self.width = self.frames[0].shape[:2]
        self.read_numbers = []

    def read(self, numbers=None, step=1):
        for number in numbers or range(1, self.n_frames + 1, step):
            self.read_numbers.append(number)
            yield Frame(number, (number - 1) / (self.fps or 1.0), self.frames[number - 1])


def moved_mouth(head, by, landmarks):
    """The head with its mouth stretched by so many pixels, as a smile does."""
    height, width = head.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    for corner, sign in ((48, -1), (54, 1)):
        at = landmarks[corner]
        weight = np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * 18.0**2))
        x = (x - sign * by * weight).astype(np.float32)
    return cv2.remap(head, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
