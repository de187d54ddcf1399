"""Spotting where the truth is known: a photograph whose mouth, eyes and head move as the test wants."""

from pathlib import Path

import numpy as np
import pytest
from moving_face import MovingFace, bump

from mer_cli.errors import ConfigError
from mer_cli.faces.landmarks import find_predictor
from mer_cli.spotting.spot import spot


def spotted(recording, on_frame=lambda done, total: None):
    return spot(recording, find_predictor(), on_frame)


def reasons(found):
    return sorted({interval.reason for interval in found.rejected})


def overlap(interval, onset, offset):
    shared = min(interval.offset, offset) - max(interval.onset, onset) + 1
    return shared / (max(interval.offset, offset) - min(interval.onset, onset) + 1)


def test_a_brief_motion_of_the_mouth_is_found_while_the_head_drifts():
    found = spotted(MovingFace(lift=lambda s: 2.0 * bump(s, 1.0, 1.16, 1.4), shift=lambda s: 1.5 * s))
    (interval,) = found.intervals
    assert overlap(interval, 51, 71) > 0.7
    assert abs(interval.apex - 59) <= 1


def test_a_face_at_rest_has_no_interval_in_spite_of_noise_and_flicker():
    found = spotted(MovingFace())
    assert (found.intervals, found.rejected) == ((), ())


def test_a_blink_is_rejected_as_one():
    found = spotted(MovingFace(blink=lambda s: bump(s, 1.0, 1.1, 1.3)))
    assert found.intervals == ()
    assert reasons(found) == ["blink"]


def test_a_slow_motion_is_rejected_as_long():
    found = spotted(MovingFace(n_frames=200, lift=lambda s: 3.0 * bump(s, 1.0, 1.6, 2.6)))
    assert found.intervals == ()
    assert reasons(found) == ["long"]


def test_a_mouth_that_moves_again_and_again_is_speech():
    found = spotted(
        MovingFace(n_frames=200, lift=lambda s: 2.0 * (s > 0.8) * (s < 3.4) * np.sin(2 * np.pi * 2 * s) ** 2)
    )
    assert found.intervals == ()
    assert "speech" in reasons(found)


def test_a_head_that_shakes_is_not_an_expression():
    assert spotted(MovingFace(shift=lambda s: 9 * bump(s, 1.0, 1.15, 1.3))).intervals == ()


def test_motion_is_told_at_each_measured_frame():
    found = spotted(MovingFace(lift=lambda s: 2.0 * bump(s, 1.0, 1.16, 1.4)))
    assert found.numbers.tolist() == list(range(1, 121))
    assert 56 <= found.numbers[found.motion.argmax()] <= 68
    assert found.motion[:40].max() < 0.3 * found.motion.max()
    assert found.n_faces.tolist() == [1] * 120


def test_of_200_frames_a_second_every_fourth_is_measured():
    assert spotted(MovingFace(n_frames=40, fps=200.0)).numbers.tolist() == list(range(1, 41, 4))


def test_a_black_recording_has_a_note_and_no_interval():
    found = spotted(MovingFace(n_frames=60, is_black=True))
    assert found.intervals == ()
    assert np.isnan(found.head).all()
    assert found.notes[-1] == "no face was found in any frame"


def test_three_frames_are_not_enough_for_anything():
    found = spotted(MovingFace(n_frames=3))
    assert (found.n_frames, found.intervals, found.rejected) == (3, (), ())
    assert found.notes[0] == "it takes 0.04 s, and nothing can come and go in less than 0.4 s"


def test_of_two_faces_the_larger_is_followed_and_told():
    found = spotted(MovingFace(n_frames=10, n_faces=2))
    assert found.notes[-1] == "there are up to 2 faces in 100% of the frames; the largest was followed"


def test_few_frames_a_second_are_told():
    assert spotted(MovingFace(n_frames=13, fps=30.0)).notes == (
        "30 frames a second: the shortest micro-expressions last only a few frames; record with 100 or more",
    )


def test_ctrl_c_gives_what_was_found_so_far():
    def stop(done, total):
        if done == 90:
            raise KeyboardInterrupt

    found = spotted(MovingFace(lift=lambda s: 2.0 * bump(s, 1.0, 1.16, 1.4)), stop)
    assert found.interrupted
    assert found.n_frames == 90
    assert len(found.intervals) == 1


@pytest.mark.parametrize(
    ("fps", "message"),
    [
        (
            None,
            "the video doesn't say how many frames a second it has. Convert it, for example to MP4; or write its "
            "frames into a folder, and give --fps.",
        ),
        (
            24.0,
            "24 frames a second. Expected at least 25, because a micro-expression lasts half a second at most. Record "
            "with more.",
        ),
    ],
)
def test_too_few_or_unknown_frames_a_second_are_refused(fps, message):
    with pytest.raises(ConfigError) as error:
        spot(MovingFace(fps=fps), Path("never.dat"), lambda done, total: None)
    assert str(error.value) == f"face.avi: {message}"
