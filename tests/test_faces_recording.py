"""Recordings as people have them: every container gives the right frames at the right times, or one clear error."""

from __future__ import annotations

import math
import os
import re

import cv2
import numpy as np
import pytest
from numbered_videos import FORMATS, FPS, HEIGHT, MP4, WIDTH, Format, Unseekable, av, number_in, picture, write

from mer_cli.datasets.video_index import count_frames, read_index, read_times
from mer_cli.errors import ConfigError, FaceError
from mer_cli.faces import video_pass
from mer_cli.faces.opencv_video import INEXACT, OpencvVideo
from mer_cli.faces.pyav_video import PyavVideo
from mer_cli.faces.recording import open_recording, require_different
from mer_cli.faces.videos import decoder_of
from mer_cli.records import Clip, FrameRef
from mer_cli.system.opencv_video import require_size

READERS = (PyavVideo, OpencvVideo)
VFR_STAMPS = [number * 33 + (number % 5) * 4 for number in range(30)]
formats = pytest.mark.parametrize("kind", FORMATS, ids=str)
readers = pytest.mark.parametrize("reader", READERS)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Return a function that writes a video of a format once."""
    folder = tmp_path_factory.mktemp("films")
    written = {}

    def film(kind):
        if str(kind) not in written:
            written[str(kind)] = write(folder / f"{kind}", kind)
        return written[str(kind)]

    return film


@pytest.fixture
def short_jumps(monkeypatch):
    """Let the reader jump in small videos; return the list of the frames that it landed on, None where it failed."""
    for name, value in (("FAR", 3), ("JUMP", 3), ("BACK", (0, 7, 14))):
        monkeypatch.setattr(video_pass, name, value)
    landed = []
    land = video_pass.Pass._land

    def noted(self, number, index):
        frame = land(self, number, index)
        landed.append(self.n_frames if frame is not None else None)
        return frame

    monkeypatch.setattr(video_pass.Pass, "_land", noted)
    return landed


def refused(act, path, what):
    with pytest.raises(FaceError, match=f"^{re.escape(f'{path}: {what}')}$"):
        act()


@formats
@readers
def test_every_format_gives_its_frames_in_order(films, kind, reader):
    recording = reader(films(kind))
    frames = list(recording.read())
    assert (recording.width, recording.height, recording.fps) == (WIDTH, HEIGHT, FPS)
    assert [frame.number for frame in frames] == list(range(1, 31))
    assert [number_in(frame.image) for frame in frames] == list(range(1, 31))
    assert [frame.seconds for frame in frames] == pytest.approx([n / FPS for n in range(30)], abs=0.0011)
    assert recording.notes == (() if reader is PyavVideo else (INEXACT,))


@formats
@readers
def test_frames_between_steps_are_passed_over(films, kind, reader):
    frames = list(reader(films(kind)).read(step=4))
    assert [frame.number for frame in frames] == [1, 5, 9, 13, 17, 21, 25, 29]
    assert [number_in(frame.image) for frame in frames] == [frame.number for frame in frames]
    assert [frame.seconds for frame in frames] == pytest.approx([(f.number - 1) / FPS for f in frames], abs=0.0011)


@formats
def test_pyav_and_opencv_give_the_same_pixels(films, kind):
    pairs = zip(PyavVideo(films(kind)).read(), OpencvVideo(films(kind)).read(), strict=True)
    assert all(np.array_equal(one.image, other.image) for one, other in pairs)


@pytest.mark.parametrize("size", [(WIDTH + 1, HEIGHT + 3), (WIDTH + 7, HEIGHT + 1)])
def test_odd_sizes_give_the_same_pixels_too(tmp_path, size):
    path = write(tmp_path / "a.mp4", Format(".mp4", "libx264", "yuv444p"), 3, size=size)
    for one, other in zip(PyavVideo(path).read(), OpencvVideo(path).read(), strict=True):
        assert one.image.shape == (size[1], size[0], 3)
        assert np.array_equal(one.image, other.image)


@formats
def test_a_jump_gives_the_frame_that_counting_gives(films, kind, short_jumps):
    recording = PyavVideo(films(kind))
    counted = {frame.number: frame for frame in recording.read()}
    assert short_jumps == []
    for numbers in ([30], [29], [17], [1, 16, 27], [22, 23]):
        for frame in recording.read(numbers):
            assert np.array_equal(frame.image, counted[frame.number].image)
            assert frame.seconds == counted[frame.number].seconds
    index = read_index(films(kind))
    if index is not None and len(index.keys) > 1:
        assert short_jumps
        assert None not in short_jumps


def test_frames_are_counted_where_time_stamps_do_not_tell_their_numbers(films, monkeypatch, short_jumps):
    path = films(MP4)
    index = read_index(path)
    shifted = type(index)(index.stamps + 1, index.keys, index.tick)
    monkeypatch.setattr(video_pass, "read_index", lambda _: shifted)
    assert [number_in(frame.image) for frame in PyavVideo(path).read([12, 25])] == [12, 25]
    holed = type(index)(np.delete(index.stamps, 3), index.keys, index.tick)
    monkeypatch.setattr(video_pass, "read_index", lambda _: holed)
    assert [number_in(frame.image) for frame in PyavVideo(path).read([5, 12])] == [5, 12]
    assert short_jumps == []


@pytest.mark.parametrize("turn", [90, 180, 270])
@readers
def test_a_turned_video_is_upright(tmp_path, reader, turn):
    recording = reader(write(tmp_path / "a.mov", MP4, 3, turn=turn))
    assert (recording.width, recording.height) == (WIDTH, HEIGHT)
    assert [number_in(frame.image) for frame in recording.read()] == [1, 2, 3]


def test_a_variable_frame_rate_is_told_with_exact_times(tmp_path):
    recording = PyavVideo(write(tmp_path / "a.mp4", MP4, stamps=VFR_STAMPS))
    assert [frame.seconds for frame in recording.read()] == pytest.approx([ms / 1000 for ms in VFR_STAMPS], abs=1e-9)
    assert recording.fps == pytest.approx(29 / (VFR_STAMPS[-1] / 1000))
    assert recording.notes == (
        "variable frame rate: from one frame to the next pass 17.0 to 37.0 ms; the frame rate is the average",
    )


def test_a_browsers_video_without_a_duration_is_read(tmp_path):
    path = tmp_path / "a.webm"
    file = Unseekable(path)
    write(path, FORMATS[8], to=file)
    file.close()
    recording = open_recording(path)
    assert (recording.n_frames, recording.fps) == (None, FPS)
    assert [number_in(frame.image) for frame in recording.read()] == list(range(1, 31))
    assert count_frames(path) == 30


def test_the_frame_rate_is_that_of_the_time_stamps_if_the_header_says_another(tmp_path):
    stamps = [40 * number for number in range(30)]
    recording = PyavVideo(write(tmp_path / "a.mkv", Format(".mkv", "mjpeg", "yuvj420p"), stamps=stamps, rate=1000))
    assert recording.fps == pytest.approx(25)
    assert recording.notes == ("the header says 1000 frames a second; by the time stamps they are 25, which is taken",)


def test_an_mpeg_has_all_its_frames_though_the_header_tells_fewer(films):
    path = films(FORMATS[12])
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT) < 30
    assert count_frames(path) == 30


@readers
def test_frames_that_an_edit_list_cuts_off_are_not_counted(tmp_path, reader):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as container:
        stream = container.add_stream("libx264", rate=FPS, options={"bf": "2"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        images = [av.VideoFrame.from_ndarray(picture(number), format="rgb24") for number in range(1, 31)]
        for packet in [packet for image in (*images, None) for packet in stream.encode(image)]:
            packet.pts -= int(5 / FPS / packet.time_base)
            packet.dts -= int(5 / FPS / packet.time_base)
            container.mux(packet)
    shown = [(frame.number, number_in(frame.image)) for frame in reader(path).read()]
    assert shown == [(number, number + 5) for number in range(1, 26)]
    assert count_frames(path) == len(read_index(path).stamps) == PyavVideo(path).n_frames == 25


def test_all_frames_of_a_fragmented_mp4_are_counted(tmp_path):
    path = write(
        tmp_path / "a.mp4", Format(".mp4", "libx264", options=MP4.options, muxing={"movflags": "frag_keyframe"})
    )
    assert (count_frames(path), PyavVideo(path).n_frames) == (30, 30)


@readers
def test_a_header_that_tells_too_many_frames_costs_no_memory(films, tmp_path, monkeypatch, reader):
    content = films(FORMATS[0]).read_bytes().replace((30).to_bytes(4, "little"), (1 << 30).to_bytes(4, "little"))
    path = tmp_path / "a.avi"
    path.write_bytes(content)
    if reader is OpencvVideo:
        monkeypatch.setattr("mer_cli.datasets.video_index.find_av", lambda: None)
    assert count_frames(path) <= len(content)


@formats
def test_the_times_of_all_frames_are_those_of_reading(films, kind):
    times = [frame.seconds for frame in PyavVideo(films(kind)).read()]
    assert read_times(films(kind)).tolist() == pytest.approx(times)


def test_three_frames_are_a_recording(tmp_path):
    recording = open_recording(write(tmp_path / "a.mp4", MP4, 3))
    assert ([frame.number for frame in recording.read()], recording.n_frames) == ([1, 2, 3], 3)


def test_without_pyav_opencv_reads(films, monkeypatch):
    monkeypatch.setattr("mer_cli.faces.recording.find_av", lambda: None)
    assert isinstance(open_recording(films(MP4)), OpencvVideo)


@readers
def test_a_recording_says_where_it_ends(films, reader):
    path = films(MP4)
    refused(
        lambda: list(reader(path).read([29, 31])),
        path,
        "the video ends after frame 30, before frame 31. Copy the file again or correct the table.",
    )
    assert list(reader(path).read([])) == []


IS_NO_VIDEO = (
    "is not a video, or holds no moving pictures that can be read. Copy the file again, or write its frames into a "
    "folder as images."
)
NO_MOOV = (
    "the video is cut short: the index of its frames (moov), which a camera writes last, is missing. Copy the file "
    "again. If the recording was interrupted, a tool such as untrunc may repair it."
)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "the file is empty (0 bytes). Copy the video again."),
        (b"subject,clip\np01,smile\n" * 40, "is a text file, not a video. Give the recording itself."),
        (b"#EXTM3U\n#EXTINF:1,\nhttp://localhost/a.ts\n", "is a text file, not a video. Give the recording itself."),
        (bytes(range(256)) * 8, IS_NO_VIDEO),
    ],
)
@readers
def test_what_is_not_a_video_is_told(tmp_path, capfd, reader, content, what):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    refused(lambda: reader(path), path, what)
    assert capfd.readouterr() == ("", "")


def test_a_picture_named_like_a_video_is_told(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((40, 40, 3), np.uint8))
    path = (tmp_path / "a.png").rename(tmp_path / "a.mp4")
    refused(lambda: PyavVideo(path), path, IS_NO_VIDEO)


@readers
def test_a_video_without_its_index_is_told(films, tmp_path, reader):
    path = tmp_path / "a.mp4"
    path.write_bytes(films(MP4).read_bytes()[:1500])
    refused(lambda: reader(path), path, NO_MOOV)


def test_a_recording_that_is_not_there_is_told(tmp_path, monkeypatch):
    path = tmp_path / "a.mp4"
    what = "cannot be read (No such file or directory). Check the path and its permissions."
    refused(lambda: open_recording(path), path, what)
    monkeypatch.setattr("mer_cli.faces.recording.find_av", lambda: None)
    refused(lambda: open_recording(path), path, what)


def test_a_pipe_is_not_waited_for(tmp_path):
    path = tmp_path / "a.mp4"
    os.mkfifo(path)
    refused(lambda: open_recording(path), path, "is neither a file nor a folder. Give a video or a folder of images.")


def write_sound(path, *, cover):
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=8000)
        if cover:
            image = container.add_stream("mjpeg", rate=1)
            image.width, image.height, image.pix_fmt = 32, 32, "yuvj420p"
            image.disposition = av.stream.Disposition.attached_pic
        for place in range(4):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 8000, place * 1024
            container.mux(sound.encode(frame))
        container.mux(sound.encode())
        if cover:
            container.mux(image.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
            container.mux(image.encode())
    return path


@pytest.mark.parametrize("cover", [False, True])
def test_sound_alone_is_no_recording_even_with_a_cover(tmp_path, cover):
    path = write_sound(tmp_path / "a.mp4", cover=cover)
    what = "holds sound or pictures, but no video. Give the file of the camera; a recording of sound shows no face."
    refused(lambda: PyavVideo(path), path, what)


@readers
def test_sound_without_a_cover_is_told_by_both(tmp_path, reader):
    with pytest.raises(FaceError):
        reader(write_sound(tmp_path / "a.mp4", cover=False))


def test_a_codec_that_nobody_knows_is_told(films, tmp_path):
    path = tmp_path / "a.avi"
    path.write_bytes(films(FORMATS[0]).read_bytes().replace(b"MJPG", b"QQQQ"))
    what = (
        "its frames are compressed in a way that FFmpeg doesn't know. Convert the video with the program that recorded "
        "it, for example to MP4; or copy the file again, if it is damaged."
    )
    refused(lambda: PyavVideo(path), path, what)
    refused(lambda: count_frames(path), path, what)
    refused(lambda: OpencvVideo(path), path, IS_NO_VIDEO)


def test_of_two_videos_in_a_file_the_first_is_read(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        streams = [container.add_stream("mjpeg", rate=FPS) for _ in range(2)]
        for stream, side in zip(streams, (32, 64), strict=True):
            stream.width, stream.height, stream.pix_fmt = side, side, "yuvj420p"
        for stream, side in zip(streams, (32, 64), strict=True):
            image = av.VideoFrame.from_ndarray(np.zeros((side, side, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(image))
            container.mux(stream.encode())
    recording = PyavVideo(tmp_path / "a.mkv")
    assert (recording.width, recording.notes[0]) == (32, "holds 2 videos: the first one is read")
    assert OpencvVideo(tmp_path / "a.mkv").width == 32


def test_a_video_cut_in_the_middle_is_read_to_its_end_which_is_told(films, tmp_path):
    whole = films(FORMATS[0]).read_bytes()
    (tmp_path / "a.avi").write_bytes(whole[: len(whole) // 2])
    recording = PyavVideo(tmp_path / "a.avi")
    last = list(recording.read())[-1].number
    assert 5 < last < 25
    assert recording.notes[-1] == f"cut short: the header says 30 frames, and the file ends after frame {last}"
    assert recording.fps == FPS


def test_a_video_without_a_list_of_frames_tells_that_it_is_cut_by_its_duration(films, tmp_path):
    whole = films(FORMATS[8]).read_bytes()
    (tmp_path / "a.webm").write_bytes(whole[: len(whole) // 2])
    recording = PyavVideo(tmp_path / "a.webm")
    last = list(recording.read())[-1]
    assert recording.notes == (
        f"cut short: the header says 1.2 s, and the file ends with frame {last.number} at {last.seconds:.1f} s",
    )


@pytest.fixture
def with_damage(films, tmp_path):
    """A video whose frame 15 is damaged."""
    return damage(films(FORMATS[0]), tmp_path / "a.avi", [15])


def damage(whole, path, numbers):
    """Copy an AVI file, with zeros where the headers of some of its frames were."""
    content = bytearray(whole.read_bytes())
    start = content.index(b"movi")
    for number in range(1, 31):
        start = content.index(b"00dc", start) + 8
        if number in numbers:
            content[start : start + 600] = bytes(600)
    path.write_bytes(content)
    return path


def test_a_damaged_frame_is_left_out_and_the_others_keep_their_numbers(with_damage):
    recording = PyavVideo(with_damage)
    shown = [(frame.number, number_in(frame.image)) for frame in recording.read()]
    assert shown == [(number, number) for number in range(1, 31) if number != 15]
    assert recording.notes == ("damaged: 1 of its frames can't be decoded and are left out, the first after frame 14",)
    assert [number_in(frame.image) for frame in recording.read([1, 14, 16, 30])] == [1, 14, 16, 30]
    refused(lambda: list(recording.read([15])), with_damage, "frame 15 can't be decoded. Copy the file again.")


def test_no_number_behind_damage_is_trusted_where_time_stamps_do_not_tell_it(with_damage, monkeypatch):
    monkeypatch.setattr(video_pass, "read_index", lambda _: None)
    recording = PyavVideo(with_damage)
    assert [frame.number for frame in recording.read()] == list(range(1, 30))
    assert recording.notes == (
        "damaged: 1 of its frames can't be decoded and are left out, the first after frame 14; frames behind it may "
        "have a number that is too small",
    )
    assert [frame.number for frame in recording.read([1, 14])] == [1, 14]
    refused(
        lambda: list(recording.read([1, 29])),
        with_damage,
        "the frame after frame 14 can't be decoded, so it can't be told which one is frame 29. Copy the file again.",
    )


def test_a_video_of_which_no_frame_can_be_decoded_is_told(films, tmp_path):
    path = damage(films(FORMATS[0]), tmp_path / "a.avi", range(1, 31))
    what = "no frame of the video can be decoded. Copy the file again, or record anew."
    for reader in READERS:
        refused(lambda reader=reader: reader(path), path, what)


def test_frames_of_too_many_pixels_are_refused(tmp_path):
    require_size(tmp_path / "a.mp4", 7680, 4320)
    refused(
        lambda: require_size(tmp_path / "a.mp4", 15360, 8640),
        tmp_path / "a.mp4",
        "has frames of 15360x8640 pixels. Expected at most 67,108,864 pixels, which is twice 8K. Make the video "
        "smaller, for example with `ffmpeg -i IN -vf scale=1920:-2 OUT`.",
    )


def write_images(folder, numbers, size=(40, 30)):
    folder.mkdir()
    for number in numbers:
        cv2.imwrite(str(folder / f"img{number}.png"), np.full((size[1], size[0], 3), number, np.uint8))
    return folder


def test_a_folder_of_images_is_a_recording_with_the_numbers_of_its_files(tmp_path):
    folder = write_images(tmp_path / "a", [7, 8, 10, 13])
    recording = open_recording(folder, fps=50)
    assert [(frame.number, frame.seconds, frame.image[0, 0, 0]) for frame in recording.read()] == [
        (7, 0.0, 7),
        (8, 0.02, 8),
        (10, 0.06, 10),
        (13, 0.12, 13),
    ]
    assert (recording.width, recording.height, recording.fps, recording.n_frames) == (40, 30, 50, 4)
    assert recording.notes == ("3 images between frames 7 and 13 are missing, the first after frame 8",)
    assert [frame.number for frame in recording.read([8, 13])] == [8, 13]
    assert open_recording(folder).fps is None
    assert all(math.isnan(frame.seconds) for frame in open_recording(folder).read())


def test_a_folder_that_cannot_be_a_recording_is_told(tmp_path):
    folder = write_images(tmp_path / "a", [1, 2])
    refused(
        lambda: list(open_recording(folder).read([3])),
        folder,
        "frame 3 has no image; frames 1 to 2 do. Restore the image or correct the number.",
    )
    cv2.imwrite(str(folder / "img3.png"), np.zeros((10, 12, 3), np.uint8))
    refused(
        lambda: list(open_recording(folder).read()),
        folder,
        "frame 3 has 12x10 pixels, and the first 40x30. Expected one size. Scale all frames to one size, or split the "
        "recording.",
    )
    empty = write_images(tmp_path / "b", [])
    refused(lambda: open_recording(empty), empty, "the folder is empty. Give a video, or a folder of numbered images.")


def test_a_store_tells_which_decoder_read_its_videos(tmp_path):
    def clip(name):
        return Clip("lab", "01", "a", "x", "", 1, 1, 1, 0.0, (FrameRef(1, tmp_path / name),))

    assert decoder_of([clip("a.png"), clip("b.mp4")]) == {"av": av.__version__}
    assert decoder_of([clip("a.png")]) == {}


@pytest.mark.parametrize("fps", [0, -5.0, float("nan"), float("inf"), 1e9])
def test_frames_a_second_that_cannot_be_are_refused(tmp_path, fps):
    write_images(tmp_path / "frames", [1, 2])
    with pytest.raises(ConfigError) as error:
        open_recording(tmp_path / "frames", fps)
    assert str(error.value) == f"--fps must be above 0 and at most 100,000, got {fps:g}."


def test_frames_a_second_that_are_given_for_a_video_have_no_effect_which_is_told(films):
    recording = open_recording(films(MP4), 50)
    assert recording.fps == FPS
    assert recording.notes[-1] == "--fps 50 has no effect: the video's own time stamps are taken"


def test_a_recording_that_is_given_twice_is_refused(tmp_path):
    (tmp_path / "link.avi").symlink_to(tmp_path / "a.avi")
    require_different([tmp_path / "a.avi", tmp_path / "b.avi"])
    with pytest.raises(ConfigError) as error:
        require_different([tmp_path / "a.avi", tmp_path / "b.avi", tmp_path / "link.avi"])
    assert str(error.value) == f"{tmp_path / 'link.avi'}: is given twice. Name it once."
