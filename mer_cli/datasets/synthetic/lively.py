"""Draw the face of a clip in which more happens than an expression: turns, blinks, glances, a moving mouth, glasses.

A turn of the head is a field over the neutral image like that of an action unit, computed from the mesh: near parts
move farther than far ones. It is taken as linear in the angle. Lids and eyes are drawn anew. What is worn moves with
the head alone.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mer_cli.datasets.synthetic.action_units import BOTH
from mer_cli.datasets.synthetic.clip import AT_224, Motion, Origins
from mer_cli.datasets.synthetic.distractors import MOUTH_UNITS, draw_distractors
from mer_cli.datasets.synthetic.gaze import Eyes
from mer_cli.datasets.synthetic.long_plan import LIDS
from mer_cli.datasets.synthetic.long_video import LARGEST, NO_MAP, PIXELS, undo
from mer_cli.datasets.synthetic.openings import Opening, draw_opening
from mer_cli.datasets.synthetic.plan import ClipPlan
from mer_cli.datasets.synthetic.render import HEIGHT, WIDTH, Map
from mer_cli.datasets.synthetic.subject import Subject
from mer_cli.datasets.synthetic.turning import Turning
from mer_cli.system.opencv import cv2

LID_PICTURES = 9  # of closing lids; a frame between two is a mix
NEVER = -2  # in place of the number of the last drawn frame; frame 0 doesn't follow it
LEAST = 1e-3  # share of closed lids that is seen
BESIDE = 16  # pixels around what is worn, in which it moves


class LivelySubject:
    """A subject with what moves beside an expression; each part is computed when it is first asked for."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject

    @cached_property
    def turn(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """How a degree of yaw and of pitch move the face, (2, HEIGHT, WIDTH, 2), and shade it, (2, HEIGHT, WIDTH)."""
        turning, degrees = Turning(self.subject), ((1.0, 0.0), (0.0, 1.0))
        moved = [(turning.displacement(y, p) - turning.displacement(-y, -p)) / 2 for y, p in degrees]
        shaded = [(turning.shading(y, p) - turning.shading(-y, -p)) / 2 for y, p in degrees]
        return np.stack(moved), np.stack(shaded)

    @cached_property
    def lids(self) -> Opening:
        """The closing lids."""
        return draw_opening(self.subject, LIDS, LARGEST[LIDS][0], LID_PICTURES)

    @cached_property
    def eyes(self) -> Eyes:
        """The eyes, which can look elsewhere."""
        return Eyes(self.subject)

    @cached_property
    def worn_part(self) -> tuple[slice, slice] | None:
        """Rows and columns of the image in which there is something worn, or None."""
        worn = self.subject.worn
        if worn is None:
            return None
        down, across = np.nonzero(worn.cover > 0)
        rows = slice(max(int(down.min()) - BESIDE, 0), min(int(down.max()) + BESIDE, HEIGHT))
        return rows, slice(max(int(across.min()) - BESIDE, 0), min(int(across.max()) + BESIDE, WIDTH))


class LivelyClip:
    """The face of a planned clip in each of its frames, which are asked for in their order; some may be left out."""

    def __init__(self, lively: LivelySubject, plan: ClipPlan, motion: Motion) -> None:
        self.lively, self.subject = lively, lively.subject
        self.happens = draw_distractors(plan)
        self.onset = plan.onset - plan.first
        self.origins = Origins(PIXELS, PIXELS)  # where what the last drawn frame shows comes from
        self.last = NEVER  # that frame
        self.look: tuple[tuple[float, float], Map] | None = None  # where the eyes last looked, and what that changes
        self.motion = motion
        if self.happens.mouth.any():
            fields = [self.subject.unit_field(number, BOTH) for number in MOUTH_UNITS]
            self.motion = Motion(
                np.concatenate([motion.displacements, [field.displacement / np.float32(AT_224) for field in fields]]),
                np.concatenate([motion.shadings, [field.shading / np.float32(AT_224) for field in fields]]),
                np.concatenate([motion.envelopes, self.happens.mouth.T.astype(np.float32)]),
            )

    def place(self, frame: int, inverse: NDArray[np.float64]) -> Map:
        """Draw the face in a frame, without light and noise, as `clip.Place` says."""
        angles = self.happens.turn[frame].astype(np.float32)
        turned = 1 + np.tensordot(angles, self.lively.turn[1], 1)
        picture = self._eyes(frame) * cv2.merge([self.motion.shading(frame) * turned] * 3)
        head = self._turned_back(np.asarray(cv2.transform(PIXELS, inverse.astype(np.float32))), frame)
        face = undo(head, self.motion.displacement(frame))
        self.origins = Origins(head, face)
        warped = cv2.remap(picture, face, NO_MAP, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        part, worn = self.lively.worn_part, self.subject.worn
        if part is not None and worn is not None:
            # Not with NO_MAP: of one or three channels, OpenCV 5.0 then returns nothing for INTER_LINEAR.
            across, down = cv2.split(head[part])
            layer, cover = (cv2.remap(each, across, down, cv2.INTER_LINEAR) for each in (worn.picture, worn.cover))
            warped[part] = warped[part] * (1 - cover[..., None]) + layer
        return np.asarray(warped, np.float32)

    def moves_eyes(self, onset: int, apex: int) -> bool:
        """Return whether lids are closed in one of two frames, or the eyes look elsewhere in the other."""
        two = [onset, apex]
        return bool(self.happens.lids[two].max() > LEAST or np.ptp(self.happens.gaze[two], axis=0).any())

    def at_onset(self, displacement: Map) -> Map:
        """Return a displacement (HEIGHT, WIDTH, 2) of the neutral face where the head is turned in the onset frame."""
        source = undo(PIXELS, self._turned(self.onset))
        return np.asarray(cv2.remap(displacement, source, NO_MAP, cv2.INTER_LINEAR), np.float32)

    def _turned_back(self, pixels: Map, frame: int) -> Map:
        """Return where pixels were before the head turned; a frame's solution is nearly that of the frame before."""
        before, self.last = self.last, frame
        if frame != before + 1:
            return undo(pixels, self._turned(frame))
        turned = cv2.remap(
            self._turned(frame), self.origins.head, NO_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(pixels - turned, np.float32)

    def _turned(self, frame: int) -> Map:
        """Return how far the turn of the head moves each pixel in a frame, (HEIGHT, WIDTH, 2) float32."""
        return np.tensordot(self.happens.turn[frame].astype(np.float32), self.lively.turn[0], 1)

    def _eyes(self, frame: int) -> Map:
        """Return the neutral picture with the eyes looking and the lids closed as planned for a frame."""
        picture, closed = self.subject.neutral.copy(), float(self.happens.lids[frame])
        right, up = map(float, self.happens.gaze[frame])
        if self.look is None or self.look[0] != (right, up):
            self.look = (right, up), self.lively.eyes.change(right, up)
        change = self.look[1]
        if closed > LEAST:
            change = change * self.lively.lids.seen(closed)[self.lively.eyes.part][..., None]
            self.lively.lids.add(picture, closed)
        picture[self.lively.eyes.part] += change
        return picture
