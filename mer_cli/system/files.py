"""Write files and folders so that they are whole or absent if the program is killed, with one writer at a time.

Machines may share the disk. Only this module turns the number of a failed read's or write's error into a cause and a
remedy.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeGuard

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from mer_cli.errors import MOST_OF_A_PATH, RunError, StoreError, shortened


@contextmanager
def replacing(target: Path, *, folder: Path | None = None, sync: bool = False) -> Iterator[Path]:
    """Yield a temporary path to write to; the file replaces `target` at the end, or is removed after an error.

    Parameters
    ----------
    folder : folder for the temporary file, on the same disk as `target`; by default the folder of `target`
    sync : wait until the data is on the disk, so that a power cut can't leave half a file under the final name

    Raises
    ------
    OSError
        If the disk is full or the folder can't be written to.
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


def read_bounded(path: Path, limit: int) -> bytes:
    """Return the content of a regular file; a pipe, a device or a file that is too large is refused unread.

    Parameters
    ----------
    limit : largest size, in bytes, that the file may have

    Raises
    ------
    OSError
        If the file can't be read, or is a folder.
    ValueError
        If it is not a regular file, or is larger than `limit`.
    """

    def unblocked(name: str, flags: int) -> int:
        return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))  # opening a pipe would wait for its other end

    with open(path, "rb", opener=unblocked) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("it is not a regular file")
        content = b""
        if found.st_size <= limit:
            content = file.read(found.st_size + 1)  # not `limit`, for which Python would reserve memory
            if len(content) > found.st_size:  # it has grown
                content += file.read(limit + 1 - len(content))
    if max(found.st_size, len(content)) > limit:
        raise ValueError(f"it has more than {limit:,} bytes")
    return content


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(target: Path, text: str) -> None:
    """Write a small text file as UTF-8 in one step, like `write_bytes`."""
    write_bytes(target, text.encode())


def write_bytes(target: Path, data: bytes) -> None:
    """Write a small file in one step, replacing an existing file.

    Raises
    ------
    RunError
        If the disk is full or the folder can't be written to.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise RunError(unwritten(target, error)) from None


def write_folder(target: Path, fill: Callable[[Path], None], *, replace: bool) -> bool:
    """Make a folder in one step: fill a temporary folder beside it, then rename that.

    Parameters
    ----------
    fill : writes the content into the temporary folder that it is given
    replace : whether to replace an existing folder, or to keep it and drop the new folder

    Returns
    -------
    whether the new folder is in place, not dropped

    Raises
    ------
    RunError
        If the disk is full or the folder can't be written to.
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
    """Reserve disk space for a file of `n_bytes`, because a full disk makes the process crash inside HDF5.

    Where the system can't reserve space, only the free space is checked.

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
ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR})  # there is no such file
TOO_MANY_OPEN = frozenset({errno.EMFILE, errno.ENFILE})
NO_DEVICE = frozenset({errno.EIO, errno.ENXIO, errno.ENODEV})
NO_NETWORK = frozenset({errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH})
BAD_NAME = frozenset({errno.ENAMETOOLONG, errno.ELOOP})

# Causes that reading and writing share, each with what to do.
CURES = {
    **dict.fromkeys(TOO_MANY_OPEN, "Close other programs or raise the limit (ulimit -n 4096)"),
    **dict.fromkeys(NO_DEVICE, "Check the disk and its connection, which failed, and copy your files to another disk"),
    **dict.fromkeys(NO_NETWORK, "Connect the network disk again, which doesn't answer"),
    **dict.fromkeys(BAD_NAME, "Give a shorter path, without a link that leads to itself"),
    errno.ENOMEM: "Close other programs to free memory",
    errno.EBUSY: "Wait until the program that uses it ends",
}

# HDF5 gives these numbers if a damaged file leads it to a place that can't exist.
_IMPOSSIBLE_PLACE = frozenset({errno.EINVAL, errno.EFBIG, errno.EOVERFLOW, errno.EFAULT})


def is_damage(error: OSError) -> bool:
    """Tell whether an error of reading is about the content of a file, not about the disk, the permissions or locks."""
    return not error.errno or error.errno in _IMPOSSIBLE_PLACE


def may_be_whole(error: Exception) -> TypeGuard[OSError]:
    """Tell whether an error of reading says nothing about a file, which is there and can't be read now."""
    return isinstance(error, OSError) and not is_damage(error) and error.errno not in ABSENT


def unread(path: Path, error: OSError, *, kept: str = "The file may be whole: keep it.") -> str:
    """Return the message for a file that the system can't read now, according to the cause; it need not be damaged.

    Parameters
    ----------
    kept : a sentence about the file
    """
    if error.errno in NOT_ALLOWED:
        cure = "Give yourself permission to read it and to enter its folder, or ask its owner"
    elif error.errno in (errno.ENOENT, errno.ENOTDIR):
        return f"{path}: there is no such file. Check the path."
    elif error.errno == errno.EISDIR:
        return f"{path}: a folder, not a file. Check the path."
    else:
        cure = CURES.get(error.errno or 0, "Remove the cause")
    return f"{path}: cannot be read ({_reason(error)}). {kept} {cure}, then run the same command again."


def failure(error: OSError) -> str | None:
    """Return what failed and what to do, for an error of the disk or the machine that may come from anywhere.

    None if it is of another kind, such as a file that is not there: then it may be a mistake of the program.
    """
    if error.errno == errno.ENOSPC:
        if error.filename and _has_no_inodes(Path(os.fsdecode(error.filename))):
            return "the disk can't hold more files. Remove many small files, and run the same command again."
        return "no space left on the disk. Make room, and run the same command again."
    if error.errno == errno.EDQUOT:
        return "your share of the disk is used up. Remove files of yours, and run the same command again."
    if error.errno in CURES:
        return f"{_reason(error)}. {CURES[error.errno]}, then run the same command again."
    if error.errno in NOT_ALLOWED and error.filename:
        return f"{_reason(error)}. Give yourself permission to it and to its folder, then run the same command again."
    return None


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)


def require_no_folder(path: Path) -> None:
    """Raise an OSError if the path of a file to be written is a folder; the system would only raise it at the end."""
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
    """Return the message for a failed write, according to its cause: no permission, something in the way, or no room.

    Parameters
    ----------
    problem : what failed, in words
    room : what the disk must have room for, in words
    elsewhere : what to do to write to another place, in words
    kept : which finished work is kept, in words
    """
    needed = ""
    if error.errno in NOT_ALLOWED:
        folder = next(folder for folder in path.absolute().parents if folder.is_dir())
        cure = f"Give yourself permission to write to {folder} or {elsewhere}"
    elif error.errno in IN_THE_WAY:
        obstacle = error.filename2 or error.filename or path
        cure = f"Move {os.fsdecode(obstacle)} away"
    elif error.errno == errno.ENAMETOOLONG:
        cure = f"Give a shorter name or {elsewhere}"
    elif error.errno in CURES:
        cure = CURES[error.errno]
    elif error.errno == errno.EDQUOT:
        cure = f"Your share of the disk is used up: remove files of yours, ask for a larger quota or {elsewhere}"
    elif error.errno == errno.ENOSPC and _has_no_inodes(path):
        cure = (
            "The disk has free space, but can't hold more files (its inodes are used up): remove many small files or "
            f"{elsewhere}"
        )
    else:
        needed = f" The disk needs room for {room}." if room else ""
        cure = f"Free space on the disk or {elsewhere}"
    where = shortened(str(path), MOST_OF_A_PATH)
    return f"{where}: {problem} ({_reason(error)}).{needed} {cure}, then run the same command again: {kept}."


def _has_no_inodes(path: Path) -> bool:
    """Tell whether the disk of a file has free space, but no inode for another file."""
    if not hasattr(os, "statvfs"):
        return False
    try:
        disk = os.statvfs(next(folder for folder in path.absolute().parents if folder.is_dir()))
    except OSError:
        return False
    return disk.f_files > 0 and disk.f_favail == 0 and disk.f_bavail > 0


NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL})
LOCKS_OFF = ("FALSE", "0")  # values of HDF5_USE_FILE_LOCKING with which users of disks without locks turn HDF5's off


def lock_path(path: Path) -> Path:
    """Return the path of the lock file of a file; a lock file that a killed process leaves locks nothing."""
    return path.with_name(f"{path.name}.lock")


@contextmanager
def lock_file(path: Path) -> Iterator[None]:
    """Hold the lock of a file, so that no other process builds the file; the lock ends with this process at the latest.

    On a disk without locks, as on some networks, or if HDF5_USE_FILE_LOCKING is FALSE, a file that holds the number of
    this process serves as the lock.

    Raises
    ------
    StoreError
        If another process holds the lock.
    OSError
        If the lock file can't be written.
    """
    is_off = os.environ.get("HDF5_USE_FILE_LOCKING", "").upper() in LOCKS_OFF
    lock = _acquire((SoftFileLock if is_off else FileLock)(lock_path(path)), path)
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
