"""Make clips of table rows: look up their frames, apply errata, settle their frame numbers. No row gets lost.

All rows are read before the first is settled, because how the images are named and numbered is decided over the whole
release.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mer_cli.datasets.annotation import Annotation, Erratum, Field, apply_errata, settle_annotation
from mer_cli.datasets.by_time import numbers_by_time
from mer_cli.datasets.dataset import Entry
from mer_cli.datasets.frame_files import list_release
from mer_cli.datasets.named_frames import number_named_frames
from mer_cli.datasets.numbering import Numbered, Numbering, decide_numbering
from mer_cli.datasets.spelling import check_label, check_names, looks, spelt
from mer_cli.datasets.tables import whole_number
from mer_cli.errors import DatasetError, shortened, unknown_name
from mer_cli.records import ApexRule, Clip, FailedClip, FrameRef

KEPT_AROUND = 10  # frames kept before the onset and after the offset of a long recording


@dataclass(frozen=True)
class Assembled:
    """The clips (sorted by id) and the failed clips made of all entries.

    errata : a sentence for each correction of the table, those of the whole release first
    numbering : a sentence for each thing that was assumed about the names and numbers of the images
    """

    clips: tuple[Clip, ...]
    failed: tuple[FailedClip, ...]
    errata: tuple[str, ...]
    numbering: tuple[str, ...]


@dataclass
class _Row:
    """An entry on its way to a clip; `error` says why it can't become one.

    cells : its onset, apex and offset after errata
    notes : how its images were taken if they are named by what they show
    """

    entry: Entry
    clip_id: str
    emotion: str
    cells: dict[Field, str]
    applied: tuple[Erratum, ...] = ()
    place: Path | None = None
    frames: tuple[FrameRef, ...] = ()
    notes: tuple[str, ...] = ()
    error: DatasetError | None = None


def assemble(
    dataset: str,
    fps: float,
    entries: Iterable[Entry],
    emotions: tuple[str, ...],
    place_of: Callable[[Entry], Path],
    apex_rule: ApexRule,
    errata: Sequence[Erratum] = (),
) -> Assembled:
    """Make a clip of each entry (a table row, or a folder), or a failed clip with the reason.

    Parameters
    ----------
    dataset : its name, the first part of each clip id
    fps : frames per second of the clips for which the entry does not give them
    emotions : the known labels; if empty, any label is accepted
    place_of : returns the folder or the video with the frames of an entry; raises a DatasetError if there is none
    apex_rule : how to find the apex of an entry without an annotated one

    Raises
    ------
    DatasetError
        If it can't be told how the images of the release are numbered.
    """
    rows = [
        _read(dataset, entry, others, emotions, place_of, errata) for entry, others in _with_others_of_the_clip(entries)
    ]
    listed = list_release(row.place for row in rows if row.place)
    for row in rows:
        if row.place:
            row.frames, row.error = listed.frames.get(row.place, ()), listed.errors.get(row.place)
            row.frames, row.cells, row.notes = number_named_frames(row.frames, row.cells)
            _settle_times(row, row.place)
    numbering = _numbering(dataset, [row for row in rows if row.frames and not row.notes])
    clips: list[Clip] = []
    failed: list[FailedClip] = []
    sentences: list[str] = []
    for row in rows:
        try:
            clips.append(_clip(dataset, fps, row, _settle(row, numbering), apex_rule))
        except DatasetError as error:
            shown = f"{dataset}/{shortened(row.entry.subject)}/{shortened(row.entry.name)}"
            failed.append(FailedClip(shown, shortened(row.emotion), f"{row.entry.where}: {error}"))
        else:
            sentences += [f"{row.clip_id}: {erratum.sentence()}" for erratum in row.applied]
    clips.sort(key=lambda clip: clip.clip_id)
    told = (*listed.notes, *numbering.corrections)
    return Assembled(
        tuple(clips), tuple(failed), errata=(*told, *sorted(sentences)), numbering=(*told, *numbering.notes)
    )


def annotate(
    dataset: str, entries: Iterable[Entry], emotions: tuple[str, ...], errata: Sequence[Erratum] = ()
) -> tuple[dict[str, Entry], tuple[FailedClip, ...]]:
    """Return what the rows of a table say of their clips, for a use that needs no image; as `assemble` reads them.

    Parameters
    ----------
    dataset, emotions : as in `assemble`

    Returns
    -------
    the entry of each clip by clip id, its emotion as the errata correct it; and the rows that contradict themselves or
    another row, with the reason
    """
    found: dict[str, Entry] = {}
    failed = []
    for entry, others in _with_others_of_the_clip(entries):
        row = _read(dataset, entry, others, emotions, lambda _: Path(), errata)
        if row.error:
            shown = f"{dataset}/{shortened(entry.subject)}/{shortened(entry.name)}"
            failed.append(FailedClip(shown, shortened(row.emotion), f"{entry.where}: {row.error}"))
        else:
            found[row.clip_id] = replace(entry, emotion=row.emotion)
    return found, tuple(failed)


def _read(
    dataset: str,
    entry: Entry,
    others: Sequence[Entry],
    emotions: tuple[str, ...],
    place_of: Callable[[Entry], Path],
    errata: Sequence[Erratum],
) -> _Row:
    """Return an entry with its errata applied and its folder found."""
    row = _Row(entry, f"{dataset}/{entry.subject}/{entry.name}", entry.emotion, {})
    try:
        check_names(entry)
        if others:
            raise DatasetError(_second_row(entry, others[0]))
        annotation: dict[Field, str] = {**entry.cells, "emotion": entry.emotion}
        row.cells, row.applied = apply_errata(errata, entry.subject, entry.name, annotation)
        row.emotion = row.cells.pop("emotion")
        if emotions and row.emotion not in emotions:
            raise DatasetError(f"{unknown_name('emotion', row.emotion, emotions)} Correct the table.")
        check_label(row.emotion)
        row.place = place_of(entry)
    except DatasetError as error:
        row.error = error
    return row


def _settle_times(row: _Row, place: Path) -> None:
    """Turn the times of a row into frame numbers; images named by what they show need none."""
    if row.error is None and not row.notes:
        try:
            by_time, notes = numbers_by_time(row.entry.seconds, place, row.frames, row.entry.fps)
        except DatasetError as error:
            row.error = error
        else:
            row.cells, row.notes = {**row.cells, **by_time}, (*row.notes, *notes)


def _numbering(dataset: str, rows: Iterable[_Row]) -> Numbering:
    """Return how the frames of all clips are numbered; rows whose numbers can't be read don't count."""
    numbered, endless, incomplete = [], [], []
    for row in rows:
        onset, apex, offset = (whole_number(row.cells.get(name, "")) for name in ("onset", "apex", "offset"))
        on_disk = len(row.frames), row.frames[0].number, row.frames[-1].number
        if onset is not None and offset is not None:
            if onset <= offset:
                apex = apex if apex is not None and onset <= apex <= offset else None
                numbered.append(Numbered(row.clip_id, onset, apex, offset, *on_disk))
            continue
        if onset is not None and apex is not None and onset <= apex:
            endless.append(Numbered(row.clip_id, onset, apex, apex, *on_disk))
        if onset is not None or apex is not None or offset is not None:
            incomplete.append(row.clip_id)
    return decide_numbering(dataset, numbered, incomplete, endless)


def _settle(row: _Row, numbering: Numbering) -> Annotation:
    """Return the annotation of a row in the numbers of the images.

    Raises
    ------
    DatasetError
        If the row can't become a clip.
    """
    if row.error:
        raise row.error
    if row.clip_id in numbering.undecided:
        raise DatasetError(numbering.undecided[row.clip_id])
    return settle_annotation(row.cells, row.frames, anew=row.clip_id in numbering.anew)


def _clip(dataset: str, fps: float, row: _Row, annotation: Annotation, apex_rule: ApexRule) -> Clip:
    entry = row.entry
    first, last = annotation.onset - KEPT_AROUND, annotation.offset + KEPT_AROUND
    return Clip(
        dataset=dataset,
        subject=entry.subject,
        name=entry.name,
        emotion=row.emotion,
        action_units=entry.action_units,
        onset=annotation.onset,
        apex=annotation.apex,
        offset=annotation.offset,
        fps=fps if entry.fps is None else entry.fps,
        frames=tuple(frame for frame in row.frames if first <= frame.number <= last),
        repairs=(*entry.repairs, *(erratum.sentence().rstrip(".") for erratum in row.applied), *annotation.repairs),
        notes=(*row.notes, *annotation.notes),
        apex_rule="annotated" if "apex" in row.cells else apex_rule,
    )


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
