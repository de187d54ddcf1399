"""Entries come in, clips go out: frames looked up, errata applied, frame numbers settled; each entry ends somewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from mer_cli.datasets.annotation import settle_annotation
from mer_cli.datasets.errata import apply_errata
from mer_cli.datasets.layout import Entry
from mer_cli.errors import DatasetError
from mer_cli.records import ApexRule, Clip, FailedClip, FrameRef

KEPT_AROUND = 10  # frames kept before the onset and after the offset of a long recording


@dataclass(frozen=True)
class Assembled:
    """Every entry is in `clips` (sorted by id) or in `failed`; `errata` has a sentence for each that was applied."""

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
) -> Assembled:
    """Make a clip of each entry, or a failed clip with the reason.

    Parameters
    ----------
    emotions : the labels that are known; any label where empty
    frames_of : the frames of an entry, sorted by number, at least one; raises a DatasetError where there are none
    apex_rule : how the apex of an entry without one is settled
    """
    clips: list[Clip] = []
    failed: list[FailedClip] = []
    errata: list[str] = []
    for entry, others in _with_others_of_the_clip(entries):
        clip_id = f"{dataset}/{entry.subject}/{entry.name}"
        emotion = entry.emotion
        try:
            if others:
                raise DatasetError(
                    f"the clip has another row, {others[0].where}, that says otherwise. Expected one row a clip. "
                    "Delete the wrong one."
                )
            cells, applied = apply_errata(dataset, entry.subject, entry.name, {**entry.cells, "emotion": entry.emotion})
            emotion = cells.pop("emotion")
            if not emotion or (emotions and emotion not in emotions):
                expected = f"one of {', '.join(emotions)}" if emotions else "a label"
                raise DatasetError(f"emotion '{emotion}' is unknown. Expected {expected}. Correct the table.")
            frames = frames_of(entry)
            annotation = settle_annotation(cells, frames)
        except DatasetError as error:
            failed.append(FailedClip(clip_id, emotion, f"{entry.where}: {error}"))
            continue
        errata += [f"{clip_id}: {erratum.sentence()}" for erratum in applied]
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
    return Assembled(tuple(clips), tuple(failed), tuple(sorted(errata)))


def _with_others_of_the_clip(entries: Iterable[Entry]) -> Iterator[tuple[Entry, list[Entry]]]:
    """Each entry with those of the same clip that differ from it; entries that say the same are one."""
    by_clip: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        same_clip = by_clip.setdefault((entry.subject.casefold(), entry.name.casefold()), [])
        if all(replace(entry, where="") != replace(other, where="") for other in same_clip):
            same_clip.append(entry)
    for same_clip in by_clip.values():
        for entry in same_clip:
            yield entry, [other for other in same_clip if other is not entry]
