"""Measure and remove run directories on the disk. A removal that fails leaves a run whole, or no longer listed."""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mer_cli.errors import RunError
from mer_cli.runs.claims import FOLDER as CLAIMS

_FILES = ("config.json", "clips.csv", "environment.json")


@dataclass(frozen=True)
class DiskUse:
    """The size of a folder, and when it last changed.

    size : bytes of all files · changed : the last change of a file or folder, in seconds since 1970; claims are no
        change, because each look at them may touch their folder
    """

    size: int
    changed: float


def disk_use(path: Path) -> DiskUse:
    """Return size and last change of a folder; links are not followed, files that vanish meanwhile are ignored."""
    size, changed, n_parts = 0, 0.0, len(path.parts)
    for folder, _, names in os.walk(path):
        for file in (Path(folder), *(Path(folder, name) for name in names)):
            try:
                found = file.lstat()
            except FileNotFoundError:
                continue
            size += 0 if stat.S_ISDIR(found.st_mode) else found.st_size
            if CLAIMS not in file.parts[n_parts : n_parts + 1]:
                changed = max(changed, found.st_mtime)
    return DiskUse(size, changed)


def check_removable(paths: Sequence[Path]) -> list[Path]:
    """Return the given paths, each once, if all are run directories that can be removed; nothing is changed.

    A run that is damaged or of another version can be removed too. It is enough that the folder has `folds` in it and
    two of config.json, clips.csv and environment.json.

    Raises
    ------
    RunError
        If a path is not a run directory, or is a link.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        if path.is_symlink():
            raise RunError(
                f"{path}: is a link to {path.resolve()}. Nothing was removed: name the directory itself, or remove the "
                "link by hand."
            )
        n_files = sum((path / name).is_file() for name in _FILES)
        if not ((path / "folds").is_dir() and n_files >= 2):
            what = "is not a run directory" if path.exists() else "there is no such folder"
            raise RunError(
                f"{path}: {what}. A run has config.json, clips.csv and folds/. Nothing was removed; `mer runs` lists "
                "the runs."
            )
        found.setdefault(path.resolve(), path)
    return list(found.values())


def remove_run(path: Path) -> None:
    """Remove a run that `check_removable` returned: rename it to a name that is never read, then delete its files.

    Raises
    ------
    RunError
        If the run can't be renamed (it is then still whole), or one of its files can't be deleted.
    """
    path = path.resolve()
    hidden = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}.removed")
    try:
        path.rename(hidden)
    except OSError as error:
        raise RunError(
            f"{path}: can't be removed ({error.strerror}). The run is still there, whole: make the folder that holds "
            "it writable, or delete it by hand."
        ) from None
    try:
        shutil.rmtree(hidden)
    except OSError as error:
        raise RunError(
            f"{hidden}: files of the removed run {path.name} can't be deleted ({error.strerror}). The run is no longer "
            "listed: delete the rest by hand."
        ) from None
