"""One build at a time for one store: a lock file beside it, held by the operating system and gone with its process."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mer_cli.errors import StoreError


def lock_path(out: Path) -> Path:
    """Give the lock file of the store `out`; one that is there may be a killed process's, which holds nothing."""
    return out.with_name(f"{out.name}.lock")


@contextmanager
def lock_store(out: Path) -> Iterator[None]:
    """Hold the lock of the store `out`.

    Raises
    ------
    StoreError
        If another process holds it.
    """
    path = lock_path(out)
    descriptor = _acquire(path, out)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _acquire(path: Path, out: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode() or "another one"
            os.close(descriptor)
            raise StoreError(
                f"{out}: process {holder} is building it. Expected one build at a time. "
                "Wait until it ends, then run the same command again."
            ) from None
        # The file may have been another process's, which removed it just before the lock was ours.
        if _is_still_there(descriptor, path):
            return descriptor
        os.close(descriptor)


def _is_still_there(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
