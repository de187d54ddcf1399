"""Frames of a video: the right ones, in one pass, with the memory of one frame."""

from __future__ import annotations

import re
import subprocess
import sys

import cv2
import numpy as np
import pytest
from fake_dataset import write_video
from photo_release import HEAD_SIZE, head

from mer_cli.datasets.frame_files import is_video
from mer_cli.errors import FaceError
from mer_cli.faces.videos import check_video, read_video

# Reads the last frame of a video and prints the peak memory that this process took, in MB.
SCRIPT = """
import sys
from pathlib import Path
from mer_cli.faces.videos import read_video

shapes = [image.shape for _, image in read_video(Path(sys.argv[1]), [int(sys.argv[2])])]
assert shapes == [(480, 640, 3)]
lines = Path("/proc/self/status").read_text().splitlines()
print(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1000)
"""


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    """A video of a moving head, in motion JPEG."""
    path = tmp_path_factory.mktemp("video") / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, HEAD_SIZE)
    for number in range(1, 21):
        writer.write(np.ascontiguousarray(head(number)[..., ::-1]))
    writer.release()
    return path


@pytest.mark.parametrize(("name", "expected"), [("a.avi", True), ("a.MP4", True), ("a.jpg", False), ("avi", False)])
def test_is_video_goes_by_the_name(tmp_path, name, expected):
    assert is_video(tmp_path / name) == expected


def test_read_video_gives_the_frames_that_were_written(filmed):
    read = dict(read_video(filmed, [1, 7, 8, 20]))
    assert list(read) == [1, 7, 8, 20]
    for number, image in read.items():
        assert (image.shape, image.dtype) == ((360, 320, 3), np.uint8)
        errors = {k: np.abs(image.astype(int) - head(k)).mean() for k in range(1, 21)}
        assert min(errors, key=errors.get) == number  # the neighbours are a pixel away
        assert errors[number] < 4  # of 255: what motion JPEG loses


def test_read_video_says_where_it_ends(filmed):
    expected = f"{filmed}: the video ends after frame 20, before frame 21. Copy the file again or correct the table."
    with pytest.raises(FaceError, match=f"^{re.escape(expected)}$"):
        list(read_video(filmed, [20, 21]))
    with pytest.raises(FaceError, match=f"^{re.escape(expected)}$"):
        check_video(filmed, 21)
    check_video(filmed, 20)


def test_a_video_that_cannot_be_opened_is_named(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"no video" * 100)
    expected = f"{path}: is a text file, not a video. Give the recording itself."
    with pytest.raises(FaceError, match=f"^{re.escape(expected)}$"):
        list(read_video(path, [1]))
    with pytest.raises(FaceError, match=f"^{re.escape(expected)}$"):
        check_video(path, 1)


def test_an_absent_video_is_named(tmp_path):
    path = tmp_path / "clip.avi"
    expected = f"{path}: cannot be read (No such file or directory). Check the path and its permissions."
    for act in (lambda: list(read_video(path, [1])), lambda: check_video(path, 1)):
        with pytest.raises(FaceError, match=f"^{re.escape(expected)}$"):
            act()


def test_check_video_sees_a_file_that_was_mended(tmp_path):
    path = write_video(tmp_path / "clip.avi", 4)
    with pytest.raises(FaceError, match="ends after frame 4"):
        check_video(path, 9)
    write_video(path, 9)
    check_video(path, 9)


def test_memory_does_not_grow_with_the_length_of_a_video(tmp_path):
    peaks = []
    for n_frames in (5, 200):  # 200 frames of 640x480 are 184 MB
        path = write_video(tmp_path / f"{n_frames}.avi", n_frames, size=(640, 480))
        command = [sys.executable, "-c", SCRIPT, str(path), str(n_frames)]
        peaks.append(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    assert peaks[1] - peaks[0] < 40


def test_ffmpeg_prints_nothing_of_a_damaged_video(tmp_path, capfd):
    path = tmp_path / "clip.mkv"
    path.write_bytes(b"\x1a\x45\xdf\xa3" + bytes(200))
    with pytest.raises(FaceError, match="is not a video, or holds no moving pictures"):
        list(read_video(path, [1]))
    assert capfd.readouterr() == ("", "")
