"""Damage to stores and flow files: it is refused with a clear error, or what is read is what was written."""

import itertools
import shutil
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pytest
from campaign import Tally, campaign, damaged, damages, outcome, sizes
from hypothesis import strategies as st
from moved_store import write_moved_store
from tiny_store import EMOTIONS, edited

COLUMNS = ("id", "subject", "name", "emotion", "action_units", "onset", "apex", "offset", "fps", "status", "note")
ARRAYS = (
    *("onset_window", "apex_window", "onset_window_frames", "apex_window_frames", "landmarks", "transforms"),
    *("clip/frames", "clip/frame_numbers", "clip/start"),
)
DATASETS = (*(f"clips/{column}" for column in COLUMNS), *ARRAYS)
ATTRIBUTES = (
    *("dataset", "source", "generated", "table", "table_sha256", "table_version", "predictor_sha256", "build_key"),
    *("content_hash", "schema_version", "crop", "detectors", "errata", "failed", "tools"),
)
IDS = list(EMOTIONS)


def read(path):
    """Everything that `mer` reads from a store."""
    from mer_cli.store.hdf5 import read_landmarks, read_pairs, read_store, read_transforms, read_windows
    from mer_cli.store.whole_clips import clips_hash, read_clip

    store = read_store(path)
    return [
        {name: store.attributes[name] for name in ATTRIBUTES},
        store.clips,
        *(reader(path, IDS) for reader in (read_windows, read_pairs, read_landmarks, read_transforms)),
        clips_hash(path),
        [read_clip(path, clip_id) for clip_id in IDS],
    ]


def read_flow(path):
    from mer_cli.motion.cache import read_motion
    from mer_cli.store.hdf5 import read_store

    return read_motion(read_store(path), "fast", IDS)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    from complete_store import complete_store

    folder = tmp_path_factory.mktemp("whole")
    return complete_store(write_moved_store(folder / "casme2.h5").path)


@pytest.fixture(scope="module")
def old(store, tmp_path_factory):
    """The same store as a version without checksums wrote it."""
    path = Path(shutil.copy(store, tmp_path_factory.mktemp("old")))
    with h5py.File(path, "r+") as file:
        del file.attrs["checksums"]
    return path


# What a fault puts into the place of a dataset, given the dataset's name and its values.
def _replace(file, name, data, **options):
    del file[name]
    file.create_dataset(name, data=data, **options)


def _other_dtype(file, name):
    values = file[name][:]
    _replace(file, name, [b"seven"] * len(values) if values.dtype != object else np.arange(len(values)))


def _wider_dtype(file, name):
    values = file[name][:]
    _replace(file, name, values.astype("f8") if values.dtype != object else [b"1"] * len(values))


def _shorter(file, name):
    _replace(file, name, file[name][:-1])


def _flat(file, name):
    _replace(file, name, np.ravel(file[name][:])[:3])


def _scalar(file, name):
    _replace(file, name, 3)


def _missing(file, name):
    del file[name]


def _group(file, name):
    del file[name]
    file.create_group(name)


def _empty(file, name):
    del file[name]
    file.create_dataset(name, data=h5py.Empty("f4"))


def _huge(file, name):
    shape, dtype = file[name].shape, file[name].dtype
    del file[name]
    file.create_dataset(name, (10**9, *shape[1:]), dtype, chunks=(1, *shape[1:]))


def _unwritten(file, name):
    shape, dtype = file[name].shape, file[name].dtype
    del file[name]
    file.create_dataset(name, shape, dtype, chunks=(1, *shape[1:]))


def _huge_chunks(file, name):
    values, dtype = file[name][:], file[name].dtype
    chunk = (max(1, 2**31 // max(1, values[:1].size * 8)), *values.shape[1:])
    del file[name]
    file.create_dataset(name, values.shape, dtype, chunks=chunk, maxshape=(None, *values.shape[1:]))


def _soft_link(file, name):
    file["elsewhere"] = file[name][:]
    del file[name]
    file[name] = h5py.SoftLink("/elsewhere")


def _external_link(file, name):
    other = f"{file.filename}.other"
    with h5py.File(other, "w") as target:
        target["data"] = file[name][:]
    del file[name]
    file[name] = h5py.ExternalLink(other, "/data")


def _external_data(file, name):
    values = file[name][:]
    if values.dtype == object:
        values = np.zeros(len(values))
    other = f"{file.filename}.raw"
    Path(other).write_bytes(b"root:x:0:0:" * (values.nbytes // 11 + 1))
    del file[name]
    file.create_dataset(name, values.shape, values.dtype, external=[(other, 0, values.nbytes)])


def _virtual(file, name):
    layout = h5py.VirtualLayout(file[name].shape, "u1" if file[name].dtype == object else file[name].dtype)
    del file[name]
    file.create_virtual_dataset(name, layout, fillvalue=7)


def _unknown_filter(file, name):
    values = file[name][:]
    if values.dtype == object:
        del file[name]
        return
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((1, *values.shape[1:]))
    plist.set_filter(32015, h5py.h5z.FLAG_OPTIONAL)
    del file[name]
    space = h5py.h5s.create_simple(values.shape)
    h5py.h5d.create(file.id, name.encode(), h5py.h5t.py_create(values.dtype), space, dcpl=plist)
    file[name][:] = values


def _swapped(file, name):
    values = file[name][:]
    values[[0, 1]] = values[[1, 0]]
    file[name][:] = values


def _one_value(file, name):
    values = file[name][:]
    flat = values.reshape(-1)
    flat[len(flat) // 2] = b"other" if values.dtype == object else flat[len(flat) // 2] + 1
    file[name][:] = values


def _all_equal(file, name):
    file[name][:] = np.broadcast_to(file[name][:1], file[name].shape)


def _strange(file, name):
    """A value that can't be: not finite, negative, not text."""
    values = file[name]
    if values.dtype == object:
        values[1] = b"\xff\xfe"
    elif values.dtype.kind == "f":
        values[1] = np.nan
    else:
        values[1] = 255 if values.dtype == np.uint8 else -5


FAULTS = (
    *(_other_dtype, _wider_dtype, _shorter, _flat, _scalar, _missing, _group, _empty, _huge, _unwritten, _huge_chunks),
    *(_soft_link, _external_link, _external_data, _virtual, _unknown_filter, _swapped, _one_value, _all_equal),
    _strange,
)
VALUES = {
    "gone": None,
    "number": 7,
    "text": "seven",
    "bytes": np.bytes_(b"\xff\xfe"),
    "list": np.arange(5),
    "many": np.zeros(8000),
    "empty": h5py.Empty("f8"),
    "empty text": "",
    "JSON of another type": "17",
    "deep JSON": "[" * 20_000,
    "JSON list": '[{"clip_id": 3}, 4]',
    "other letters": "é\x1b[31m",
    "boolean": False,
}


def spoil(file, fault):
    kind, name = fault
    if kind in VALUES:
        if VALUES[kind] is None:
            del file.attrs[name]
        else:
            file.attrs[name] = VALUES[kind]
    else:
        kinds[kind](file, name)


kinds = {made.__name__.lstrip("_").replace("_", " "): made for made in FAULTS}
STRUCTURAL = [*itertools.product(kinds, DATASETS), *itertools.product(VALUES, ATTRIBUTES)]


def copy_of(store, tmp_path):
    return Path(shutil.copy(store, tmp_path / "casme2.h5"))


@sizes
def test_a_store_that_another_program_spoilt_is_refused(n_cases, store, tmp_path):
    _, undisturbed = outcome(read, store)

    def tried(fault):
        path = copy_of(store, tmp_path)
        with h5py.File(path, "r+") as file:
            spoil(file, fault)
        return outcome(read, path)

    campaign(n_cases, st.sampled_from(STRUCTURAL), tried, Tally(undisturbed, may_change=False))


@sizes
def test_a_spoilt_store_without_checksums_or_with_the_spoilers_own_is_read_or_refused(n_cases, store, old, tmp_path):
    _, undisturbed = outcome(read, store)

    def tried(case):
        is_old, fault = case
        path = copy_of(old if is_old else store, tmp_path)
        # There are no checksums if there are no chunks to sum up.
        with suppress(AssertionError, AttributeError), h5py.File(path, "r+") if is_old else edited(path) as file:
            spoil(file, fault)
        return outcome(read, path)

    cases = st.tuples(st.booleans(), st.sampled_from(STRUCTURAL))
    campaign(n_cases, cases, tried, Tally(undisturbed, may_change=True))


def _pixel_places(path):
    """The stretches of a file that hold the images: (start, end)."""
    with h5py.File(path) as file:
        found = []
        for name in ("onset_window", "apex_window", "clip/frames"):
            file[name].id.chunk_iter(lambda chunk: found.append((chunk.byte_offset, chunk.byte_offset + chunk.size)))
    return sorted(found)


def _metadata_map(path):
    """The offsets of all bytes that are not images."""
    size, at, parts = path.stat().st_size, 0, []
    for first, end in _pixel_places(path):
        parts.append(np.arange(at, first))
        at = end
    return np.concatenate([*parts, np.arange(at, size)])


changes = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=4)


@sizes
def test_a_store_with_damaged_bytes_is_refused(n_cases, store, tmp_path):
    _, undisturbed = outcome(read, store)
    content, places = store.read_bytes(), _metadata_map(store)
    path = tmp_path / "casme2.h5"

    def tried(case):
        kind, damage = case
        spoilt = damaged(content, damage) if kind == "anywhere" else bytearray(content)
        if kind == "outside the images":
            for share, bits in damage:
                spoilt[places[int(share * len(places))]] ^= bits
        path.write_bytes(spoilt)
        return outcome(read, path)

    cases = st.one_of(st.tuples(st.just("anywhere"), damages), st.tuples(st.just("outside the images"), changes))
    campaign(n_cases, cases, tried, Tally(undisturbed, may_change=False))


@sizes
def test_a_damaged_flow_file_is_refused(n_cases, store, tmp_path):
    from mer_cli.motion.cache import build_motion, motion_path
    from mer_cli.store.hdf5 import read_store

    path = copy_of(store, tmp_path)
    build_motion(read_store(path), "fast", jobs=1, on_clip=lambda *_: None)
    _, undisturbed = outcome(read_flow, path)
    flow = motion_path(path, "fast")
    content = flow.read_bytes()

    def tried(damage):
        flow.write_bytes(damaged(content, damage))
        return outcome(read_flow, path)

    campaign(n_cases, damages, tried, Tally(undisturbed, may_change=False))
