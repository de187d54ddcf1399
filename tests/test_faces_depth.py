"""Images of more than eight bits: one factor for the whole release, found in all onsets and apexes."""

from __future__ import annotations

import re

import numpy as np
import pytest
from photo_release import head, write_clip, write_picture

from mer_cli.errors import FaceError
from mer_cli.faces.depth import deep_bits
from mer_cli.faces.frames import read_frames
from mer_cli.faces.pictures import check_picture, read_picture
from mer_cli.records import FrameRef


def deep_clip(root, largest, *, suffix=".png", channels=1, onset_largest=None, name="EP01_01"):
    """A clip of images of 16 bits a channel whose apex holds the value `largest`; its face is the photograph."""
    clip = write_clip(root, name, n_frames=8)
    frames = []
    for frame in clip.frames:
        top = onset_largest if onset_largest and frame.number < clip.apex else largest
        values = np.rint(head(0.25 * (frame.number - 40)) * (top / 255)).astype(np.uint16)
        path = write_picture(frame.path.with_suffix(suffix), values[:, :, 0].copy() if channels == 1 else values)
        frames.append(FrameRef(frame.number, path))
        frame.path.unlink()
    return type(clip)(**{**vars(clip), "frames": tuple(frames)})


@pytest.mark.parametrize(
    ("largest", "bits"), [(200, 8), (255, 8), (256, 10), (1023, 10), (4095, 12), (4096, 14), (16384, 16), (65535, 16)]
)
def test_the_bits_are_the_first_range_that_holds_the_largest_value(tmp_path, largest, bits):
    assert deep_bits([deep_clip(tmp_path, largest)]) == bits


def test_the_bits_are_of_the_whole_release_and_not_of_a_clip(tmp_path):
    clips = [deep_clip(tmp_path, 900, name="dark"), deep_clip(tmp_path, 4000, name="bright")]
    assert deep_bits(clips) == 12
    dark = dict(read_frames(clips[0].frames, deep_bits(clips)))
    assert dark[40].max() == 900 >> 4


def test_images_of_eight_bits_have_no_deep_bits(tmp_path):
    assert deep_bits([write_clip(tmp_path)]) is None


def test_an_image_that_cannot_be_read_is_left_out(tmp_path):
    clip = deep_clip(tmp_path, 4000)
    clip.frames[0].path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(16) + b"\x10")
    assert deep_bits([clip]) == 12


@pytest.mark.parametrize("suffix", [".png", ".tif", ".ppm", ".jp2"])
@pytest.mark.parametrize("channels", [1, 3])
def test_twelve_bits_keep_all_grey_levels(tmp_path, suffix, channels):
    if suffix == ".ppm" and channels == 1:
        suffix = ".pgm"
    clip = deep_clip(tmp_path, 4080, suffix=suffix, channels=channels)
    image = read_picture(clip.frames[0].path, 12)
    wanted = head() if channels == 3 else np.dstack([head()[:, :, 0]] * 3)
    assert np.abs(image.astype(int) - wanted).max() <= (4 if suffix == ".jp2" else 0)
    assert len(np.unique(image)) > 200  # 16 in the first version
    check_picture(clip.frames[0].path)


def test_a_value_beyond_the_bits_is_refused(tmp_path):
    path = write_picture(tmp_path / "img1.png", np.full((40, 40), 4096, np.uint16))
    expected = (
        f"{path}: holds the value 4096, which needs more than the 12 bits of all onsets and apexes of the release. "
        "Look at the image; convert the images all with one factor."
    )
    with pytest.raises(FaceError, match=f"^{re.escape(expected)}$"):
        read_picture(path, 12)


def test_an_image_of_sixteen_bits_among_images_of_eight_is_refused(tmp_path):
    path = write_picture(tmp_path / "img1.png", np.full((40, 40), 4096, np.uint16))
    expected = (
        f"{path}: has 16 bits a channel, but no onset or apex of the release has more than 8. Convert the images in "
        "the same way."
    )
    with pytest.raises(FaceError, match=f"^{re.escape(expected)}$"):
        read_picture(path)


def test_an_image_of_other_numbers_is_refused(tmp_path):
    path = write_picture(tmp_path / "img1.tif", np.full((40, 40), 0.5, np.float32))
    expected = (
        f"{path}: holds values of the kind float32. Expected whole numbers of 8 or 16 bits. Convert the images, all "
        "with one factor."
    )
    with pytest.raises(FaceError, match=f"^{re.escape(expected)}$"):
        read_picture(path, 16)
