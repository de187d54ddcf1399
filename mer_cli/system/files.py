"""Files and folders that are there whole or not at all, if the program is killed, and what to say where they can't be.

Machines may share the disk. What helps against a full disk helps nothing else, so a message goes by the error's number.
"""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from mer_cli.errors import RunError


def write_folder(target: Path, fill: Callable[[Path], None], *, replace: bool) -> bool:
    """Makes a folder by filling a temporary one beside it and moving that into place; says whether it did.

    A folder that is there already is replaced, or left alone and ours dropped.

    Raises
    ------
    RunError
        If the disk is full or the place can't be written.
    """
    partial = _beside(target)
    try:
        partial.mkdir(parents=True)
        fill(partial)
        if target.exists():
            if not replace:
                shutil.rmtree(partial)
                return False
            shutil.rmtree(target)
        partial.replace(target)
        return True
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise _not_written(target, error) from None
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def write_text(target: Path, text: str) -> None:
    """Writes a small file in one move, as `write_bytes` does."""
    write_bytes(target, text.encode())


def write_bytes(target: Path, data: bytes) -> None:
    """Writes a small file beside its place and moves it there; a file that is there is replaced.

    Raises
    ------
    RunError
        If the disk is full or the place can't be written.
    """
    partial = _beside(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        partial.replace(target)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise _not_written(target, error) from None


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name}-{uuid.uuid4().hex[:8]}.partial")


def _not_written(target: Path, error: OSError) -> RunError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return RunError(
        f"{target}: can't be written ({reason}) — expected a writable folder with room for it. Free space or give "
        "another --out, then run the same command again: finished folds are kept."
    )


def reserve(file: IO[bytes], n_bytes: int) -> None:
    """See that there is room for `n_bytes` from the file's begin on: where HDF5 meets a full disk, the process crashes.

    Where the system can't set room aside, the room that is free is looked at.

    Raises
    ------
    OSError
        If there is not enough (ENOSPC), or the file can't be written.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, n_bytes)
        return
    missing = n_bytes - os.fstat(file.fileno()).st_size
    if missing > shutil.disk_usage(Path(file.name).parent).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file.name)


NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
IN_THE_WAY = frozenset({errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY})


def require_no_folder(path: Path) -> None:
    """Raise what the system says at the very end, where a folder has the name of the file that is to be written."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))


def unwritten(path: Path, error: OSError, *, what: str, room: str, elsewhere: str) -> str:
    """Give the message of a write that failed, after its cause: no permission, something in the way, or no room.

    Parameters
    ----------
    path : what was to be written · what : the failure in words, "cannot be written"
    room : what the disk must have room for, in words
    elsewhere : how to write to another place, "give another --out"
    """
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in NOT_ALLOWED:
        folder = next(folder for folder in path.absolute().parents if folder.is_dir())
        expected = f"a folder that may be written to. Give yourself that right on {folder} or {elsewhere}, then"
    elif error.errno in IN_THE_WAY:
        obstacle = error.filename2 or error.filename or path
        expected = f"nothing else of that name. Move {os.fsdecode(obstacle)} away, then"
    else:
        expected = f"room for {room}. Make room or {elsewhere}, then"
    return f"{path}: {what} ({reason}). Expected {expected} run the same command again: finished clips are kept."
