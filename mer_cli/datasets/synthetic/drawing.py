"""Draw the clips of a person as the release shows them, each with the true motion at its apex."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mer_cli.datasets.synthetic.clip import View, clip_motion, draw_frames, film
from mer_cli.datasets.synthetic.lively import LivelyClip, LivelySubject
from mer_cli.datasets.synthetic.looks import dress
from mer_cli.datasets.synthetic.plan import ClipPlan
from mer_cli.datasets.synthetic.realism import RELEASES
from mer_cli.datasets.synthetic.render import Map
from mer_cli.datasets.synthetic.subject import Subject, draw_subject


class DrawnClip(NamedTuple):
    """A clip's images, those of its frames that are drawn, and how far each pixel has moved at the apex.

    pictures : (height, width, 3) uint8, blue green red, or (height, width) uint8
    displacement : (height, width, 2) float32, pixels (x, y) of these images
    """

    pictures: Iterable[NDArray[np.uint8]]
    displacement: Map


# Draws all clips of one person in their order; arguments are the view, the release's seed and the plans.
Draw = Callable[[View | None, int, Sequence[ClipPlan]], Iterable[DrawnClip]]


def draw_person(seed: int, plan: ClipPlan) -> tuple[Subject, LivelySubject | None]:
    """Draw the person of a plan; and, if its release is lively, what moves beside an expression, otherwise None."""
    realism = RELEASES[plan.release]
    subject = draw_subject(seed, plan.person, dress if realism.is_dressed else None)
    return subject, LivelySubject(subject) if realism.is_lively else None


def draw_faces(view: View | None, seed: int, plans: Sequence[ClipPlan]) -> Iterator[DrawnClip]:
    """Draw the planned clips of one person, one by one; `view` None shows the drawn images as they are."""
    subject, lively = draw_person(seed, plans[0])
    for plan in plans:
        motion = clip_motion(subject, plan)
        moved = motion.displacement(plan.apex - plan.first)
        if lively is None:
            frames = draw_frames(subject, plan, motion)
        else:
            clip = LivelyClip(lively, plan, motion)
            frames, moved = film(plan, clip.place), clip.at_onset(moved)
        if view is None:
            yield DrawnClip(frames, moved)
        else:
            yield DrawnClip(map(view.show, frames), view.show_field(moved))
