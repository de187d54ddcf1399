"""One clip cut: which frames are read, what they become, and how much memory that takes."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
import zlib
from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest
from photo_release import HEAD_SIZE, head, in_large_picture, write_clip, write_picture

from mer_cli.errors import FaceError
from mer_cli.faces import frames
from mer_cli.faces.crop import squeeze, warp
from mer_cli.faces.frames import read_frame
from mer_cli.faces.landmarks import FaceFinder, find_predictor
from mer_cli.faces.pictures import read_picture
from mer_cli.records import Clip, FrameRef
from mer_cli.store.cut import cut_clip
from mer_cli.store.whole_clips import encode_clip

# Cuts pickled clips and prints by how much each but the first raised this process's peak memory, in MB.
SCRIPT = """
import pickle, sys
from pathlib import Path
from mer_cli.faces.landmarks import FaceFinder, find_predictor
from mer_cli.store.cut import cut_clip

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1000

finder = FaceFinder(find_predictor())
first, *clips = pickle.loads(Path(sys.argv[1]).read_bytes())
cut_clip(first, finder, "box")
for clip in clips:
    before = peak()
    cut_clip(clip, finder, "box")
    print(peak() - before)
"""


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder(find_predictor())


@pytest.fixture
def read(monkeypatch) -> Counter:
    """Counts how often each picture is read, by the number in its name."""
    counts = Counter()

    def counting(path, bits):
        counts[int(path.stem[3:])] += 1
        return read_picture(path, bits)

    monkeypatch.setattr(frames, "read_picture", counting)
    return counts


def write_smile(root, *, n_frames=30, apex=18, **changes) -> Clip:
    """A clip, numbered from 40, whose mouth is lifted up to the frame 40 + `apex` and falls again."""
    y, x = np.mgrid[:360, :320].astype(np.float32)
    lifts = np.interp(np.arange(n_frames), [0, apex, n_frames - 1], [0, 1, 0])
    clip = write_clip(root, n_frames=n_frames, **changes)
    for frame, lift in zip(clip.frames, lifts, strict=True):
        lifted = y + np.float32(4 * lift) * np.exp(-((x - 157) ** 2 + (y - 176) ** 2) / (2 * 22**2))
        write_picture(frame.path, cv2.remap(head(), x, lifted, cv2.INTER_CUBIC))
    return clip


def test_cut_clip_reads_each_needed_frame_once_and_no_other(tmp_path, finder, read):
    cut_clip(write_clip(tmp_path, n_frames=30, apex=55), finder, "box")
    assert read == dict.fromkeys([40, 41, 42, 43, 52, 53, 54, 55, 56, 57, 58], 1)


def test_cut_clip_reads_each_frame_once_where_the_face_is_found_late(tmp_path, finder, read):
    clip = write_clip(tmp_path, n_frames=20, apex=50, onset=43)
    for number in (43, 44):
        write_picture(clip.frames[number - 40].path, np.full((360, 320, 3), 128, np.uint8))
    assert cut_clip(clip, finder, "box").detector == "hog@frame45"
    assert read == dict.fromkeys([*range(40, 54)], 1)


def test_cut_clip_warps_every_frame_with_the_onset_s_transform(tmp_path, finder):
    clip = write_clip(tmp_path)
    cropped = cut_clip(clip, finder, "box")
    transform = cropped.arrays["transforms"]
    numbers = cropped.arrays["apex_window_frames"]
    assert numbers.tolist() == [43, 44, 45, 46, 47, 48, 49]
    for crop, number in zip(cropped.arrays["apex_window"], numbers, strict=True):
        assert np.array_equal(crop, warp(read_frame(clip.frames[number - 40]), transform))


def test_cut_clip_of_a_cropped_release_without_a_face_takes_the_whole_picture(tmp_path, finder):
    clip = write_clip(tmp_path)
    grey = np.full((200, 260, 3), 128, np.uint8)
    for frame in clip.frames:
        write_picture(frame.path, grey)
    cropped = cut_clip(clip, FaceFinder(find_predictor(), is_cropped=True), "eyes")
    assert (cropped.status, cropped.detector) == ("repaired", "release-crop")
    whole = np.float32([[224 / 260, 0, 0], [0, 224 / 260, 25.846]])
    assert cropped.arrays["transforms"] == pytest.approx(whole, abs=1e-3)


def test_cut_clip_squeezes_each_image_whole_if_it_is_told_to(tmp_path, finder):
    clip = write_clip(tmp_path)
    cropped = cut_clip(clip, finder, "none")
    for crop, number in zip(cropped.arrays["onset_window"][3:], (40, 41, 42, 43), strict=True):
        assert np.array_equal(crop, squeeze(read_frame(clip.frames[number - 40])))
    boxed = cut_clip(clip, finder, "box")
    assert np.array_equal(cropped.arrays["landmarks"], boxed.arrays["landmarks"])
    across, down = 224 / HEAD_SIZE[0], 224 / HEAD_SIZE[1]
    assert cropped.arrays["transforms"] == pytest.approx(
        np.float32([[across, 0, across / 2 - 0.5], [0, down, down / 2 - 0.5]])
    )
    (encoded,) = [encode_clip(replace(clip, offset=40), cropped.arrays["transforms"], "none")]
    assert zlib.decompress(encoded.data.tobytes()) == cropped.arrays["onset_window"][3].tobytes()


def test_cut_clip_refuses_images_of_two_sizes(tmp_path, finder):
    clip = write_clip(tmp_path)
    path = write_picture(clip.frames[6].path, head()[:300, :280])
    expected = (
        f"{path}: has 280x300 pixels, and img40.jpg of the same clip 320x360. Expected one size, because a clip is "
        "cropped in one way. Take the images as they were recorded, or cut all images of the clip at one place."
    )
    with pytest.raises(FaceError, match=f"^{re.escape(expected)}$"):
        cut_clip(clip, finder, "box")


@pytest.mark.parametrize(
    ("apex", "note"),
    [
        (head(), "onset and apex are the same image: the pair shows no motion"),
        (head(40), "the image jumps {} pixels between onset and apex"),
        (np.ascontiguousarray(head()[::-1]), "onset and apex differ as images of two faces do"),
    ],
)
def test_cut_clip_notes_an_odd_pair_and_the_clip_stays_ok(tmp_path, finder, apex, note):
    clip = write_clip(tmp_path)
    write_picture(clip.frames[6].path, apex)
    cropped = cut_clip(clip, finder, "box")
    assert cropped.status == "ok"
    assert re.fullmatch(note.replace("{}", r"\d+"), cropped.note)
    assert cut_clip(replace(clip, apex=45), finder, "box").note == ""


def test_cut_clip_finds_the_apex_by_flow_and_says_so(tmp_path, finder, read):
    clip = write_smile(tmp_path, apex_rule="flow")
    read.clear()
    cropped = cut_clip(clip, finder, "box")
    apex = cropped.columns["apex"]
    assert abs(apex - 58) <= 1
    assert cropped.note == f"apex not annotated: frame {apex} has the strongest motion"
    assert cropped.status == "ok"
    assert read == dict.fromkeys(range(40, 70), 1)


def test_the_windows_of_an_apex_found_by_flow_are_those_of_an_annotated_one(tmp_path, finder):
    clip = write_smile(tmp_path)
    clip = replace(clip, frames=tuple(frame for frame in clip.frames if frame.number not in (42, 56, 57, 60)))
    found = cut_clip(replace(clip, apex_rule="flow"), finder, "eyes")
    annotated = cut_clip(replace(clip, apex=found.columns["apex"]), finder, "eyes")
    assert -1 in found.arrays["apex_window_frames"]
    for name, array in annotated.arrays.items():
        assert np.array_equal(found.arrays[name], array), name


def test_a_midpoint_is_noted_and_repairs_come_first(tmp_path, finder):
    clip = write_clip(tmp_path, apex_rule="midpoint", notes=("two labels",))
    plain, mended = (cut_clip(each, finder, "box") for each in (clip, replace(clip, repairs=("offset 51 for 52",))))
    note = "two labels; apex not annotated: the midpoint 46 is taken"
    assert (plain.status, plain.note, plain.columns["apex"]) == ("ok", note, 46)
    assert (mended.status, mended.note) == ("repaired", f"offset 51 for 52; {note}")


def test_an_apex_cannot_be_found_in_a_single_frame(tmp_path, finder):
    clip = write_clip(tmp_path, offset=40, apex=40, apex_rule="flow")
    expected = (
        "casme2/01/EP01_01: no frame between onset 40 and offset 40 can be the apex. "
        "Restore the images or correct the table."
    )
    with pytest.raises(FaceError, match=f"^{re.escape(expected)}$"):
        cut_clip(clip, finder, "box")


def test_a_clip_of_a_video_is_cut_as_one_of_pictures(tmp_path, finder):
    pictures = write_clip(tmp_path, n_frames=20, apex=52)
    writer = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, HEAD_SIZE)
    for frame in pictures.frames:
        writer.write(cv2.imread(str(frame.path)))
    writer.release()
    numbered = tuple(FrameRef(number, tmp_path / "clip.avi") for number in range(1, 21))
    filmed = replace(pictures, frames=numbered, onset=1, apex=13, offset=20)
    crops, reference = (cut_clip(clip, finder, "box").arrays for clip in (filmed, pictures))
    assert crops["apex_window_frames"].tolist() == list(range(10, 17))
    assert np.abs(crops["landmarks"] - reference["landmarks"]).mean() < 1
    aligned = [warp(read_frame(frame), crops["transforms"]) for frame in pictures.frames[9:16]]
    assert np.abs(crops["apex_window"].astype(int) - np.stack(aligned)).mean() < 3


def write_still(folder, picture, n_frames) -> Clip:
    """A clip of one picture again and again, whose apex is to be found."""
    clip = write_clip(folder, n_frames=2)
    path = write_picture(folder / "still.jpg", picture)
    links = [folder / f"img{number}.jpg" for number in range(40, 40 + n_frames)]
    for link in links:
        link.hardlink_to(path)
    numbered = tuple(FrameRef(number, link) for number, link in enumerate(links, start=40))
    return replace(clip, frames=numbered, apex=41, offset=39 + n_frames, apex_rule="flow")


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_frames(tmp_path):
    long = write_still(tmp_path / "long", head(), 500)  # 75 MB of crops
    large = write_still(tmp_path / "large", in_large_picture(head()), 40)  # 270 MB of pictures
    clips = (write_still(tmp_path / "first", head(), 20), long, large)
    (tmp_path / "clips").write_bytes(pickle.dumps(clips))
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "clips")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    grown_by_long, grown_by_large = map(float, printed.split())
    assert grown_by_long < 30
    assert grown_by_large < 100
