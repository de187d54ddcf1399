"""One writer at a time for one file: a lock file beside it, held by the operating system and gone with its process."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from mer_cli.errors import StoreError

NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP})


def lock_path(out: Path) -> Path:
    """Return the lock file of the file `out`; one that is there may be a killed process's, which holds nothing."""
    return out.with_name(f"{out.name}.lock")


@contextmanager
def lock_store(out: Path) -> Iterator[None]:
    """Hold the lock of the file `out`, which is a store or lies beside one.

    On a disk without locks, as some networks have, a file with the process's number stands in for the lock.

    Raises
    ------
    StoreError
        If another process holds it.
    OSError
        If the lock file can't be written.
    """
    path = lock_path(out)
    lock = _acquire(FileLock(path), out)
    try:
        yield
    finally:
        # While it is held: a process that waits for the lock sees that the file is another one. Windows does not remove
        # a file that is open, and it stays; nothing holds it then.
        with suppress(OSError):
            path.unlink(missing_ok=True)
        lock.release()


def _acquire(lock: BaseFileLock, out: Path) -> BaseFileLock:
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise StoreError(
            f"{out}: another process is building it. Wait until it ends, then run the same command again."
        ) from None
    except OSError as error:
        if error.errno not in NO_LOCKS or isinstance(lock, SoftFileLock):
            raise
        return _acquire(SoftFileLock(os.fspath(lock_path(out))), out)
    return lock
