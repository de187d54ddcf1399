"""Cut clips out of a recording as preprocessing cuts them out of a release: one transform a clip, from its onset.

Frames are read once, in their order, and only crops are kept, so the memory does not grow with the recording.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

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
from mer_cli.faces.landmarks import FaceFinder
from mer_cli.faces.pictures import Image
from mer_cli.faces.recording import Frame, Recording
from mer_cli.inference.familiar import face_side
from mer_cli.inference.model import NewClip

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
    recording: Recording, spans: Sequence[Span], finder: FaceFinder, align: Align, *, whole: bool = False
) -> Iterator[CutClip]:
    """Cut clips out of a recording in one pass, and yield each when its last frame has been read.

    Parameters
    ----------
    spans : of the clips, in any order; they may overlap
    align : as the model's training faces were cropped
    whole : whether every frame from onset to offset is kept, for a method that sees whole clips

    Raises
    ------
    FaceError
        If a frame can't be read, or the recording ends before a wanted frame.
    """
    waiting = [_Cutter(span, finder, align, whole) for span in spans]
    for frame in recording.read(sorted({number for cutter in waiting for number in cutter.wanted})):
        for cutter in waiting:
            if frame.number in cutter.wanted:
                cutter.add(frame)
        yield from (cutter.result() for cutter in waiting if frame.number == cutter.last)
        waiting = [cutter for cutter in waiting if frame.number < cutter.last]


class _Cutter:
    """The clip of one span, to which its frames are added in their order."""

    def __init__(self, span: Span, finder: FaceFinder, align: Align, whole: bool) -> None:
        self.span, self.finder, self.align = span, finder, align
        self.keeps_all = whole
        needs_all = whole or span.apex is None
        self.wanted = {*range(span.onset, span.offset + 1)} if needs_all else {span.onset, span.apex or span.onset}
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
                near = {0, *self.search.candidates()}
                self.crops = {number: self.crops[number] for number in (self.numbers[place] for place in near)}

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
            clip = NewClip(self.crops[onset], self.crops[apex], self.landmarks, frames)
            crop_pixels = face_side(self.transform)
        seconds = (self.seconds[onset], self.seconds[apex])
        return CutClip(onset, apex, self.span.offset, seconds, self.n_faces, self.face_pixels, crop_pixels, clip)


def _transform(landmarks: Landmarks, align: Align, image: Image) -> Transform:
    if align == "none":
        return squeeze_transform(*image.shape[:2])
    return box_transform(landmarks) if align == "box" else eye_transform(landmarks)
