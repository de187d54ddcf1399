"""Build a store from a release: one HDF5 file and its audit, whatever happens in between.

Clips are cropped in worker processes and each finished one is saved as a part (`parts`); the parts are then packed
into a temporary file that takes the store's place in one step. So a build may be killed at any moment: the store that
was there before stays whole, and the next build uses the parts and ends in the same content. Where a clip failed, the
parts of all others stay, so that they are not cut again once its pictures are mended.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import dlib
import h5py
import numpy as np

from mer_cli import __version__
from mer_cli.datasets.stamp import STAMP
from mer_cli.errors import StoreError
from mer_cli.faces.crop import CROP_SETTINGS, Align
from mer_cli.faces.frames import WINDOW
from mer_cli.faces.landmarks import file_sha256, find_predictor, mmod_path
from mer_cli.records import FailedClip, Release
from mer_cli.store.audit import CSV_NAME, Audit, audit_dir, place_audit
from mer_cli.store.audit_page import INDEX
from mer_cli.store.cut import CutResult, CutTask, cut_to_part
from mer_cli.store.hdf5 import StoreInfo, StoreWriter, read_store, require_no_other_file
from mer_cli.store.parts import fingerprint, part_path, parts_dir, read_part
from mer_cli.store.schema import BUILD_KEY, CLIP_BYTES, FAILED, REPAIRED, RESUMED, SCHEMA_VERSION
from mer_cli.system.files import require_no_folder, reserve, unwritten
from mer_cli.system.lock import lock_store
from mer_cli.system.opencv import cv2
from mer_cli.system.workers import run_in_workers


@dataclass(frozen=True)
class BuildPlan:
    """A build, resolved.

    tasks : one per clip, sorted by clip id: the order of the rows in a table changes nothing
    attributes : those of the store that are known before a clip is cropped
    """

    release: Release
    out: Path
    tasks: tuple[CutTask, ...]
    attributes: dict[str, object]


def plan_build(release: Release, out: Path, predictor: Path, align: Align) -> BuildPlan:
    """Resolve a build; the pictures' sizes and times are looked at, nothing is read but the landmark model."""
    clips = sorted(release.clips, key=lambda clip: clip.clip_id)
    mmod = mmod_path(predictor)
    tools = {"mer": __version__, "dlib": dlib.__version__, "opencv": cv2.__version__}
    crop = CROP_SETTINGS | {"align": align, "window": WINDOW}
    predictor_sha256 = file_sha256(predictor)
    # All that a clip's crops depend on beside the clip itself.
    settings = {
        "schema": SCHEMA_VERSION,
        "source": release.source,
        "crop": crop,
        "predictor": predictor_sha256,
        "mmod": file_sha256(mmod) if mmod else "",
        "tools": tools,
    }
    fingerprints = [fingerprint(clip, settings) for clip in clips]
    attributes: dict[str, object] = {
        "dataset": release.dataset,
        "table": release.table_path.name,
        "table_sha256": release.table_sha256,
        "table_version": release.table_version,
        "source": release.source,
        "generated": release.generated,
        "predictor_sha256": predictor_sha256,
        "crop": crop,
        "errata": release.errata,
        "tools": tools | {"h5py": h5py.__version__, "numpy": np.__version__},
    }
    inputs = [attributes, [asdict(failed) for failed in release.failed], fingerprints]
    attributes[BUILD_KEY] = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
    folder = parts_dir(out)
    tasks = [
        CutTask(clip, part_path(folder, clip, key), predictor, align, release.source == "cropped")
        for clip, key in zip(clips, fingerprints, strict=True)
    ]
    return BuildPlan(release, out, tuple(tasks), attributes)


def pack_store(plan: BuildPlan, reasons: Mapping[str, str]) -> None:
    """Write the store and its audit from the parts of a plan.

    Parameters
    ----------
    reasons : why a clip has no part, by clip id; every other clip of the plan has one

    Raises
    ------
    StoreError
        If no clip is left (the audit is written all the same), or a part is damaged.
    OSError
        If the disk is full or cannot be written.
    """
    clips = {task.clip.clip_id: task.clip for task in plan.tasks}
    cut_failures = (FailedClip(clip_id, clips[clip_id].emotion, reason) for clip_id, reason in reasons.items())
    failed = sorted((*plan.release.failed, *cut_failures), key=lambda entry: entry.clip_id)
    drawn = parts_dir(plan.out) / "audit"
    drawn.mkdir(exist_ok=True)
    audit = Audit(drawn, plan.attributes)
    for entry in failed:
        audit.add_failed(entry, clips.get(entry.clip_id))
    part_paths = [task.part_path for task in plan.tasks if task.clip.clip_id not in reasons]
    temporary = parts_dir(plan.out) / "store.h5"
    try:
        if part_paths:
            _reserve(temporary, len(part_paths))
            _write(plan, part_paths, failed, audit, temporary)
        audit.finish()
        place_audit(drawn, audit_dir(plan.out))
        if not part_paths:
            first = failed[0].reason if failed else "the release has none"
            raise StoreError(
                f"{plan.out}: not written, none of {len(failed)} clips is usable. Expected at least one. "
                f"The first says: {first} See all in {audit_dir(plan.out) / CSV_NAME}."
            )
        temporary.replace(plan.out)
    finally:
        temporary.unlink(missing_ok=True)


def _reserve(path: Path, n_clips: int) -> None:
    with path.open("wb") as file:
        reserve(file, n_clips * CLIP_BYTES)


def _write(plan: BuildPlan, part_paths: list[Path], failed: list[FailedClip], audit: Audit, path: Path) -> None:
    detectors: Counter[str] = Counter()
    with StoreWriter(path, len(part_paths)) as writer:
        for part_path in part_paths:
            clip = read_part(part_path)
            writer.append(clip)
            audit.add(clip)
            detectors[clip.detector] += 1
        writer.finish({**plan.attributes, "detectors": detectors, "failed": [asdict(entry) for entry in failed]})
    # On the disk before it takes the place of what was there: a power cut must not leave half a store under its name.
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def require_place(out: Path, release: Release, *, resume: bool) -> None:
    """Refuse to write the release's store over what would be lost.

    Runs find their store by its path. One whose pictures or table were mended is replaced, and a damaged one.

    Raises
    ------
    OSError
        If a folder has that name.
    StoreError
        If a file is there that is not a store; or the store of generated faces, where the release has its coding table
        and no stamp; or, with `resume`, parts of generated faces where these have no stamp, the store of another
        dataset, of generated faces where these have no stamp, or the other way round.
    """
    require_no_folder(out)
    require_no_other_file(out)
    parts = parts_dir(out)
    if resume and (parts / STAMP).exists() and not release.generated:
        raise StoreError(
            f"{parts}: holds clips of generated faces, of a build that was interrupted, and no {STAMP} lies in or "
            "above the folders of these clips. Nothing was changed. If they are generated, put the file back into the "
            "folder that `mer synth` wrote; if they are real, give another --out, or --no-resume to drop the parts."
        )
    try:
        store = read_store(out)
    except StoreError:
        return  # there is none, or a damaged one
    if store.dataset == release.dataset and store.generated and not release.generated:
        _require_no_lost_stamp(store, release, resume=resume)
    elif resume and store.dataset != release.dataset:
        raise StoreError(
            f"{out}: holds {store.dataset}, and would be replaced by {release.dataset}. Give another --out, or "
            "--no-resume to replace it."
        )
    elif resume and release.generated and not store.generated:
        raise StoreError(
            f"{out}: holds {store.dataset} without the stamp of generated faces, and these clips are generated. If it "
            "was built from them by a version that overlooked the stamp, build it anew with --no-resume and train "
            "again; if it holds real faces, give another --out."
        )


def _require_no_lost_stamp(store: StoreInfo, release: Release, *, resume: bool) -> None:
    """Refuse to call faces real that the store calls generated; where the table is the same one, whatever is asked."""
    if store.table_sha256 and store.table_sha256 == release.table_sha256:
        real = "remove the store yourself, or give another --out"
    elif resume:
        real = "give another --out, or --no-resume to replace it"
    else:
        return
    raise StoreError(
        f"{store.path}: holds generated faces of {store.dataset}, and no {STAMP} lies in or above the folders of these "
        "clips. Nothing was changed. If they are generated, put the file back into the folder that `mer synth` wrote; "
        f"if they are real, {real}."
    )


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
