"""Looks at what lies where a store is to be written: another store may take its place, or nothing may."""

from __future__ import annotations

from pathlib import Path

from mer_cli.errors import StoreError
from mer_cli.records import Release
from mer_cli.store.hdf5 import read_store
from mer_cli.store.open_file import require_no_other_file
from mer_cli.store.write_errors import require_no_folder


def require_place(out: Path, release: Release, *, resume: bool) -> None:
    """Refuse to write the release's store over what would be lost.

    Runs find their store by its path. One whose pictures or table were mended is replaced, and a damaged one.

    Raises
    ------
    OSError
        If a folder has that name.
    StoreError
        If a file is there that is no store, or, with `resume`, the store of another dataset, or of real faces where
        these are generated, and the other way round.
    """
    require_no_folder(out)
    require_no_other_file(out)
    if not resume:
        return
    try:
        store = read_store(out)
    except StoreError:
        return  # there is none, or a damaged one
    found, expected = (
        f"{'generated faces' if each.generated else 'real faces'} of {each.dataset}" for each in (store, release)
    )
    if found != expected:
        raise StoreError(
            f"{out}: holds {found}, and would be replaced. Expected {expected}, or nothing. Give another --out, "
            "or --no-resume to replace it."
        )
