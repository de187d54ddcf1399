"""A trained classifier of clips, from a model folder, a run or an ONNX file, with what is known about it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from mer_cli.datasets.units import predicts_units
from mer_cli.faces.crop import Align, Landmarks
from mer_cli.faces.pictures import Image
from mer_cli.motion.inputs import Step


@dataclass(frozen=True)
class NewClip:
    """A clip to classify: its crops, all cut with the transform found for its onset.

    onset, apex : (224, 224, 3) uint8, RGB
    landmarks : (68, 2) float32, (x, y) in pixels of the crop
    frames : (T, 224, 224, 3) uint8, RGB, onset to offset, for a method that sees whole clips; otherwise None
    others : further pairs of frames near onset and apex, each (224, 224, 3) uint8 RGB, for a method that averages the
        flow over them (`motion.canonical.pairs_of_frames`); without them the flow is that of onset and apex alone
    """

    onset: Image = field(repr=False)
    apex: Image = field(repr=False)
    landmarks: Landmarks = field(repr=False)
    frames: Image | None = field(default=None, repr=False)
    others: tuple[tuple[Image, Image], ...] = field(default=(), repr=False)

    @property
    def pairs(self) -> tuple[tuple[Image, Image], ...]:
        """Onset and apex, then the other pairs."""
        return ((self.onset, self.apex), *self.others)


class Score(BaseModel):
    """How good a model's settings honestly are: the leave-one-subject-out run that the model card quotes."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    run: str
    """Name of the run."""
    protocol: str
    """Protocol in words, such as "leave one subject out, casme2-5/249"."""
    rule: str
    """Epoch rule."""
    seed: int
    """Seed of the run."""
    n_clips: int
    """Number of held-out clips that are scored."""
    n_subjects: int
    """Number of their subjects."""
    accuracy: float
    """Share of right answers; of action units, over all units and clips."""
    uf1: float
    """Unweighted mean of the F1 of the classes, or of the action units that a clip shows."""
    uf1_interval: tuple[float, float]
    """95 % interval of UF1, a bootstrap over subjects."""
    uar: float
    """Unweighted mean of the recall of the classes or action units."""
    chance_uf1: float
    """UF1 of always naming the largest class, or every action unit."""
    generated: bool
    """Whether the faces were generated."""


class Facts(BaseModel):
    """What is known about a model; a model folder's `model.json` and an ONNX file's metadata say it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    method: str
    """Short name of the method."""
    title: str
    """Its title, as in the tables."""
    class_names: tuple[str, ...]
    """Classes, or action units, in the order of the logits."""
    scheme: str
    """Label scheme."""
    datasets: tuple[str, ...]
    """Datasets that it was trained on; empty if nobody knows (released weights)."""
    licences: tuple[str, ...]
    """A sentence on the licence of each dataset."""
    generated: bool
    """Whether it was trained on generated faces."""
    n_clips: int
    """Number of training clips; 0 if nobody knows."""
    n_subjects: int
    """Number of their subjects."""
    clips_of_class: dict[str, int]
    """Number of training clips of each class, or that show each action unit."""
    align: Align
    """How faces were cropped: "box", "eyes" or "none"."""
    crop: dict[str, Any]
    """Settings of the crop, as in the store."""
    predictor_sha256: str
    """SHA-256 of the landmark model that the training faces were found with; "" if nobody knows."""
    fps: tuple[float, float]
    """Smallest and largest frames a second of the training clips; (0, 0) if nobody knows."""
    seconds: tuple[float, float]
    """Shortest and longest time from onset to apex of the training clips; (0, 0) if nobody knows."""
    look: dict[str, tuple[float, float]]
    """What the training pictures look like: for each measure of `familiar` the range of the training clips."""
    temperature: float | None = Field(gt=0, allow_inf_nan=False)
    """Divisor of the logits that calibrates the probabilities; None if they are not calibrated."""
    score: Score | None
    """The leave-one-subject-out run of the same settings; None if there is none."""

    @model_validator(mode="after")
    def _check_classes(self) -> Self:
        names = set(self.class_names)
        if len(names) < (1 if self.predicts_units else 2) or len(names) != len(self.class_names):
            raise ValueError("at least two classes are needed, each with a name of its own")
        if names != set(self.clips_of_class):
            raise ValueError("the number of training clips must be known for each class and for nothing else")
        return self

    @property
    def predicts_units(self) -> bool:
        """Whether the model answers with the action units that a clip shows, not with one class."""
        return predicts_units(self.scheme) and all(re.fullmatch(r"AU\d+", name) for name in self.class_names)


class Model(Protocol):
    """A classifier of clips.

    members : number of networks that answer; a run has one for each fold
    needs_clips : whether it sees whole clips (`NewClip.frames`)
    steps : taken to make the input of different people comparable; "average" needs `NewClip.others`
    """

    path: Path
    facts: Facts
    members: int
    needs_clips: bool
    steps: tuple[Step, ...]

    def logits(self, clips: Sequence[NewClip]) -> NDArray[np.float32]:
        """Return the logits of each member for each clip, (members, n, classes), not calibrated."""

    def maps(self, clips: Sequence[NewClip], classes: Sequence[int]) -> NDArray[np.float32] | None:
        """Return where in each clip its answer comes from, (n, 224, 224) in 0..1; None if the model can't tell.

        Parameters
        ----------
        classes : the class that was answered for each clip
        """

    def half_logits(self, clips: Sequence[NewClip]) -> NDArray[np.float32] | None:
        """Return the logits of each member for two symmetrical faces made of each clip, (2, members, n, classes).

        The first is made of the person's left half and its mirror image, the second of the right half. None if the
        model can't tell the halves of a face apart, because it does not see its motion on the mean face.
        """
