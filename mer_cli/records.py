"""The frozen records that the stages hand on; every one is joined by `clip_id`, never by position."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class FrameRef:
    """One picture of a clip on disk; `number` is the frame number in its file name."""

    number: int
    path: Path


@dataclass(frozen=True)
class Clip:
    """One annotated video sequence.

    `onset`, `apex`, `offset` are frame numbers after errata and repairs, ends included; `frames` is sorted by number.
    `emotion` is the sheet's own word; `subject` its text ("01"). `repairs` says how the annotation was mended, a
    sentence each; it is empty for a clip that is as released.
    """

    dataset: str
    subject: str
    name: str
    emotion: str
    action_units: str
    onset: int
    apex: int
    offset: int
    fps: float
    frames: tuple[FrameRef, ...]
    repairs: tuple[str, ...] = ()

    @property
    def clip_id(self) -> str:
        return f"{self.dataset}/{self.subject}/{self.name}"


@dataclass(frozen=True)
class FailedClip:
    """A row of the table that gave no usable clip, and why."""

    clip_id: str
    emotion: str
    reason: str


@dataclass(frozen=True)
class Release:
    """A release as read from disk: each row of its table is in `clips` or in `failed`.

    `table_version` is the published version that the row count and per-emotion counts match ("20190701"), or ""
    for a table that is not known. `errata` lists the corrections that were applied, a sentence each. `root` is the
    folder as given; `generated` says that the pictures are drawn by `mer synth` (a GENERATED.txt lies beside them).
    """

    dataset: str
    root: Path
    source: str
    table_path: Path
    table_sha256: str
    table_version: str
    clips: tuple[Clip, ...]
    failed: tuple[FailedClip, ...] = ()
    errata: tuple[str, ...] = ()
    generated: bool = False


@dataclass(frozen=True)
class Fold:
    """One held-out subject. `id` is "<dataset>-<subject>"; the tuples hold clip ids."""

    id: str
    train: tuple[str, ...]
    inner: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True)
class FoldPredictions:
    """What a trained fold says of its held-out clips after every epoch; no label is in it.

    logits : (epochs, clips, classes) float32, clips in the order of `clip_ids`
    """

    fold: str
    clip_ids: tuple[str, ...]
    logits: NDArray[np.float32] = field(repr=False)
