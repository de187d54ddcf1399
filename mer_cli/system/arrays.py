"""Read the arrays of an npz file that may be damaged, without trusting the sizes that it declares."""

from __future__ import annotations

import math
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from io import BytesIO
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

HEADER = 16_384  # bytes; more than the header of any array that numpy writes
_HEADER_READERS: Mapping[tuple[int, int], Any] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_arrays(content: bytes, limits: Mapping[str, int]) -> dict[str, NDArray[Any]]:
    """Return the arrays that an npz file has of those in `limits`; no other array is read.

    Parameters
    ----------
    content : the whole file
    limits : largest size of each array, in bytes, by name

    Raises
    ------
    ValueError
        If the file is not an archive that `numpy.savez` or `savez_compressed` wrote, or an array is too large, not made
        of numbers or text, or damaged.
    """
    if not zipfile.is_zipfile(BytesIO(content)):  # `np.load` would take a single array, or speak of pickles
        raise ValueError("not an archive of arrays")
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            members = {member.filename: member for member in archive.infolist()}
            wanted = {name: members[f"{name}.npy"] for name in limits if f"{name}.npy" in members}
            return {name: _read_array(archive, wanted[name], name, limits[name]) for name in wanted}
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, OverflowError) as error:
        raise ValueError(f"not an archive of arrays: {error}") from None


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str, limit: int) -> NDArray[Any]:
    if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"the array {name} is encrypted, or packed in a way that numpy does not use")
    if member.file_size > limit + HEADER:
        raise ValueError(f"the array {name} takes {member.file_size:,} bytes, and at most {limit:,} belong there")
    with archive.open(member) as opened:
        data = opened.read()  # not more than `file_size`
    stream = BytesIO(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on a header that Python 2 wrote
            shape, is_fortran, dtype = _HEADER_READERS[np.lib.format.read_magic(stream)](stream)
        if dtype.kind not in "biufU" or dtype.itemsize == 0:
            raise ValueError
        n_bytes = math.prod(shape) * dtype.itemsize
        values = data[stream.tell() :]
        if min(shape, default=0) < 0 or n_bytes != len(values):
            raise ValueError
        return np.frombuffer(values, dtype).reshape(shape, order="F" if is_fortran else "C").copy()
    except (ValueError, KeyError, TypeError, SyntaxError, TokenError, OverflowError, MemoryError, RecursionError):
        raise ValueError(f"the header of the array {name} does not fit its bytes") from None
