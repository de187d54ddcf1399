"""Reading pictures, and which ones a window holds."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from photo_release import head, write_clip, write_picture

from mer_cli.errors import FaceError
from mer_cli.faces import frames
from mer_cli.faces.frames import NO_FRAME, read_frame, window
from mer_cli.records import Clip, FrameRef


def make_clip(numbers: list[int], **changes) -> Clip:
    frame_refs = tuple(FrameRef(number, Path(f"img{number}.jpg")) for number in numbers)
    fields = {"onset": numbers[0], "apex": numbers[0], "offset": numbers[-1], "frames": frame_refs}
    return Clip("casme2", "01", "EP01", "others", "", **(fields | changes), fps=200.0)


@pytest.mark.parametrize("name", ["img1.png", "img1.bmp", "日本語 é.png"])
def test_read_frame_gives_rgb_of_the_picture_written(tmp_path, name):
    picture = head()
    assert np.array_equal(read_frame(write_picture(tmp_path / name, picture)), picture)


def test_read_frame_gives_a_grey_picture_three_equal_channels(tmp_path):
    grey = head()[:, :, 0].copy()
    frame = read_frame(write_picture(tmp_path / "img1.png", grey))
    assert frame.shape == (360, 320, 3)
    assert all(np.array_equal(frame[:, :, channel], grey) for channel in range(3))


def test_read_frame_refuses_an_empty_file(tmp_path):
    path = tmp_path / "img46.jpg"
    path.touch()
    expected = f"{path}: the file is empty (0 bytes). Expected a whole picture. Copy the file from the release again."
    with pytest.raises(FaceError, match=f"^{re.escape(expected)}$"):
        read_frame(path)


def test_read_frame_refuses_an_absent_file(tmp_path):
    with pytest.raises(FaceError, match=r"img46\.jpg: cannot be read \(No such file or directory\)\. Expected"):
        read_frame(tmp_path / "img46.jpg")


@pytest.mark.parametrize("share", [0.5, 0.99])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp"])
def test_read_frame_refuses_a_picture_that_is_cut_short(tmp_path, suffix, share):
    path = write_picture(tmp_path / f"img46{suffix}", head())
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(FaceError, match=rf"img46\{suffix}: .*Copy the file from the release again"):
        read_frame(path)


def test_read_frame_sees_a_cut_jpeg_where_opencv_would_fill_it_with_grey(tmp_path, monkeypatch):
    path = write_picture(tmp_path / "img46.jpg", head())
    path.write_bytes(path.read_bytes()[:-200])
    monkeypatch.setattr(frames.cv2, "imdecode", lambda data, mode: head())  # OpenCV 4 gives a picture, 5 does not
    with pytest.raises(FaceError, match=r"the JPEG is cut short \(its \d+ bytes have no end mark\)"):
        read_frame(path)


def test_read_frame_refuses_what_is_no_picture(tmp_path):
    path = tmp_path / "img46.jpg"
    path.write_text("<html>404</html>")
    with pytest.raises(FaceError, match=r"img46\.jpg: cannot be decoded \(16 bytes\)\. Expected a whole picture"):
        read_frame(path)


def test_window_puts_the_labelled_frame_in_the_middle():
    entries = window(make_clip(list(range(40, 60))), 50)
    assert [number for number, _ in entries] == [47, 48, 49, 50, 51, 52, 53]
    assert [frame.number for _, frame in entries] == [47, 48, 49, 50, 51, 52, 53]


@pytest.mark.parametrize(
    ("number", "numbers", "pictures"),
    [
        (40, [-1, -1, -1, 40, 41, 42, 43], [40, 40, 40, 40, 41, 42, 43]),
        (44, [41, 42, 43, 44, 45, -1, -1], [41, 42, 43, 44, 45, 45, 45]),
    ],
)
def test_window_repeats_the_nearest_frame_beyond_the_clip(number, numbers, pictures):
    entries = window(make_clip([40, 41, 42, 43, 44, 45]), number)
    assert [number for number, _ in entries] == numbers
    assert [frame.number for _, frame in entries] == pictures


def test_window_fills_a_gap_with_the_earlier_of_two_equally_near():
    entries = window(make_clip([40, 41, 43, 44, 47]), 43)
    assert [number for number, _ in entries] == [40, 41, NO_FRAME, 43, 44, NO_FRAME, NO_FRAME]
    assert [frame.number for _, frame in entries] == [40, 41, 41, 43, 44, 44, 47]


def test_window_refuses_a_labelled_frame_without_a_picture():
    expected = (
        "casme2/01/EP01: frame 39 has no picture. Expected one of 40..45. Restore the picture or correct the table."
    )
    with pytest.raises(FaceError, match=f"^{re.escape(expected)}$"):
        window(make_clip([40, 45]), 39)


def test_written_clip_is_what_the_records_promise(tmp_path):
    clip = write_clip(tmp_path)
    assert [frame.number for frame in clip.frames] == list(range(clip.onset, clip.offset + 1))


def test_opencv_without_libgl_names_the_fix(tmp_path):
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from mer_cli.errors import FaceError\n"
        "try:\n    import mer_cli.faces.frames\n"
        "except FaceError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "opencv-python: cannot be imported (libGL.so.1: cannot open shared object file). Expected the system's libGL "
        "beside it. Install that, `apt-get install libgl1`, or the build that does without: "
        "`pip install opencv-python-headless`.\n"
    )
