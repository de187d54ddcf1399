"""Cut clips out of a recording as preprocessing cuts them out of a release: one transform a clip, from its onset.

Frames are read once, in their order, and only crops are kept, so the memory does not grow with the recording.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mer_cli.errors import FaceError
from mer_cli.faces.apex import ApexSearch
from mer_cli.faces.crop import (
    Align,
    Landmarks,
    Transform,
    box_transform,
    crop_landmarks,
    cut,
    eye_transform,
    squeeze_transform,
)
from mer_cli.faces.detect import choose
from mer_cli.faces.frames import HALF_WINDOW, NO_FRAME
from mer_cli.faces.landmarks import FaceFinder
from mer_cli.faces.pictures import Image
from mer_cli.faces.recording import Frame, Recording
from mer_cli.inference.familiar import face_side
from mer_cli.inference.model import NewClip
from mer_cli.motion.canonical import pairs_of_frames

SECOND_FACE = 0.25  # of the largest face's area; a smaller box is a picture on the wall, or not a face at all


@dataclass(frozen=True)
class Span:
    """The frames of a clip to cut; `apex` None searches for the frame with the strongest motion up to the offset."""

    onset: int
    apex: int | None
    offset: int


@dataclass(frozen=True)
class CutClip:
    """A clip that was cut out of a recording.

    onset, apex, offset : frame numbers; the apex is the onset if it was to be searched for and there is no face
    seconds : times of onset and apex since the first frame
    n_faces : faces on the onset frame; much smaller ones are not counted
    face_pixels : longer side of the face's landmarks, in pixels of the recording; 0 without a face
    crop_pixels : side of the square that was cut out, in pixels of the recording; 0 without a face
    clip : its crops; None if there is no face on the onset frame, or it can't be cropped
    """

    onset: int
    apex: int
    offset: int
    seconds: tuple[float, float]
    n_faces: int
    face_pixels: float
    crop_pixels: float
    clip: NewClip | None = field(repr=False)


def cut_clips(
    recording: Recording,
    spans: Sequence[Span],
    finder: FaceFinder,
    align: Align,
    *,
    whole: bool = False,
    near: bool = False,
) -> Iterator[CutClip]:
    """Cut clips out of a recording in one pass, and yield each when its last frame has been read.

    Parameters
    ----------
    spans : of the clips, in any order; they may overlap
    align : as the model's training faces were cropped
    whole : whether every frame from onset to offset is kept, for a method that sees whole clips
    near : whether the frames near onset and apex are kept, for a method that averages the flow over them

    Raises
    ------
    FaceError
        If a frame can't be read, or the recording ends before a wanted frame. Of a folder that lacks images, onset
        and apex must be there, and all images between for `whole`.
    """
    reach = HALF_WINDOW if near else 0
    waiting = [_Cutter(span, finder, align, whole, reach, recording.numbers) for span in spans]
    for frame in recording.read(sorted({number for cutter in waiting for number in cutter.wanted})):
        for cutter in waiting:
            if frame.number in cutter.wanted:
                cutter.add(frame)
        yield from (cutter.result() for cutter in waiting if frame.number == cutter.last)
        waiting = [cutter for cutter in waiting if frame.number < cutter.last]


class _Cutter:
    """The clip of one span, to which its frames are added in their order."""

    def __init__(
        self, span: Span, finder: FaceFinder, align: Align, whole: bool, reach: int, numbers: Collection[int] | None
    ) -> None:
        self.span, self.finder, self.align = span, finder, align
        self.keeps_all, self.reach = whole, reach
        self.wanted = {*range(span.onset, span.offset + 1)}
        if not whole and span.apex is not None:
            self.wanted &= self._near([span.onset, span.apex])
        if not whole and numbers is not None:  # as in a store, whose windows have gaps where the release has them
            labelled = {span.onset} if span.apex is None else {span.onset, span.apex}
            self.wanted = labelled | {number for number in self.wanted if number in numbers}
        self.last = max(self.wanted)
        self.n_faces, self.face_pixels = 0, 0.0
        self.transform: Transform | None = None
        self.landmarks: Landmarks | None = None
        self.search: ApexSearch | None = None
        self.numbers: list[int] = []
        self.seconds: dict[int, float] = {}
        self.crops: dict[int, Image] = {}

    def add(self, frame: Frame) -> None:
        self.seconds[frame.number] = frame.seconds
        if frame.number == self.span.onset:
            self._find_face(frame.image)
        if self.transform is None:
            return
        crop = cut(frame.image, self.transform, self.align)
        self.numbers.append(frame.number)
        self.crops[frame.number] = crop
        if self.search:
            self.search.add(crop)
            if not self.keeps_all:
                kept = self._near([self.span.onset, *(self.numbers[place] for place in self.search.candidates())])
                self.crops = {number: crop for number, crop in self.crops.items() if number in kept}

    def _near(self, numbers: Iterable[int]) -> set[int]:
        """Return the numbers of frames and of those near them."""
        return {near for number in numbers for near in range(number - self.reach, number + self.reach + 1)}

    def _find_face(self, image: Image) -> None:
        _, found = self.finder.search(image)
        if not found:
            return
        largest = max(one.area for one in found)
        self.n_faces = sum(one.area >= SECOND_FACE * largest for one in found)
        landmarks = self.finder.landmarks(image, choose(found)[0].box)
        self.face_pixels = float(np.ptp(landmarks, axis=0).max())
        try:
            self.transform = _transform(landmarks, self.align, image)
        except FaceError:  # a face of a few pixels
            return
        self.landmarks = crop_landmarks(landmarks, self.transform)
        if self.span.apex is None:
            self.search = ApexSearch(self.landmarks)

    def result(self) -> CutClip:
        """Return the clip when all of its frames have been added."""
        onset = self.span.onset
        apex = self.span.apex
        if apex is None:
            apex = self.numbers[self.search.peak()] if self.search and len(self.numbers) > 1 else onset
        clip, crop_pixels = None, 0.0
        if self.transform is not None and self.landmarks is not None:
            frames = np.stack([self.crops[number] for number in self.numbers]) if self.keeps_all else None
            others = self._other_pairs(apex) if self.reach else ()
            clip = NewClip(self.crops[onset], self.crops[apex], self.landmarks, frames, others)
            crop_pixels = face_side(self.transform)
        seconds = (self.seconds[onset], self.seconds[apex])
        return CutClip(onset, apex, self.span.offset, seconds, self.n_faces, self.face_pixels, crop_pixels, clip)

    def _other_pairs(self, apex: int) -> tuple[tuple[Image, Image], ...]:
        """Return the crops of the pairs of frames near onset and apex, as of the windows of a store."""
        onsets, apexes = self._window(self.span.onset), self._window(apex)
        _, *places = pairs_of_frames(onsets, apexes, self.span.offset)
        return tuple((self.crops[int(onsets[one])], self.crops[int(apexes[other])]) for one, other in places)

    def _window(self, labelled: int) -> NDArray[np.int32]:
        """Return the numbers of the frames around one, (7,) int32; -1 for a frame that was not kept."""
        numbers = range(labelled - HALF_WINDOW, labelled + HALF_WINDOW + 1)
        return np.array([number if number in self.crops else NO_FRAME for number in numbers], np.int32)


def _transform(landmarks: Landmarks, align: Align, image: Image) -> Transform:
    if align == "none":
        return squeeze_transform(*image.shape[:2])
    return box_transform(landmarks) if align == "box" else eye_transform(landmarks)
