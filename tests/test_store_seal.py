"""The checksums of a store: each changed byte is noticed, and `mer upgrade` writes them where they are missing."""

from __future__ import annotations

import shutil

import h5py
import numpy as np
import pytest
from complete_store import complete_store
from moved_store import write_moved_store
from tiny_store import EMOTIONS, edited, write_store
from typer.testing import CliRunner

from mer_cli.cli.main import app
from mer_cli.errors import StoreError
from mer_cli.store.hdf5 import read_landmarks, read_pairs, read_store, read_windows
from mer_cli.store.overview import describe_stores
from mer_cli.store.seal import FOOTER, MARK
from mer_cli.store.upgrade import upgrade_store
from mer_cli.store.whole_clips import read_clip

IDS = list(EMOTIONS)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("store") / "casme2.h5")


@pytest.fixture
def store(written, tmp_path):
    return write_copy(written, tmp_path)


def write_copy(written, tmp_path):
    path = tmp_path / "casme2.h5"
    shutil.copy(written, path)
    return path


def make_old(path):
    """The store as a version without checksums wrote it."""
    with h5py.File(path, "r+") as file:
        del file.attrs["checksums"]
    return path


def offset_of(path, name, row):
    with h5py.File(path) as file:
        return file[name].id.get_chunk_info_by_coord((row, 0, 0, 0, 0)).byte_offset


def rebuild(path):
    return f"Build it again: mer preprocess DATASET RAW --out {path} --no-resume."


def flip(path, at):
    with path.open("rb+") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 4]))


def test_a_store_is_an_hdf5_file_that_ends_in_checksums(store):
    assert store.read_bytes().endswith(MARK)
    with h5py.File(store) as file:
        assert file.attrs["checksums"] == 1
        assert len(file["onset_window"]) == 5


def test_a_flipped_bit_of_a_pixel_is_told_when_its_clip_is_read(store):
    flip(store, offset_of(store, "apex_window", 2) + 3 * 224 * 224 * 3 + 77)
    read_store(store)
    read_windows(store, IDS[:2])
    for read in (read_windows, read_pairs):
        with pytest.raises(StoreError) as raised:
            read(store, IDS)
        assert str(raised.value) == (
            f"{store}: damaged, /apex_window[2] is not as `mer` wrote it: its checksum differs. {rebuild(store)}"
        )


def test_swapped_images_of_two_clips_are_told(store):
    content = bytearray(store.read_bytes())
    one, other, size = offset_of(store, "onset_window", 0), offset_of(store, "onset_window", 1), 7 * 224 * 224 * 3
    content[one : one + size], content[other : other + size] = (
        content[other : other + size],
        content[one : one + size],
    )
    store.write_bytes(content)
    with pytest.raises(StoreError, match=r"damaged, /onset_window\[0\] is not as `mer` wrote it"):
        read_windows(store, IDS)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999])
def test_a_changed_byte_outside_the_images_is_told_before_hdf5_reads_the_file(store, share):
    first = offset_of(store, "onset_window", 0)
    flip(store, max(8, int(share * first)))
    with pytest.raises(StoreError) as raised:
        read_store(store)
    assert str(raised.value) == f"{store}: damaged, its bytes are not those that `mer` wrote. {rebuild(store)}"


@pytest.mark.parametrize("places_from_the_end", [1, 9, 30, FOOTER.size + 5, FOOTER.size + 500])
def test_damaged_checksums_are_told(store, places_from_the_end):
    flip(store, store.stat().st_size - places_from_the_end)
    with pytest.raises(StoreError):
        read_store(store)


def test_a_store_that_another_program_changed_is_refused_until_it_is_checked(store):
    with h5py.File(store, "r+") as file:
        file.attrs["my note"] = "of mine"
    with pytest.raises(StoreError, match="another program has opened it to write since `mer` wrote it"):
        read_store(store)
    assert upgrade_store(store) == "upgraded"
    assert read_windows(store, IDS)[0].shape == (5, 7, 224, 224, 3)


@pytest.mark.parametrize("name", ["clips/apex", "clips/emotion", "landmarks", "onset_window", "apex_window_frames"])
def test_upgrade_refuses_a_store_whose_clips_were_changed(store, name):
    with h5py.File(store, "r+") as file:
        values = file[name][:]
        values[1] = b"fear" if name == "clips/emotion" else values[1] + 1
        file[name][:] = values
    with pytest.raises(StoreError) as raised:
        upgrade_store(store)
    assert str(raised.value).startswith(
        f"{store}: damaged, its clips are not those it was built with: their content hash is "
    )
    assert str(raised.value).endswith(rebuild(store))


def test_upgrade_refuses_whole_clips_that_were_changed(tmp_path):
    path = complete_store(write_moved_store(tmp_path / "casme2.h5").path)
    with pytest.raises(StoreError, match="content hash"):  # the test's own pictures came after the hash
        upgrade_store(path)


def test_a_store_of_before_is_read_as_ever_and_upgraded_with_equal_content(store, tmp_path):
    before = read_store(store)
    make_old(store)
    assert "checksums" not in read_store(store).attributes
    assert dict(describe_stores([read_store(store)]).facts[0])["checksums"] == "none (mer upgrade adds them)"
    old = [*read_windows(store, IDS), *read_pairs(store, IDS)]
    result = CliRunner().invoke(app, ["upgrade", str(store)])
    assert (result.exit_code, result.stdout) == (0, f"{store} is whole; checksums written\n"), result.output
    assert CliRunner().invoke(app, ["upgrade", str(store)]).stdout == f"{store} is whole\n"
    after = read_store(store)
    assert after.content_hash == before.content_hash
    assert "checksums" not in dict(describe_stores([after]).facts[0])
    for held, now in zip(old, [*read_windows(store, IDS), *read_pairs(store, IDS)], strict=True):
        assert np.array_equal(held, now)
    assert [path.name for path in tmp_path.iterdir()] == ["casme2.h5"]


def test_a_flipped_bit_of_a_whole_clip_is_told(tmp_path):
    path = complete_store(write_moved_store(tmp_path / "casme2.h5").path)
    with h5py.File(path) as file:
        at = file["clip/frames"].id.get_chunk_info_by_coord((1, 0, 0, 0)).byte_offset
    flip(path, at + 50)
    read_windows(path, IDS)
    with pytest.raises(StoreError) as raised:
        read_clip(path, IDS[0])
    assert str(raised.value) == (
        f"{path}: its whole clips are damaged, /clip/frames[1] is not as `mer` wrote it: its checksum differs. Repair "
        f"them: mer preprocess casme2 RAW --clips --out {path}."
    )


def set_dataset(name, data):
    def change(file):
        del file[name]
        file[name] = data

    return change


def set_attribute(name, value):
    def change(file):
        file.attrs[name] = value

    return change


def set_value(name, row, value):
    def change(file):
        file[name][row] = value

    return change


def declare_huge(file):
    del file["clips/fps"]
    file.create_dataset("clips/fps", (10**9,), "f8", chunks=(1,))


def keep_outside(file):
    del file["landmarks"]
    file.create_dataset("landmarks", (5, 68, 2), "<f4", external=[("/etc/passwd", 0, 5 * 68 * 2 * 4)])


def link_outside(file):
    del file["clips/emotion"]
    file["clips/emotion"] = h5py.ExternalLink("/etc/passwd", "/x")


def link_inside(file):
    file.move("clips/emotion", "other")
    file["clips/emotion"] = h5py.SoftLink("/other")


def leave_unwritten(file):
    del file["apex_window"]
    file.create_dataset("apex_window", (5, 7, 224, 224, 3), "|u1", chunks=(1, 7, 224, 224, 3))


def read_all(path):
    read_store(path)
    read_windows(path, IDS)
    read_landmarks(path, IDS)


FAULTS = [
    (set_dataset("clips/onset", [b"x"] * 5), "/clips/onset has the type object, not <i4."),
    (set_dataset("clips/apex", np.zeros(5)), "/clips/apex has the type float64, not <i4."),
    (set_dataset("clips/apex", np.zeros(4, "i4")), "/clips/apex has the shape (4,), not (5)."),
    (declare_huge, "/clips/fps has the shape (1000000000,), not (5)."),
    (keep_outside, "/landmarks keeps its data in another file."),
    (link_outside, "/clips/emotion is a link to another place."),
    (link_inside, "/clips/emotion is a link to another place."),
    (leave_unwritten, "/apex_window lacks a part of its data."),
    (set_value("clips/id", 1, "casme2/01/EP01_01"), "two clips have the id casme2/01/EP01_01."),
    (
        set_value("clips/subject", 1, "02"),
        "the clip 'casme2/01/EP02_01' is not named after its dataset 'casme2', its subject '02' and its name "
        "'EP02_01'.",
    ),
    (
        set_value("clips/offset", 2, 60),
        "clip casme2/02/EP01_01 has its onset at 10, its apex at 70 and its offset at 60. Expected 0 <= onset <= apex "
        "<= offset.",
    ),
    (set_value("clips/status", 0, "fine"), "clip casme2/01/EP01_01 has the status 'fine', not ok or repaired."),
    (set_value("clips/fps", 0, -1.0), "clip casme2/01/EP01_01 has -1.0 frames a second."),
    (set_attribute("generated", "no"), "the attribute generated is not a bool."),
    (set_attribute("dataset", 7), "the attribute dataset is not a text."),
    (set_attribute("content_hash", "ab"), "the attribute content_hash is not a SHA-256, but 'ab'."),
    (set_attribute("crop", "[]"), "the attribute crop holds a list, not a dict."),
    (set_attribute("crop", "{}"), "the attribute crop doesn't say how the faces were aligned."),
    (set_attribute("errata", "[7]"), "the attribute errata doesn't list sentences."),
    (
        set_attribute("failed", '[{"clip_id": 1}]'),
        "the attribute failed doesn't list clips with their emotion and the reason.",
    ),
    (
        set_value("clips/apex", 1, 71),
        "the apex of clip casme2/01/EP02_01 is frame 71, but its images are those around frame 70.",
    ),
]


@pytest.mark.parametrize(("change", "said"), FAULTS, ids=[said[:40] for _, said in FAULTS])
def test_a_store_without_checksums_that_cannot_be_true_is_refused(store, change, said):
    make_old(store)
    with h5py.File(store, "r+") as file:
        change(file)
    with pytest.raises(StoreError) as raised:
        read_all(store)
    assert str(raised.value) == f"{store}: damaged, {said} {rebuild(store)}"


def test_a_store_is_refused_by_the_same_sentence_with_right_checksums(store):
    with edited(store) as file:
        file["clips/apex"][1] = 9
    with pytest.raises(StoreError, match="has its onset at 10, its apex at 9 and its offset at 100"):
        read_store(store)
