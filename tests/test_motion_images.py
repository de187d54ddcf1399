"""The pictures that networks take: derived at 224, made smaller by area, in the order of the channels."""

import numpy as np
import pytest
from moved_store import write_moved_store

from mer_cli.motion.cache import motion_path, write_motion
from mer_cli.motion.images import Sources, draw_motion, read_images, resize
from mer_cli.motion.inputs import MotionInput
from mer_cli.store.hdf5 import read_windows


def random_flow(seed=0):
    return np.random.default_rng(seed).normal(size=(2, 224, 224)).astype(np.float32)


@pytest.mark.parametrize("size", [28, 32, 56, 112])
def test_resize_takes_the_mean_of_each_block(size):
    plane = random_flow()[0]
    k = 224 // size
    blocks = plane.reshape(size, k, size, k).mean((1, 3))
    np.testing.assert_allclose(resize(plane, size), blocks, atol=1e-5)


@pytest.mark.parametrize("size", [28, 48, 60, 64, 227])
def test_resize_does_not_shorten_vectors(size):
    flow = np.stack([np.full((224, 224), 3, np.float32), np.full((224, 224), -4, np.float32)])
    images = draw_motion(Sources(flow), MotionInput(size, ("u", "v", "magnitude")))
    np.testing.assert_allclose(images, np.array([3, -4, 5])[:, None, None] * np.ones((size, size)), rtol=1e-6)


def test_strain_and_magnitude_are_derived_before_the_picture_is_made_smaller():
    # A ripple that the mean over a block takes away altogether: u is 2 and -2 in turn, four columns each.
    u = np.tile(np.repeat([2, -2], 4), 28) * np.ones((224, 1))
    flow = np.stack([u, 0 * u]).astype(np.float32)
    u, strain, magnitude = draw_motion(Sources(flow), MotionInput(28, ("u", "strain", "magnitude")))
    assert np.abs(u).max() < 1e-6
    np.testing.assert_allclose(magnitude, 2, rtol=1e-6)
    # Of 8 columns, 4 lie at a step, where the central difference is 2; so the mean is 1 (at the edges 3 of 8).
    np.testing.assert_allclose(strain[:, 1:-1], 1, rtol=1e-6)
    np.testing.assert_allclose(strain[:, [0, -1]], 0.75, rtol=1e-6)


def test_the_grid_holds_the_apex_block_by_block():
    apex = np.repeat(np.arange(16, dtype=np.uint8).reshape(4, 4).repeat(56, axis=0), 56, axis=1)
    wanted = MotionInput(48, ("apex", "apex-grid", "v"))
    flow = random_flow()
    images = draw_motion(Sources(flow, apex), wanted)
    assert images.shape == (18, 48, 48) == (wanted.n_planes, 48, 48)
    np.testing.assert_allclose(images[0, [0, 0, -1], [0, -1, 0]], [0, 3, 12], rtol=1e-6)
    np.testing.assert_allclose(images[1:17], np.arange(16)[:, None, None] * np.ones((48, 48)), rtol=1e-6)
    np.testing.assert_array_equal(images[17], resize(flow[1], 48))


def test_read_images_gives_the_clips_in_the_order_asked_for_with_their_own_apex(tmp_path):
    store = write_moved_store(tmp_path / "casme2.h5")
    clips = list(store.clips.index)
    flows = np.arange(1, 11, dtype=np.float16).reshape(5, 2, 1, 1) * np.ones((5, 2, 224, 224), np.float16)
    motion_path(store.path, "fast").parent.mkdir()
    write_motion(store, "fast", flows, motion_path(store.path, "fast"))
    images = read_images(store, "fast", [clips[4], clips[1]], MotionInput(28, ("v", "u", "apex")))
    assert (images.shape, images.dtype) == ((2, 3, 28, 28), np.float32)
    assert images[:, :2, 3, 5].tolist() == [[10, 9], [4, 3]]
    apex = read_windows(store.path, [clips[1]])[2][0, 3, :, :, 0].astype(np.float32)  # all three colours are alike
    np.testing.assert_allclose(images[1, 2], apex.reshape(28, 8, 28, 8).mean((1, 3)), atol=1e-3)
