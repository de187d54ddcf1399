"""Builds a store: a release comes in, one HDF5 file and its audit go out, whatever happens in between.

Clips are cropped in worker processes and each finished one is saved as a part (`parts`); the parts are then packed
into a temporary file that takes the store's place in one step (`pack`). So a build may be killed at any moment: the
store that was there before stays whole, and the next build uses the parts and ends in the same content. Where a clip
failed, the parts of all others stay, so that they are not cut again once its pictures are mended.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mer_cli.datasets.stamp import STAMP
from mer_cli.errors import StoreError
from mer_cli.faces.crop import Align
from mer_cli.faces.landmarks import find_predictor
from mer_cli.records import FailedClip, Release
from mer_cli.store.audit import audit_dir
from mer_cli.store.audit_page import INDEX
from mer_cli.store.cut import CutResult, CutTask, cut_to_part
from mer_cli.store.hdf5 import read_store
from mer_cli.store.pack import pack_store
from mer_cli.store.parts import parts_dir, read_part
from mer_cli.store.place import require_place
from mer_cli.store.plan import BuildPlan, plan_build
from mer_cli.store.schema import BUILD_KEY, CLIP_BYTES, FAILED, REPAIRED, RESUMED
from mer_cli.store.write_errors import unwritten
from mer_cli.system.lock import lock_store
from mer_cli.system.workers import run_in_workers

OnClip = Callable[[str, str], None]


@dataclass(frozen=True)
class BuildSummary:
    """How a build ended.

    failed : the rows of the table that are not in the store: those the release failed on, and those without a face
    repairs : (clip id, how it was mended) for every repaired clip
    already_built : the store was there, built from these very inputs, and nothing was done
    """

    path: Path
    n_ok: int
    n_repaired: int
    failed: tuple[FailedClip, ...]
    repairs: tuple[tuple[str, str], ...]
    already_built: bool
    audit_dir: Path


def build_store(
    release: Release,
    out: Path,
    *,
    predictor: Path | None = None,
    align: Align = "box",
    jobs: int,
    resume: bool,
    on_clip: OnClip,
) -> BuildSummary:
    """Crop every clip of a release and pack the crops into the store `out`, with an audit beside it.

    Parameters
    ----------
    predictor : the 68-point model; None looks in the usual places
    align : "box" keeps the pictures upright, "eyes" puts the eye centres on two fixed points
    jobs : number of worker processes
    resume : use the parts of an earlier build, and do nothing where the store is there already, built from the same
        pictures, table and settings, with no clip left to try again; otherwise start anew
    on_clip : called with a clip id and "ok", "repaired", "failed" or "resumed" as each clip ends

    Raises
    ------
    FaceError
        If the landmark model is absent or no model.
    StoreError
        If no clip is usable, the disk is full or cannot be written, another process builds `out`, or something is there
        that `require_place` refuses to replace.
    """
    plan = plan_build(release, out, find_predictor(predictor), align)
    parts = parts_dir(out)
    with _disk_errors(plan):
        require_place(out, release, resume=resume)
        out.parent.mkdir(parents=True, exist_ok=True)
        with lock_store(out):
            is_built = resume and _is_built(plan)
            reasons: dict[str, str] = {}
            if not is_built:
                if not resume:
                    shutil.rmtree(parts, ignore_errors=True)
                parts.mkdir(exist_ok=True)
                if release.generated:
                    (parts / STAMP).touch()  # for the next build, should this one be interrupted
                reasons = _cut_all(plan, jobs, on_clip)
                pack_store(plan, reasons)
            if reasons:
                _drop_other_parts(plan)
            else:
                shutil.rmtree(parts, ignore_errors=True)
    return _summarise(out, already_built=is_built)


def _cut_all(plan: BuildPlan, jobs: int, on_clip: OnClip) -> dict[str, str]:
    """See to it that each task has its part; give the reason for every clip that has none, by clip id."""
    open_tasks = []
    for task in plan.tasks:
        if _has_part(task):
            on_clip(task.clip.clip_id, RESUMED)
        else:
            open_tasks.append(task)
    try:
        return _cut_in_workers(open_tasks, jobs, on_clip)
    except BrokenProcessPool as error:
        raise StoreError(
            f"{plan.out}: a worker process died while clips were cropped. Expected it to live; memory may have run "
            "out. Run the same command again with --jobs 1: finished clips are kept."
        ) from error


def _cut_in_workers(tasks: Sequence[CutTask], jobs: int, on_clip: OnClip) -> dict[str, str]:
    reasons = {}

    def note(result: CutResult) -> None:
        if result.status == FAILED:
            reasons[result.clip_id] = result.reason
        on_clip(result.clip_id, result.status)

    run_in_workers(cut_to_part, tasks, jobs, note)
    return reasons


def _drop_other_parts(plan: BuildPlan) -> None:
    """Keep the parts of this build only: those of another annotation, other settings or pictures are of no more use."""
    parts = parts_dir(plan.out)
    for path in set(parts.iterdir()) - {task.part_path for task in plan.tasks} - {parts / STAMP}:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _has_part(task: CutTask) -> bool:
    try:
        read_part(task.part_path)
    except StoreError:
        return False
    return True


def _is_built(plan: BuildPlan) -> bool:
    """Whether the store that is there is what would be built now, with no clip that might do better this time."""
    try:
        attributes = read_store(plan.out).attributes
    except StoreError:
        return False
    is_same = attributes.get(BUILD_KEY) == plan.attributes[BUILD_KEY]
    is_final = len(attributes["failed"]) == len(plan.release.failed)
    return is_same and is_final and (audit_dir(plan.out) / INDEX).is_file()


def _summarise(out: Path, *, already_built: bool) -> BuildSummary:
    store = read_store(out)
    repairs = store.clips.loc[store.clips["status"] == REPAIRED, "note"]
    return BuildSummary(
        path=out,
        n_ok=len(store.clips) - len(repairs),
        n_repaired=len(repairs),
        failed=tuple(FailedClip(**entry) for entry in store.attributes["failed"]),
        repairs=tuple((str(clip_id), str(note)) for clip_id, note in repairs.items()),
        already_built=already_built,
        audit_dir=audit_dir(out),
    )


@contextmanager
def _disk_errors(plan: BuildPlan) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        room = f"{math.ceil(len(plan.tasks) * CLIP_BYTES / 1e6)} MB of store and as much again of parts"
        message = unwritten(plan.out, error, what="cannot be written", room=room, elsewhere="give another --out")
        raise StoreError(message) from error
