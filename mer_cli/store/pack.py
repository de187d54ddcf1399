"""Packs finished parts into the store and draws the audit, clip by clip; both take their place at the end."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from mer_cli.errors import StoreError
from mer_cli.records import FailedClip
from mer_cli.store.audit import CSV_NAME, Audit, audit_dir, place_audit
from mer_cli.store.hdf5 import StoreWriter
from mer_cli.store.parts import parts_dir, read_part
from mer_cli.store.plan import BuildPlan
from mer_cli.store.schema import CLIP_BYTES
from mer_cli.system.disk import reserve


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
