"""Where the two crops put a face, on points drawn by hand."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest
from photo_release import head
from PIL import Image

from mer_cli.errors import FaceError
from mer_cli.faces.crop import (
    CROP_SIZE,
    LEFT_EYE,
    LEFT_EYE_AT,
    RIGHT_EYE,
    RIGHT_EYE_AT,
    box_transform,
    crop_landmarks,
    eye_transform,
    picture_transform,
    squeeze,
    squeeze_transform,
    warp,
)


def drawn_landmarks(width: float = 100, height: float = 80, at: tuple[float, float] = (60, 90)) -> np.ndarray:
    """68 points that fill a box of `width` x `height` around `at`, eyes level at .3 and .7 of its width."""
    points = np.full((68, 2), 0.5)
    points[0], points[1] = (0, 0), (1, 1)
    points[RIGHT_EYE], points[LEFT_EYE] = (0.3, 0.2), (0.7, 0.2)
    return ((points - 0.5) * (width, height) + at).astype(np.float32)


def turned(landmarks: np.ndarray, degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (landmarks @ matrix.T).astype(np.float32)


def apply(transform: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ transform[:, :2].T + transform[:, 2]


def test_box_transform_leaves_the_documented_margins():
    # Extent 100 x 80, so the side is 130; 15 of it on either side, and 25 + .06 * 130 below, by hand.
    crop = apply(box_transform(drawn_landmarks()), drawn_landmarks())
    scale = CROP_SIZE / 130
    assert crop.min(axis=0) == pytest.approx(np.array([15, 25 + 7.8]) * scale, abs=1e-3)
    assert crop.max(axis=0) == pytest.approx(np.array([115, 105 + 7.8]) * scale, abs=1e-3)


def test_box_transform_keeps_the_aspect_and_does_not_turn():
    transform = box_transform(turned(drawn_landmarks(), 20))
    assert transform[0, 0] == transform[1, 1]
    assert transform[0, 1] == transform[1, 0] == 0


@pytest.mark.parametrize("degrees", [0, 17, -60, 180])
def test_eye_transform_puts_the_eyes_on_their_points_however_the_head_is_turned(degrees):
    landmarks = turned(drawn_landmarks(), degrees)
    crop = apply(eye_transform(landmarks), landmarks)
    assert crop[RIGHT_EYE].mean(axis=0) == pytest.approx(np.array(RIGHT_EYE_AT) * CROP_SIZE, abs=0.01)
    assert crop[LEFT_EYE].mean(axis=0) == pytest.approx(np.array(LEFT_EYE_AT) * CROP_SIZE, abs=0.01)


def test_eye_transform_is_a_similarity_that_does_not_mirror():
    linear = eye_transform(turned(drawn_landmarks(), 33))[:, :2].astype(float)
    scale = np.sqrt(np.linalg.det(linear))
    assert np.linalg.det(linear) > 0
    assert linear @ linear.T == pytest.approx(np.eye(2) * scale**2, abs=1e-5)


def test_picture_transform_centres_the_whole_picture():
    corners = np.array([[0, 0], [280, 340]])
    assert apply(picture_transform(340, 280), corners) == pytest.approx(
        np.array([[30, 0], [310, 340]]) * CROP_SIZE / 340, abs=1e-3
    )


def test_warp_by_whole_pixels_copies_them_and_repeats_the_edge():
    picture = head()[:CROP_SIZE, :CROP_SIZE]
    moved = warp(picture, np.array([[1, 0, 5], [0, 1, 0]], dtype=np.float32))
    assert np.array_equal(moved[:, 5:], picture[:, :-5])
    assert np.array_equal(moved[:, :5], np.repeat(picture[:, :1], 5, axis=1))


def test_warp_averages_fine_texture_where_it_shrinks():
    board = np.indices((896, 896)).sum(axis=0) % 2 * 255
    picture = np.repeat(board[:, :, None], 3, axis=2).astype(np.uint8)
    small = warp(picture, np.array([[0.25, 0, 0], [0, 0.25, 0]], dtype=np.float32))
    assert np.abs(small[2:-2, 2:-2].astype(int) - 127).max() <= 8


@pytest.mark.parametrize("degrees", [0, 25])
@pytest.mark.parametrize("centre", [(1000, 600), (1990, 1060), (30, 20), (2600, 500)])
def test_warp_of_a_large_picture_blurs_a_part_of_it_and_gives_what_blurring_all_would(degrees, centre):
    picture = np.random.default_rng(0).integers(0, 256, (1088, 2040, 3), dtype=np.uint8)
    transform = cv2.getRotationMatrix2D(centre, degrees, 0.35).astype(np.float32)
    transform[:, 2] += 112 - np.array(centre)
    blurred = cv2.GaussianBlur(picture, (0, 0), sigmaX=(1 / 0.35 - 1) / 2)
    size = (CROP_SIZE, CROP_SIZE)
    expected = cv2.warpAffine(blurred, transform, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    difference = np.abs(warp(picture, transform).astype(int) - expected)
    assert difference.max() <= 1  # rounding
    assert (difference > 0).mean() < 0.01


def test_crop_landmarks_takes_points_through_the_transform():
    transform = np.array([[0.5, 0, -10], [0, 0.5, 20]], dtype=np.float32)
    assert crop_landmarks(np.float32([[100, 40]]), transform).tolist() == [[40, 40]]


@pytest.mark.parametrize("factor", [0.0, 0.1, np.nan])
def test_box_transform_refuses_a_face_of_no_size(factor):
    with pytest.raises(
        FaceError, match=r"^the landmarks span (0\.0|10\.0|nan) pixels\. Expected a face of at least 16\."
    ):
        box_transform(drawn_landmarks() * np.float32(factor))


def test_eye_transform_refuses_eyes_in_one_place():
    landmarks = drawn_landmarks()
    landmarks[LEFT_EYE] = landmarks[RIGHT_EYE]
    expected = (
        "the eyes are 0.0 pixels apart. Expected at least 2. "
        "Look at the clip's onset frame, or take the upright box crop."
    )
    with pytest.raises(FaceError, match=f"^{re.escape(expected)}$"):
        eye_transform(landmarks)


@pytest.mark.parametrize(("width", "height"), [(340, 280), (224, 224), (230, 231), (130, 100), (640, 480)])
@pytest.mark.parametrize("turned_by", [0, 90])
def test_squeeze_is_the_bilinear_filter_of_pillow(width, height, turned_by):
    """A tall image is laid on its side first: Pillow 13 begins with its columns, the one of 2022 with its rows."""
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    pillow = np.asarray(Image.fromarray(image).resize((CROP_SIZE, CROP_SIZE), Image.Resampling.BILINEAR))
    if turned_by:
        tall = squeeze(np.ascontiguousarray(image.transpose(1, 0, 2)))
        assert np.abs(tall.transpose(1, 0, 2).astype(int) - pillow).max() <= 1
    else:
        assert np.array_equal(squeeze(image), pillow)


def test_squeeze_transform_says_where_a_pixel_comes_to():
    image = np.zeros((448, 112, 3), np.uint8)
    image[200:202, 60] = 255
    rows, columns = np.nonzero(squeeze(image)[:, :, 0] > 60)
    x, y = apply(squeeze_transform(448, 112), np.array([[60, 200.5]]))[0]
    assert (columns.mean(), rows.mean()) == pytest.approx((x, y), abs=0.3)
