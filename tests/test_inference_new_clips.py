"""Clips cut out of a recording: the same crops as preprocessing's, one pass, and little memory."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from photo_release import head, write_clip
from tiny_recording import FramesInMemory, moved_mouth

from mer_cli.errors import FaceError
from mer_cli.faces.landmarks import FaceFinder, find_predictor
from mer_cli.faces.recording import open_recording
from mer_cli.inference.new_clips import Span, cut_clips
from mer_cli.store.cut import cut_clip

CENTRE = 3


@pytest.fixture(scope="module")
def finder():
    return FaceFinder(find_predictor())


@pytest.fixture(scope="module")
def landmarks(finder):
    _, found = finder.search(head())
    return finder.landmarks(head(), found[0].box)


@pytest.mark.parametrize("align", ["box", "eyes", "none"])
def test_the_crops_are_those_that_preprocessing_stores(tmp_path, finder, align):
    clip = write_clip(tmp_path)
    stored = cut_clip(clip, finder, align).arrays
    frames = FramesInMemory(read_all(clip))
    (cut,) = cut_clips(frames, [Span(1, 7, 12)], finder, align)
    assert (cut.onset, cut.apex, cut.offset) == (1, 7, 12)
    np.testing.assert_array_equal(cut.clip.onset, stored["onset_window"][CENTRE])
    np.testing.assert_array_equal(cut.clip.apex, stored["apex_window"][CENTRE])
    assert frames.read_numbers == [1, 7]
    assert cut.clip.frames is None
    assert cut.n_faces == 1


def read_all(clip):
    from mer_cli.faces.frames import read_frames

    return [image for _, image in read_frames(clip.frames)]


def test_images_that_a_folder_lacks_near_onset_and_apex_are_gaps_as_in_a_store(tmp_path, finder):
    clip = write_clip(tmp_path)
    folder = clip.frames[0].path.parent
    for frame in clip.frames[2], clip.frames[7]:  # 42 and 47
        frame.path.unlink()
    recording = open_recording(folder, 200.0)
    assert recording.numbers == {*range(40, 52)} - {42, 47}
    (cut,) = cut_clips(recording, [Span(40, 46, 51)], finder, "box", near=True)
    (whole,) = cut_clips(
        FramesInMemory(read_all(write_clip(tmp_path / "whole"))), [Span(1, 7, 12)], finder, "box", near=True
    )
    np.testing.assert_array_equal(cut.clip.apex, whole.clip.apex)
    assert (len(whole.clip.others), len(cut.clip.others)) == (2, 1)
    with pytest.raises(FaceError, match="frame 47 has no image"):
        list(cut_clips(recording, [Span(40, 47, 51)], finder, "box", near=True))
    with pytest.raises(FaceError, match="frame 42 has no image"):
        list(cut_clips(recording, [Span(40, 46, 51)], finder, "box", whole=True))


def test_landmarks_and_sizes_are_told(finder, landmarks):
    frames = FramesInMemory([head(), head(0.5)])
    (cut,) = cut_clips(frames, [Span(1, 2, 2)], finder, "box")
    extent = np.ptp(landmarks, axis=0).max()
    assert cut.face_pixels == pytest.approx(extent)
    assert cut.crop_pixels == pytest.approx(1.3 * extent, rel=1e-4)
    assert cut.clip.landmarks.shape == (68, 2)
    assert cut.seconds == (0.0, 0.005)


def test_an_apex_that_is_not_given_is_the_strongest_motion(finder, landmarks):
    rise = [0, 1, 2, 3, 2, 1, 0, 0]
    frames = FramesInMemory([moved_mouth(head(), by, landmarks) for by in rise])
    (cut,) = cut_clips(frames, [Span(1, None, 8)], finder, "box")
    assert cut.apex == 4
    (whole,) = cut_clips(frames, [Span(1, 4, 8)], finder, "box")
    np.testing.assert_array_equal(cut.clip.apex, whole.clip.apex)


def test_a_method_that_sees_whole_clips_gets_every_frame(finder):
    frames = FramesInMemory([head(0.3 * place) for place in range(5)])
    (cut,) = cut_clips(frames, [Span(2, 3, 5)], finder, "box", whole=True)
    assert cut.clip.frames.shape == (4, 224, 224, 3)
    np.testing.assert_array_equal(cut.clip.frames[0], cut.clip.onset)
    np.testing.assert_array_equal(cut.clip.frames[1], cut.clip.apex)


def test_overlapping_clips_are_cut_in_one_pass_that_reads_no_frame_twice(finder):
    frames = FramesInMemory([head(0.3 * place) for place in range(8)])
    spans = [Span(1, 4, 5), Span(3, 6, 7), Span(4, 8, 8)]
    cut = list(cut_clips(frames, spans, finder, "box", whole=True))
    assert [one.onset for one in cut] == [1, 3, 4]
    assert all(before < after for before, after in pairwise(frames.read_numbers))
    for one in cut:
        (alone,) = cut_clips(frames, [Span(one.onset, one.apex, one.offset)], finder, "box", whole=True)
        np.testing.assert_array_equal(one.clip.frames, alone.clip.frames)


def test_without_a_face_there_is_no_clip_but_its_frames_are_told(finder):
    frames = FramesInMemory([np.zeros((120, 160, 3), np.uint8)] * 3)
    (cut,) = cut_clips(frames, [Span(1, 3, 3)], finder, "box")
    assert (cut.clip, cut.n_faces, cut.face_pixels, cut.crop_pixels) == (None, 0, 0.0, 0.0)
    (cut,) = cut_clips(frames, [Span(1, None, 3)], finder, "box")
    assert (cut.onset, cut.apex, cut.clip) == (1, 1, None)


def test_two_faces_side_by_side_are_counted_and_a_small_picture_of_one_is_not(finder):
    both = np.hstack([head(), head()])
    (cut,) = cut_clips(FramesInMemory([both, both]), [Span(1, 2, 2)], finder, "box")
    assert cut.n_faces == 2
    small = np.zeros_like(head())
    third = head()[::3, ::3]
    small[: third.shape[0], : third.shape[1]] = third
    (cut,) = cut_clips(FramesInMemory([np.hstack([head(), small])] * 2), [Span(1, 2, 2)], finder, "box")
    assert cut.n_faces == 1
