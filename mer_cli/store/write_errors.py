"""Says what to do about a file that the system would not write: what helps against a full disk helps nothing else."""

from __future__ import annotations

import errno
import os
from pathlib import Path

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
