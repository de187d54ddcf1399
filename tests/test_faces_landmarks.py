"""A real photograph through detection, and what is done where there is no face, or more than one."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from photo_release import head, in_large_picture, photograph, write_clip

from mer_cli.errors import FaceError
from mer_cli.faces import landmarks
from mer_cli.faces.crop import CROP_SIZE, LEFT_EYE, RIGHT_EYE, box_transform, eye_transform, warp
from mer_cli.faces.landmarks import FaceFinder, find_predictor
from mer_cli.system.files import file_sha256

# Read off the photograph by eye, (x, y) in pixels.
PUPILS = np.array([[203, 102], [246, 104]])
CHIN = np.array([225, 178])


@pytest.fixture(scope="module")
def predictor() -> Path:
    return find_predictor()


@pytest.fixture(scope="module")
def finder(predictor) -> FaceFinder:
    return FaceFinder(predictor)


@pytest.fixture
def hog_only(finder, monkeypatch) -> FaceFinder:
    """A finder without the CNN detector's model, as on Debian."""
    monkeypatch.setattr(finder._detector, "cnn_path", None)
    return finder


def blank() -> np.ndarray:
    return np.full((240, 240, 3), 128, np.uint8)


def shown(*pictures):
    """A reader that gives these pictures to a clip's frames in order, the last one for all the rest."""
    return lambda frame: pictures[min(frame.number - 40, len(pictures) - 1)]


def side_by_side(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    height = max(len(left), len(right))
    return np.hstack([np.pad(p, ((0, height - len(p)), (0, 0), (0, 0)), mode="edge") for p in (left, right)])


def test_find_gives_the_eyes_and_chin_of_a_photograph(finder, tmp_path):
    face = finder.find(write_clip(tmp_path), shown(photograph()))
    eyes = [face.landmarks[eye].mean(axis=0) for eye in (RIGHT_EYE, LEFT_EYE)]
    assert np.abs(eyes - PUPILS).max() < 4
    assert np.abs(face.landmarks[8] - CHIN).max() < 5
    assert (face.landmarks.shape, face.landmarks.dtype) == ((68, 2), np.float32)
    assert (face.detector, face.notes) == ("hog", ())


@pytest.mark.parametrize("make_transform", [box_transform, eye_transform])
def test_crop_of_a_photograph_holds_the_face_from_brow_to_chin(finder, tmp_path, make_transform):
    face = finder.find(write_clip(tmp_path), shown(photograph()))
    transform = make_transform(face.landmarks)
    again = finder.find(write_clip(tmp_path), shown(warp(photograph(), transform)))  # seen anew, in the crop itself
    points = face.landmarks @ transform[:, :2].T + transform[:, 2]
    assert points.min() > 0
    assert points.max() < CROP_SIZE
    assert np.abs(again.landmarks - points).mean() < 4


def test_find_reads_the_onset_frame_from_disk(finder, tmp_path):
    assert finder.find(write_clip(tmp_path)).detector == "hog"


def test_find_takes_the_larger_of_two_faces_and_says_so(finder, tmp_path):
    small = cv2.resize(head(), None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    face = finder.find(write_clip(tmp_path), shown(side_by_side(small, head())))
    assert face.landmarks[:, 0].min() > small.shape[1]
    assert face.notes == ("2 faces found: the largest taken",)


def test_find_takes_the_surest_of_two_equal_faces(finder, tmp_path):
    blurred = cv2.GaussianBlur(head(), (0, 0), 3)
    face = finder.find(write_clip(tmp_path), shown(side_by_side(blurred, head())))
    assert face.landmarks[:, 0].min() > blurred.shape[1]
    assert face.notes == ("2 faces found: the surest of the largest taken",)


def test_find_enlarges_a_picture_of_a_small_face(finder, tmp_path):
    small = cv2.resize(head(), None, fx=0.35, fy=0.35, interpolation=cv2.INTER_AREA)
    face = finder.find(write_clip(tmp_path), shown(small))
    assert face.detector == "hog+upsample1"
    assert face.notes[0] == "face found by hog+upsample1"


def test_find_goes_on_to_the_next_frames(finder, tmp_path):
    face = finder.find(write_clip(tmp_path), shown(blank(), blank(), head()))
    assert face.detector == "hog@frame42"
    assert face.notes == ("face found by hog@frame42",)


def test_find_stops_at_the_apex_and_fails_naming_the_frames(hog_only, tmp_path):
    clip = replace(write_clip(tmp_path), apex=41)
    expected = (
        "casme2/01/EP01_01: no face found on frame 40 or the 1 after it. Expected a frontal face of at least 40 "
        "pixels. Look at the frames; if they are cropped to the face, use --source cropped."
    )
    with pytest.raises(FaceError, match=f"^{re.escape(expected)}$"):
        hog_only.find(clip, shown(blank(), blank(), head()))


def test_find_takes_a_picture_of_a_cropped_release_whole(predictor, tmp_path):
    face = FaceFinder(predictor, is_cropped=True).find(write_clip(tmp_path), shown(blank()))
    assert face.detector == "release-crop"
    assert face.notes == ("face found by release-crop",)


def test_find_asks_the_cnn_detector_where_its_model_is(finder, tmp_path):
    lying = np.ascontiguousarray(np.rot90(photograph()[40:240, 120:320]))  # HOG finds upright faces only
    assert finder.find(write_clip(tmp_path), shown(lying)).detector == "mmod"


def test_find_does_not_look_beyond_the_window_of_the_onset(hog_only, tmp_path):
    clip = write_clip(tmp_path)
    clip = replace(clip, frames=(clip.frames[0], clip.frames[2], *clip.frames[4:]))  # 40, 42, 44, 45 ...
    with pytest.raises(FaceError, match="no face found on frame 40 or the 1 after it"):
        hog_only.find(clip, shown(blank(), blank(), blank(), blank(), head()))


def test_find_takes_a_large_picture_for_usual(finder, tmp_path):
    face = finder.find(write_clip(tmp_path), shown(in_large_picture(head())))
    assert (face.detector, face.notes) == ("hog/3", ())


def test_find_takes_a_small_face_in_a_large_picture_by_the_next_means(finder, tmp_path):
    face = finder.find(write_clip(tmp_path), shown(in_large_picture(head(), scale=0.7)))
    assert (face.detector, face.notes) == ("hog", ("face found by hog",))


def test_find_predictor_prefers_the_path_then_the_environment_then_the_package(tmp_path, monkeypatch):
    named, from_environment = tmp_path / "a.dat", tmp_path / "b.dat"
    named.touch()
    from_environment.touch()
    monkeypatch.setenv("MER_PREDICTOR", str(from_environment))
    assert find_predictor(named) == named
    assert find_predictor() == from_environment
    monkeypatch.delenv("MER_PREDICTOR")
    assert find_predictor().parent.parent.name == "face_recognition_models"


def test_find_predictor_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.delenv("MER_PREDICTOR", raising=False)
    monkeypatch.setattr(landmarks, "MODEL_PACKAGE", "no_such_package")
    monkeypatch.setattr(landmarks, "DEBIAN_MODELS", tmp_path)
    expected = (
        "shape_predictor_68_face_landmarks.dat: the landmark model is neither in the package "
        f"face-recognition-models nor in {tmp_path}. Run `pip install face-recognition-models`, or give --predictor "
        "FILE or MER_PREDICTOR."
    )
    with pytest.raises(FaceError, match=f"^{re.escape(expected)}$"):
        find_predictor()


def test_find_predictor_refuses_a_named_file_that_is_absent(tmp_path, monkeypatch):
    monkeypatch.setenv("MER_PREDICTOR", str(tmp_path / "gone.dat"))
    with pytest.raises(
        FaceError, match=rf"^MER_PREDICTOR: {tmp_path}/gone\.dat is not a file\. Give the path of Dlib's"
    ):
        find_predictor()
    with pytest.raises(FaceError, match=rf"^--predictor: {tmp_path}/p\.dat is not a file"):
        find_predictor(tmp_path / "p.dat")


@pytest.mark.parametrize("content", [b"", b"not a model", bytes(range(256)) * 64])
def test_face_finder_refuses_a_file_that_is_no_model(tmp_path, content):
    path = tmp_path / "model.dat"
    path.write_bytes(content)
    with pytest.raises(FaceError, match=r"model\.dat: not a model that Dlib can read \(.*[^.]\)\. Get the file again"):
        FaceFinder(path)


def test_face_finder_refuses_the_five_point_model(predictor):
    five = predictor.with_name("shape_predictor_5_face_landmarks.dat")
    with pytest.raises(FaceError, match=r"a model of 5 points\. Expected 68\. Give shape_predictor_68"):
        FaceFinder(five)


def test_file_sha256_of_the_published_model(predictor):
    assert file_sha256(predictor) == "fbdc2cb80eb9aa7a758672cbfdda32ba6300efe9b6e6c7a299ff7e736b11b92f"
