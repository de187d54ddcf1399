"""The frame of the strongest motion, where the motion is known: a moved photograph, and generated faces."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from photo_release import head
from tiny_faces import person_of

from mer_cli.datasets.synthetic.clip import clip_motion, draw_frames
from mer_cli.datasets.synthetic.plan import ClipPlan, UnitPlan
from mer_cli.faces.apex import ApexSearch
from mer_cli.faces.crop import CROP_SIZE, box_transform, crop_landmarks, warp
from mer_cli.faces.face_motion import without_head_motion
from mer_cli.faces.landmarks import FaceFinder, find_predictor

MOUTH = (112, 170)  # of the photograph's crop, (x, y) in pixels


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder(find_predictor())


@pytest.fixture(scope="module")
def face(finder):
    """The crop of a photograph, and its landmarks."""
    box = finder._detector._run_hog(head(), 0)[0].box
    landmarks = finder.landmarks(head(), box)
    transform = box_transform(landmarks)
    return warp(head(), transform), crop_landmarks(landmarks, transform)


def moved(crop, *, lift=0.0, drift=0.0, blink=0.0, landmarks=None):
    """A crop whose mouth is lifted, whose head has drifted, turned and come near, and whose eyes are grey."""
    y, x = np.mgrid[:CROP_SIZE, :CROP_SIZE].astype(np.float32)
    near_mouth = np.exp(-((x - MOUTH[0]) ** 2 + (y - MOUTH[1]) ** 2) / (2 * 18**2))
    down = y + lift * near_mouth - drift - 0.01 * drift * (x - 112)
    across = x - 0.7 * drift + 0.005 * drift * (y - 112)
    picture = cv2.remap(crop, across.astype(np.float32), down.astype(np.float32), cv2.INTER_CUBIC)
    if blink:
        for eye in (slice(36, 42), slice(42, 48)):
            left, top = landmarks[eye].min(axis=0).astype(int)
            right, bottom = landmarks[eye].max(axis=0).astype(int)
            picture[top:bottom, left:right] = 90
    return picture


def rise_and_fall(n_frames, apex):
    """0 at both ends, 1 at the apex."""
    return np.interp(np.arange(n_frames), [0, apex, n_frames - 1], [0, 1, 0])


def search(crops, landmarks):
    found = ApexSearch(landmarks)
    for crop in crops:
        found.add(crop)
    return found


@pytest.mark.parametrize("apex", [6, 12, 20])
def test_the_peak_is_where_the_mouth_moved_most_however_the_head_drifts(face, apex):
    crop, landmarks = face
    crops = (moved(crop, lift=2.5 * share, drift=0.12 * frame) for frame, share in enumerate(rise_and_fall(26, apex)))
    assert abs(search(crops, landmarks).peak() - apex) <= 1


def test_the_peak_is_no_blink(face):
    crop, landmarks = face
    lifts = rise_and_fall(20, 6)
    crops = (moved(crop, lift=2.5 * lifts[k], blink=float(k in (15, 16)), landmarks=landmarks) for k in range(20))
    assert abs(search(crops, landmarks).peak() - 6) <= 1


def test_brows_mouth_and_cheeks_count_and_the_eyes_do_not(face):
    landmarks = face[1]
    mask = ApexSearch(landmarks)._where
    x, y = (landmarks / 2).round().astype(int).T  # the flow has half the crop's size
    assert mask[y, x][[*range(17, 27), *range(48, 68)]].all()
    assert mask[(y[36] + y[31] + y[2]) // 3, (x[36] + x[31] + x[2]) // 3]
    assert not mask[y, x][36:48].any()


def test_a_single_noisy_frame_is_no_peak(face):
    crop, landmarks = face
    lifts = rise_and_fall(20, 7)
    lifts[15] = 1.05
    assert abs(search((moved(crop, lift=2.5 * share) for share in lifts), landmarks).peak() - 7) <= 1


def test_without_landmarks_the_whole_crop_is_looked_at(face):
    crops = (moved(face[0], lift=2.5 * share) for share in rise_and_fall(20, 9))
    assert abs(search(crops, None).peak() - 9) <= 1


@pytest.mark.parametrize("n_frames", [2, 3, 6])
def test_the_peak_is_never_the_onset(face, n_frames):
    assert 1 <= search([face[0]] * n_frames, face[1]).peak() < n_frames


def test_the_peak_of_the_whole_is_always_among_the_candidates(face):
    crop, landmarks = face
    lifts = np.abs(np.random.default_rng(3).normal(0, 2, 24))
    found, candidates = ApexSearch(landmarks), []
    for lift in lifts:
        found.add(moved(crop, lift=lift))
        candidates.append(found.candidates())
    peak = found.peak()
    assert all(peak in seen for seen in candidates[peak:])
    assert max(len(seen) for seen in candidates) <= 3


def test_without_head_motion_leaves_the_motion_of_a_part():
    y, x = np.mgrid[:112, :112].astype(np.float32)
    head_motion = np.stack([1.5 + 0.02 * x - 0.01 * y, -0.8 + 0.01 * x + 0.02 * y], axis=-1)
    part = np.zeros_like(head_motion)
    part[70:90, 40:70] = (0.0, -2.0)
    left = without_head_motion(head_motion + part)
    assert np.abs(left - part).max() < 0.05


def test_apexes_of_generated_faces_are_found_within_two_frames(finder):
    errors = []
    for person, unit, apex in ((1, 4, 12), (2, 12, 26), (3, 1, 20)):
        plan = ClipPlan(person, person, "EP01", "x", (UnitPlan(unit, "B", 3.0),), 10, 10 + apex, 49, (7, person), 200.0)
        subject = person_of(3, person)
        pictures = [
            np.ascontiguousarray(frame[..., ::-1]) for frame in draw_frames(subject, plan, clip_motion(subject, plan))
        ]
        landmarks = finder.landmarks(pictures[0], finder._detector._run_hog(pictures[0], 0)[0].box)
        transform = box_transform(landmarks)
        crops = (warp(picture, transform) for picture in pictures)
        errors.append(search(crops, crop_landmarks(landmarks, transform)).peak() - apex)
    assert np.abs(errors).max() <= 2
