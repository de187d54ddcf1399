"""Which frames a window holds, which a clip needs, and reading them from pictures and videos alike."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fake_dataset import write_video
from photo_release import HEAD_SIZE, head, write_clip, write_picture

from mer_cli.errors import FaceError
from mer_cli.faces.frames import NO_FRAME, check_frame, needed_frames, read_frame, read_frames, window
from mer_cli.records import Clip, FrameRef


def make_clip(numbers: list[int], **changes) -> Clip:
    frame_refs = tuple(FrameRef(number, Path(f"img{number}.jpg")) for number in numbers)
    fields = {"onset": numbers[0], "apex": numbers[0], "offset": numbers[-1], "frames": frame_refs}
    return Clip("casme2", "01", "EP01", "others", "", **(fields | changes), fps=200.0)


def test_read_frames_gives_each_once_in_the_order_of_numbers_whatever_they_lie_in(tmp_path):
    video = write_video(tmp_path / "clip.avi", 6, size=HEAD_SIZE)
    pictures = [FrameRef(number, write_picture(tmp_path / f"{number}.png", head(number))) for number in (2, 9)]
    frames = [FrameRef(5, video), pictures[1], FrameRef(4, video), pictures[0], pictures[0]]
    read = dict(read_frames(frames))
    assert list(read) == [2, 4, 5, 9]
    assert np.array_equal(read[9], head(9))
    assert abs(int(read[5].mean()) - 50) <= 2


def test_check_frame_raises_what_reading_a_picture_or_a_video_would(tmp_path):
    picture = write_picture(tmp_path / "img1.jpg", head())
    picture.write_bytes(picture.read_bytes()[:-500])
    video = write_video(tmp_path / "clip.avi", 6)
    for frame in (FrameRef(1, picture), FrameRef(7, video), FrameRef(1, tmp_path / "gone.jpg")):
        with pytest.raises(FaceError) as reading:
            read_frame(frame)
        with pytest.raises(FaceError, match=f"^{re.escape(str(reading.value))}$"):
            check_frame(frame)
    check_frame(FrameRef(6, video))


def test_needed_frames_are_those_of_both_windows():
    clip = make_clip(list(range(40, 80)), apex=60)
    assert [frame.number for frame in needed_frames(clip)] == [*range(40, 44), *range(57, 64)]


def test_needed_frames_of_an_apex_to_be_found_are_all_that_it_may_be():
    clip = make_clip([*range(38, 50), 52, 53, 60, 70, 71], onset=40, apex=44, offset=49, apex_rule="flow")
    assert [frame.number for frame in needed_frames(clip)] == [*range(38, 50), 52]


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
    expected = "casme2/01/EP01: frame 39 has no image; frames 40 to 45 do. Restore the image or correct the table."
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
        "opencv-python: cannot be imported (libGL.so.1: cannot open shared object file). Install the system's libGL, "
        "`apt-get install libgl1`, or the build that doesn't need it, `pip install opencv-python-headless`.\n"
    )
