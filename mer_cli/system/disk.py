"""Room on the disk that a file is about to need."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import IO


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
