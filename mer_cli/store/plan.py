"""What is to be built: a release and settings come in, one task per clip and the store's attributes go out."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import dlib
import h5py
import numpy as np

from mer_cli import __version__
from mer_cli.faces.crop import CROP_SETTINGS, Align
from mer_cli.faces.frames import WINDOW
from mer_cli.faces.landmarks import file_sha256, mmod_path
from mer_cli.opencv import cv2
from mer_cli.records import Release
from mer_cli.store.cut import CutTask
from mer_cli.store.parts import fingerprint, part_path, parts_dir
from mer_cli.store.schema import BUILD_KEY, SCHEMA_VERSION


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
