"""Foresee a build of a release: rows and frames that will fail, repairs, counts, room on the disk.

Every frame that a build would read is checked, none is decoded, and nothing is written.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mer_cli.engines.resumable import parts_dir
from mer_cli.errors import FaceError, StoreError
from mer_cli.faces.crop import Align
from mer_cli.faces.frames import check_frame, needed_frames, whole_clip
from mer_cli.faces.landmarks import find_predictor
from mer_cli.records import Clip, FailedClip, Release
from mer_cli.store.add_clips import CLIP_PARTS
from mer_cli.store.build import require_cropped, require_place
from mer_cli.store.counts import (
    Contents,
    CountTable,
    count_tables,
    count_warnings,
    differences,
    effect_of_failure,
    table_fact,
    units_warning,
)
from mer_cli.store.same_pictures import without_shared_pictures
from mer_cli.store.schema import CLIP_BYTES
from mer_cli.store.whole_clips import FRAME_BYTES
from mer_cli.system.files import unwritten

N_THREADS = 8  # they mostly wait for the disk
CHECKED = "checked"


@dataclass(frozen=True)
class FailingClip:
    """A row of the table that will have no clip in the store.

    reasons : the loader's reason, or a sentence for each needed frame that is not a whole image
    effect : which published counts it will be missing from
    """

    clip_id: str
    emotion: str
    reasons: tuple[str, ...]
    effect: str


@dataclass(frozen=True)
class DryRun:
    """The result of checking a release before a build.

    n_rows : number of rows of the coding table
    facts : (name, value) pairs to print
    repairs : (clip id, how it will be repaired) of clips that will not fail, except for what the face finder will try
    tables : counts of the clips that will not fail
    notes : warnings about the counts, clips that differ in another version of the table, and clips that seem to be
        there twice
    obstacles : what would stop the whole build, a sentence each
    """

    n_rows: int
    facts: tuple[tuple[str, str], ...]
    failing: tuple[FailingClip, ...]
    repairs: tuple[tuple[str, str], ...]
    tables: tuple[CountTable, ...]
    notes: tuple[str, ...]
    obstacles: tuple[str, ...]

    def is_clean(self, *, allow_failed: bool) -> bool:
        """Tell whether a build would succeed; with `allow_failed`, single clips may fail."""
        return not self.obstacles and (allow_failed or not self.failing)


def check_release(
    release: Release,
    out: Path,
    predictor: Path | None,
    on_clip: Callable[[str, str], None],
    *,
    align: Align = "box",
    whole_clips: bool = False,
    resume: bool = True,
) -> DryRun:
    """Check everything that a build of a release needs, without decoding an image or writing a file.

    Parameters
    ----------
    out : the store that would be written
    predictor : file of the 68-point landmark model; None looks in the usual places
    on_clip : called with a clip id and "checked" after each clip
    align, resume : as in `build_store`
    whole_clips : check every frame from onset to offset, too
    """
    release, copies = without_shared_pictures(release)
    n_frames, faults = _check_clips(release.clips, on_clip, whole_clips=whole_clips)
    usable = [clip for clip in release.clips if clip.clip_id not in faults]
    contents = Contents(
        name=out.name,
        dataset=release.dataset,
        table_version=release.table_version,
        emotions={clip.clip_id: clip.emotion for clip in usable},
    )
    rows: list[tuple[str, str, tuple[str, ...]]] = [
        *((failed.clip_id, failed.emotion, (failed.reason,)) for failed in release.failed),
        *((clip.clip_id, clip.emotion, faults[clip.clip_id]) for clip in release.clips if clip.clip_id in faults),
    ]
    model, no_model = _find_model(predictor)
    n_kept = sum(len(whole_clip(clip)) for clip in usable) if whole_clips else 0
    room, no_room = _find_room(out, len(usable) * CLIP_BYTES + n_kept * FRAME_BYTES)
    nothing = "" if usable else f"none of {len(rows)} clips can be used. Repair what fails above."
    return DryRun(
        n_rows=len(usable) + len(rows),
        facts=(
            ("dataset", f"{release.dataset}, {release.source} images{', generated' if release.generated else ''}"),
            ("coding table", _table(release)),
            ("frames", f"{n_frames} needed and looked at, none decoded"),
            ("landmark model", model),
            ("room", room),
        ),
        failing=tuple(
            FailingClip(clip_id, emotion, reasons, effect_of_failure(contents, FailedClip(clip_id, emotion, "")))
            for clip_id, emotion, reasons in sorted(rows)
        ),
        repairs=tuple((clip.clip_id, "; ".join(clip.repairs)) for clip in usable if clip.repairs),
        tables=count_tables([contents]),
        notes=(
            *count_warnings(contents),
            *units_warning({clip.clip_id: clip.action_units for clip in usable}),
            *(difference.sentence for difference in differences(contents)),
            *copies,
        ),
        obstacles=tuple(filter(None, (nothing, no_model, _in_the_way(release, out, align, resume=resume), no_room))),
    )


def _table(release: Release) -> str:
    tables, n_differences = " + ".join(map(str, release.tables)), len(release.table_differences)
    return table_fact(release.dataset, tables, release.table_version, release.table_sha256, n_differences)


def _check_clips(
    clips: Iterable[Clip], on_clip: Callable[[str, str], None], *, whole_clips: bool
) -> tuple[int, dict[str, tuple[str, ...]]]:
    """Return how many frames were checked, and what is wrong with those of each clip that will fail."""
    n_frames, faults = 0, {}
    check = partial(_check_clip, whole_clips=whole_clips)
    with ThreadPoolExecutor(N_THREADS) as threads:
        for clip, (n_needed, reasons) in zip(clips, threads.map(check, clips), strict=True):
            n_frames += n_needed
            if reasons:
                faults[clip.clip_id] = reasons
            on_clip(clip.clip_id, CHECKED)
    return n_frames, faults


def _check_clip(clip: Clip, *, whole_clips: bool) -> tuple[int, tuple[str, ...]]:
    try:
        frames = {*needed_frames(clip), *(whole_clip(clip) if whole_clips else ())}
    except FaceError as error:
        return 0, (str(error),)
    reasons = []
    for frame in sorted(frames, key=lambda frame: frame.number):
        try:
            check_frame(frame)
        except FaceError as error:
            reasons.append(str(error))
    return len(frames), tuple(reasons)


def _find_model(predictor: Path | None) -> tuple[str, str]:
    """Return where the landmark model is, and why a build would stop ("" if it would not)."""
    try:
        return str(find_predictor(predictor)), ""
    except FaceError as error:
        return "missing", str(error)


def _in_the_way(release: Release, out: Path, align: Align, *, resume: bool) -> str:
    """Return why a build would not write its store to `out`, "" if it would."""
    try:
        require_cropped(release, align)
        require_place(out, release, resume=resume)
    except StoreError as error:
        return str(error)
    except OSError as error:
        return unwritten(out, error, room="the store", kept="finished clips are kept")
    return ""


def _find_room(out: Path, n_bytes: int) -> tuple[str, str]:
    """Describe the room for a store of `n_bytes` and its parts, and say why a build would stop ("" if it would not)."""
    parent = next(folder for folder in out.absolute().parents if folder.exists())
    folders = (parts_dir(out), parts_dir(out, CLIP_PARTS))
    held = sum(part.stat().st_size for folder in folders for part in folder.glob("*") if part.is_file())
    needed = math.ceil(max(2 * n_bytes - held, 0) / 1e6)
    free = int(shutil.disk_usage(parent).free / 1e6)
    room = f"{needed} MB needed in {parent} for the store and its parts, {free} MB free"
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        return room, f"{parent}: cannot be written, so {out} can't be made. Give another --out."
    if needed > free:
        return room, (
            f"{parent}: the store and its parts need {needed} MB, but {free} MB are free. Free space or give another "
            "--out."
        )
    return room, ""
