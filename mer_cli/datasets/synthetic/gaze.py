"""Draw a subject's eyes looking elsewhere: iris and pupil turn with the eyeball, the lids stay."""

from __future__ import annotations

import numpy as np

from mer_cli.datasets.synthetic.assets import Floats, Ints
from mer_cli.datasets.synthetic.render import SUPERSAMPLING, Map
from mer_cli.datasets.synthetic.skin import eye_colours, eyeballs
from mer_cli.datasets.synthetic.subject import SHADE_OF_LIDS, Subject
from mer_cli.system.opencv import cv2

AROUND = 8  # drawn pixels around the eyes, over which the lens spreads their light


class Eyes:
    """The eyes of one subject, drawn anew for every direction."""

    def __init__(self, subject: Subject) -> None:
        assert subject.shot is not None
        self.subject, self.shot = subject, subject.shot
        self.balls = eyeballs(subject.scene)
        down, across = np.nonzero(np.any([ball for ball, _ in self.balls], axis=0))
        self.rows, self.columns = (_around(places, SUPERSAMPLING) for places in (down, across))
        self.rest = [self._exposed(index, np.zeros(2)) for index in range(len(self.balls))]

    @property
    def part(self) -> tuple[slice, slice]:
        """Rows and columns of the frame in which the eyes are."""
        rows, columns = (
            slice(whole.start // SUPERSAMPLING, whole.stop // SUPERSAMPLING) for whole in (self.rows, self.columns)
        )
        return rows, columns

    def change(self, right: float, up: float) -> Map:
        """Return what is added to `part` of the neutral picture when the eyes look elsewhere, (h, w, 3) float32, 0-255.

        Parameters
        ----------
        right, up : degrees to the image's right and up, from where the eyes look at rest
        """
        difference = np.zeros_like(self.subject.drawn[self.rows, self.columns])
        for index, (ball, _) in enumerate(self.balls):
            difference[ball[self.rows, self.columns]] = self._exposed(index, np.array([right, up])) - self.rest[index]
        size = (difference.shape[1] // SUPERSAMPLING, difference.shape[0] // SUPERSAMPLING)
        small = cv2.resize(difference, size, interpolation=cv2.INTER_AREA) * 255
        return np.asarray(cv2.GaussianBlur(small, (0, 0), self.subject.softness), np.float32)

    def _exposed(self, index: int, degrees: Floats) -> Map:
        """Return the pixels of an eye, (N, 3), 0-1."""
        ball, outward = self.balls[index]
        painted = self.shot.painted
        colours = eye_colours(outward, painted.iris, painted.gaze + np.tan(np.radians(degrees)))
        lit = colours * self.shot.lit[ball][:, None] + self.shot.gloss[ball][:, None]
        return self.shot.expose(np.asarray(lit * SHADE_OF_LIDS, np.float32))


def _around(places: Ints, step: int) -> slice:
    """Return the range from the least to the largest place and some more, with ends that `step` divides."""
    return slice((int(places.min()) - AROUND) // step * step, (int(places.max()) + AROUND) // step * step)
