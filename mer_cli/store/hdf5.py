"""Open and check a store (HDF5, laid out as in `schema`), write it clip by clip, read its table and its windows."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer_cli.datasets.registry import release_words
from mer_cli.errors import StoreError
from mer_cli.faces.crop import N_LANDMARKS, crop_landmarks
from mer_cli.faces.frames import HALF_WINDOW
from mer_cli.store.checked import Checked, UnreadStoreError, open_checked
from mer_cli.store.columns import read_attributes, read_columns
from mer_cli.store.schema import (
    ARRAYS,
    CHECKSUMS,
    CLIPS_GROUP,
    COLUMNS,
    CONTENT_HASH,
    JSON_ATTRIBUTES,
    LARGE_ARRAYS,
    SCHEMA_VERSION,
    TABLE_ATTRIBUTES,
    TEXT,
    VERSION_ATTRIBUTE,
    CroppedClip,
    has_face,
)
from mer_cli.store.seal import DamageError, write_seal
from mer_cli.system.files import unread

JSON_NAMES = frozenset({*JSON_ATTRIBUTES, *TABLE_ATTRIBUTES})
SIGNATURE = b"\x89HDF\r\n\x1a\n"  # the first bytes of every store, of a truncated one too


def require_no_other_file(path: Path) -> None:
    """Raise StoreError if `path` is a file that is not a store: a table, or an HDF5 file of another program.

    An empty file or a damaged store may be overwritten; not a store that can't be read now (UnreadStoreError).
    """
    if not path.is_file():
        return
    try:
        with open_store(path):
            return
    except NoStoreError:
        raise StoreError(
            f"{path}: not a store, and writing one here would destroy it. Give another --out, or move the file away."
        ) from None
    except UnreadStoreError:
        raise
    except StoreError:
        return


class NoStoreError(StoreError):
    """The file is not a store: a table, or an HDF5 file of another program."""


class ChangedStoreError(StoreError):
    """Another program has opened the store to write, so that its checksums are gone; its clips may be unchanged."""


@contextmanager
def open_store(path: Path, *, even_if_changed: bool = False) -> Iterator[Checked]:
    """Open a store to read from it, having checked its checksums if it has any.

    Parameters
    ----------
    even_if_changed : whether to open a store whose checksums are gone because another program has changed it

    Raises
    ------
    UnreadStoreError
        If the system can't read the file, or another program has it open to write to it.
    NoStoreError
        If the file is not a store.
    ChangedStoreError
        If another program has opened it to write.
    StoreError
        If the file is absent, damaged or of another schema version, or lacks a column or an array, or if a read inside
        the `with` fails.
    """
    if path.is_dir():
        raise StoreError(
            f"{path}: a folder, not a store. Name the .h5 file that `mer preprocess` wrote; if this is a release, "
            f"write its store: mer preprocess DATASET {path}."
        )
    _require_file(path)
    with open_checked(path, _rebuild(path)) as checked:
        if not checked.has_attribute(VERSION_ATTRIBUTE):
            raise NoStoreError(f"{path}: not a store. Name an .h5 file that `mer preprocess` wrote.")
        version = checked.attribute(VERSION_ATTRIBUTE, int)
        if version != SCHEMA_VERSION:
            raise StoreError(
                f"{path}: has schema version {version}; this program reads {SCHEMA_VERSION}. {_rebuild(path)}"
            )
        checked.require((*ARRAYS, *(f"{CLIPS_GROUP}/{column}" for column in COLUMNS)))
        if checked.is_changed and not even_if_changed:
            raise ChangedStoreError(
                f"{path}: another program has opened it to write since `mer` wrote it, so its checksums are gone. "
                f"If its clips are unchanged, this writes them again in seconds: mer upgrade {path}. Otherwise "
                f"b{_rebuild(path)[1:]}"
            )
        yield checked


def _require_file(path: Path) -> None:
    """Raise an error if a path is not a regular file that begins like HDF5, or is empty, as of an interrupted copy."""
    try:
        is_regular = stat.S_ISREG(path.stat().st_mode)
        start = b""
        if is_regular:
            with path.open("rb") as file:
                start = file.read(len(SIGNATURE))
    except (FileNotFoundError, NotADirectoryError):
        raise StoreError(f"{path}: no such store. Write it: mer preprocess DATASET RAW --out {path}.") from None
    except OSError as error:
        raise UnreadStoreError(unread(path, error)) from None
    except ValueError:
        raise StoreError(f"{path}: not a path that can be read. Name an .h5 file.") from None
    if not is_regular or start not in (SIGNATURE, b""):
        raise NoStoreError(f"{path}: not a store. Name an .h5 file that `mer preprocess` wrote.")


def rows_of(ids: Sequence[str], path: Path, clip_ids: Sequence[str]) -> list[int]:
    """Return the row of each clip in `ids`, the clip ids of the file `path`; raise StoreError if a clip is missing."""
    row_of = {clip_id: row for row, clip_id in enumerate(ids)}
    missing = [clip_id for clip_id in clip_ids if clip_id not in row_of]
    if missing:
        raise StoreError(
            f"{path}: lacks {len(missing)} of the clips that were asked for: {', '.join(missing[:3])}. It has "
            f"{len(row_of)} others."
        )
    return [row_of[clip_id] for clip_id in clip_ids]


def read_ids(checked: Checked) -> list[str]:
    """Return the clip ids of an open store, in the order of its rows; each is there once."""
    ids = [str(clip_id) for clip_id in checked.column(f"{CLIPS_GROUP}/id", None, TEXT)]
    if len(set(ids)) < len(ids):
        raise DamageError("two clips have the same id.")
    return ids


def _rebuild(path: Path) -> str:
    return f"Build it again: mer preprocess DATASET RAW --out {path} --no-resume."


# Any h5py of the last ten years reads this version of the format.
LIBRARY_VERSIONS = ("earliest", "v110")

_WINDOWS = ("onset_window", "onset_window_frames", "apex_window", "apex_window_frames")
WindowArrays = tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.uint8], NDArray[np.int32]]


@dataclass(frozen=True)
class StoreInfo:
    """The attributes of a store and its table of clips, without images.

    clips : one row per clip, indexed by clip id, in the order of the file; the columns of `schema.COLUMNS`
    """

    path: Path
    attributes: Mapping[str, Any]
    clips: pd.DataFrame = field(repr=False)

    @property
    def content_hash(self) -> str:
        return str(self.attributes[CONTENT_HASH])

    @property
    def dataset(self) -> str:
        return str(self.attributes["dataset"])

    @property
    def table_version(self) -> str:
        return str(self.attributes["table_version"])

    @property
    def table_sha256(self) -> str:
        return str(self.attributes["table_sha256"])

    @property
    def generated(self) -> bool:
        return bool(self.attributes["generated"])


class StoreWriter:
    """A context manager that writes a store clip by clip, so that memory doesn't grow with the number of clips.

    Parameters
    ----------
    path : a file, which is replaced if it exists
    n_clips : exact number of clips that will be appended
    """

    def __init__(self, path: Path, n_clips: int) -> None:
        self._file = h5py.File(path, "w", libver=LIBRARY_VERSIONS, locking=False)  # nobody else knows the path
        self._path, self._n_clips, self._is_finished = path, n_clips, False
        self._rows: list[dict[str, Any]] = []
        self._content = hashlib.sha256(f"schema {SCHEMA_VERSION}".encode())
        for name, (shape, dtype) in ARRAYS.items():
            self._file.create_dataset(name, (n_clips, *shape), dtype, chunks=(1, *shape))

    def append(self, clip: CroppedClip) -> None:
        """Write the arrays of the next clip, and keep its columns for `finish`."""
        row = {name: clip.columns[name] for name in COLUMNS}
        self._content.update(json.dumps(row, sort_keys=True).encode())
        for name, (shape, dtype) in ARRAYS.items():
            array = clip.arrays[name]
            assert array.shape == shape, (name, array.shape)
            assert array.dtype == np.dtype(dtype), (name, array.dtype)
            self._content.update(array.tobytes())
            self._file[name][len(self._rows)] = array
        self._rows.append(row)

    def finish(self, attributes: Mapping[str, Any]) -> None:
        """Write the columns and the attributes, adding the content hash and the schema version.

        The checksums are written when the context ends.
        """
        assert len(self._rows) == self._n_clips, (len(self._rows), self._n_clips)
        group = self._file.create_group(CLIPS_GROUP)
        for name, dtype in COLUMNS.items():
            values = [row[name] for row in self._rows]
            group.create_dataset(name, data=values, dtype=h5py.string_dtype() if dtype == TEXT else dtype)
        for name, value in sorted(attributes.items()):
            self._file.attrs[name] = json.dumps(value, sort_keys=True) if name in JSON_NAMES else value
        self._file.attrs[CONTENT_HASH] = self._content.hexdigest()
        self._file.attrs[CHECKSUMS] = 1
        self._file.attrs[VERSION_ATTRIBUTE] = SCHEMA_VERSION
        self._is_finished = True

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._file.close()
        except RuntimeError as error:  # raised by h5py if the disk is full at the last flush
            raise OSError(str(error)) from error
        if self._is_finished:
            write_seal(self._path, LARGE_ARRAYS)


def read_store(path: Path, *, even_if_changed: bool = False) -> StoreInfo:
    """Read the attributes of a store and its table of clips, but no image or other array.

    Parameters
    ----------
    even_if_changed : as in `open_store`

    Raises
    ------
    StoreError
        As `open_store`, or if an attribute or a clip can't be true.
    """
    with open_store(path, even_if_changed=even_if_changed) as checked:
        attributes = read_attributes(checked)
        columns = read_columns(checked, attributes["dataset"])
    return StoreInfo(path, attributes, pd.DataFrame(columns).set_index("id"))


def read_windows(path: Path, clip_ids: Sequence[str], into: WindowArrays | None = None) -> WindowArrays:
    """Read the frames around onset and apex of some clips, in the order of `clip_ids`.

    Parameters
    ----------
    into : arrays to fill, of the returned shapes and dtypes, so that several stores can share larger ones; new ones
        if left out

    Returns
    -------
    onset, onset_frames, apex, apex_frames
        (n, 7, 224, 224, 3) uint8 RGB and (n, 7) int32 frame numbers, twice; the labelled frame is at index 3, and
        the number -1 marks an entry that the release has no frame for (it repeats the nearest one: do not draw it)

    Raises
    ------
    StoreError
        As `read_store`, or if a clip is not in the store.
    """
    with open_store(path) as checked:
        ids = read_ids(checked)
        rows = rows_of(ids, path, clip_ids)
        arrays = into or empty_windows(len(rows))
        by_name: dict[str, NDArray[Any]] = dict(zip(_WINDOWS, arrays, strict=True))
        for name, array in by_name.items():
            shape, dtype = ARRAYS[name]
            found = checked.dataset(name, (len(ids), *shape), dtype)
            for position, row in enumerate(rows):  # each chunk once, straight into the result
                checked.read_row(found, row, array[position])
            if name.endswith("_frames"):
                _check_labelled(checked, name, ids, rows, array)
    return arrays


def _check_labelled(
    checked: Checked, name: str, ids: Sequence[str], rows: Sequence[int], numbers: NDArray[np.int32]
) -> None:
    """Raise DamageError if the middle of a window is not the labelled frame of its clip."""
    column = name.removesuffix("_window_frames")
    labelled = checked.column(f"{CLIPS_GROUP}/{column}", len(ids), COLUMNS[column])[rows]
    for position in np.flatnonzero(numbers[:, HALF_WINDOW] != labelled)[:1]:
        raise DamageError(
            f"the {column} of clip {ids[rows[position]]} is frame {labelled[position]}, but its images are those "
            f"around frame {numbers[position, HALF_WINDOW]}."
        )


def read_pairs(path: Path, clip_ids: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read the labelled onset and apex of some clips, in the order of `clip_ids`: each (n, 224, 224, 3) uint8, RGB.

    Raises
    ------
    StoreError
        As `read_windows`.
    """
    with open_store(path) as checked:
        ids = read_ids(checked)
        rows = rows_of(ids, path, clip_ids)
        pairs = []
        for name in ("onset_window", "apex_window"):
            shape, dtype = ARRAYS[name]
            found = checked.dataset(name, (len(ids), *shape), dtype)
            images = np.empty((len(rows), *shape[1:]), np.uint8)
            for position, row in enumerate(rows):
                checked.read_piece(found, row, HALF_WINDOW, images[position])
            pairs.append(images)
    return pairs[0], pairs[1]


def read_transforms(path: Path, clip_ids: Sequence[str]) -> NDArray[np.float32]:
    """Read the transforms of some clips, source pixel -> crop pixel, in the order of `clip_ids`: (n, 2, 3) float32.

    Raises
    ------
    StoreError
        As `read_windows`.
    """
    with open_store(path) as checked:
        ids = read_ids(checked)
        return _finite(checked, "transforms", ids)[rows_of(ids, path, clip_ids)]


def _finite(checked: Checked, name: str, ids: Sequence[str]) -> NDArray[np.float32]:
    """Return an array of a store whose numbers are all finite."""
    shape, dtype = ARRAYS[name]
    array: NDArray[np.float32] = checked.array(name, (len(ids), *shape), dtype)
    for row in np.flatnonzero(~np.isfinite(array).all(axis=(1, 2)))[:1]:
        raise DamageError(f"/{name} of clip {ids[row]} is not finite.")
    return array


def read_landmarks(path: Path, clip_ids: Sequence[str]) -> NDArray[np.float32]:
    """Read the 68 landmarks of some clips' onset frames, in the order of `clip_ids`.

    Returns
    -------
    (n, 68, 2) float32, (x, y) in pixels of the crop

    Raises
    ------
    StoreError
        As `read_windows`, or if no face was found in a clip, so that its landmarks are a guess.
    """
    with open_store(path) as checked:
        ids = read_ids(checked)
        rows = rows_of(ids, path, clip_ids)
        notes = checked.column(f"{CLIPS_GROUP}/note", len(ids), TEXT)
        for clip_id, row in zip(clip_ids, rows, strict=True):
            if not has_face(notes[row]):
                dataset = checked.attribute("dataset", str)
                raise StoreError(
                    f"{path}: clip {clip_id} was taken whole because no face was found in it, so its landmarks are a "
                    "guess. Crop it from the raw images: mer preprocess "
                    f"{release_words(dataset)} --source raw --out {path}. Or use a method without landmarks."
                )
        landmarks, transforms = _finite(checked, "landmarks", ids), _finite(checked, "transforms", ids)
    crops = [crop_landmarks(landmarks[row], transforms[row]) for row in rows]
    return np.array(crops, dtype=np.float32).reshape(-1, N_LANDMARKS, 2)


def empty_windows(n_clips: int) -> WindowArrays:
    """Return uninitialised arrays for the windows of `n_clips` clips, which `read_windows` fills."""
    onset, onset_frames, apex, apex_frames = (
        np.empty((n_clips, *ARRAYS[name][0]), ARRAYS[name][1]) for name in _WINDOWS
    )
    return onset, onset_frames, apex, apex_frames


def find_stores(folder: Path = Path("data")) -> list[Path]:
    """Return the paths of all stores (.h5 files) in a folder, sorted by name; raise StoreError if it holds none."""
    stores = sorted(folder.glob("*.h5"))
    if not stores:
        raise StoreError(f"{folder}: holds no store (.h5 file). Name a store, or make one: mer preprocess casme2 RAW.")
    return stores


def find_store(folder: Path = Path("data")) -> Path:
    """Return the path of the only store (.h5 file) in a folder; raise StoreError if it holds none, or several."""
    store, *others = find_stores(folder)
    if others:
        names = ", ".join(path.name for path in (store, *others))
        raise StoreError(f"{folder}: holds several stores, {names}. Name one, like {store}.")
    return store
