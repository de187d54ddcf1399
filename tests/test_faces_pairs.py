"""What is odd about a pair of onset and apex: told for what can't be one face, and not for a face that moves."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from photo_release import head

from mer_cli.faces.crop import CROP_SIZE
from mer_cli.faces.pairs import odd_pairs, pair_notes


def crop(shift: float = 0.0, noise: int = 0) -> np.ndarray:
    image = cv2.resize(head(shift), (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_AREA).astype(np.float64)
    return np.clip(image + np.random.default_rng(noise).normal(0, 1.6, image.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("shift", [0.3, 3.0, 8.0])  # pixels of 320; the crop has 224
def test_a_face_that_moves_is_not_noted(shift):
    assert pair_notes(crop(), crop(shift, noise=1)) == ()


def test_a_brighter_apex_is_not_noted():
    assert pair_notes(crop(), np.clip(crop(0.5, noise=1) * 1.15, 0, 255).astype(np.uint8)) == ()


def test_equal_images_are_noted():
    assert pair_notes(crop(), crop()) == ("onset and apex are the same image: the pair shows no motion",)
    assert pair_notes(np.zeros_like(crop()), np.ones_like(crop())) == ()


@pytest.mark.parametrize("shift", [16, -24])
def test_a_jump_is_noted_with_its_length(shift):
    (note,) = pair_notes(crop(), crop(shift, noise=1))
    length = round(abs(shift) * CROP_SIZE / 320)
    assert note in {f"the image jumps {n} pixels between onset and apex" for n in (length - 1, length, length + 1)}


def test_another_face_is_noted():
    other = np.ascontiguousarray(crop()[::-1])  # upside down, as unlike as another person
    assert pair_notes(crop(), other) == ("onset and apex differ as images of two faces do",)


def test_odd_pairs_are_counted_by_kind_with_the_first_clips():
    notes = {f"lab/p1/c{n}": "face found by mmod; the image jumps 21 pixels between onset and apex" for n in range(7)}
    notes |= {"lab/p2/a": "apex equals onset (58): the pair shows no motion", "lab/p2/b": "", "lab/p2/c": "odd"}
    assert odd_pairs(notes, "; ") == (
        "1 clip: apex equals onset (lab/p2/a). Look at the audit.",
        "7 clips: the image jumps between onset and apex (lab/p1/c0, lab/p1/c1, lab/p1/c2, lab/p1/c3, lab/p1/c4 and 2 "
        "more). Look at the audit.",
    )
