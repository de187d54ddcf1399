"""Make clips of table rows: look up their frames, apply errata, settle their frame numbers. No row gets lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from mer_cli.datasets.annotation import Erratum, apply_errata, settle_annotation
from mer_cli.datasets.dataset import Entry
from mer_cli.datasets.spelling import check_label, check_names, looks, spelt
from mer_cli.errors import DatasetError, shortened, unknown_name
from mer_cli.records import ApexRule, Clip, FailedClip, FrameRef

KEPT_AROUND = 10  # frames kept before the onset and after the offset of a long recording


@dataclass(frozen=True)
class Assembled:
    """The clips (sorted by id) and the failed clips made of all entries, and a sentence for each erratum applied."""

    clips: tuple[Clip, ...]
    failed: tuple[FailedClip, ...]
    errata: tuple[str, ...]


def assemble(
    dataset: str,
    fps: float,
    entries: Iterable[Entry],
    emotions: tuple[str, ...],
    frames_of: Callable[[Entry], tuple[FrameRef, ...]],
    apex_rule: ApexRule,
    errata: Sequence[Erratum] = (),
) -> Assembled:
    """Make a clip of each entry (a table row, or a folder), or a failed clip with the reason.

    Parameters
    ----------
    dataset : its name, the first part of each clip id
    fps : frames per second of the clips for which the entry does not give them
    emotions : the known labels; if empty, any label is accepted
    frames_of : returns the frames of an entry, at least one, sorted by number; raises a DatasetError if it has none
    apex_rule : how to find the apex of an entry without an annotated one
    """
    clips: list[Clip] = []
    failed: list[FailedClip] = []
    sentences: list[str] = []
    for entry, others in _with_others_of_the_clip(entries):
        clip_id = f"{dataset}/{entry.subject}/{entry.name}"
        emotion = entry.emotion
        try:
            check_names(entry)
            if others:
                raise DatasetError(_second_row(entry, others[0]))
            cells, applied = apply_errata(errata, entry.subject, entry.name, {**entry.cells, "emotion": entry.emotion})
            emotion = cells.pop("emotion")
            if emotions and emotion not in emotions:
                raise DatasetError(f"{unknown_name('emotion', emotion, emotions)} Correct the table.")
            check_label(emotion)
            frames = frames_of(entry)
            annotation = settle_annotation(cells, frames)
        except DatasetError as error:
            shown = f"{dataset}/{shortened(entry.subject)}/{shortened(entry.name)}"
            failed.append(FailedClip(shown, shortened(emotion), f"{entry.where}: {error}"))
            continue
        sentences += [f"{clip_id}: {erratum.sentence()}" for erratum in applied]
        mended = (*entry.repairs, *(erratum.sentence().rstrip(".") for erratum in applied), *annotation.repairs)
        first, last = annotation.onset - KEPT_AROUND, annotation.offset + KEPT_AROUND
        clips.append(
            Clip(
                dataset=dataset,
                subject=entry.subject,
                name=entry.name,
                emotion=emotion,
                action_units=entry.action_units,
                onset=annotation.onset,
                apex=annotation.apex,
                offset=annotation.offset,
                fps=fps if entry.fps is None else entry.fps,
                frames=tuple(frame for frame in frames if first <= frame.number <= last),
                repairs=mended,
                notes=annotation.notes,
                apex_rule="annotated" if "apex" in cells else apex_rule,
            )
        )
    clips.sort(key=lambda clip: clip.clip_id)
    return Assembled(tuple(clips), tuple(failed), tuple(sorted(sentences)))


def _with_others_of_the_clip(entries: Iterable[Entry]) -> Iterator[tuple[Entry, list[Entry]]]:
    """Yield each entry with the other entries for the same clip, which contradict it; equal entries count as one."""
    by_clip: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        same_clip = by_clip.setdefault((looks(entry.subject), looks(entry.name)), [])
        if all(replace(entry, where="") != replace(other, where="") for other in same_clip):
            same_clip.append(entry)
    for same_clip in by_clip.values():
        for entry in same_clip:
            yield entry, [other for other in same_clip if other is not entry]


def _second_row(entry: Entry, other: Entry) -> str:
    """Return the sentence about a clip with two rows that contradict each other."""
    if (entry.subject, entry.name) == (other.subject, other.name):
        return (
            f"the clip has a second row, {other.where}, with other values. Expected one row per clip. Delete the wrong "
            "one."
        )
    return (
        f"the clip is spelt '{spelt(other.name)}' in {other.where} and '{spelt(entry.name)}' here, with other values. "
        "Delete the wrong row, or give one of two clips another name."
    )
