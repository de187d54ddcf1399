"""Work on each clip in worker processes and keep each finished clip as a part, so that a killed command can continue.

The arrays of all clips end in one file (`Resumable`). Parts lie in a folder beside it until the whole file has taken
its place. The name of a part ends in a fingerprint of everything that its arrays depend on, so a part that was made
with other settings has another name and is never found.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from mer_cli.errors import StoreError
from mer_cli.system.files import clear_temporary, lock_file, lock_path, replacing, require_no_folder, unwritten
from mer_cli.system.workers import run_in_workers

Array = NDArray[Any]
OnClip = Callable[[str, str], None]


def ignore_clip(clip_id: str, status: str) -> None:
    """Do nothing when a clip ends; for callers that show no progress."""


# How a clip ends; the task of a clip that is done may name another way than OK.
OK = "ok"
FAILED = "failed"
RESUMED = "resumed"


@dataclass(frozen=True)
class Computed:
    """What is computed for a clip: the arrays of its part, and how the clip ended.

    reason : why the clip failed, which doesn't stop the others; empty if it didn't
    """

    arrays: Mapping[str, Array]
    status: str = OK
    reason: str = ""


def failed(error: Exception) -> Computed:
    """Return the result of a clip that nothing can be computed for."""
    return Computed({}, FAILED, str(error))


@dataclass(frozen=True)
class Task:
    """One clip to work on.

    part : the file for its arrays (`part_path`)
    compute : a function of a module or a `partial` of one, so that a worker can import it; an error that it raises
        stops the whole command
    """

    clip_id: str
    part: Path
    compute: Callable[[], Computed]


def make_part(task: Task) -> tuple[str, str, str]:
    """Compute a clip and save its part, unless it failed; return its id, how it ended and why it failed."""
    computed = task.compute()
    if computed.status != FAILED:
        save_arrays(task.part, computed.arrays)
    return task.clip_id, computed.status, computed.reason


@dataclass(frozen=True)
class Resumable:
    """A file that is computed clip by clip, and what its errors say.

    doing : what the workers do, "cropping clips"
    room : what the disk must have room for
    elsewhere : how to write to another place, "give another --out"
    retry : what helps when memory runs out
    parts_suffix : tells the folders of parts of two such computations for one file apart
    """

    path: Path
    doing: str
    room: str
    elsewhere: str
    problem: str = "cannot be written"
    retry: str = "Run the same command again"
    parts_suffix: str = "parts"

    @property
    def parts(self) -> Path:
        """Folder that holds one file for each finished clip."""
        return parts_dir(self.path, self.parts_suffix)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the lock of the file; tell what to do where the disk refuses something.

        Raises
        ------
        StoreError
            If another process works on the file, something lies in its way, or the disk is full or can't be written.
        """
        try:
            require_no_folder(self.path)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with lock_file(self.path):
                yield
        except OSError as error:
            message = unwritten(
                self.path,
                error,
                problem=self.problem,
                room=self.room,
                elsewhere=self.elsewhere,
                kept="finished clips are kept",
            )
            raise StoreError(message) from error

    def make_parts(self, tasks: Sequence[Task], jobs: int, on_clip: OnClip) -> dict[str, str]:
        """Make the parts that aren't there yet. Hold `alone` meanwhile.

        Parameters
        ----------
        jobs : number of worker processes
        on_clip : called with a clip id and "resumed", "failed" or the task's status as each clip ends

        Returns
        -------
        why a clip has no part, by clip id

        Raises
        ------
        StoreError
            If a worker process is killed. Errors that a task raises are raised as they are.
        """
        self.parts.mkdir(exist_ok=True)
        clear_temporary(self.parts)
        reasons, missing = {}, []
        for task in tasks:
            if load_arrays(task.part) is None:
                missing.append(task)
            else:
                on_clip(task.clip_id, RESUMED)

        def note(ended: tuple[str, str, str]) -> None:
            clip_id, status, reason = ended
            if status == FAILED:
                reasons[clip_id] = reason
            on_clip(clip_id, status)

        try:
            run_in_workers(make_part, missing, jobs, note)
        except BrokenProcessPool as error:
            raise StoreError(
                f"{self.path}: a worker process was killed while {self.doing}, probably for lack of memory. "
                f"Finished clips are kept. {self.retry}."
            ) from error
        return reasons

    def replacing(self) -> AbstractContextManager[Path]:
        """Yield a temporary path, whose file takes the place of the whole file (`files.replacing`)."""
        return replacing(self.path, folder=self.parts, sync=True)

    def clear(self, keep: Collection[Path] = ()) -> None:
        """Remove the parts and whatever else lies in their folder, except what is to be kept."""
        if not keep:
            shutil.rmtree(self.parts, ignore_errors=True)
            return
        for path in set(self.parts.iterdir()) - set(keep):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def parts_dir(path: Path, suffix: str = "parts") -> Path:
    """Return the folder beside a file that its parts lie in."""
    return path.with_name(f"{path.name}.{suffix}")


def part_path(folder: Path, clip_id: str, fingerprint: str) -> Path:
    """Return the path of a clip's part; the quoted name stays in `folder` whatever the clip is called."""
    return folder / f"{quote(clip_id, safe='')}-{fingerprint[:16]}.npz"


def digest(facts: object) -> str:
    """Return the SHA-256 of plain values."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def save_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays into one file, in one step.

    Raises
    ------
    OSError
        If the disk is full or can't be written.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def load_arrays(path: Path, names: Iterable[str] | None = None) -> dict[str, Array] | None:
    """Read some or all arrays that `save_arrays` wrote, checking the checksum of each.

    Returns
    -------
    None if the file is absent, damaged or lacks one of them
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            return {name: held[name] for name in names or held.files}
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error):
        return None


def read_part(task: Task, names: Iterable[str] | None = None) -> dict[str, Array]:
    """Read the arrays of a part that `make_parts` made or found.

    Raises
    ------
    StoreError
        If the part was damaged since.
    """
    arrays = load_arrays(task.part, names)
    if arrays is None:
        raise StoreError(f"{task.part}: the part of clip {task.clip_id} is damaged. Run the same command again.")
    return arrays


PART = "array"  # the name of the only array in a part of `build_by_clip`


@dataclass(frozen=True)
class ByClip:
    """One array for each clip of a store.

    what : its name in a sentence, "the flow"
    path : the file that keeps the arrays of all clips
    compute : returns the array of a clip id; a function of a module, or a `partial` of one
    key : a fingerprint of everything that the arrays depend on
    room : what the disk must have room for, in words
    """

    what: str
    path: Path
    clip_ids: Sequence[str]
    compute: Callable[[str], Array]
    key: str
    room: str


def fingerprint(made_from: Mapping[str, Any]) -> str:
    """Return a short SHA-256 of plain values."""
    return digest(made_from)[:16]


def build_by_clip(
    wanted: ByClip,
    *,
    is_current: Callable[[], bool],
    write: Callable[[list[Array], Path], None],
    jobs: int,
    on_clip: OnClip,
) -> None:
    """Compute an array for each clip and write all into one file, unless that file is there.

    Parameters
    ----------
    is_current : tells whether the file is there, whole, and what would be computed now
    write : writes the arrays, in the order of the clips, to a temporary path
    on_clip : as in `Resumable.make_parts`; never called if there is nothing to do

    Raises
    ------
    StoreError
        As `Resumable.alone` and `Resumable.make_parts`. What `compute` raises is raised as it is.
    """
    work = Resumable(
        path=wanted.path,
        doing=f"computing {wanted.what}",
        room=f"{wanted.room} and as much again for parts",
        elsewhere="copy the store to a folder of your own and name it there",
    )
    if is_current():  # looked at without the lock first: the folder may be read-only
        _clear_leftovers(work)
        return
    with work.alone():
        if not is_current():
            tasks = [
                Task(clip_id, part_path(work.parts, clip_id, wanted.key), partial(_compute, wanted.compute, clip_id))
                for clip_id in wanted.clip_ids
            ]
            work.make_parts(tasks, jobs, on_clip)
            with work.replacing() as temporary:
                write([read_part(task, [PART])[PART] for task in tasks], temporary)
            work.clear()


def _compute(compute: Callable[[str], Array], clip_id: str) -> Computed:
    return Computed({PART: compute(clip_id)})


def _clear_leftovers(work: Resumable) -> None:
    """Remove lock and parts of a process that was killed after its file was in place, if the folder can be written."""
    if work.parts.exists() or lock_path(work.path).exists():
        with suppress(OSError, StoreError), lock_file(work.path):  # a living process does it itself
            work.clear()
