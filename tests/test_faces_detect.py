"""A large picture searched from the upper levels of its pyramid gives the crop that a search of all of it gives."""

from __future__ import annotations

from itertools import islice

import cv2
import dlib
import numpy as np
import pytest
from photo_release import head, in_large_picture
from tiny_faces import person_of

from mer_cli.faces.crop import box_transform, eye_transform
from mer_cli.faces.detect import FaceDetector, choose
from mer_cli.faces.landmarks import FaceFinder, find_predictor, mmod_path

SIZES = [(2040, 1088), (1920, 1080), (1280, 720)]


@pytest.fixture(scope="module")
def faces() -> list[np.ndarray]:
    """Four generated faces and a photograph, (360, 320, 3) uint8 RGB."""
    drawn = (person_of(3, number).neutral[..., ::-1] for number in range(1, 5))
    return [*(np.ascontiguousarray(face.clip(0, 255), dtype=np.uint8) for face in drawn), head()]


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder(find_predictor())


def both_boxes(picture: np.ndarray) -> tuple[dlib.rectangle, dlib.rectangle]:
    """The boxes of the search of a large picture reduced, and of all of it."""
    (_, reduced), (name, full) = islice(FaceDetector(None).try_hog(picture), 2)
    assert name == "hog"
    return choose(reduced)[0].box, choose(full)[0].box


@pytest.mark.parametrize("size", SIZES)
def test_crops_of_the_reduced_and_the_full_scale_search_are_within_a_pixel(faces, finder, size):
    corners = np.array([(0, 0), (223, 0), (0, 223), (223, 223)])
    for k, face in enumerate(faces):
        picture = in_large_picture(face, size, min(1.8 + 0.25 * k, size[1] / 400), left=41 + 97 * k)
        boxes = both_boxes(picture)
        assert boxes[0] == boxes[1]  # as all were that were tried; a pixel more or less moves the points by up to eight
        for place in (box_transform, eye_transform):
            ours, reference = (place(finder.landmarks(picture, box)) for box in boxes)
            at = np.linalg.solve(reference[:, :2], (corners - reference[:, 2]).T).T  # in the picture
            assert np.abs(at @ ours[:, :2].T + ours[:, 2] - corners).max() < 1


def test_the_reduced_search_is_named_by_how_much_smaller_it_is(faces):
    names = [next(FaceDetector(None).try_hog(in_large_picture(faces[0], size, 1.5, 0)))[0] for size in SIZES]
    assert names == ["hog/3", "hog/3", "hog/2"]


def test_a_picture_up_to_960_pixels_is_searched_as_it_is(faces):
    picture = in_large_picture(faces[0], (960, 540), 1.2, 100)
    name, found = next(FaceDetector(None).try_hog(picture))
    boxes = dlib.get_frontal_face_detector().run(picture, 0, 0.0)[0]
    assert (name, [detection.box for detection in found]) == ("hog", list(boxes))


def test_the_cnn_finds_a_lying_face_of_a_large_picture_in_its_place():
    lying = np.ascontiguousarray(np.rot90(in_large_picture(head(), (1080, 1920), 2.4, 200)))
    ((name, found),) = FaceDetector(mmod_path(find_predictor())).try_cnn(lying)
    centre = choose(found)[0].box.center()
    upright = choose(next(FaceDetector(None).try_hog(np.ascontiguousarray(np.rot90(lying, -1))))[1])[0].box.center()
    assert name == "mmod"
    assert abs(centre.x - upright.y) < 60
    assert abs(centre.y - (lying.shape[0] - upright.x)) < 60


def test_without_its_model_the_cnn_is_not_tried():
    assert list(FaceDetector(None).try_cnn(head())) == []


@pytest.mark.parametrize("shape", [(8, 8, 3), (8, 2000, 3), (3, 3, 3)])
def test_a_tiny_image_has_no_face(shape):
    detector = FaceDetector(mmod_path(find_predictor()))
    assert list(detector.try_cnn(np.zeros(shape, np.uint8))) == []


def test_choose_takes_the_largest_box():
    picture = cv2.hconcat([head(), cv2.copyMakeBorder(cv2.resize(head(), None, fx=0.6, fy=0.6), 144, 0, 0, 0, 1)])
    found = next(FaceDetector(None).try_hog(picture))[1]
    chosen, note = choose(found)
    assert chosen.box.right() < 320
    assert note == "2 faces found: the largest taken"
