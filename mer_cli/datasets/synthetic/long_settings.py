"""What can be chosen about generated long videos, with its limits. Importing this is cheap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mer_cli.errors import ConfigError, unknown_name

LONG = "long"  # what `mer synth` calls them
Kind = Literal["micro", "macro", "blink", "head", "speech"]
DISTRACTORS: tuple[Kind, ...] = ("macro", "blink", "head", "speech")
EMOTIONS = ("happiness", "disgust", "repression", "surprise", "others")  # CASME II's five classes
SUBJECTS = (1, 99)
SECONDS = (2.0, 3600.0)
FRAMES_A_SECOND = (10.0, 500.0)
SIDE = (160, 1920)  # pixels
MOST_PIXELS = 8e9  # of a video; about 2 GB


@dataclass(frozen=True)
class LongSettings:
    """Settings of generated long videos.

    subjects : number of videos, one of each subject
    seconds, fps, size : of each video; size is (width, height) in pixels
    intensity : factor on the motion of micro-expressions; at 1, its peak is 1-3 pixels of a 224 crop
    emotions : of the expressions, in nearly equal numbers
    distractors : kinds of events beside micro-expressions
    """

    subjects: int = 10
    seconds: float = 30.0
    fps: float = 200.0
    size: tuple[int, int] = (640, 480)
    seed: int = 0
    intensity: float = 1.0
    emotions: tuple[str, ...] = EMOTIONS
    distractors: tuple[str, ...] = DISTRACTORS

    def __post_init__(self) -> None:
        """Refuse values that can't be used, by the names of their flags."""
        for name, value, (least, most) in (
            ("subjects", self.subjects, SUBJECTS),
            ("seconds", self.seconds, SECONDS),
            ("fps", self.fps, FRAMES_A_SECOND),
        ):
            if not least <= value <= most:
                raise ConfigError(f"--{name} must be from {least:g} to {most:g}, got {value:g}.")
        width, height = self.size
        if not all(SIDE[0] <= side <= SIDE[1] for side in self.size):
            raise ConfigError(f"--size: each side must be from {SIDE[0]} to {SIDE[1]} pixels, got {width}x{height}.")
        if self.seconds * self.fps * width * height > MOST_PIXELS:
            raise ConfigError(
                f"--seconds: a video of {self.seconds:g} seconds would be larger than 2 GB, which its format can't "
                f"hold. At {self.fps:g} frames a second of {width}x{height} pixels, give at most "
                f"{int(MOST_PIXELS / (self.fps * width * height))}."
            )
        if not 0 < self.intensity <= 10:
            raise ConfigError(f"--intensity must be more than 0 and at most 10, got {self.intensity:g}.")
        for emotion in self.emotions:
            if emotion not in EMOTIONS:
                raise ConfigError(f"--emotions: {unknown_name('emotion', emotion, EMOTIONS)}")
        for kind in self.distractors:
            if kind not in DISTRACTORS:
                raise ConfigError(f"--distractors: {unknown_name('distractor', kind, (*DISTRACTORS, 'none'))}")


def read_size(text: str) -> tuple[int, int]:
    """Return the width and height of a size such as "640x480"."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise ConfigError(f"--size: '{text}' is not a size. Expected width and height in pixels: 640x480.")
    return int(width), int(height)
