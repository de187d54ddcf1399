"""Build a store from a release: one HDF5 file and its audit.

Clips are cropped in worker processes and kept as parts (`engines.resumable`), which are then packed into a temporary
file that takes the store's place in one step. If the build is killed, the store that was there before stays whole, and
the next build uses the parts and ends with the same content. If a clip fails, the parts of all others stay, so that
they aren't cropped again after its images are repaired.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import dlib
import h5py
import numpy as np

from mer_cli import __version__
from mer_cli.datasets.stamp import STAMP
from mer_cli.engines.engine import Engine
from mer_cli.engines.resumable import ClipTask, OnClip, Resumable, digest, ignore_clip, part_path, parts_dir
from mer_cli.errors import StoreError
from mer_cli.faces.crop import CROP_SETTINGS, SQUEEZE_SETTINGS, Align
from mer_cli.faces.depth import BITS, deep_bits
from mer_cli.faces.frames import WINDOW
from mer_cli.faces.landmarks import find_predictor, mmod_path
from mer_cli.faces.videos import decoder_of
from mer_cli.records import Clip, FailedClip, Release
from mer_cli.store.audit import CSV_NAME, Audit, audit_dir, place_audit
from mer_cli.store.audit_page import INDEX
from mer_cli.store.checked import UnreadStoreError
from mer_cli.store.cut import clip_fingerprint, cut_task, read_cut
from mer_cli.store.hdf5 import ChangedStoreError, StoreInfo, StoreWriter, read_store, require_no_other_file
from mer_cli.store.same_pictures import without_shared_pictures
from mer_cli.store.schema import BUILD_KEY, CLIP_BYTES, REPAIRED, SCHEMA_VERSION, TABLE_ATTRIBUTES
from mer_cli.system.files import file_sha256, require_no_folder, reserve
from mer_cli.system.opencv import cv2
from mer_cli.system.workers import default_jobs


@dataclass(frozen=True)
class BuildPlan:
    """The plan of a build: everything that is known before the first clip is cropped.

    tasks : one for each clip, sorted by clip id, so that the order of the rows in a table changes nothing
    clips : by clip id
    attributes : attributes of the store that are known so far
    notes : a sentence for each clip that seems to be in the release twice
    """

    release: Release
    work: Resumable
    tasks: tuple[ClipTask, ...]
    clips: Mapping[str, Clip]
    attributes: dict[str, object]
    notes: tuple[str, ...] = ()

    @property
    def out(self) -> Path:
        return self.work.path


def plan_build(release: Release, out: Path, predictor: Path, align: Align) -> BuildPlan:
    """Return the plan of a build, from the sizes and times of the images.

    Only the face models are read, and images of onsets and apexes if they have more than eight bits a channel.

    Raises
    ------
    StoreError
        If the images are raw and `align` is "none".
    """
    require_cropped(release, align)
    clips = sorted(release.clips, key=lambda clip: clip.clip_id)
    mmod = mmod_path(predictor)
    tools = {"mer": __version__, "dlib": dlib.__version__, "opencv": cv2.__version__, **decoder_of(clips)}
    bits = deep_bits(clips)
    crop = _crop_settings(align, bits)
    predictor_sha256 = file_sha256(predictor)
    # Everything that the crops of a clip depend on except the clip itself.
    settings = {
        "schema": SCHEMA_VERSION,
        "source": release.source,
        "crop": crop,
        "predictor": predictor_sha256,
        "mmod": file_sha256(mmod) if mmod else "",
        "tools": tools,
    }
    fingerprints = [clip_fingerprint(clip, settings) for clip in clips]
    attributes: dict[str, object] = {
        "dataset": release.dataset,
        "table": " + ".join(table.name for table in release.tables),
        "table_sha256": release.table_sha256,
        "table_version": release.table_version,
        "source": release.source,
        "generated": release.generated,
        "predictor_sha256": predictor_sha256,
        "crop": crop,
        "errata": release.errata,
        "tools": tools | {"h5py": h5py.__version__, "numpy": np.__version__},
    }
    attributes[BUILD_KEY] = digest([attributes, [asdict(failed) for failed in release.failed], fingerprints])
    # Not in the key, because the table's checksum is: older stores stay up to date.
    attributes |= {name: told for name in TABLE_ATTRIBUTES if (told := getattr(release, name))}
    work = Resumable(
        path=out,
        doing="cropping clips",
        room=f"{math.ceil(len(clips) * CLIP_BYTES / 1e6)} MB of store and as much again for parts",
        elsewhere="give another --out",
        retry="Run the same command again with --jobs 1",
    )
    tasks = [
        cut_task(
            clip,
            part_path(work.parts, clip.clip_id, key),
            predictor,
            align,
            bits,
            is_cropped=release.source == "cropped",
        )
        for clip, key in zip(clips, fingerprints, strict=True)
    ]
    return BuildPlan(release, work, tuple(tasks), {clip.clip_id: clip for clip in clips}, attributes)


def _crop_settings(align: Align, bits: int | None) -> dict[str, object]:
    """Return how images are cropped; nothing on bits if all have eight, so that older stores stay up to date."""
    how = SQUEEZE_SETTINGS if align == "none" else CROP_SETTINGS
    return how | {"align": align, "window": WINDOW} | ({BITS: bits} if bits else {})


def require_cropped(release: Release, align: Align) -> None:
    """Raise a StoreError if raw images would be taken whole: the face would be a small part of each crop."""
    if align == "none" and release.source != "cropped":
        raise StoreError(
            "--align none takes each image whole, and the images of this release are raw, with more than the face. "
            "Give --source cropped if the images are cut to the face, or leave --align out."
        )


def pack_store(plan: BuildPlan, reasons: Mapping[str, str]) -> None:
    """Write the store and its audit from the parts of a plan.

    Parameters
    ----------
    reasons : by clip id, why a clip has no part; all other clips of the plan have a part

    Raises
    ------
    StoreError
        If no clip is left (the audit is written all the same), or a part is damaged.
    OSError
        If the disk is full or can't be written.
    """
    cut_failures = (FailedClip(clip_id, plan.clips[clip_id].emotion, reason) for clip_id, reason in reasons.items())
    failed = sorted((*plan.release.failed, *cut_failures), key=lambda entry: entry.clip_id)
    drawn = plan.work.parts / "audit"
    drawn.mkdir(exist_ok=True)
    audit = Audit(drawn, plan.attributes, plan.notes)
    for entry in failed:
        audit.add_failed(entry, plan.clips.get(entry.clip_id))
    tasks = [task for task in plan.tasks if task.clip_id not in reasons]
    if tasks:
        with plan.work.replacing() as temporary:
            reserve(temporary, len(tasks) * CLIP_BYTES)
            _write(plan, tasks, failed, audit, temporary)
            _place(audit, drawn, plan.out)
        return
    _place(audit, drawn, plan.out)
    first = failed[0].reason if failed else "the release has none"
    raise StoreError(
        f"{plan.out}: not written, because none of {len(failed)} clips can be used. The first says: {first} "
        f"See all in {audit_dir(plan.out) / CSV_NAME}."
    )


def _write(plan: BuildPlan, tasks: Sequence[ClipTask], failed: Sequence[FailedClip], audit: Audit, path: Path) -> None:
    detectors: Counter[str] = Counter()
    with StoreWriter(path, len(tasks)) as writer:
        for task in tasks:
            clip = read_cut(task)
            writer.append(clip)
            audit.add(clip)
            detectors[clip.detector] += 1
        writer.finish({**plan.attributes, "detectors": detectors, "failed": [asdict(entry) for entry in failed]})


def _place(audit: Audit, drawn: Path, out: Path) -> None:
    audit.finish()
    place_audit(drawn, audit_dir(out))


def require_place(out: Path, release: Release, *, resume: bool) -> None:
    """Raise an error if `out` can't be made again or may be needed by runs, which find their store by its path.

    A damaged store may be replaced, and so may a store whose images or coding table were corrected. The stamp is a file
    that marks generated faces.

    Raises
    ------
    OSError
        If `out` is a folder.
    StoreError
        If `out` is a file that is not a store, or can't be read now, or, with `resume`, was changed by another program;
        or if it holds generated faces, and the release has the same coding table and no stamp. With `resume`, also if
        `out` or its parts hold generated faces and the release has no stamp, if the release has the stamp and the store
        has not, or if the store is of another dataset.
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
        store = read_store(out, even_if_changed=not resume)
    except (UnreadStoreError, ChangedStoreError):
        raise  # it may be whole
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
            "was built from them by a version that overlooked the stamp, build it again with --no-resume and train "
            "again; if it holds real faces, give another --out."
        )


def _require_no_lost_stamp(store: StoreInfo, release: Release, *, resume: bool) -> None:
    """Refuse to replace generated faces by the same dataset without the stamp; with the same table, always."""
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


@dataclass(frozen=True)
class BuildSummary:
    """The result of a build.

    failed : rows of the coding table without a clip in the store, because of the release or because no face was found
    repairs : (clip id, note) of every repaired clip
    already_built : the store was up to date, and nothing was done
    notes : a sentence for each clip that seems to be in the release twice
    """

    path: Path
    n_ok: int
    n_repaired: int
    failed: tuple[FailedClip, ...]
    repairs: tuple[tuple[str, str], ...]
    already_built: bool
    audit_dir: Path
    notes: tuple[str, ...] = ()


def build_store(
    release: Release,
    out: Path,
    *,
    predictor: Path | None = None,
    align: Align = "box",
    jobs: int | None = None,
    resume: bool = True,
    on_clip: OnClip = ignore_clip,
    engine: Engine | None = None,
) -> BuildSummary:
    """Crop every clip of a release and pack the crops into the store `out`, with an audit beside it.

    Parameters
    ----------
    predictor : file of the 68-point landmark model; None looks in the usual places
    align : "box" keeps the images upright, "eyes" puts the eye centres on two fixed points, "none" takes each image of
        a cropped release whole
    jobs : number of worker processes; None decides by the cores and the memory
    resume : use the parts of an earlier build, and do nothing if the store was built from the same images, table and
        settings and has no clip left to try again; otherwise start anew
    on_clip : called with a clip id and "ok", "repaired", "failed" or "resumed" as each clip ends
    engine : crops the clips on other machines, which need the release and the landmark model at the same paths

    Raises
    ------
    FaceError
        If the landmark model is absent or not a model.
    StoreError
        If no clip can be used, the disk is full or can't be written, another process builds `out`, or something is
        there that `require_place` refuses to replace, or the images are raw and `align` is "none".
    """
    release, notes = without_shared_pictures(release)
    plan = replace(plan_build(release, out, find_predictor(predictor), align), notes=notes)
    work = plan.work
    with work.alone():
        require_place(out, release, resume=resume)
        is_built = resume and _is_built(plan)
        reasons: dict[str, str] = {}
        if not is_built:
            if not resume:
                work.clear()
            work.parts.mkdir(exist_ok=True)
            if release.generated:
                (work.parts / STAMP).touch()  # for the next build, in case this one is interrupted
            reasons = work.make_parts(plan.tasks, jobs or default_jobs(), on_clip, engine)
            pack_store(plan, reasons)
        # Parts of another annotation, other settings or images are of no more use.
        work.clear(keep=[work.parts / STAMP, *(task.part for task in plan.tasks)] if reasons else [])
    return _summarise(out, notes, already_built=is_built)


def _is_built(plan: BuildPlan) -> bool:
    """Tell whether the store is up to date and has no failed clip that is worth another try."""
    try:
        attributes = read_store(plan.out).attributes
    except UnreadStoreError:
        raise
    except StoreError:
        return False
    is_same = attributes.get(BUILD_KEY) == plan.attributes[BUILD_KEY]
    is_final = len(attributes["failed"]) == len(plan.release.failed)
    return is_same and is_final and (audit_dir(plan.out) / INDEX).is_file()


def _summarise(out: Path, notes: tuple[str, ...], *, already_built: bool) -> BuildSummary:
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
        notes=notes,
    )
