"""Frames and clip folders on real files: which names are frames, in what order, and which folders are refused."""

import pytest
from fake_dataset import write_frames

from mer_cli.datasets.frame_files import child_folders, clip_folder, frame_number, list_frames
from mer_cli.errors import DatasetError


def message(call, *arguments):
    with pytest.raises(DatasetError) as error:
        call(*arguments)
    return str(error.value)


def make_folders(root, *names):
    for name in names:
        (root / name).mkdir(parents=True)
    return root


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("img1.jpg", 1),
        ("img46.jpg", 46),
        ("reg_img46.jpg", 46),
        ("006_05562.jpg", 5562),
        ("00001.png", 1),
        ("img0.jpg", 0),
        ("clip2_img7b.jpg", 7),
        ("img46.JPG", 46),
        ("img46.jpeg", 46),
        ("img46.bmp", 46),
        ("12.5.jpg", 5),
    ],
)
def test_frame_number_is_the_last_run_of_digits(name, number):
    assert frame_number(name) == number


@pytest.mark.parametrize(
    "name", ["", "img.jpg", "img46", "img46.txt", "img46.mp4", "Thumbs.db", "._img1.jpg", ".jpg", "img46.jpg.part"]
)
def test_frame_number_is_none_for_what_is_no_frame(name):
    assert frame_number(name) is None


def test_frame_number_reads_no_digits_but_ascii():
    assert frame_number("img٤٦.jpg") is None
    assert frame_number("img7²3.jpg") == 3


def test_list_frames_sorts_by_number_and_not_by_name(tmp_path):
    write_frames(tmp_path, [100, 9, 46])
    frames = list_frames(tmp_path)
    assert [frame.number for frame in frames] == [9, 46, 100]
    assert [frame.path for frame in frames] == [tmp_path / "img9.jpg", tmp_path / "img46.jpg", tmp_path / "img100.jpg"]


def test_list_frames_keeps_the_name_that_is_on_disk(tmp_path):
    write_frames(tmp_path, [5562], "006_{:05}.jpg")
    assert list_frames(tmp_path)[0].path.name == "006_05562.jpg"


def test_list_frames_ignores_what_is_no_frame(tmp_path):
    write_frames(tmp_path, [1, 2])
    for name in ("Thumbs.db", ".DS_Store", "._img1.jpg", "notes3.txt"):
        (tmp_path / name).write_bytes(b"x")
    make_folders(tmp_path, "img3.jpg", "img1.jpeg")  # folders, named as frames are
    assert [frame.path.name for frame in list_frames(tmp_path)] == ["img1.jpg", "img2.jpg"]


def test_list_frames_ignores_a_link_to_nothing(tmp_path):
    write_frames(tmp_path, [1])
    (tmp_path / "img2.jpg").symlink_to(tmp_path / "gone.jpg")
    assert [frame.number for frame in list_frames(tmp_path)] == [1]


@pytest.mark.parametrize("copy", ["img46.png", "img046.jpg", "reg_img46.jpg"])
def test_list_frames_refuses_two_pictures_of_one_number(tmp_path, copy):
    write_frames(tmp_path, [45, 46])
    (tmp_path / copy).write_bytes(b"x")
    first, second = sorted(("img46.jpg", copy))
    assert message(list_frames, tmp_path) == (
        f"{tmp_path}: frame 46 has two pictures, {first} and {second}. Expected one. Remove the copy."
    )


@pytest.mark.parametrize("names", [(), ("Thumbs.db",), ("img.jpg", "._img1.jpg")])
def test_list_frames_names_a_folder_without_frames(tmp_path, names):
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    assert message(list_frames, tmp_path) == (
        f"{tmp_path}: the clip's folder holds no pictures. Expected its frames. Unpack it again."
    )


def test_a_folder_that_cannot_be_listed_is_named(tmp_path):
    for call in (list_frames, child_folders):
        assert message(call, tmp_path / "gone") == (
            f"{tmp_path}/gone: cannot be listed (No such file or directory). Expected a readable folder. "
            "Check its permissions."
        )
    (tmp_path / "file").write_bytes(b"x")
    assert f"{tmp_path}/file: cannot be listed (Not a directory)." in message(child_folders, tmp_path / "file")


def test_child_folders_are_in_the_order_of_their_names(tmp_path):
    make_folders(tmp_path, "sub10", "sub02", "sub01")
    folders = child_folders(tmp_path)
    assert list(folders) == ["sub01", "sub02", "sub10"]
    assert folders["sub02"] == tmp_path / "sub02"


def test_child_folders_leaves_out_files_and_hidden_folders(tmp_path):
    make_folders(tmp_path, "sub01", ".git", "sub01/EP02_01f")
    (tmp_path / "readme.txt").write_bytes(b"x")
    assert list(child_folders(tmp_path)) == ["sub01"]


def test_child_folders_gives_nothing_for_an_empty_folder(tmp_path):
    assert child_folders(tmp_path) == {}


def test_child_folders_keeps_a_link_to_a_folder(tmp_path):
    make_folders(tmp_path, "real", "release")
    (tmp_path / "release" / "sub01").symlink_to(tmp_path / "real")
    assert child_folders(tmp_path / "release") == {"sub01": tmp_path / "release" / "sub01"}


def test_clip_folder_finds_the_folder_of_that_name(tmp_path):
    make_folders(tmp_path, "EP02_01f", "EP02_01")
    assert clip_folder(child_folders(tmp_path), "EP02_01", tmp_path.resolve()) == tmp_path / "EP02_01"


def test_clip_folder_takes_another_case_where_the_exact_name_is_not_there(tmp_path):
    make_folders(tmp_path, "EP02_01F")
    assert clip_folder(child_folders(tmp_path), "ep02_01f", tmp_path.resolve()) == tmp_path / "EP02_01F"


def test_clip_folder_prefers_the_exact_name(tmp_path):
    siblings = {name: make_folders(tmp_path / name, "x") / "x" for name in ("EP02_01F", "ep02_01f", "EP02_01f")}
    assert clip_folder(siblings, "EP02_01f", tmp_path.resolve()) == tmp_path / "EP02_01f" / "x"


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/etc", "a\\b", "..\\x", "C:", "C:x", "EP\0"])
def test_clip_folder_refuses_a_name_that_is_no_folder_name(tmp_path, name):
    siblings = {name: tmp_path}  # even where such a folder is offered
    assert message(clip_folder, siblings, name, tmp_path.resolve()) == (
        f"the clip name '{name}' is no folder name and would lead out of the release. "
        "Expected a name like 'EP02_01f'. Correct the table."
    )


@pytest.mark.parametrize("name", ["EP02_01", "EP02_01f ", "...", "EP*"])
def test_clip_folder_names_a_clip_without_a_folder(tmp_path, name):
    siblings = child_folders(make_folders(tmp_path, "EP02_01f"))
    assert message(clip_folder, siblings, name, tmp_path.resolve()) == (
        f"no folder '{name}' for this clip. Expected one a row. Unpack the release again."
    )


def test_clip_folder_refuses_a_link_out_of_the_release(tmp_path):
    make_folders(tmp_path, "release", "elsewhere", "release-2")
    for place in ("elsewhere", "release-2"):  # the second begins with the boundary's own path
        link = tmp_path / "release" / f"to_{place}"
        link.symlink_to(tmp_path / place)
        boundary = (tmp_path / "release").resolve()
        assert message(clip_folder, child_folders(tmp_path / "release"), link.name, boundary) == (
            f"{link} is a link to {(tmp_path / place).resolve()}, outside the release. "
            f"Expected a folder in {boundary}. Copy the frames there."
        )


def test_clip_folder_allows_a_link_that_stays_inside_the_release(tmp_path):
    make_folders(tmp_path, "pool/EP1", "sub01")
    (tmp_path / "sub01" / "EP1").symlink_to(tmp_path / "pool" / "EP1")
    folder = clip_folder(child_folders(tmp_path / "sub01"), "EP1", tmp_path.resolve())
    assert folder == tmp_path / "sub01" / "EP1"


def test_clip_folder_allows_a_release_that_is_itself_reached_by_a_link(tmp_path):
    make_folders(tmp_path, "disk/EP1")
    (tmp_path / "release").symlink_to(tmp_path / "disk")
    siblings = child_folders(tmp_path / "release")
    assert clip_folder(siblings, "EP1", (tmp_path / "release").resolve()) == tmp_path / "release" / "EP1"


def test_a_link_to_itself_is_an_error_that_names_the_folder(tmp_path):
    (tmp_path / "img1.jpg").symlink_to(tmp_path / "img1.jpg")
    with pytest.raises(DatasetError, match="cannot be listed"):
        list_frames(tmp_path)
