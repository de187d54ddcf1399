"""Files and folders that are there whole or not at all, whatever kills the program; machines may share the disk."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

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
