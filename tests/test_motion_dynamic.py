"""The dynamic image of a whole clip: its formula written out, and what it is blind to."""

import numpy as np
import pytest

from mer_cli.motion.images import Sources, draw_motion, dynamic_image
from mer_cli.motion.inputs import MotionInput


def clip(n_frames, size=12):
    return np.random.default_rng(n_frames).integers(0, 256, (n_frames, size, size, 3), dtype=np.uint8)


@pytest.mark.parametrize("n_frames", [2, 3, 11])
def test_it_is_the_weighted_sum_stretched_to_255(n_frames):
    frames = clip(n_frames)
    weighted = sum((2 * t - n_frames - 1) * frames[t - 1].astype(float) for t in range(1, n_frames + 1))
    expected = (weighted - weighted.min()) / (weighted.max() - weighted.min()) * 255
    image = dynamic_image(frames)
    assert (image.shape, image.dtype, image.min(), image.max()) == ((3, 12, 12), np.float32, 0, 255)
    np.testing.assert_allclose(image, expected.transpose(2, 0, 1), rtol=1e-5, atol=1e-4)


def test_two_frames_give_their_difference():
    frames = np.zeros((2, 1, 3, 3), np.uint8)
    frames[:, 0, :, 0] = [[10, 10, 10], [10, 20, 0]]  # red, pixel by pixel; green and blue stay at 0
    assert dynamic_image(frames)[:, 0].tolist() == [[127.5, 255, 0], [127.5] * 3, [127.5] * 3]


def test_a_clip_played_backwards_gives_the_negative():
    frames = clip(7)
    np.testing.assert_allclose(dynamic_image(frames[::-1]), 255 - dynamic_image(frames), atol=1e-3)


def test_what_does_not_change_cancels_out():
    frames = clip(6) // 2
    np.testing.assert_allclose(dynamic_image(frames + clip(1)[0] // 2), dynamic_image(frames), atol=1e-3)


@pytest.mark.parametrize("n_frames", [1, 2, 9])
def test_a_clip_in_which_nothing_changes_gives_nothing(n_frames):
    assert not dynamic_image(clip(1).repeat(n_frames, axis=0)).any()


def test_the_weights_do_not_overflow_in_a_long_clip():
    frames = np.zeros((600, 1, 3, 3), np.uint8)
    frames[300:, 0] = [[0], [100], [255]]
    np.testing.assert_allclose(dynamic_image(frames)[:, 0], [[0, 100, 255]] * 3, rtol=1e-6)


def test_the_network_sees_its_three_colours_unchanged():
    frames = clip(5, 224)
    image = draw_motion(Sources(frames=frames), MotionInput(224, ("dynamic",)))
    np.testing.assert_array_equal(image, dynamic_image(frames))
