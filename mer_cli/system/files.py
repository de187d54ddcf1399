"""Write files and folders that are whole or absent if the program is killed, one writer at a time.

Machines may share the disk. Why a write failed, and what helps, is told from the error's number, here alone.
"""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from mer_cli.errors import RunError, StoreError


@contextmanager
def replacing(target: Path, *, folder: Path | None = None, sync: bool = False) -> Iterator[Path]:
    """Yield a temporary path to write to; its file takes the place of `target` if nothing fails, or is removed.

    Parameters
    ----------
    folder : where the temporary file lies, on the disk of `target`; beside it if left out
    sync : wait until the data is on the disk, so that a power cut can't leave half a file under the final name

    Raises
    ------
    OSError
        If the disk is full or the place can't be written.
    """
    temporary = _temporary(target, folder or target.parent)
    try:
        yield temporary
        if sync:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(target: Path, text: str) -> None:
    """Write a small file as UTF-8, like `write_bytes`."""
    write_bytes(target, text.encode())


def write_bytes(target: Path, data: bytes) -> None:
    """Write a small file in one step, replacing the one that is there.

    Raises
    ------
    RunError
        If the disk is full or the place can't be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise RunError(unwritten(target, error)) from None


def write_folder(target: Path, fill: Callable[[Path], None], *, replace: bool) -> bool:
    """Make a folder in one step: fill a temporary one beside it and move that into place.

    Parameters
    ----------
    replace : what to do with a folder that is there: replace it, or leave it and drop the new one

    Returns
    -------
    whether the new folder is in place

    Raises
    ------
    RunError
        If the disk is full or the place can't be written.
    """
    partial = _temporary(target, target.parent)
    try:
        partial.mkdir(parents=True)
        fill(partial)
        if target.exists():
            if not replace:
                return False
            shutil.rmtree(target)
        partial.replace(target)
        return True
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST) and target.is_dir():
            return False  # another process has made it meanwhile
        raise RunError(unwritten(target, error)) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _temporary(target: Path, folder: Path) -> Path:
    return folder / f".{target.name}-{uuid.uuid4().hex[:8]}.partial"


def clear_temporary(folder: Path) -> None:
    """Remove the temporary files that killed processes left in a folder; no other process may be writing there."""
    for path in folder.glob(".*.partial"):
        path.unlink(missing_ok=True)


def reserve(path: Path, n_bytes: int) -> None:
    """Make sure that there is room for a file of `n_bytes`; a full disk makes the process crash inside HDF5.

    Where the system can't reserve room, compare with the free space.

    Raises
    ------
    OSError
        If there is too little room (ENOSPC), or the file can't be written.
    """
    with path.open("rb+" if path.exists() else "wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, n_bytes)
            return
        missing = n_bytes - os.fstat(file.fileno()).st_size
    if missing > shutil.disk_usage(path.parent).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
IN_THE_WAY = frozenset({errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY})


def require_no_folder(path: Path) -> None:
    """Raise at once what the system would raise at the very end if a folder has the name of a file to be written."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))


def unwritten(
    path: Path,
    error: OSError,
    *,
    problem: str = "cannot be written",
    room: str = "",
    elsewhere: str = "give another --out",
    kept: str = "finished folds are kept",
) -> str:
    """Return the message for a failed write, by its cause: no permission, something in the way, or no room.

    Parameters
    ----------
    room : what the disk must have room for, in words
    elsewhere : how to write to another place
    kept : what the next command doesn't have to do again
    """
    reason = os.strerror(error.errno) if error.errno else str(error)
    needed = ""
    if error.errno in NOT_ALLOWED:
        folder = next(folder for folder in path.absolute().parents if folder.is_dir())
        cure = f"Give yourself permission to write to {folder} or {elsewhere}"
    elif error.errno in IN_THE_WAY:
        obstacle = error.filename2 or error.filename or path
        cure = f"Move {os.fsdecode(obstacle)} away"
    else:
        needed = f" The disk needs room for {room}." if room else ""
        cure = f"Free space on the disk or {elsewhere}"
    return f"{path}: {problem} ({reason}).{needed} {cure}, then run the same command again: {kept}."


NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP})


def lock_path(path: Path) -> Path:
    """Return the lock file of a file; a killed process may leave one, which locks nothing."""
    return path.with_name(f"{path.name}.lock")


@contextmanager
def lock_file(path: Path) -> Iterator[None]:
    """Hold the lock of a file, so that no other process builds it; the system frees it when this process ends.

    On a disk without locks, as on some networks, a file with the process's number replaces the lock.

    Raises
    ------
    StoreError
        If another process holds it.
    OSError
        If the lock file can't be written.
    """
    lock = _acquire(FileLock(lock_path(path)), path)
    try:
        yield
    finally:
        # Removed while it is held: a process that waits for the lock then sees that the file is another one. Windows
        # doesn't remove an open file: there it stays, and locks nothing.
        with suppress(OSError):
            lock_path(path).unlink(missing_ok=True)
        lock.release()


def _acquire(lock: BaseFileLock, path: Path) -> BaseFileLock:
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise StoreError(
            f"{path}: another process is building it. Wait until it ends, then run the same command again."
        ) from None
    except OSError as error:
        if error.errno not in NO_LOCKS or isinstance(lock, SoftFileLock):
            raise
        return _acquire(SoftFileLock(os.fspath(lock_path(path))), path)
    return lock
