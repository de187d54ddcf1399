"""Reading pictures, and seeing without reading them that they are whole."""

from __future__ import annotations

import re

import numpy as np
import pytest
from photo_release import head, write_picture

from mer_cli.errors import FaceError
from mer_cli.faces import pictures
from mer_cli.faces.pictures import check_picture, read_picture


@pytest.mark.parametrize("name", ["img1.png", "img1.bmp", "日本語 é.png"])
def test_read_picture_gives_rgb_of_the_picture_written(tmp_path, name):
    picture = head()
    assert np.array_equal(read_picture(write_picture(tmp_path / name, picture)), picture)


def test_read_picture_gives_a_grey_picture_three_equal_channels(tmp_path):
    grey = head()[:, :, 0].copy()
    frame = read_picture(write_picture(tmp_path / "img1.png", grey))
    assert frame.shape == (360, 320, 3)
    assert all(np.array_equal(frame[:, :, channel], grey) for channel in range(3))


def test_opencv_prints_nothing_of_a_damaged_picture(tmp_path, capfd):
    path = write_picture(tmp_path / "img46.bmp", head())
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(FaceError, match="cannot be decoded"):
        read_picture(path)
    assert capfd.readouterr() == ("", "")


def test_read_picture_refuses_an_empty_file(tmp_path):
    path = tmp_path / "img46.jpg"
    path.touch()
    expected = f"{path}: the file is empty (0 bytes). Copy the file from the release again."
    with pytest.raises(FaceError, match=f"^{re.escape(expected)}$"):
        read_picture(path)


def test_read_picture_refuses_an_absent_file(tmp_path):
    with pytest.raises(FaceError, match=r"img46\.jpg: cannot be read \(No such file or directory\)\. Copy"):
        read_picture(tmp_path / "img46.jpg")


@pytest.mark.parametrize("share", [0.5, 0.99])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp"])
def test_read_picture_refuses_a_picture_that_is_cut_short(tmp_path, suffix, share):
    path = write_picture(tmp_path / f"img46{suffix}", head())
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(FaceError, match=rf"img46\{suffix}: .*Copy the file from the release again"):
        read_picture(path)


def test_read_picture_sees_a_cut_jpeg_where_opencv_would_fill_it_with_grey(tmp_path, monkeypatch):
    path = write_picture(tmp_path / "img46.jpg", head())
    path.write_bytes(path.read_bytes()[:-200])
    monkeypatch.setattr(pictures.cv2, "imdecode", lambda data, mode: head())  # OpenCV 4 gives a picture, 5 does not
    with pytest.raises(FaceError, match=r"the JPEG is truncated \(its \d+ bytes have no end mark\)"):
        read_picture(path)


def test_read_picture_refuses_what_is_no_picture(tmp_path):
    path = tmp_path / "img46.jpg"
    path.write_text("<html>404</html>")
    with pytest.raises(FaceError, match=r"img46\.jpg: cannot be decoded \(16 bytes\)\. Copy"):
        read_picture(path)


def damaged(path, how):
    """A file that is not a whole image, in one of many ways."""
    whole = write_picture(path, head()).read_bytes()
    path.write_bytes(
        {
            "empty": b"",
            "half": whole[: len(whole) // 2],
            "almost": whole[:-3],
            "first byte": whole[:1],
            "page": b"<html>404</html>",
            "head only": whole[:20],
        }[how]
    )
    return path


@pytest.mark.parametrize("how", ["empty", "half", "almost", "first byte", "page", "head only"])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp"])
def test_check_picture_raises_the_error_of_reading(tmp_path, suffix, how):
    path = damaged(tmp_path / f"img46{suffix}", how)
    with pytest.raises(FaceError) as reading:
        read_picture(path)
    with pytest.raises(FaceError, match=f"^{re.escape(str(reading.value))}$"):
        check_picture(path)


def test_check_picture_raises_the_error_of_reading_an_absent_file(tmp_path):
    with pytest.raises(FaceError, match=r"img46\.jpg: cannot be read \(No such file or directory\)\. Copy"):
        check_picture(tmp_path / "img46.jpg")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp"])
def test_check_picture_decodes_nothing_of_a_whole_picture(tmp_path, suffix, monkeypatch):
    path = write_picture(tmp_path / f"img46{suffix}", head())
    monkeypatch.setattr(pictures, "read_picture", lambda path: pytest.fail(f"{path} was read"))
    check_picture(path)


@pytest.mark.parametrize("note", [200, 100_000])
def test_check_picture_takes_a_jpeg_with_a_note_after_its_end(tmp_path, note):
    path = write_picture(tmp_path / "img46.jpg", head())
    path.write_bytes(path.read_bytes() + bytes(note))
    check_picture(path)


def test_check_picture_takes_any_format_that_can_be_read(tmp_path):
    check_picture(write_picture(tmp_path / "img46.webp", head()).rename(tmp_path / "img46.jpg"))


def test_check_picture_reads_the_ends_only(tmp_path):
    path = tmp_path / "img46.jpg"
    path.write_bytes(write_picture(path, head()).read_bytes()[:-2])
    with path.open("r+b") as file:  # a hole of 8 GB that takes no room, and longer to read than a test may take
        file.truncate(8 * 2**30)
        file.seek(0, 2)
        file.write(pictures.JPEG_END)
    check_picture(path)


def test_read_picture_turns_a_phone_s_image_as_its_exif_data_say(tmp_path):
    from PIL import Image

    path = tmp_path / "img1.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.fromarray(head()).save(path, exif=exif, quality=95)
    assert np.abs(read_picture(path).astype(int) - np.rot90(head(), -1)).mean() < 3


@pytest.mark.parametrize("suffix", [".tif", ".webp", ".ppm", ".jp2"])
@pytest.mark.parametrize("share", [0.3, 0.99])
def test_check_picture_refuses_a_cut_image_of_a_rarer_format(tmp_path, suffix, share):
    path = write_picture(tmp_path / f"img46{suffix}", head())
    check_picture(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    for act in (check_picture, read_picture):
        with pytest.raises(FaceError, match=rf"img46\{suffix}: cannot be decoded \(\d+ bytes\)\. Copy the file"):
            act(path)


def test_read_picture_refuses_an_image_that_declares_more_pixels_than_allowed(tmp_path):
    path = tmp_path / "img1.ppm"
    path.write_bytes(b"P6\n20000 20000\n255\n" + bytes(100))
    with pytest.raises(FaceError, match=r"img1\.ppm: cannot be decoded \(119 bytes\)\. Copy"):
        read_picture(path)
