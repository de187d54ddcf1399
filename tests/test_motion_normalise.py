"""The normalisations: on the training fold, and clip by clip."""

import numpy as np
import pytest

from mer_cli.motion.images import normalise

IMAGES = np.random.default_rng(0).normal([[[[0]], [[5]]]], [[[[1]], [[3]]]], (6, 2, 9, 9)).astype(np.float32)
TRAIN = np.array([0, 2, 5])


def test_standard_standardises_each_plane_on_the_training_clips():
    out = normalise(IMAGES, "standard", TRAIN)
    assert (out.shape, out.dtype) == (IMAGES.shape, np.float32)
    np.testing.assert_allclose(out[TRAIN].mean((0, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(out[TRAIN].std((0, 2, 3)), 1, rtol=1e-5)
    np.testing.assert_allclose(np.corrcoef(out[1, 0].ravel(), IMAGES[1, 0].ravel())[0, 1], 1, rtol=1e-6)


def test_standard_does_not_look_at_held_out_clips():
    changed = IMAGES.copy()
    changed[[1, 3, 4]] *= 100
    np.testing.assert_array_equal(
        normalise(changed, "standard", TRAIN)[TRAIN], normalise(IMAGES, "standard", TRAIN)[TRAIN]
    )


def test_standard_keeps_the_size_of_the_motion_and_minmax8_does_not():
    twice = IMAGES.copy()
    twice[0] *= 2
    fold = np.array([1, 2, 3])
    for plane in (0, 1):
        once = normalise(IMAGES, "standard", fold)[0, plane].std()
        assert normalise(twice, "standard", fold)[0, plane].std() == pytest.approx(2 * once, rel=1e-5)
    np.testing.assert_array_equal(normalise(twice, "minmax8", fold), normalise(IMAGES, "minmax8", fold))


def test_minmax8_stretches_each_plane_to_integers_up_to_255():
    plane = np.array([[[[-1, 0], [1, 3]], [[10, 20], [10, 60]]]], np.float32)
    out = normalise(plane, "minmax8", np.array([0]))
    assert out.dtype == np.float32
    assert out.tolist() == [[[[0, 64], [128, 255]], [[0, 51], [0, 255]]]]  # 63.75 and 127.5 rounded, 51 exact


def test_minmax_stretches_each_plane_to_one():
    plane = np.array([[[[-1, 0], [1, 3]], [[10, 20], [10, 60]]]], np.float32)
    out = normalise(plane, "minmax", np.array([0]))
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, [[[[0, 0.25], [0.5, 1]], [[0, 0.2], [0, 1]]]])


@pytest.mark.parametrize("how", ["standard", "minmax", "minmax8"])
def test_a_plane_without_contrast_becomes_zero(how):
    assert not normalise(np.full((2, 1, 4, 4), 7, np.float32), how, np.array([0, 1])).any()
