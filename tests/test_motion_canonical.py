"""The canonical input: what each step takes away, and that nothing else moves."""

import numpy as np
import pytest

from mer_cli.errors import ConfigError, FaceError
from mer_cli.faces.mean_face import MEAN_FACE, inside_face, is_a_face, on_own_face, places_on, soft_face
from mer_cli.motion.cache import motion_path, motion_settings
from mer_cli.motion.canonical import GREY, canonical_flow, canonical_images, pairs_of_frames, take_steps
from mer_cli.motion.flow import grey, optical_flow
from mer_cli.motion.inputs import STEPS, steps_of, text_of_steps
from mer_cli.runs.config import resolve_config

MIDDLE = np.array([111.5, 120], np.float32)
LARGER = ((MEAN_FACE - MIDDLE) * 1.1 + MIDDLE).astype(np.float32)
Y, X = np.mgrid[:224, :224].astype(np.float32)
INNER = inside_face(MEAN_FACE) & (soft_face(MEAN_FACE) > 0.99)


def bump(place, reach=8.0):
    return np.exp(-((X - place[0]) ** 2 + (Y - place[1]) ** 2) / (2 * reach**2))


def noise(seed):
    """A picture with structure of a few pixels."""
    coarse = np.random.default_rng(seed).integers(0, 255, (56, 56, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((4, 4, 1), np.uint8))


def test_the_mean_face_is_the_same_in_a_mirror():
    mates = np.argmin(np.linalg.norm(MEAN_FACE[:, None] - [[223, 0]] + MEAN_FACE * [1, -1], axis=-1), axis=1)
    assert np.abs(MEAN_FACE[mates] * [-1, 1] + [223, 0] - MEAN_FACE).max() < 0.2


def test_places_on_a_larger_face_are_further_from_its_middle():
    places = places_on(LARGER, of=MEAN_FACE)
    expected = (np.stack([X, Y], axis=-1) - MIDDLE) * 1.1 + MIDDLE
    assert np.abs(places - expected)[INNER].max() < 0.01


def test_an_image_of_the_mean_face_is_drawn_where_the_own_face_is():
    brow, own_brow = MEAN_FACE[19], LARGER[19]
    drawn = on_own_face(bump(brow).astype(np.float32), LARGER)
    at = np.unravel_index(drawn.argmax(), drawn.shape)
    assert np.abs(np.array(at[::-1]) - own_brow).max() <= 1


def test_the_head_s_motion_is_taken_away_and_the_face_s_own_stays():
    own = np.stack([0 * X, -2 * bump(MEAN_FACE[19])])
    head = np.stack([1 + 0.01 * X - 0.02 * Y, -0.5 + 0.015 * Y])
    left = take_steps((own + head).astype(np.float32), MEAN_FACE, ("head",))
    assert np.abs(left - own)[:, inside_face(MEAN_FACE)].max() < 0.15
    assert np.abs(take_steps(head.astype(np.float32), MEAN_FACE, ("head",))).max() < 1e-3


def test_what_is_not_the_face_counts_as_still():
    left = take_steps(np.ones((2, 224, 224), np.float32), MEAN_FACE, ("face",))
    assert np.abs(left[:, INNER] - 1).max() < 0.02
    assert np.abs(left[:, :, :5]).max() < 1e-3
    assert np.abs(left[:, 200:, :40]).max() < 1e-3


def test_motion_is_moved_onto_the_mean_face_and_measured_in_its_pixels():
    motion = np.stack([1.1 * bump(LARGER[19]), -2.2 * bump(LARGER[57])]).astype(np.float32)
    moved = take_steps(motion, LARGER, ("shape",))
    for plane, point, size in ((moved[0], 19, 1.0), (moved[1], 57, -2.0)):
        at = np.unravel_index(np.abs(plane).argmax(), plane.shape)
        assert np.abs(np.array(at[::-1]) - MEAN_FACE[point]).max() <= 1
        assert plane[at] == pytest.approx(size, abs=0.02)


def test_motion_on_a_turned_face_is_turned_back():
    turn = np.deg2rad(10)
    turned = ((MEAN_FACE - MIDDLE) @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])) + MIDDLE
    down_its_own = np.stack([np.full_like(X, -np.sin(turn)), np.full_like(X, np.cos(turn))])
    moved = take_steps(down_its_own, turned.astype(np.float32), ("shape",))
    assert np.abs(moved[0])[INNER].max() < 0.01
    assert np.abs(moved[1] - 1)[INNER].max() < 0.01


def test_frames_near_onset_and_apex_are_paired_the_labelled_ones_first():
    onset = np.array([-1, -1, -1, 10, 11, 12, 13], np.int32)
    apex = np.arange(15, 22, dtype=np.int32)
    assert pairs_of_frames(onset, apex, offset=26) == [(3, 3), (4, 2), (5, 4), (3, 1), (4, 5)]
    assert pairs_of_frames(onset, apex, offset=18) == [(3, 3), (4, 2), (5, 1)]


def test_a_short_rise_has_one_pair():
    onset, apex = np.arange(7, dtype=np.int32), np.arange(3, 10, dtype=np.int32)
    assert pairs_of_frames(onset, apex, offset=8) == [(3, 3)]


def test_the_flow_is_averaged_over_the_pairs_only_if_that_step_is_taken():
    pairs = [(noise(1), noise(1)), (noise(2), np.roll(noise(2), 2, axis=1))]
    flows = [optical_flow(grey(onset), grey(apex), "fast") for onset, apex in pairs]
    averaged = canonical_flow(pairs, MEAN_FACE, "fast", ("average",))
    assert np.array_equal(averaged, np.mean(flows, axis=0))
    assert np.abs(averaged).max() > 0.5
    alone = canonical_flow(pairs, MEAN_FACE, "fast", ("face",))
    assert np.array_equal(alone, take_steps(flows[0], MEAN_FACE, ("face",)))


def test_a_moved_head_is_moved_back_onto_the_onset():
    onset = noise(3)
    moved = np.roll(onset, (1, 2), axis=(0, 1))
    (still, back) = canonical_images(np.stack([onset, moved]), onset, MEAN_FACE, ("head",))
    inner = (slice(20, 200), slice(20, 200))
    before = np.abs(moved[inner].astype(int) - onset[inner]).mean()
    assert np.abs(back[inner].astype(int) - onset[inner]).mean() < 0.1 * before
    assert np.abs(still.astype(int) - onset).mean() < 0.5


@pytest.mark.parametrize("steps", [("head",), ("head", "shape")])
def test_what_moves_into_an_image_at_its_edge_is_what_lay_there_and_not_black(steps):
    light = np.full((224, 224, 3), 200, np.uint8)
    onset = np.where(inside_face(MEAN_FACE)[..., None], noise(3), light)
    moved = np.where(
        np.roll(inside_face(MEAN_FACE), (3, 5), axis=(0, 1))[..., None], np.roll(noise(3), (3, 5), (0, 1)), light
    )
    _, back = canonical_images(np.stack([onset, moved]), onset, MEAN_FACE, steps)
    assert back[[0, -1]].min() == 200
    assert back[:, [0, -1]].min() == 200


def test_what_is_not_the_face_is_grey_in_an_image():
    (drawn,) = canonical_images(noise(4)[None], noise(4), MEAN_FACE, ("face",))
    assert drawn[0, 0].tolist() == list(GREY)
    assert np.array_equal(drawn[soft_face(MEAN_FACE) == 1], noise(4)[soft_face(MEAN_FACE) == 1])


def test_steps_are_named_in_one_order():
    assert steps_of("shape+head") == ("head", "shape")
    assert text_of_steps(steps_of("average+shape+face+head")) == "canonical"
    assert [text_of_steps(steps_of(text)) for text in ("crop", "canonical")] == ["crop", "canonical"]
    assert steps_of("canonical") == STEPS


def test_each_set_of_steps_has_its_own_flow_file(tmp_path):
    names = [motion_path(tmp_path / "a.h5", "fast", steps).name for steps in ((), ("head",), STEPS)]
    assert names == ["a.flow-fast.h5", "a.flow-fast-head.h5", "a.flow-fast-canonical.h5"]
    assert "canonical" not in motion_settings("fast")
    assert motion_settings("fast", ("head",))["canonical"]["steps"] == ["head"]


@pytest.mark.parametrize("text", ["", "all", "head+head", "head,face"])
def test_a_step_that_is_not_known_is_refused(text):
    with pytest.raises(ConfigError) as caught:
        resolve_config(model="flow-svm", input=text)
    assert str(caught.value) == (
        f"--input must be crop, canonical, or some of head, face, shape, average, joined by +, got {text!r}."
    )


@pytest.mark.parametrize("text", ["average", "head+average"])
def test_averaging_has_no_effect_on_images(text):
    with pytest.raises(ConfigError) as caught:
        resolve_config(input=text)
    assert str(caught.value) == (
        f"--input {text}: average has no effect with --model mmnet, which sees two images and no flow. Expected crop, "
        "canonical, or some of head, face and shape, joined by +."
    )


def test_the_same_input_of_images_has_one_name():
    assert resolve_config(input="shape+head+face") == resolve_config(input="canonical")
    assert resolve_config(input="head+face").input == "head+face"
    assert resolve_config(model="ststnet", input="head+face+shape").input == "head+face+shape"


def test_the_input_has_no_effect_on_whole_clips():
    with pytest.raises(ConfigError) as caught:
        resolve_config(model="lbp-top", input="canonical")
    assert str(caught.value) == (
        "--input has no effect with --model lbp-top: it is for methods that see onset and apex, or the flow between "
        "them. Leave it out."
    )


def test_landmarks_that_are_not_those_of_a_face_are_refused():
    folded = MEAN_FACE.copy()
    folded[:, 0] = 223 - folded[:, 0]  # left and right changed places
    folded[17:27] = MEAN_FACE[17:27]
    for landmarks, use in (
        (folded, lambda points: take_steps(np.ones((2, 224, 224), np.float32), points, ("shape",))),
        (folded, lambda points: canonical_images(noise(1)[None], noise(1), points, ("shape",))),
        (np.full((68, 2), 112, np.float32), lambda points: on_own_face(np.ones((224, 224), np.float32), points)),
        (MEAN_FACE + 500, lambda points: take_steps(np.ones((2, 224, 224), np.float32), points, ("head",))),
    ):
        with pytest.raises(FaceError) as caught:
            use(landmarks)
        assert str(caught.value) == (
            "its landmarks don't lie as those of a face, so it can't be compared with the mean face"
        )
        assert not is_a_face(landmarks)
    assert is_a_face(LARGER)
