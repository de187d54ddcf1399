"""Work on each clip in another process and keep each finished clip as a part, so that a killed command can continue.

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

from mer_cli.engines.engine import TRIES, Ended, Engine, Needs, OnStep, Task
from mer_cli.errors import StoreError
from mer_cli.system.files import (
    clear_temporary,
    lock_file,
    lock_path,
    may_be_whole,
    replacing,
    require_no_folder,
    unread,
    unwritten,
)
from mer_cli.system.opencv import cv2
from mer_cli.system.workers import run_in_workers

Array = NDArray[Any]
OnClip = Callable[[str, str], None]
LONGEST_NAME, LONGEST_CUT = 216, 150  # characters of a clip id in a file's name; with the rest it has at most 255


def ignore_clip(clip_id: str, status: str) -> None:
    """Do nothing when a clip is finished: the `on_clip` of callers that show no progress."""


# How a clip ends; the task of a clip that is done may name another way than OK.
OK = "ok"
FAILED = "failed"
RESUMED = "resumed"


@dataclass(frozen=True)
class Computed:
    """The result of computing one clip.

    arrays : what is saved for the clip, by name
    status : how the clip ended, such as "ok" or "failed"
    reason : why the clip failed, which doesn't stop the other clips; "" if it did not fail
    """

    arrays: Mapping[str, Array]
    status: str = OK
    reason: str = ""


def failed(error: Exception) -> Computed:
    """Return the result of a clip for which nothing can be computed because of `error`."""
    return Computed({}, FAILED, str(error))


@dataclass(frozen=True)
class ClipTask:
    """One clip to work on.

    part : path of the file for the clip's arrays (`part_path`)
    compute : computes the clip; a module's function or a `partial` of such a function, so that a worker can import it;
        an error that it raises stops the whole command
    """

    clip_id: str
    part: Path
    compute: Callable[[], Computed]


def make_part(task: ClipTask) -> tuple[str, str, str]:
    """Compute a clip and save its arrays unless it failed; return its id, its status and why it failed ("" if not)."""
    computed = task.compute()
    if computed.status != FAILED:
        save_arrays(task.part, computed.arrays)
    return task.clip_id, computed.status, computed.reason


NOTE, ERROR = ".note.json", ".error.json"  # beside a part: how its clip ended, or why nothing could be computed


@dataclass(frozen=True)
class ClipWork:
    """The clips of a file as an engine's work: each is computed anywhere, and its part is saved in the folder of parts.

    How a clip ended is noted beside its part, so that a command that was closed meanwhile finds it.
    """

    name: str
    folder: str

    @property
    def needs(self) -> Needs:
        return Needs(threads=1)

    def read(self) -> None:
        """Read nothing: each clip has images of its own."""

    def do(self, shared: None, item: ClipTask, on_step: OnStep) -> Computed:
        """Compute a clip, by one thread."""
        cv2.setNumThreads(1)
        return item.compute()

    def keep(self, item: ClipTask, result: Computed) -> tuple[str, str, str]:
        """Save a clip's part and how it ended; return what `make_part` does."""
        if result.status != FAILED:
            save_arrays(item.part, result.arrays)
        _write_note(item, NOTE, [result.status, result.reason])
        return item.clip_id, result.status, result.reason

    def kept(self, item: ClipTask) -> tuple[str, str, str] | None:
        """Return how a clip ended, or None if it is not finished."""
        noted = _read_note(item, NOTE)
        return (item.clip_id, noted[0], noted[1]) if noted else None

    def begin(self, item: ClipTask, place: str = "") -> bool:
        """Return True: the lock of the whole file keeps other commands away."""
        return True

    def end(self, item: ClipTask) -> None:
        """Do nothing: there is no claim."""

    def fail(self, item: ClipTask, error: BaseException, log: str) -> int:
        """Note that nothing could be computed, and return how often that has happened."""
        noted = _read_note(item, ERROR)
        times = int(noted[0]) + 1 if noted else 1
        _write_note(item, ERROR, [str(times), f"{error}{f' Log: {log}' if log else ''}"])
        return times

    def failure(self, item: ClipTask) -> str | None:
        """Return why nothing could be computed for the last time, or None."""
        noted = _read_note(item, ERROR)
        return noted[1] if noted and int(noted[0]) >= TRIES else None

    def forget(self, item: ClipTask) -> None:
        """Forget how a clip ended in an earlier command, so that it is computed again."""
        for kind in (NOTE, ERROR):
            _note_of(item, kind).unlink(missing_ok=True)


def _note_of(item: ClipTask, kind: str) -> Path:
    return item.part.with_suffix(kind)


def _write_note(item: ClipTask, kind: str, noted: list[str]) -> None:
    with replacing(_note_of(item, kind)) as temporary:
        temporary.write_text(json.dumps(noted), encoding="utf-8")


def _read_note(item: ClipTask, kind: str) -> list[str] | None:
    try:
        noted = json.loads(_note_of(item, kind).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return [str(noted[0]), str(noted[1])]


@dataclass(frozen=True)
class Resumable:
    """A file that is computed clip by clip, and the words for its errors.

    Each finished clip is kept in a file of its own, a part, until the whole file is written.

    path : the whole file
    doing : what the workers do, "cropping clips"
    room : what the disk must have room for
    elsewhere : what to do to write to another place, "give another --out"
    problem : what is wrong if the file can't be written
    retry : what to do if a worker is killed, probably for lack of memory
    parts_suffix : end of the name of the folder of parts; differs if two computations have the same `path`
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
        """The folder that holds a file of arrays for each finished clip."""
        return parts_dir(self.path, self.parts_suffix)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the lock of `path` for a `with` block; turn disk errors in the block into a StoreError with a remedy.

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

    def make_parts(
        self, tasks: Sequence[ClipTask], jobs: int, on_clip: OnClip, engine: Engine | None = None
    ) -> dict[str, str]:
        """Compute and save the clips that have no part yet; call this only within `alone`.

        Parameters
        ----------
        jobs : number of worker processes on this machine
        on_clip : called at the end of each clip with its id and its status; "resumed" if its part was there already
        engine : does it on other machines, which need the same paths; None does it here

        Returns
        -------
        id of each clip that failed -> why it failed

        Raises
        ------
        StoreError
            If a worker process is killed, or a clip ends its worker or job on another machine several times. An error
            that a task raises is not changed.
        """
        self.parts.mkdir(exist_ok=True)
        if engine is None or not engine.is_detached:  # jobs of an earlier command may be writing
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

        if engine is not None:
            self._send(missing, engine, note)
            return reasons
        try:
            run_in_workers(make_part, missing, jobs, note)
        except BrokenProcessPool as error:
            raise StoreError(
                f"{self.path}: a worker process was killed while {self.doing}, probably for lack of memory. "
                f"Finished clips are kept. {self.retry}."
            ) from error
        return reasons

    def _send(self, tasks: Sequence[ClipTask], engine: Engine, note: Callable[[tuple[str, str, str]], None]) -> None:
        """Let an engine compute and save clips; call `note` with what `make_part` returns for each."""
        work = ClipWork(self.path.name, str(self.parts))
        for task in tasks:
            work.forget(task)

        def end(ended: Ended) -> None:
            if ended.error is not None:
                raise ended.error
            note(ended.told)

        sent = [Task(work, task, task.clip_id) for task in tasks]
        engine.run(iter(sent), end, lambda step, loss: None)

    def replacing(self) -> AbstractContextManager[Path]:
        """Return a context manager with a temporary path to write to; the file then replaces `path`."""
        return replacing(self.path, folder=self.parts, sync=True)

    def clear(self, keep: Collection[Path] = ()) -> None:
        """Remove the parts and everything else in their folder, except the paths in `keep`."""
        if not keep:
            shutil.rmtree(self.parts, ignore_errors=True)
            return
        for path in set(self.parts.iterdir()) - set(keep):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def parts_dir(path: Path, suffix: str = "parts") -> Path:
    """Return the folder for the parts of a file, beside it: "FILE.parts"."""
    return path.with_name(f"{path.name}.{suffix}")


def part_path(folder: Path, clip_id: str, fingerprint: str) -> Path:
    """Return the path of a clip's part in `folder`; signs such as "/" in the clip id are quoted, a long id is cut."""
    name = quote(clip_id, safe="")
    if len(name) > LONGEST_NAME:  # a Chinese character takes nine
        name = f"{name[:LONGEST_CUT]}-{hashlib.sha256(clip_id.encode()).hexdigest()[:16]}"
    return folder / f"{name}-{fingerprint[:16]}.npz"


def digest(facts: object) -> str:
    """Return the SHA-256, in hexadecimal, of values that JSON can hold."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def save_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write named arrays into one .npz file, in one step.

    Raises
    ------
    OSError
        If the disk is full or can't be written.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def load_arrays(path: Path, names: Iterable[str] | None = None) -> dict[str, Array] | None:
    """Read some or all arrays that `save_arrays` wrote, and check their checksums.

    Parameters
    ----------
    names : the arrays to read; None reads all

    Returns
    -------
    the arrays by name; None if the file is absent, is damaged or lacks one of the arrays

    Raises
    ------
    StoreError
        If the system can't read the file, for a reason outside it.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            return {name: held[name] for name in names or held.files}
    except OSError as error:
        if may_be_whole(error):
            raise StoreError(unread(path, error)) from error
        return None
    except (ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error):
        return None


def read_part(task: ClipTask, names: Iterable[str] | None = None) -> dict[str, Array]:
    """Read some (`names`) or all arrays of a clip that `make_parts` saved or found.

    Raises
    ------
    StoreError
        If the file is absent or was damaged in the meantime.
    """
    arrays = load_arrays(task.part, names)
    if arrays is None:
        raise StoreError(f"{task.part}: the part of clip {task.clip_id} is damaged. Run the same command again.")
    return arrays


PART = "array"  # the name of the only array in a part of `build_by_clip`


@dataclass(frozen=True)
class ByClip:
    """An array to be computed for each clip of a store, and the file to keep them in.

    what : name of the array in a sentence, "the flow"
    path : the file that keeps the arrays of all clips
    compute : returns the array for a clip id; a module's function or a `partial` of such a function
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
    """Return the first 16 hexadecimal digits of the SHA-256 of values that JSON can hold."""
    return digest(made_from)[:16]


def build_by_clip(
    wanted: ByClip,
    *,
    is_current: Callable[[], bool],
    write: Callable[[list[Array], Path], None],
    jobs: int,
    on_clip: OnClip,
    engine: Engine | None = None,
) -> None:
    """Compute an array for each clip and write all into one file, unless the file is already there and current.

    Parameters
    ----------
    is_current : returns whether the file is there, whole, and holds what would be computed now
    write : writes the arrays, in the order of the clips, to a temporary path
    on_clip : as in `Resumable.make_parts`; never called if there is nothing to do
    engine : as in `Resumable.make_parts`

    Raises
    ------
    StoreError
        As in `Resumable.alone` and `Resumable.make_parts`. An error that `compute` raises is not changed.
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
                ClipTask(
                    clip_id, part_path(work.parts, clip_id, wanted.key), partial(_compute, wanted.compute, clip_id)
                )
                for clip_id in wanted.clip_ids
            ]
            work.make_parts(tasks, jobs, on_clip, engine)
            with work.replacing() as temporary:
                write([read_part(task, [PART])[PART] for task in tasks], temporary)
            work.clear()


def _compute(compute: Callable[[str], Array], clip_id: str) -> Computed:
    return Computed({PART: compute(clip_id)})


def _clear_leftovers(work: Resumable) -> None:
    """Remove the lock and the parts left by a process that was killed after its file was in place, if possible."""
    if work.parts.exists() or lock_path(work.path).exists():
        with suppress(OSError, StoreError), lock_file(work.path):  # a living process does it itself
            work.clear()
