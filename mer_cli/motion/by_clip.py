"""Computes an array for every clip of a store, in parallel processes, once; a killed computation goes on where it was.

Each finished clip is kept as a part beside the file that all are for, under a name that ends in a fingerprint of all
that the arrays depend on; the parts go once the whole file has taken its place, at the latest when it is asked for
again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from numpy.typing import NDArray

from mer_cli.errors import StoreError
from mer_cli.store.parts import load_arrays, parts_dir, save_arrays
from mer_cli.store.schema import OK, RESUMED
from mer_cli.system.files import require_no_folder, unwritten
from mer_cli.system.lock import lock_path, lock_store
from mer_cli.system.workers import run_in_workers

Array = NDArray[Any]

PART = "array"  # what a part holds


@dataclass(frozen=True)
class ByClip:
    """What is computed.

    what : its name in a sentence, "the flow"
    path : the file that keeps the arrays of all clips
    compute : gives a clip's array from its id; a function of a module, or a `partial` of one, so that workers get it
    key : a fingerprint of all that the arrays depend on
    room : what the disk must have room for, in words
    """

    what: str
    path: Path
    clip_ids: Sequence[str]
    compute: Callable[[str], Array]
    key: str
    room: str


def fingerprint(made_from: Mapping[str, Any]) -> str:
    """Give a short SHA-256 over plain values."""
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]


def build_by_clip(
    wanted: ByClip,
    *,
    is_current: Callable[[], bool],
    write: Callable[[list[Array], Path], None],
    jobs: int,
    on_clip: Callable[[str, str], None],
) -> None:
    """See to it that the file is there.

    Parameters
    ----------
    is_current : whether it is there, whole, and what would be computed now
    write : given the clips' arrays in their order, and a temporary path in the file's folder of parts; moves the file
        into its place
    jobs : number of worker processes
    on_clip : called with a clip id and "ok" or "resumed" as each clip ends; not at all where nothing is to be done

    Raises
    ------
    StoreError
        If the disk is full or cannot be written, something lies in the way, a worker dies, or another process is at
        it. What `compute` raises is raised here.
    """
    path, parts = wanted.path, parts_dir(wanted.path)
    if is_current():  # looked at first without the lock: the folder may be read-only
        _clear_leftovers(path)
        return
    with _disk_errors(wanted):
        require_no_folder(path)
        path.parent.mkdir(exist_ok=True)
        with lock_store(path):
            if not is_current():
                parts.mkdir(exist_ok=True)
                write(_all_arrays(wanted, parts, jobs, on_clip), parts / path.name)
                shutil.rmtree(parts)


def _clear_leftovers(path: Path) -> None:
    """Remove lock and parts of a process that was killed after its file had taken its place, where that is allowed."""
    if parts_dir(path).exists() or lock_path(path).exists():
        with suppress(OSError, StoreError), lock_store(path):  # not where a living process is about to do it
            shutil.rmtree(parts_dir(path), ignore_errors=True)


@dataclass(frozen=True)
class _Task:
    """One clip, its place among all, and where its part goes."""

    clip_id: str
    row: int
    compute: Callable[[str], Array]
    part: Path


def _all_arrays(wanted: ByClip, parts: Path, jobs: int, on_clip: Callable[[str, str], None]) -> list[Array]:
    """The array of every clip: from its part, or computed."""
    arrays: dict[int, Array] = {}
    tasks = []
    for row, clip_id in enumerate(wanted.clip_ids):
        part = parts / f"{quote(clip_id, safe='')}-{wanted.key}.npz"
        held = arrays_of(part, PART)
        if held is None:
            tasks.append(_Task(clip_id, row, wanted.compute, part))
        else:
            (arrays[row],) = held
            on_clip(clip_id, RESUMED)

    def keep(result: tuple[_Task, Array]) -> None:
        task, array = result
        arrays[task.row] = array
        on_clip(task.clip_id, OK)

    try:
        run_in_workers(_compute_part, tasks, jobs, keep)
    except BrokenProcessPool as error:
        raise StoreError(
            f"{wanted.path}: a worker process died while it computed {wanted.what}. Expected it to live; "
            "memory may have run out. Run the same command again: finished clips are kept."
        ) from error
    return [arrays[row] for row in range(len(wanted.clip_ids))]


def _compute_part(task: _Task) -> tuple[_Task, Array]:
    """Compute a clip's array and save it as a part, whole or not at all."""
    array = task.compute(task.clip_id)
    save_arrays(task.part, {PART: array})
    return task, array


def arrays_of(path: Path, *names: str) -> list[Array] | None:
    """Read arrays of an .npz file; None where there is none, or it is damaged or lacks one of them."""
    try:
        return load_arrays(path, names)
    except StoreError:
        return None


@contextmanager
def _disk_errors(wanted: ByClip) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        room = f"{wanted.room} and as much again of parts"
        elsewhere = "copy the store to a folder of your own and name it there"
        message = unwritten(wanted.path, error, what="cannot be written", room=room, elsewhere=elsewhere)
        raise StoreError(message) from error
