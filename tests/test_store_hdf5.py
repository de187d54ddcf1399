"""The store file: what is written is read, and what is not a store is refused by name."""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import numpy as np
import pytest
from tiny_store import edited

from mer_cli.errors import StoreError
from mer_cli.store.hdf5 import (
    StoreWriter,
    empty_windows,
    read_landmarks,
    read_store,
    read_windows,
    require_no_other_file,
)
from mer_cli.store.schema import ARRAYS, CroppedClip, drawn_attributes

WINDOWS = ("onset_window", "onset_window_frames", "apex_window", "apex_window_frames")
ATTRIBUTES = drawn_attributes("casme2") | {
    "table_version": "20190701",
    "generated": True,
    "failed": [{"clip_id": "casme2/09/EP01", "emotion": "others", "reason": "no face"}],
    "errata": ("04/EP12_01f: apex '/' set to 291",),
    "crop": {"align": "box", "size": 224},
}


def make_cropped(number: int, **columns) -> CroppedClip:
    """A clip of random arrays, a different one for each number."""
    random = np.random.default_rng(number)
    arrays = {name: random.integers(0, 200, shape).astype(dtype) for name, (shape, dtype) in ARRAYS.items()}
    arrays["onset_window_frames"][3], arrays["apex_window_frames"][3] = 46, columns.get("apex", 59)
    values = {
        "id": f"casme2/01/EP{number:02d}",
        "subject": "01",
        "name": f"EP{number:02d}",
        "emotion": "happiness",
        "action_units": "6+12",
        "onset": 46,
        "apex": 59,
        "offset": 86,
        "fps": 200.0,
        "status": "ok",
        "note": "",
    }
    return CroppedClip(values | columns, arrays, "hog")


def write_store(path: Path, clips: list[CroppedClip], attributes=ATTRIBUTES) -> Path:
    with StoreWriter(path, len(clips)) as writer:
        for clip in clips:
            writer.append(clip)
        writer.finish(attributes)
    return path


@pytest.fixture
def clips() -> list[CroppedClip]:
    return [make_cropped(number) for number in range(3)]


@pytest.fixture
def store_path(tmp_path, clips) -> Path:
    return write_store(tmp_path / "casme2.h5", clips)


def test_read_store_gives_the_columns_and_attributes_written(store_path, clips):
    store = read_store(store_path)
    assert list(store.clips.index) == [clip.clip_id for clip in clips]
    assert store.clips.loc["casme2/01/EP01"].to_dict() == {k: v for k, v in clips[1].columns.items() if k != "id"}
    assert (store.dataset, store.table_version) == ("casme2", "20190701")
    assert store.attributes["generated"] is True
    assert store.attributes["failed"] == ATTRIBUTES["failed"]
    assert store.attributes["errata"] == list(ATTRIBUTES["errata"])


def test_columns_keep_the_sheet_s_own_characters(tmp_path):
    path = write_store(tmp_path / "s.h5", [make_cropped(0, note="apex '/' → 291; é", action_units="L12 或 4")])
    row = read_store(path).clips.iloc[0]
    assert (row["note"], row["action_units"]) == ("apex '/' → 291; é", "L12 或 4")


def test_read_windows_gives_clips_in_the_order_asked_for(store_path, clips):
    read = read_windows(store_path, [clips[2].clip_id, clips[0].clip_id])
    for name, array in zip(WINDOWS, read, strict=True):
        assert np.array_equal(array, np.stack([clips[2].arrays[name], clips[0].arrays[name]])), name
        assert array.dtype == np.dtype(ARRAYS[name][1]), name


def test_read_windows_fills_a_part_of_larger_arrays_and_nothing_else(store_path, clips):
    arrays = empty_windows(4)
    for array in arrays:
        array[:] = 7
    part = (arrays[0][1:3], arrays[1][1:3], arrays[2][1:3], arrays[3][1:3])
    read_windows(store_path, [clips[2].clip_id, clips[0].clip_id], part)
    for name, array in zip(WINDOWS, arrays, strict=True):
        assert np.array_equal(array[1:3], np.stack([clips[2].arrays[name], clips[0].arrays[name]])), name
        assert (array[[0, 3]] == 7).all(), name


def test_store_is_laid_out_as_documented(store_path):
    with h5py.File(store_path) as file:
        assert file["onset_window"].shape == (3, 7, 224, 224, 3)
        assert file["onset_window"].chunks == (1, 7, 224, 224, 3)
        assert file["landmarks"].shape == (3, 68, 2)
        assert file["transforms"].shape == (3, 2, 3)
        assert set(file) == {"clips", "landmarks", "transforms", *WINDOWS}
        columns = "id subject name emotion action_units onset apex offset fps status note"
        assert set(file["clips"]) == set(columns.split())


def test_equal_clips_make_equal_bytes(tmp_path, store_path, clips):
    assert write_store(tmp_path / "again.h5", clips).read_bytes() == store_path.read_bytes()


@pytest.mark.parametrize("name", ["emotion", "apex", "note", "apex_window", "landmarks", "onset_window_frames"])
def test_content_hash_changes_with_each_column_and_array(tmp_path, store_path, clips, name):
    clip = clips[1]
    if name in ARRAYS:
        array = clip.arrays[name].copy()
        array.flat[5] += 1
        clips[1] = CroppedClip(clip.columns, clip.arrays | {name: array}, clip.detector)
    else:
        clips[1] = make_cropped(1, **{name: 61 if name == "apex" else "other"})
    assert read_store(write_store(tmp_path / "b.h5", clips)).content_hash != read_store(store_path).content_hash


def test_content_hash_does_not_depend_on_attributes(tmp_path, store_path, clips):
    other = write_store(tmp_path / "b.h5", clips, ATTRIBUTES | {"table_version": ""})
    assert read_store(other).content_hash == read_store(store_path).content_hash


def test_attributes_may_be_long(tmp_path, clips):
    failed = [{"clip_id": f"casme2/01/{k}", "emotion": "others", "reason": "no face " * 20} for k in range(900)]
    path = write_store(tmp_path / "b.h5", clips, ATTRIBUTES | {"failed": failed})
    assert read_store(path).attributes["failed"] == failed


def test_read_windows_refuses_a_clip_that_is_not_there(store_path):
    expected = (
        f"{store_path}: lacks 2 of the clips that were asked for: casme2/01/EP07, casme2/01/EP08. It has 3 others."
    )
    with pytest.raises(StoreError, match=f"^{re.escape(expected)}$"):
        read_windows(store_path, ["casme2/01/EP01", "casme2/01/EP07", "casme2/01/EP08"])


def test_read_store_refuses_a_missing_file(tmp_path):
    path = tmp_path / "casme2.h5"
    expected = f"{path}: no such store. Write it: mer preprocess DATASET RAW --out {path}."
    with pytest.raises(StoreError, match=f"^{re.escape(expected)}$"):
        read_store(path)


def test_read_store_refuses_a_folder(tmp_path):
    with pytest.raises(StoreError) as error:
        read_store(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: a folder, not a store. Name the .h5 file that `mer preprocess` wrote; if this is a release, "
        f"write its store: mer preprocess DATASET {tmp_path}."
    )


def test_read_store_refuses_another_version(store_path):
    with edited(store_path) as file:
        file.attrs["schema_version"] = 7
    expected = (
        f"{store_path}: has schema version 7; this program reads 1. "
        f"Build it again: mer preprocess DATASET RAW --out {store_path} --no-resume."
    )
    with pytest.raises(StoreError, match=f"^{re.escape(expected)}$"):
        read_store(store_path)


def test_read_store_refuses_a_truncated_file(store_path):
    data = store_path.read_bytes()
    store_path.write_bytes(data[: len(data) // 2])
    for read in (read_store, lambda path: read_windows(path, [])):
        with pytest.raises(
            StoreError,
            match=r"as HDF5, because it is damaged or truncated \(.*truncated.*Build it again",
        ):
            read(store_path)


def test_read_store_refuses_an_empty_file(tmp_path):
    (tmp_path / "casme2.h5").touch()
    with pytest.raises(StoreError, match=r"casme2\.h5: cannot be read as HDF5, because it is damaged or truncated"):
        read_store(tmp_path / "casme2.h5")


def test_read_store_gives_no_advice_to_write_over_a_file_that_is_not_a_store(tmp_path):
    table, other = tmp_path / "mylab.csv", tmp_path / "other.h5"
    table.write_text("subject,clip\n")
    with h5py.File(other, "w") as file:
        file["x"] = 1
    for path in (table, other):
        with pytest.raises(StoreError) as error:
            read_store(path)
        assert str(error.value) == (f"{path}: not a store. Name an .h5 file that `mer preprocess` wrote.")
        with pytest.raises(StoreError, match="not a store, and writing one here would destroy it"):
            require_no_other_file(path)


@pytest.mark.parametrize("name", ["landmarks", "clips/emotion"])
def test_read_store_refuses_a_store_without_a_part_of_it(store_path, name):
    with h5py.File(store_path, "r+") as file:
        del file[name]
    with pytest.raises(StoreError, match=rf": damaged, /{name} is missing\. Build it again"):
        read_store(store_path)


def test_read_landmarks_gives_those_in_the_crop(tmp_path, clips):
    for number, clip in enumerate(clips):
        clip.arrays["transforms"] = np.array([[0.5, 0, number], [0, 2, -1]], np.float32)
    path = write_store(tmp_path / "b.h5", clips)
    read = read_landmarks(path, [clips[2].clip_id, clips[0].clip_id])
    assert (read.shape, read.dtype) == ((2, 68, 2), np.float32)
    for given, clip, number in zip(read, (clips[2], clips[0]), (2, 0), strict=True):
        assert np.array_equal(given, clip.arrays["landmarks"] * [0.5, 2] + [number, -1])


def test_read_landmarks_refuses_those_of_a_clip_without_a_face(tmp_path, clips):
    found = make_cropped(1, note="face found by hog@frame47")
    guessed = make_cropped(2, note="apex '/' set to 44; face found by release-crop")
    path = write_store(tmp_path / "b.h5", [clips[0], found, guessed])
    read_landmarks(path, [clips[0].clip_id, found.clip_id])
    expected = (
        f"{path}: clip {guessed.clip_id} was taken whole because no face was found in it, so its landmarks are a "
        f"guess. Crop it from the raw images: mer preprocess casme2 RAW --source raw --out {path}. Or "
        "use a method without landmarks."
    )
    with pytest.raises(StoreError, match=f"^{re.escape(expected)}$"):
        read_landmarks(path, [clips[0].clip_id, guessed.clip_id])
