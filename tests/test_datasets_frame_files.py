"""Frames and clip folders on real files: which names are frames, in what order, and which folders are refused."""

import pytest
from fake_dataset import write_frames, write_video

from mer_cli.datasets.frame_files import check_folder_name, check_inside, frame_number, list_frames, list_video
from mer_cli.errors import DatasetError
from mer_cli.records import FrameRef


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
        f"{tmp_path}: frame 46 has two images, {first} and {second}. Remove the copy."
    )


@pytest.mark.parametrize("names", [(), ("Thumbs.db",), ("._img1.jpg",)])
def test_list_frames_names_a_folder_without_frames(tmp_path, names):
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    assert message(list_frames, tmp_path) == (
        f"{tmp_path}: the clip's folder holds no images. Unpack the release again."
    )


def test_a_folder_that_cannot_be_listed_is_named(tmp_path):
    assert message(list_frames, tmp_path / "gone") == (
        f"{tmp_path}/gone: can't be listed (No such file or directory). Check its permissions."
    )
    (tmp_path / "file").write_bytes(b"x")
    assert f"{tmp_path}/file: can't be listed (Not a directory)." in message(list_frames, tmp_path / "file")


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/etc", "a\\b", "..\\x", "C:", "C:x", "EP\0"])
def test_a_clips_name_that_is_no_folder_name_is_refused(name):
    assert message(check_folder_name, name, "sub01/EP02_01f") == (
        f"the clip name '{name}' is not a folder name and would lead out of the release. "
        "Expected a name like 'sub01/EP02_01f'. Correct the table."
    )


@pytest.mark.parametrize("name", ["EP02_01f", "006_1_2", "...", "a b", "é"])
def test_a_plain_folder_name_is_allowed(name):
    check_folder_name(name, "sub01/EP02_01f")


def test_a_link_or_path_out_of_the_release_is_refused(tmp_path):
    make_folders(tmp_path, "release", "elsewhere", "release-2")
    boundary = (tmp_path / "release").resolve()
    for place in ("elsewhere", "release-2"):  # the second begins with the boundary's own path
        link = tmp_path / "release" / f"to_{place}"
        link.symlink_to(tmp_path / place)
        assert message(check_inside, link, boundary) == (
            f"{link} leads out of the release, to {(tmp_path / place).resolve()}. Copy the frames into {boundary}."
        )
    assert "leads out of the release" in message(check_inside, tmp_path / "release" / ".." / "elsewhere", boundary)


def test_a_link_that_stays_inside_the_release_is_allowed(tmp_path):
    make_folders(tmp_path, "pool/EP1", "sub01")
    (tmp_path / "sub01" / "EP1").symlink_to(tmp_path / "pool" / "EP1")
    check_inside(tmp_path / "sub01" / "EP1", tmp_path.resolve())


def test_a_release_that_is_itself_reached_by_a_link_is_allowed(tmp_path):
    make_folders(tmp_path, "disk/EP1")
    (tmp_path / "release").symlink_to(tmp_path / "disk")
    check_inside(tmp_path / "release" / "EP1", (tmp_path / "release").resolve())


def test_list_video_counts_the_frames_from_one(tmp_path):
    path = write_video(tmp_path / "clip.avi", n_frames=7)
    assert list_video(path) == tuple(FrameRef(number, path) for number in range(1, 8))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "cannot be read (No such file or directory). Check the path and its permissions."),
        (b"", "the file is empty (0 bytes). Copy the video again."),
        (b"no video", "is a text file, not a video. Give the recording itself."),
    ],
)
def test_list_video_names_a_file_that_is_not_a_video(tmp_path, content, expected):
    path = tmp_path / "clip.mp4"
    if content is not None:
        path.write_bytes(content)
    assert message(list_video, path) == f"{path}: {expected}"


def test_a_link_to_itself_is_left_out(tmp_path):
    (tmp_path / "img1.jpg").symlink_to(tmp_path / "img1.jpg")
    write_frames(tmp_path, [2])
    assert [frame.number for frame in list_frames(tmp_path)] == [2]


def test_list_frames_says_that_images_have_no_number(tmp_path):
    for name in ("second.jpg", "first.jpg"):
        (tmp_path / name).write_bytes(b"x")
    assert message(list_frames, tmp_path) == (
        f"{tmp_path}: no image has a number in its name; the first is first.jpg. Expected names like img46.jpg, or "
        "onset.jpg and apex.jpg. Rename the images, or unpack the release again."
    )


@pytest.mark.parametrize("extension", ["tif", "TIFF", "webp", "pgm", "ppm", "pnm", "jp2"])
def test_list_frames_lists_rarer_formats(tmp_path, extension):
    write_frames(tmp_path, [1, 2], f"img{{}}.{extension}")
    assert [frame.number for frame in list_frames(tmp_path)] == [1, 2]


def test_list_frames_leaves_rarer_formats_out_beside_the_usual_ones(tmp_path):
    write_frames(tmp_path, [1, 2])
    write_frames(tmp_path, [1, 2, 3], "depth{}.tif")
    assert [frame.path.name for frame in list_frames(tmp_path)] == ["img1.jpg", "img2.jpg"]


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (("onset.jpg", "apex.jpg"), [1, 8]),
        (("s01_Onset.png", "s01_Apex.png", "s01_Offset.png"), [1, 8, 15]),
        (("onset.tif", "apex.tif"), [1, 8]),
    ],
)
def test_list_frames_numbers_images_named_after_what_they_show(tmp_path, names, numbers):
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    frames = list_frames(tmp_path)
    assert [frame.number for frame in frames] == numbers
    assert [frame.path.name for frame in frames] == list(names)


def test_list_frames_refuses_two_images_of_one_onset(tmp_path):
    for name in ("onset.jpg", "onset.png", "apex.jpg"):
        (tmp_path / name).write_bytes(b"x")
    assert message(list_frames, tmp_path) == (
        f"{tmp_path}: frame 1 has two images, onset.jpg and onset.png. Remove the copy."
    )
