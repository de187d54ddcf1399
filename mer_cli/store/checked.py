"""Open an HDF5 file that may be damaged, and check everything that is read from it against what it should be.

A new file's checksums (`seal`) are checked before HDF5 sees a byte. Links out of the file, raw data in other files,
unknown filters, other dtypes and shapes and sizes that don't fit are refused before memory is taken for them. In a file
of an older version, which has no checksums, damage that keeps dtype, shape and order is not noticed.
"""

from __future__ import annotations

import json
import math
import os
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from mer_cli.errors import StoreError
from mer_cli.store.schema import CHECKSUMS, MAX_CLIPS, TEXT
from mer_cli.store.seal import DIFFERS, DamageError, Seal, Sums, read_seal
from mer_cli.system.files import is_damage, unread

FILTERS = frozenset({h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32, h5py.h5z.FILTER_LZF})
MAX_CHUNK = 64 << 20  # bytes; `mer` writes chunks of a clip, 1 MB


class UnreadStoreError(StoreError):
    """The file can't be read now, for a reason outside it: it may be whole, and nothing may replace it."""


@contextmanager
def open_checked(path: Path, cure: str) -> Iterator[Checked]:
    """Open an HDF5 file to read from it, having checked its checksums if it has any.

    Parameters
    ----------
    cure : what to do if the file is damaged, a sentence

    Raises
    ------
    UnreadStoreError
        If the system can't read the file, or another program has it open to write to it.
    StoreError
        If the file is damaged or was changed; also if a read inside the `with` block finds that.
    """
    try:
        with path.open("rb", buffering=0) as raw:
            seal = _read_seal(raw, path)
            with open_hdf5(path) as file:
                yield Checked(file, raw, seal)
    except DamageError as damage:
        raise StoreError(f"{path}: damaged, {damage} {cure}") from None
    except OSError as error:
        if not is_damage(error):
            raise UnreadStoreError(unread(path, error)) from error
        raise StoreError(
            f"{path}: cannot be read as HDF5, because it is damaged or truncated ({error}). {cure}"
        ) from error


# Seals that this process has checked, by what changes whenever a file is written: the same file may be opened for each
# of its clips. Times have steps of some milliseconds, so a file that was just written is checked again.
_known_seals: dict[tuple[int, ...], Seal | None] = {}
MAX_KNOWN = 16
SETTLED_S = 2.0


def _read_seal(raw: FileIO, path: Path) -> Seal | None:
    status = os.fstat(raw.fileno())
    version = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    if version in _known_seals:
        return _known_seals[version]
    try:
        seal = read_seal(raw)
    except DamageError:
        _require_not_open_elsewhere(raw, path)
        raise
    if time.time() - max(status.st_mtime, status.st_ctime) > SETTLED_S:
        if len(_known_seals) >= MAX_KNOWN:
            _known_seals.clear()
        _known_seals[version] = seal
    return seal


def _require_not_open_elsewhere(raw: FileIO, path: Path) -> None:
    """Raise UnreadStoreError if another program has a file open to write to it, so that it only seems damaged."""
    try:
        import fcntl
    except ImportError:  # Windows, where a file that is written to can't be opened
        return
    try:
        fcntl.flock(raw, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(raw, fcntl.LOCK_UN)
    except BlockingIOError:
        raise UnreadStoreError(_open_elsewhere(path)) from None
    except OSError:  # a disk without locks
        return


def open_hdf5(path: Path) -> h5py.File:
    """Open an HDF5 file to read from it; it is not locked if the disk doesn't support locks.

    Raises
    ------
    UnreadStoreError
        If another program has the file open to write to it.
    OSError
        If the file is not HDF5 or is damaged, or the system can't read it.
    """
    try:
        return h5py.File(path, "r")
    except BlockingIOError as error:
        raise UnreadStoreError(_open_elsewhere(path)) from error
    except OSError as error:
        if not error.errno:
            raise
        return h5py.File(path, "r", locking=False)  # raises the same error, unless it was about the lock


def _open_elsewhere(path: Path) -> str:
    return (
        f"{path}: open in another program that may be writing to it. Wait until that ends or close it there, then run "
        "the same command again."
    )


@contextmanager
def parsing(name: str) -> Iterator[None]:
    """Turn what HDF5 and h5py raise where a file is damaged into DamageError."""
    try:
        yield
    except OSError as error:
        if not is_damage(error):
            raise
        raise DamageError(f"/{name} can't be read ({error}).") from None
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        raise DamageError(f"/{name} can't be read ({error}).") from None


@dataclass(frozen=True)
class Checked:
    """An open HDF5 file; every read raises DamageError if what is read is not as it should be.

    raw : the same file, open for reading its bytes
    seal : its checksums, None if it has none
    """

    file: h5py.File
    raw: FileIO
    seal: Seal | None

    @property
    def is_changed(self) -> bool:
        """Whether the file was written with checksums that are gone, because another program has changed it."""
        return self.seal is None and self.has_attribute(CHECKSUMS)

    def require(self, names: Iterable[str]) -> None:
        """Raise DamageError if the file lacks one of these names, or has a link to elsewhere in its place."""
        if self.seal is None:
            for name in names:
                self._linked(name)

    def has(self, name: str) -> bool:
        """Tell whether the file has a group or dataset of this name at its top, be it damaged."""
        with parsing(name):
            return name in self.file

    def has_attribute(self, name: str, group: str = "") -> bool:
        """Tell whether the file, or a group, has an attribute of this name."""
        with parsing(group):
            return name in (self.group(group) if group else self.file).attrs

    def group(self, name: str) -> h5py.Group:
        """Return a group of the file."""
        found = self._linked(name)
        if not isinstance(found, h5py.Group):
            raise DamageError(f"/{name} is not a group.")
        return found

    def _linked(self, name: str) -> Any:
        """Return what the file holds under a name, refusing links that lead elsewhere."""
        above, _, last = name.rpartition("/")
        holder = self.group(above) if above else self.file
        with parsing(name):
            if not holder.id.links.exists(last.encode()):
                raise DamageError(f"/{name} is missing.")
            link = holder.id.links.get_info(last.encode())
            if link.type != h5py.h5l.TYPE_HARD:
                raise DamageError(f"/{name} is a link to another place.")
            return holder[last]

    def dataset(self, name: str, shape: tuple[int | None, ...], dtype: str) -> h5py.Dataset:
        """Return a dataset whose data lies whole in this file, with the dtype and shape it should have.

        Parameters
        ----------
        shape : a length that may be any is None; it is at most `MAX_CLIPS`
        dtype : a NumPy dtype, or `TEXT`
        """
        with parsing(name):
            found = self._linked(name)
            if not isinstance(found, h5py.Dataset) or found.shape is None:
                raise DamageError(f"/{name} is not an array.")
            kind = h5py.check_string_dtype(found.dtype)
            is_right = kind is not None and kind.length is None if dtype == TEXT else found.dtype == np.dtype(dtype)
            if not is_right:
                raise DamageError(f"/{name} has the type {found.dtype}, not {dtype}.")
            wanted = tuple(own if length is None else length for own, length in zip(found.shape, shape, strict=False))
            if len(found.shape) != len(shape) or found.shape != wanted or (found.shape and found.shape[0] > MAX_CLIPS):
                expected = ", ".join("N" if length is None else str(length) for length in shape)
                raise DamageError(f"/{name} has the shape {found.shape}, not ({expected}).")
            _require_own_data(found, name)
            return found

    def column(self, name: str, length: int | None, dtype: str) -> NDArray[Any]:
        """Return all values of a one-dimensional dataset."""
        found = self.dataset(name, (length,), dtype)
        with parsing(name):
            return np.asarray(found.asstr()[:] if dtype == TEXT else found[:])

    def array(self, name: str, shape: tuple[int | None, ...], dtype: str) -> NDArray[Any]:
        """Return the whole of a dataset that is small for each clip."""
        found = self.dataset(name, shape, dtype)
        with parsing(name):
            return np.asarray(found[:])

    def read_row(self, found: h5py.Dataset, row: int, out: NDArray[Any]) -> None:
        """Read a row of a dataset into an array of its shape and dtype; check the row's checksums if it has any."""
        held = self._checksums(found)
        if held is None:
            with parsing(_name(found)):
                found.read_direct(out, row)
            return
        self._read_pieces(found, held, row * held.pieces, held.pieces, out)

    def read_piece(self, found: h5py.Dataset, row: int, index: int, out: NDArray[Any]) -> None:
        """Read the part `index` of a row, such as one image of a window, as `read_row` does."""
        held = self._checksums(found)
        if held is None:
            with parsing(_name(found)):
                found.read_direct(out, (row, index))
            return
        self._read_pieces(found, held, row * held.pieces + index, 1, out)

    def read_compressed_row(self, found: h5py.Dataset, row: int, out: NDArray[Any]) -> None:
        """Read a row of a dataset whose rows are compressed with gzip, as `read_row` does."""
        held = self._checksums(found)
        if held is None:
            with parsing(_name(found)):
                found.read_direct(out, row)
            return
        packed = np.empty(held.size(row), np.uint8)
        self._read_pieces(found, held, row, 1, packed)
        with parsing(_name(found)):
            unpacked = zlib.decompressobj().decompress(packed.tobytes(), out.nbytes + 1)
        if len(unpacked) != out.nbytes:
            raise DamageError(f"/{_name(found)}[{row}] has {len(unpacked)} bytes, not {out.nbytes}.")
        out.reshape(-1)[:] = np.frombuffer(unpacked, out.dtype)

    def _checksums(self, found: h5py.Dataset) -> Sums | None:
        return self.seal.sums.get(_name(found)) if self.seal else None

    def _read_pieces(self, found: h5py.Dataset, held: Sums, first: int, n_pieces: int, out: NDArray[Any]) -> None:
        """Read neighbouring pieces into a contiguous array, and check each."""
        assert out.flags.c_contiguous  # of others, `reshape` makes a copy
        data = memoryview(out.reshape(-1).view(np.uint8).data)
        entries = held.entries[first : first + n_pieces].tolist()
        where = f"/{_name(found)}[{first // held.pieces}]"
        if len(entries) < n_pieces or sum(size for _, size, _ in entries) != len(data):
            raise DamageError(f"{where} doesn't have its {len(data)} bytes.")
        self.raw.seek(entries[0][0])
        n_read = 0
        while n_read < len(data) and (n := self.raw.readinto(data[n_read:])):
            n_read += n
        at = 0
        for _, size, checksum in entries:
            if n_read < len(data) or zlib.crc32(data[at : at + size]) != checksum:
                raise DamageError(f"{where} {DIFFERS}")
            at += size

    def attribute(self, name: str, kind: type, group: str = "") -> Any:
        """Return a single value that the file, or a group, has as attribute: a text, a number or a boolean."""
        holder = self.group(group) if group else self.file
        where = f"attribute {name}" + (f" of /{group}" if group else "")
        if not self.has_attribute(name, group):
            raise DamageError(f"the {where} is missing.")
        with parsing(where):
            is_single = holder.attrs.get_id(name).shape == ()
            value = holder.attrs[name] if is_single else None
            value = value.item() if isinstance(value, np.generic) else value
            if type(value) is not kind:
                raise DamageError(f"the {where} is not a {'text' if kind is str else kind.__name__}.")
            if isinstance(value, str):
                value.encode()
            return value

    def json_attribute(self, name: str, kind: type) -> Any:
        """Return what an attribute holds as JSON."""
        text = self.attribute(name, str)
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DamageError(f"the attribute {name} is not JSON ({error}).") from None
        if type(value) is not kind:
            raise DamageError(f"the attribute {name} holds a {type(value).__name__}, not a {kind.__name__}.")
        return value


def _name(found: h5py.Dataset) -> str:
    return str(found.name).removeprefix("/")


def _require_own_data(found: h5py.Dataset, name: str) -> None:
    """Raise DamageError if the data of a dataset lies elsewhere, needs an unknown filter, or is not all there."""
    if found.external or found.is_virtual:
        raise DamageError(f"/{name} keeps its data in another file.")
    plist = found.id.get_create_plist()
    unknown = {plist.get_filter(number)[0] for number in range(plist.get_nfilters())} - FILTERS
    if unknown:
        raise DamageError(f"/{name} needs the HDF5 filter {min(unknown)}, which `mer` doesn't use.")
    if found.chunks is None:
        is_there = found.id.get_storage_size() >= found.nbytes  # a text takes 16 bytes in the file, 8 in memory
    else:
        if math.prod(found.chunks) * found.dtype.itemsize > MAX_CHUNK:
            raise DamageError(f"/{name} has chunks of the shape {found.chunks}, which is too large.")
        wanted = math.prod(math.ceil(length / chunk) for length, chunk in zip(found.shape, found.chunks, strict=True))
        is_there = found.id.get_num_chunks() == wanted
    if not is_there:
        raise DamageError(f"/{name} lacks a part of its data.")
