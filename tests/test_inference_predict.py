"""What is answered about a recording, and everything for which there is no answer."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from fixed_model import NAMES, FixedModel, facts_of
from photo_release import head
from scipy.special import softmax
from tiny_recording import FramesInMemory, moved_mouth

from mer_cli.errors import ConfigError
from mer_cli.faces.crop import box_transform, crop_landmarks
from mer_cli.faces.landmarks import FaceFinder, find_predictor
from mer_cli.faces.mean_face import is_a_face
from mer_cli.inference import predict as module
from mer_cli.inference.doubt import doubts
from mer_cli.inference.new_clips import CutClip
from mer_cli.inference.predict import predict
from mer_cli.spotting.interval import Interval, Spotted
from mer_cli.system.files import file_sha256


@cache
def landmarks():
    finder = FaceFinder(find_predictor())
    return finder.landmarks(head(), finder.search(head())[1][0].box)


def smiling(n_frames=5, by=3.0, fps=200.0):
    return FramesInMemory([moved_mouth(head(), by * place / n_frames, landmarks()) for place in range(n_frames)], fps)


def ask(recording, model, **frames):
    return predict(recording, model, find_predictor(), lambda what, done, total: None, **frames)


def reasons(recording, model=None, **frames):
    """The reasons for which the only clip gets no answer; the model must not have been asked."""
    model = model or FixedModel()
    (answer,) = ask(recording, model, **({"onset": 1, "apex": recording.n_frames} | frames)).answers
    assert model.shown == []
    assert (answer.label, answer.probabilities, answer.spread) == (None, None, None)
    return answer.abstains


def test_a_clear_clip_gets_calibrated_probabilities():
    model = FixedModel([[4.0, 0.0, 1.0]], temperature=2.0)
    found = ask(smiling(), model, onset=1, apex=5)
    (answer,) = found.answers
    assert answer.label == "happiness"
    np.testing.assert_allclose(answer.probabilities, softmax([2.0, 0.0, 0.5]), rtol=1e-6)
    assert (answer.spread, answer.score, answer.abstains) == (None, None, ())
    assert (found.abstains, found.notes, found.spotted, found.is_whole) == ((), (), None, True)
    assert len(model.shown) == 1


def test_where_an_answer_comes_from_is_added_if_asked_for():
    frames = {"onset": 1, "apex": 5}
    (answer,) = ask(smiling(), FixedModel([[0.0, 0.0, 8.0]]), **frames, with_maps=True).answers
    assert answer.attention.shape == (224, 224)
    assert answer.attention[0, 0] == 0.5  # of class 2
    (answer,) = ask(smiling(), FixedModel(), **frames).answers
    assert answer.attention is None


def test_several_networks_answer_with_their_mean_and_spread():
    logits = [[4.0, 0.0, 0.0], [2.0, 1.0, 0.0]]
    (answer,) = ask(smiling(), FixedModel(logits, temperature=1.0), onset=1, apex=5).answers
    each = softmax(np.array(logits), axis=1)
    np.testing.assert_allclose(answer.probabilities, each.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(answer.spread, each.std(axis=0, ddof=1), rtol=1e-6)


def test_a_model_that_is_not_calibrated_gives_a_class_and_no_number():
    (answer,) = ask(smiling(), FixedModel([[9.0, 0.0, 0.0]], temperature=None), onset=1, apex=5).answers
    assert (answer.label, answer.probabilities, answer.spread) == ("happiness", None, None)


def test_probabilities_that_say_nothing_are_not_an_answer():
    model = FixedModel([[0.3, 0.0, 0.0]], temperature=1.0)
    (answer,) = ask(smiling(), model, onset=1, apex=5).answers
    assert (answer.label, answer.probabilities) == (None, None)
    assert answer.abstains == (
        "The most probable class, happiness, is no more likely than the largest class of the training clips.",
    )


def test_logits_that_are_not_numbers_are_not_an_answer():
    (answer,) = ask(smiling(), FixedModel([[np.nan, 0.0, 0.0]]), onset=1, apex=5).answers
    assert (answer.label, answer.abstains) == (None, ("The model's logits are not finite numbers.",))


def test_an_apex_that_is_not_given_is_searched_for():
    recording = FramesInMemory([moved_mouth(head(), by, landmarks()) for by in (0, 1, 2, 4, 2, 1, 0)] * 20, 200.0)
    (answer,) = ask(recording, FixedModel(), onset=1).answers
    assert answer.cut.apex in {4 + 7 * place for place in range(15)}
    assert max(recording.read_numbers) == 101  # half a second


def test_a_recording_that_ends_within_half_a_second_is_searched_to_its_end():
    (answer,) = ask(smiling(), FixedModel(), onset=2).answers
    assert answer.cut.apex == 5


def test_no_face():
    assert reasons(FramesInMemory([np.zeros((240, 320, 3), np.uint8)] * 3)) == ("No face was found on frame 1.",)


def test_two_faces():
    both = [np.hstack([image, image]) for image in smiling().frames]
    assert "2 faces are on frame 1, and it is not known whose expression is meant." in reasons(FramesInMemory(both))


def test_a_smile_that_shows_teeth_is_a_face():
    assert is_a_face(crop_landmarks(landmarks(), box_transform(landmarks())))


def test_landmarks_of_no_face_get_no_answer_from_a_model_that_compares_faces_by_them():
    (answer,) = ask(smiling(), FixedModel(), onset=1, apex=5).answers
    odd = replace(answer.cut, clip=replace(answer.cut.clip, landmarks=np.full((68, 2), 112, np.float32)))
    assert list(doubts(odd, facts_of(), ("shape",))) == [
        "The landmarks that were found don't lie as those of a face, and the model compares faces by them."
    ]


def test_a_small_face():
    small = [image[::5, ::5] for image in smiling().frames]
    large = [np.kron(image, np.ones((2, 2, 1), np.uint8)) for image in small]
    (first, *_) = reasons(FramesInMemory(large))
    assert re.fullmatch(r"The face has \d\d pixels from brow to chin\. At least 80 are needed\.", first)


def test_a_face_too_small_to_be_cropped_is_not_called_absent():
    tiny = CutClip(1, 2, 3, (0.0, 0.1), 1, 2.0, 0.0, None)
    assert list(doubts(tiny, facts_of())) == ["The face has 2 pixels from brow to chin. At least 80 are needed."]
    odd = replace(tiny, face_pixels=90.0)
    assert list(doubts(odd, facts_of())) == [
        "The face on frame 1 can't be cropped, because its landmarks lie on each other."
    ]


def test_it_is_told_if_no_picture_can_be_called_unlike_the_training_clips():
    assert ask(smiling(), FixedModel(look={}), onset=1, apex=5).notes == (
        "nobody knows what the training clips look like, so a picture that is unlike them gets an answer, too",
    )


def test_another_landmark_model_than_that_of_the_training_faces_is_told():
    found = ask(smiling(), FixedModel(predictor_sha256="0123456789abcdef"), onset=1, apex=5)
    ours = file_sha256(find_predictor())[:12]
    assert found.notes == (
        f"the training faces were found with another landmark model (SHA-256 0123456789ab, not {ours}), so faces may "
        "be cropped in another way here",
    )
    same = ask(smiling(), FixedModel(predictor_sha256=file_sha256(find_predictor())), onset=1, apex=5)
    assert same.notes == ()


def test_two_intervals_with_one_onset_keep_their_own_scores(monkeypatch):
    intervals = (Interval(1, 3, 5, 20.0), Interval(1, 4, 5, 10.0))
    monkeypatch.setattr(module, "spot", lambda *_: Spotted(200.0, 5, intervals, notes=()))
    found = ask(smiling(), FixedModel())
    assert {answer.cut.apex: answer.score for answer in found.answers} == {3: 20.0, 4: 10.0}


def test_one_image_twice():
    assert reasons(FramesInMemory([head()] * 2)) == (
        "Onset and apex show the same image, so there is no motion to classify.",
    )


def test_a_head_that_moves_more_than_the_face():
    (reason,) = reasons(FramesInMemory([head(), head(3.0)]))
    assert re.fullmatch(
        r"The head moves more than the face \(\d\.\d pixels of the crop, and 0\.\d are left without the head's "
        r"motion\)\.",
        reason,
    )


def test_a_picture_unlike_the_training_clips():
    found = reasons(smiling(), FixedModel(look={"brightness": (200.0, 250.0)}))
    assert len(found) == 1
    assert found[0].startswith("The face is darker than in the training clips: brightness ")


@pytest.mark.parametrize("fps", [24.9, 10.0])
def test_too_few_frames_a_second(fps):
    model = FixedModel()
    found = ask(smiling(fps=fps), model, onset=1, apex=5)
    assert found.answers == ()
    assert found.abstains == (
        f"It has {fps:.3g} frames a second, and a micro-expression of a fifth of a second needs at least 25.",
    )
    assert model.shown == []


def test_few_frames_a_second_are_told():
    found = ask(smiling(fps=30.0), FixedModel(), onset=1, apex=5)
    assert found.notes == (
        "30 frames a second: the shortest micro-expressions last only a few frames; record with 100 or more",
        "the training clips have 200 frames a second, and this recording 30: onset and apex are less exact than the "
        "model is used to",
    )
    assert len(found.answers) == 1


@pytest.mark.parametrize(
    ("frames", "text"),
    [
        ({"apex": 3}, "--apex needs --onset N, too. Add it, or leave both out to have intervals spotted."),
        ({"onset": 3, "apex": 3}, "--apex: frame 3 is not behind the onset, frame 3. Give a later frame."),
        ({"onset": 9}, "--onset: talk.mp4 ends with frame 5, so it has no frame 9."),
        ({"onset": 1, "apex": 6}, "--apex: talk.mp4 ends with frame 5, so it has no frame 6."),
        ({"onset": 0}, "--onset: talk.mp4 has no frame 0: the frames of a video are counted from 1."),
        (
            {"onset": 5},
            "--onset: frame 5 is the last of talk.mp4, so there is no apex behind it. Give an earlier frame.",
        ),
    ],
)
def test_frames_that_are_not_there(frames, text):
    with pytest.raises(ConfigError) as raised:
        ask(smiling(), FixedModel(), **frames)
    assert str(raised.value) == text


def test_a_method_that_sees_whole_clips_gets_the_frames_up_to_as_long_behind_the_apex():
    model = FixedModel(needs_clips=True)
    ask(smiling(n_frames=9), model, onset=2, apex=5)
    assert model.shown[0].frames.shape == (7, 224, 224, 3)


def test_every_class_has_its_probability_in_the_order_of_the_names():
    (answer,) = ask(smiling(), FixedModel([[0.0, 0.0, 6.0]]), onset=1, apex=5).answers
    assert dict(zip(NAMES, answer.probabilities, strict=True))["surprise"] == max(answer.probabilities)
    assert isinstance(answer.cut.onset, int)
    assert Path("talk.mp4").name == "talk.mp4"


def test_an_apex_far_behind_the_onset():
    recording = smiling(fps=3.0, n_frames=5)
    recording.fps = 200.0  # as a video whose frames are far apart in the middle
    recording.read = lambda numbers: (
        replace(f, seconds=f.number / 3) for f in type(recording).read(recording, numbers)
    )
    assert reasons(recording) == ("From onset to apex pass 1.3 s, and a micro-expression is over after half a second.",)


def test_an_apex_so_far_behind_that_its_clip_would_fill_the_memory_is_refused():
    recording = smiling()
    recording.last = 5000
    with pytest.raises(ConfigError) as raised:
        ask(recording, FixedModel(needs_clips=True), onset=1, apex=2002)
    assert str(raised.value) == (
        "--apex: frame 2002 is 2001 frames behind the onset. Expected at most 2000, because a micro-expression is over "
        "after half a second."
    )


def test_a_black_recording_gets_no_answer():
    found = ask(FramesInMemory([np.zeros((60, 60, 3), np.uint8)] * 100, fps=200.0), FixedModel())
    assert (found.answers, found.abstains) == ((), ("No face was found in any frame.",))


def test_a_recording_of_three_frames_gets_no_answer():
    found = ask(smiling(n_frames=3), FixedModel())
    assert (found.answers, found.abstains) == (
        (),
        ("It takes 0.01 s, and nothing can come and go in less than 0.4 s.",),
    )
