"""The size of a run directory on the disk, and its removal: the whole run, or nothing that can be seen of it."""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mer_cli.errors import RunError

_FILES = ("config.json", "clips.csv", "environment.json")


@dataclass(frozen=True)
class DiskUse:
    """What a folder occupies.

    size : bytes of all files · changed : the last change of a file or folder, in seconds since 1970
    """

    size: int
    changed: float


def disk_use(path: Path) -> DiskUse:
    """Measure a folder; links are not followed, and what vanishes meanwhile is not counted."""
    size, changed = 0, 0.0
    for folder, _, names in os.walk(path):
        for file in (Path(folder), *(Path(folder, name) for name in names)):
            try:
                found = file.lstat()
            except FileNotFoundError:
                continue
            size += 0 if stat.S_ISDIR(found.st_mode) else found.st_size
            changed = max(changed, found.st_mtime)
    return DiskUse(size, changed)


def check_removable(paths: Sequence[Path]) -> list[Path]:
    """Return the runs to remove, each once, in their order; nothing is touched.

    A damaged run and one of another version may be removed too: a run is a folder with `folds` in it and at least two
    of the three files that stand beside it.

    Raises
    ------
    RunError
        If one is not a run directory, or a link to one.
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
        If it can't be renamed, and then it is all there; or a file of it can't be deleted.
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
