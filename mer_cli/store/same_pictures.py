"""Find one picture under two subjects: a folder that was copied, or a row with another subject's path.

Such a face would be trained on and tested on. While a store is built, the files of onset, apex and offset are compared,
by their sizes first, so that few are read; clips that share one fail. In stores that exist, the landmarks are compared.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from pathlib import Path

from mer_cli.datasets.frame_files import is_video
from mer_cli.records import Clip, FailedClip, Release, subject_of
from mer_cli.store.hdf5 import open_store, read_ids, read_pairs, rows_of
from mer_cli.store.schema import ARRAYS
from mer_cli.system.files import file_sha256


@dataclass(frozen=True)
class _Use:
    """A file that shows a clip's onset, apex or offset; `field` names which, or is "video"."""

    clip: Clip
    field: str
    path: Path


def without_shared_pictures(release: Release) -> tuple[Release, tuple[str, ...]]:
    """Return a release in which clips of two subjects that share a picture have failed, and notes on other copies.

    Returns
    -------
    the release, and a sentence for each two clips of one subject that have the same onset and apex
    """
    reasons: dict[str, str] = {}
    shared: dict[tuple[str, str], set[str]] = defaultdict(set)
    for first, second in chain.from_iterable(map(_pairs, _same_files(release.clips))):
        if first.clip.subject != second.clip.subject:
            for use, other in ((first, second), (second, first)):
                reasons.setdefault(use.clip.clip_id, _reason(use, other))
        elif first.field == second.field:
            shared[first.clip.clip_id, second.clip.clip_id].add(first.field)
    notes = tuple(
        f"{first} and {second} have the same onset and apex: is it one clip under two names?"
        for (first, second), fields in sorted(shared.items())
        if "onset" in fields and "apex" in fields
    )
    if not reasons:
        return release, notes
    failed = [
        FailedClip(clip.clip_id, clip.emotion, reasons[clip.clip_id])
        for clip in release.clips
        if clip.clip_id in reasons
    ]
    kept = tuple(clip for clip in release.clips if clip.clip_id not in reasons)
    return replace(release, clips=kept, failed=(*release.failed, *failed)), notes


def _reason(use: _Use, other: _Use) -> str:
    what = "the same video" if use.field == "video" else "the same picture"
    return (
        f"{use.path} is {what}, byte for byte, as {other.path} of subject {other.clip.subject} "
        f"({other.clip.clip_id}), so one face would be trained on and tested on. Remove the copy, or its rows from the "
        "table."
    )


def _same_files(clips: Iterable[Clip]) -> Iterator[list[_Use]]:
    """Yield the uses of each content that several clips have a file of."""
    by_size: dict[int, list[_Use]] = defaultdict(list)
    for clip in clips:
        for use in _uses(clip):
            with suppress(OSError):  # reported when the clip is cropped
                by_size[use.path.stat().st_size].append(use)
    by_size.pop(0, None)  # empty files, and pipes, which are never to be opened
    content = cache(_content)
    for uses in by_size.values():
        if len({use.clip.clip_id for use in uses}) < 2:
            continue
        by_content: dict[str, list[_Use]] = defaultdict(list)
        for use in uses:
            by_content[content(use.path)].append(use)
        by_content.pop("", None)
        yield from by_content.values()


def _pairs(uses: Sequence[_Use]) -> Iterator[tuple[_Use, _Use]]:
    """Yield uses of the same content by two clips: for each use one of another subject, and the last of its own.

    Not every pair: a black picture may be in ten thousand clips. Clips of one video share a picture if they overlap.
    """
    if uses[0].field == "video":
        yield from _overlapping(uses)
        return
    first = uses[0]
    other = next((use for use in uses if use.clip.subject != first.clip.subject), None)
    last_of: dict[tuple[str, str], _Use] = {}
    for use in uses:
        partner = first if use.clip.subject != first.clip.subject else other
        if partner:
            yield use, partner
        before = last_of.get((use.clip.subject, use.field))
        if before and before.clip.clip_id != use.clip.clip_id:
            yield before, use
        last_of[use.clip.subject, use.field] = use


def _overlapping(uses: Sequence[_Use]) -> Iterator[tuple[_Use, _Use]]:
    """Yield each two clips of one video that have frames in common; of one subject, those with the same labels."""
    in_order = sorted(uses, key=lambda use: (use.clip.onset, use.clip.clip_id))
    for place, use in enumerate(in_order):
        for later in in_order[place + 1 :]:
            if later.clip.onset > use.clip.offset:
                break
            if use.clip.subject != later.clip.subject:
                yield use, later
            elif (use.clip.onset, use.clip.apex) == (later.clip.onset, later.clip.apex):
                for field in ("onset", "apex"):
                    yield replace(use, field=field), replace(later, field=field)


def _uses(clip: Clip) -> Iterator[_Use]:
    path_of = {frame.number: frame.path for frame in clip.frames}
    if is_video(clip.frames[0].path):
        yield _Use(clip, "video", clip.frames[0].path)
        return
    for field, number in (("onset", clip.onset), ("apex", clip.apex), ("offset", clip.offset)):
        if number in path_of:
            yield _Use(clip, field, path_of[number])


def _content(path: Path) -> str:
    """Return the SHA-256 of a file, "" if it can't be read."""
    try:
        return file_sha256(path)
    except OSError:
        return ""


def shared_faces(stores: Mapping[Path, Sequence[str]]) -> str:
    """Return a warning if some clips of two subjects show the same onset; "" if none do.

    Parameters
    ----------
    stores : the clip ids that are used of each store
    """
    by_landmarks: dict[bytes, list[tuple[Path, str]]] = defaultdict(list)
    for path, clip_ids in stores.items():
        with open_store(path) as checked:
            ids = read_ids(checked)
            shape, dtype = ARRAYS["landmarks"]
            landmarks = checked.array("landmarks", (len(ids), *shape), dtype)
        for clip_id, row in zip(clip_ids, rows_of(ids, path, clip_ids), strict=True):
            by_landmarks[landmarks[row].tobytes()].append((path, clip_id))
    alike = [held for held in by_landmarks.values() if len({subject_of(clip_id) for _, clip_id in held}) > 1]
    pairs = [pair for held in alike for pair in _same_onsets(held)]
    if not pairs:
        return ""
    (first, second), n_more = pairs[0], len(pairs) - 1
    more = f", and so do {n_more} more pairs of clips" if n_more else ""
    return (
        f"{first} and {second} are of two subjects and show the same picture{more}. One face may be trained on and "
        "tested on: remove the copy from the release, and build the store again."
    )


def _same_onsets(held: Sequence[tuple[Path, str]]) -> Iterator[tuple[str, str]]:
    """Yield clips of two subjects whose onset frames are equal; `held` has the store and id of each clip."""
    by_picture: dict[bytes, list[str]] = defaultdict(list)
    for path in dict.fromkeys(path for path, _ in held):
        clip_ids = [clip_id for other, clip_id in held if other == path]
        for clip_id, onset in zip(clip_ids, read_pairs(path, clip_ids)[0], strict=True):
            by_picture[hashlib.sha256(onset.data).digest()].append(clip_id)
    for clip_ids in by_picture.values():
        first, *others = sorted(clip_ids)
        yield from ((first, clip_id) for clip_id in others if subject_of(clip_id) != subject_of(first))
