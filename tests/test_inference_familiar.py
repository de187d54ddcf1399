"""What a picture looks like beside the training clips: other people pass, other pictures are named by what is wrong."""

import cv2
import numpy as np
import pytest
from test_store_hdf5 import make_cropped, write_store

from mer_cli.inference.familiar import MEASURES, expected_ranges, face_side, measure, training_look, unfamiliar
from mer_cli.store.schema import CroppedClip

SIDE = 240.0


def photo(seed, subject=0):
    """A textured skin-coloured oval in front of a wall; its light depends on the subject, its grain on the seed."""
    random = np.random.default_rng(seed)
    light = 0.9 + 0.05 * (subject % 5)
    image = np.full((224, 224, 3), (90, 100, 110), np.float32)
    cv2.ellipse(image, (112, 120), (90, 105), 0, 0, 360, (190, 150, 130), -1)
    for x in (80, 144):
        cv2.circle(image, (x, 95), 10, (60, 45, 40), -1)
    cv2.ellipse(image, (112, 170), (30, 10), 0, 0, 360, (150, 80, 80), -1)
    grain = cv2.GaussianBlur(random.normal(0, 12, (224, 224)).astype(np.float32), (0, 0), 1.0)
    return np.clip(light * (cv2.GaussianBlur(image, (0, 0), 2) + grain[..., None]), 0, 255).astype(np.uint8)


def drawing():
    image = np.full((224, 224, 3), 250, np.uint8)
    cv2.ellipse(image, (112, 120), (90, 105), 0, 0, 360, (255, 215, 180), -1)
    for x in (80, 144):
        cv2.circle(image, (x, 95), 10, (0, 0, 0), -1)
    return image


@pytest.fixture(scope="module")
def look():
    measured = [
        measure(photo(10 * subject + clip, subject), SIDE + subject) for subject in range(8) for clip in range(3)
    ]
    return expected_ranges(measured, [f"casme2/{subject:02d}" for subject in range(8) for _ in range(3)])


def names(sentences):
    return {name for name in MEASURES if any(f": {name} " in sentence for sentence in sentences)}


def test_another_person_filmed_in_the_same_way_looks_familiar(look):
    assert unfamiliar(measure(photo(999, 2), SIDE + 3), look) == []


def blurred(image):
    return cv2.GaussianBlur(image, (0, 0), 3)


def compressed(image):
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 5])[1], cv2.IMREAD_COLOR)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (blurred, "sharpness"),
        (compressed, "smoothness"),
        (lambda image: np.clip(image * 0.3, 0, 255).astype(np.uint8), "brightness"),
        (lambda image: np.repeat(image.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2), "colour"),
        (lambda image: image[..., ::-1].copy(), "warmth"),
        (lambda image: (100 + image * 0.1).astype(np.uint8), "contrast"),
        (lambda image: drawing(), "smoothness"),
    ],
    ids=["blurred", "compressed", "dark", "grey", "blue for red", "flat", "drawn"],
)
def test_a_picture_that_was_changed_stands_out(look, change, told):
    assert told in names(unfamiliar(measure(change(photo(5, 2)), SIDE), look))


def test_a_face_of_half_the_size_stands_out(look):
    assert names(unfamiliar(measure(photo(5, 2), SIDE / 2), look)) == {"width"}


def test_sentences_say_the_value_and_what_is_expected():
    measured = {"sharpness": 2.14, "width": 512.0, "brightness": 100.0}
    look = {"sharpness": (4.0, 24.3), "width": (206.2, 286.7), "brightness": (41.0, 251.0)}
    assert unfamiliar(measured, look) == [
        "The face is more blurred than in the training clips: sharpness 2.1, expected 4.0 to 24.",
        "The face is larger than in the training clips: width 512 pixels, expected 206 to 287 pixels.",
    ]


def test_a_measure_that_the_model_does_not_know_is_not_judged():
    assert unfamiliar(measure(photo(1), SIDE), {"smell": (0.0, 1.0)}) == []


def test_a_black_picture_and_a_white_one_are_measured_and_stand_out(look):
    for value in (0, 255):
        measured = measure(np.full((224, 224, 3), value, np.uint8), SIDE)
        assert np.isfinite(list(measured.values())).all()
        assert {"brightness", "contrast", "sharpness", "smoothness"} & names(unfamiliar(measured, look))


def test_measures_by_hand():
    half = np.zeros((224, 224, 3), np.uint8)
    half[:, 112:] = (200, 100, 50)
    grey = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    found = measure(half, 300.0)  # half of the columns 34 to 189 lie at the right of 112
    assert found["brightness"] == pytest.approx(grey / 2)
    assert found["contrast"] == pytest.approx(grey / 2)
    assert (found["colour"], found["warmth"], found["width"]) == pytest.approx((75, 75, 300))
    assert found["smoothness"] == pytest.approx(100 * (1 - 2 / 156))
    assert found["sharpness"] == pytest.approx(grey * np.sqrt(2 / 156), rel=1e-3)


def test_more_subjects_make_a_narrower_range():
    rows = [measure(photo(seed, seed), SIDE) for seed in range(10)]
    few = expected_ranges(rows[:3], ["a/1", "a/2", "a/3"])
    many = expected_ranges(rows, [f"a/{seed}" for seed in range(10)])
    for name in ("brightness", "sharpness"):
        assert few[name][0] < many[name][0] < many[name][1] < few[name][1]


def test_a_range_holds_all_training_clips(look):
    for subject in range(8):
        assert unfamiliar(measure(photo(10 * subject, subject), SIDE + subject), look) == []


def test_one_subject_says_nothing_about_other_people():
    assert expected_ranges([measure(photo(1), SIDE)] * 2, ["casme2/01"] * 2) == {}


def test_the_width_of_the_face_comes_from_the_transform_even_if_it_turns():
    angle = np.deg2rad(30)
    turned = 0.5 * np.array([[np.cos(angle), -np.sin(angle), 4], [np.sin(angle), np.cos(angle), 9]], np.float32)
    assert face_side(turned) == pytest.approx(448)


def test_the_look_of_stores_is_that_of_their_labelled_onsets(tmp_path):
    paths, measured, subjects = [], [], []
    for dataset in ("casme2", "samm"):
        clips = []
        for number in range(3):
            seed = number + 7 * len(paths)
            clip = make_cropped(number, id=f"{dataset}/{number}/EP", subject=str(number), name="EP")
            clip.arrays["onset_window"][3] = photo(seed, number)
            clip.arrays["transforms"] = np.array([[0.9, 0, 0], [0, 0.9, 0]], np.float32)
            clips.append(CroppedClip(clip.columns, clip.arrays, "hog"))
            measured.append(measure(photo(seed, number), 224 / 0.9))
            subjects.append(f"{dataset}/{number}")
        from mer_cli.store.schema import drawn_attributes

        paths.append(write_store(tmp_path / f"{dataset}.h5", clips, drawn_attributes(dataset)))
    found, expected = training_look(paths), expected_ranges(measured, subjects)
    assert found.keys() == expected.keys()
    for name in expected:
        assert found[name] == pytest.approx(expected[name], rel=1e-5)
