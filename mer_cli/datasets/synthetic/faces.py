"""The default way in which a person's clips become pictures: generated faces, as the release shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mer_cli.datasets.synthetic.clip import clip_motion, draw_frames
from mer_cli.datasets.synthetic.plan import ClipPlan
from mer_cli.datasets.synthetic.render import Map
from mer_cli.datasets.synthetic.subject import draw_subject
from mer_cli.datasets.synthetic.view import View


class DrawnClip(NamedTuple):
    """A clip's pictures, from its first to its last frame, and how far each pixel has moved at the apex.

    pictures : (height, width, 3) uint8, blue green red, or (height, width) uint8
    displacement : (height, width, 2) float32, pixels (x, y) of those pictures
    """

    pictures: Iterable[NDArray[np.uint8]]
    displacement: Map


# The view, the release's seed and all clips of one person; gives them in their order.
Draw = Callable[[View | None, int, Sequence[ClipPlan]], Iterable[DrawnClip]]


def draw_faces(view: View | None, seed: int, plans: Sequence[ClipPlan]) -> Iterator[DrawnClip]:
    """Draws the person once and each clip of it."""
    subject = draw_subject(seed, plans[0].person)
    for plan in plans:
        motion = clip_motion(subject, plan)
        frames, moved = draw_frames(subject, plan, motion), motion.displacement(plan.apex - plan.first)
        if view is None:
            yield DrawnClip(frames, moved)
        else:
            yield DrawnClip(map(view.show, frames), view.show_field(moved))
