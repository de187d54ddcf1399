"""Releases in the shape of the real ones, with flat pictures of 8x8 pixels: a whole one is written in seconds."""

from functools import lru_cache

import numpy as np

from mer_cli.datasets.synthetic.drawing import DrawnClip
from mer_cli.datasets.synthetic.subject import draw_subject
from mer_cli.datasets.synthetic.writer import write_release

SIDE = 8

person_of = lru_cache(8)(draw_subject)  # by seed and number: to draw a person takes seconds


def draw_flat(view, seed, plans):
    """Each frame in one shade, which tells its number; grey where the release is grey."""
    channels = () if view is not None and view.is_grey else (3,)
    for plan in plans:
        shades = (number * 7 % 256 for number in range(plan.first, plan.last + 1) if plan.is_drawn(number))
        pictures = (np.full((SIDE, SIDE, *channels), shade, np.uint8) for shade in shades)
        yield DrawnClip(pictures, np.zeros((SIDE, SIDE, 2), np.float32))


def write_tiny_release(dataset, out, **changes):
    """A release of the real size, or as `changes` say, with flat pictures; gives its root."""
    return write_release(dataset, out, **({"draw": draw_flat, "workers": 1} | changes))
