"""A path comes in, the open file of a store goes out, checked to be one; and where clips lie in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py

from mer_cli.errors import StoreError
from mer_cli.store.schema import ARRAYS, CLIPS_GROUP, COLUMNS, SCHEMA_VERSION, VERSION_ATTRIBUTE
from mer_cli.system.lock import NO_LOCKS

SIGNATURE = b"\x89HDF\r\n\x1a\n"  # what every HDF5 file of ours begins with, one that was cut short as well


def require_no_other_file(path: Path) -> None:
    """Refuse to write a store over a file that is none; an empty one holds nothing to lose, nor does a damaged store.

    Raises
    ------
    StoreError
        If there is such a file: a table, or another program's HDF5.
    """
    if path.is_file() and _is_other_file(path):
        raise StoreError(
            f"{path}: a file that is no store, and would be lost. Expected a store, or nothing, where one is to be "
            "written. Give another --out, or move the file away."
        )


@contextmanager
def open_store(path: Path) -> Iterator[h5py.File]:
    """Open a store to read from it.

    Raises
    ------
    StoreError
        If the file is absent, damaged, of another schema version, or lacks a part of it; a read that fails inside the
        `with` says so, too.
    """
    if path.is_dir():
        raise StoreError(
            f"{path}: a folder. Expected a store, the .h5 file that `mer preprocess` wrote. Name that; if this is a "
            f"release, write its store: mer preprocess DATASET {path}."
        )
    if not path.is_file():
        raise StoreError(
            f"{path}: no such store. Expected a file that `mer preprocess` wrote. "
            f"Write it: mer preprocess DATASET RAW --out {path}."
        )
    try:
        if _is_other_file(path):
            raise StoreError(
                f"{path}: a file that is no store. Expected one that `mer preprocess` wrote. "
                "Name the store, an .h5 file."
            )
        with open_hdf5(path) as file:
            _check(file, path)
            yield file
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be read as HDF5, damaged or cut short ({error}). Expected a whole store. {_rebuild(path)}"
        ) from error


def open_hdf5(path: Path) -> h5py.File:
    """Open an HDF5 file to read from it, without a lock where the disk has none.

    Raises
    ------
    StoreError
        If another program has the file open to write to it.
    OSError
        If the file is not HDF5, or is damaged.
    """
    try:
        return h5py.File(path, "r")
    except BlockingIOError as error:
        raise StoreError(
            f"{path}: open in another program that may be writing to it. Wait until that ends, or close it there, then "
            "run the same command again."
        ) from error
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return h5py.File(path, "r", locking=False)


def rows_of(file: h5py.File, path: Path, clip_ids: Sequence[str]) -> list[int]:
    """Give the places of clips in the file's arrays.

    Raises
    ------
    StoreError
        If a clip is not in the store.
    """
    row_of = {clip_id: row for row, clip_id in enumerate(file[CLIPS_GROUP]["id"].asstr()[:])}
    missing = [clip_id for clip_id in clip_ids if clip_id not in row_of]
    if missing:
        raise StoreError(
            f"{path}: holds no clip {missing[0]} (and {len(missing) - 1} more that were asked for). "
            f"Expected some of its {len(row_of)} clips. See them with `mer info {path}`."
        )
    return [row_of[clip_id] for clip_id in clip_ids]


def _is_other_file(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(len(SIGNATURE))
    if start != SIGNATURE:
        return start != b""
    try:
        with open_hdf5(path) as hdf5:
            return VERSION_ATTRIBUTE not in hdf5.attrs
    except OSError:
        return False


def _check(file: h5py.File, path: Path) -> None:
    version = file.attrs[VERSION_ATTRIBUTE]
    if version != SCHEMA_VERSION:
        raise StoreError(f"{path}: schema version {version}, this program reads {SCHEMA_VERSION}. {_rebuild(path)}")
    for name in (*ARRAYS, *(f"{CLIPS_GROUP}/{column}" for column in COLUMNS)):
        if name not in file:
            raise StoreError(f"{path}: /{name} is missing. Expected it in every store. {_rebuild(path)}")


def _rebuild(path: Path) -> str:
    return f"Build it again: mer preprocess DATASET RAW --out {path} --no-resume."
