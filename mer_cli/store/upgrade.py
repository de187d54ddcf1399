"""Check a whole store against its content hashes, and write the checksums that it lacks (`mer upgrade`)."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from pathlib import Path
from typing import Literal

import h5py
import numpy as np

from mer_cli.engines.resumable import Resumable
from mer_cli.store.checked import Checked
from mer_cli.store.columns import read_attributes, read_columns
from mer_cli.store.hdf5 import LIBRARY_VERSIONS, open_store
from mer_cli.store.schema import ARRAYS, CHECKSUMS, COLUMNS, CONTENT_HASH, LARGE_ARRAYS, SCHEMA_VERSION
from mer_cli.store.seal import DamageError, write_seal
from mer_cli.store.whole_clips import FRAMES_PATH, check_content
from mer_cli.system.files import replacing, reserve

ROOM = 1 << 22  # bytes that HDF5 and the checksums may add to a file


def upgrade_store(path: Path) -> Literal["whole", "upgraded"]:
    """Check every image, landmark and cell of a store, and write checksums unless they are there.

    The content hash and everything that runs depend on stay the same.

    Raises
    ------
    StoreError
        If the store is damaged, the disk is full or can't be written, or another process works on the store.
    """
    with open_store(path, even_if_changed=True) as checked:
        has_checksums = checked.seal is not None
        check_store(checked)
    if has_checksums:
        return "whole"
    size = path.stat().st_size
    work = Resumable(
        path=path,
        doing="writing checksums",
        room=f"a copy of the store, {math.ceil(size / 1e6)} MB",
        elsewhere="copy the store to a folder of your own and name that copy",
    )
    with work.alone(), replacing(path, sync=True) as temporary:
        shutil.copyfile(path, temporary)
        reserve(temporary, size + ROOM)  # a full disk makes the process crash inside HDF5, which frees what is left
        with h5py.File(temporary, "r+", libver=LIBRARY_VERSIONS, locking=False) as file:
            file.attrs[CHECKSUMS] = 1
        write_seal(temporary, LARGE_ARRAYS | {FRAMES_PATH: 1})
    return "upgraded"


def check_store(checked: Checked) -> None:
    """Raise DamageError if anything that the content hashes of an open store cover has changed."""
    attributes = read_attributes(checked)
    columns = read_columns(checked, attributes["dataset"])
    n_clips = len(columns["id"])
    arrays = {name: checked.dataset(name, (n_clips, *shape), dtype) for name, (shape, dtype) in ARRAYS.items()}
    row_of = {name: np.empty(shape, dtype) for name, (shape, dtype) in ARRAYS.items()}
    content = hashlib.sha256(f"schema {SCHEMA_VERSION}".encode())
    for row in range(n_clips):
        # As `StoreWriter.append` does it.
        cells = {
            name: values[row] if isinstance(values[row], str) else values[row].item()
            for name, values in columns.items()
        }
        content.update(json.dumps({name: cells[name] for name in COLUMNS}, sort_keys=True).encode())
        for name, found in arrays.items():
            checked.read_row(found, row, row_of[name])
            content.update(row_of[name].tobytes())
    if content.hexdigest() != attributes[CONTENT_HASH]:
        raise DamageError(
            "its clips are not those it was built with: their content hash is "
            f"{content.hexdigest()[:12]}, and {attributes[CONTENT_HASH][:12]} was recorded."
        )
    check_content(checked)
