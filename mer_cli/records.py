"""The frozen records that stages pass on, matched by `clip_id` and never by position; and the parts of a clip id."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


ApexRule = Literal["annotated", "midpoint", "flow"]
Source = Literal["raw", "cropped"]
EPOCH_RULES = ("last", "inner-val", "best-test")  # which epoch of a fold counts; see evaluation.epoch_rules


@dataclass(frozen=True)
class FrameRef:
    """One image of a clip on disk; `number` is the frame number in its file name.

    If `path` is a video, `number` is the frame's position in it, counted from 1.
    """

    number: int
    path: Path


@dataclass(frozen=True)
class Clip:
    """One annotated video sequence.

    `onset`, `apex`, `offset` are frame numbers after errata and repairs, ends included; `frames` is sorted by number.
    `emotion` is the table's own word; `subject` is the table's text ("01"). `repairs` has a sentence for each change of
    the annotation, so it is empty for a clip that is as released. `notes` has a sentence for each oddity that was left
    as it is. `apex_rule` says where `apex` comes from; with "flow", `apex` is the midpoint until the images are
    read, and then the frame with the strongest motion.
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
    notes: tuple[str, ...] = ()
    apex_rule: ApexRule = "annotated"

    @property
    def clip_id(self) -> str:
        return f"{self.dataset}/{self.subject}/{self.name}"


def parts_of(clip_id: str) -> tuple[str, str, str]:
    """Split a clip id into dataset, subject and clip name: "casme2/01/EP02_01f" -> "casme2", "01", "EP02_01f"."""
    dataset, subject, name = clip_id.split("/", 2)
    return dataset, subject, name


def dataset_of(clip_id: str) -> str:
    """Return the dataset of a clip: "casme2/01/EP02_01f" -> "casme2"."""
    return clip_id.partition("/")[0]


def subject_of(clip_id: str) -> str:
    """Return the subject of a clip, with its dataset: "casme2/01/EP02_01f" -> "casme2/01"."""
    return "/".join(clip_id.split("/", 2)[:2])


ADDED = "synth-"  # begins the name of a dataset of generated clips that are added to the training clips of others


def is_added(clip_id: str) -> bool:
    """Return whether a clip was generated to be trained on beside others (`store.added`): never held out or scored.

    The name of any other dataset has no "-".
    """
    return clip_id.startswith(ADDED)


def fold_id(clip_id: str) -> str:
    """Return the id of the LOSO fold in which a clip is held out: "casme2/01/EP02_01f" -> "casme2-01".

    The name of a dataset never contains "-", so the id can be split into dataset and subject again.
    """
    dataset, subject, _ = parts_of(clip_id)
    return f"{dataset}-{subject}"


@dataclass(frozen=True)
class FailedClip:
    """A row of a coding table from which no clip could be made, and the reason."""

    clip_id: str
    emotion: str
    reason: str


@dataclass(frozen=True)
class Release:
    """A release as read from disk: each row of its table is in `clips` or in `failed`.

    `more_tables` are the tables of the other parts, if each part of the release has one; `table_sha256` is then of all.
    `table_version` is the published version with the same counts of each emotion ("20190701"), or "" if there is none.
    `table_notes` has a sentence for each thing to know about how the table was read (its encoding, a missing column),
    `table_differences` one for each cell that is known to differ from that version. `errata` has a sentence for each
    correction that was applied. `numbering` has a sentence for each thing that was assumed about the names and numbers
    of the images; what moved the table's numbers is in `errata`, too. `generated` says that images or table come from
    `mer synth`; `stamps` are the GENERATED.txt files that say so, and `n_generated` counts the clips in folders below
    such a file.
    """

    dataset: str
    source: Source
    table_path: Path
    table_sha256: str
    table_version: str
    clips: tuple[Clip, ...]
    failed: tuple[FailedClip, ...] = ()
    errata: tuple[str, ...] = ()
    numbering: tuple[str, ...] = ()
    generated: bool = False
    stamps: tuple[Path, ...] = ()
    n_generated: int = 0
    table_notes: tuple[str, ...] = ()
    table_differences: tuple[str, ...] = ()
    more_tables: tuple[Path, ...] = ()

    @property
    def tables(self) -> tuple[Path, ...]:
        """The coding tables, or the folder that stands for them in a release without a table."""
        return (self.table_path, *self.more_tables)


@dataclass(frozen=True)
class Fold:
    """The split of the clips, by their ids, that holds out one subject, one list of subjects, or one dataset.

    `id` is "<dataset>-<subject>", the list's name, or the dataset's name if a whole dataset is held out. `inner` holds
    the clips of training subjects that are held back to choose an epoch (`--inner-val`); they are not in `train`.
    """

    id: str
    train: tuple[str, ...]
    inner: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True)
class FoldPredictions:
    """The predictions of a trained fold for its held-out clips after every epoch, without labels.

    logits : (epochs, clips, classes) float32, clips in the order of `clip_ids`
    inner_clip_ids, inner_logits : the same for the clips of `Fold.inner`, if there are any
    """

    fold: str
    clip_ids: tuple[str, ...]
    logits: NDArray[np.float32] = field(repr=False)
    inner_clip_ids: tuple[str, ...] = ()
    inner_logits: NDArray[np.float32] | None = field(default=None, repr=False)
