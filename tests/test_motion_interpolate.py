"""Interpolation in time against slow definitions and what is known of both ways."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mer_cli.motion.interpolate import interpolate


def random_clip(n_frames, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n_frames, 6, 5, 3), dtype=np.uint8)


def slow_linear(frames, n_frames):
    """Frame by frame: the two neighbours of a moment, each by how near it is."""
    given = []
    for k in range(n_frames):
        at = k * (len(frames) - 1) / (n_frames - 1)
        before = min(math.floor(at), len(frames) - 2)
        part = at - before
        given.append((1 - part) * frames[before] + part * frames[before + 1])
    return np.array(given)


def slow_tim(frames, n_frames):
    """As published: project on the singular vectors, map the path's curve to the projected frames, map back."""
    n = len(frames)
    pixels = frames.reshape(n, -1).T.astype(np.float64)  # a frame is a column
    mean = pixels.mean(axis=1, keepdims=True)
    vectors, values, _ = np.linalg.svd(pixels - mean, full_matrices=False)
    vectors = vectors[:, values > 1e-9 * values[0]]
    projected = vectors.T @ (pixels - mean)

    def curve(t):
        return [math.sin(math.pi * k * t + math.pi * (n - k) / (2 * n)) for k in range(1, n)]

    at_frames = np.array([curve(i / n) for i in range(1, n + 1)]).T
    to_projected = projected @ np.linalg.pinv(at_frames)
    moments = [1 / n + k * (1 - 1 / n) / (n_frames - 1) for k in range(n_frames)]
    given = [vectors @ to_projected @ np.array(curve(t)) + mean[:, 0] for t in moments]
    return np.array(given).reshape(n_frames, *frames.shape[1:])


SLOW = {"linear": slow_linear, "tim": slow_tim}


@pytest.mark.parametrize("how", SLOW)
@pytest.mark.parametrize(("n_given", "n_wanted"), [(2, 5), (5, 2), (7, 10), (13, 10), (4, 9)])
def test_interpolate_agrees_with_the_slow_definition(how, n_given, n_wanted):
    frames = random_clip(n_given).astype(np.float64)
    assert np.allclose(interpolate(frames, n_wanted, how), SLOW[how](frames, n_wanted), atol=1e-9)


@pytest.mark.parametrize("how", SLOW)
@pytest.mark.parametrize("n_frames", [1, 2, 9, 60])
def test_as_many_frames_as_there_are_are_the_frames(how, n_frames):
    frames = random_clip(n_frames)
    assert np.array_equal(interpolate(frames, n_frames, how), frames)


@pytest.mark.parametrize("how", SLOW)
def test_tim_of_frames_on_a_line_or_all_alike_agrees_though_they_span_less(how):
    line = np.linspace(0, 1, 8)[:, None] * np.arange(12.0)
    assert np.allclose(interpolate(line, 8, how), line, atol=1e-12)
    assert np.allclose(interpolate(line, 15, how), SLOW[how](line, 15), atol=1e-9)
    alike = np.full((6, 4), 7, np.uint8)
    assert np.array_equal(interpolate(alike, 10, how), np.full((10, 4), 7))


def test_linear_of_frames_on_a_line_stays_on_it():
    line = np.linspace(0, 1, 8)[:, None] * np.arange(12.0)
    assert np.allclose(interpolate(line, 22, "linear"), np.linspace(0, 1, 22)[:, None] * np.arange(12.0))


@pytest.mark.parametrize("how", SLOW)
@pytest.mark.parametrize("n_wanted", [2, 10, 31])
def test_the_ends_are_kept(how, n_wanted):
    frames = random_clip(12)
    given = interpolate(frames, n_wanted, how)
    assert given.shape == (n_wanted, *frames.shape[1:])
    assert np.array_equal(given[[0, -1]], frames[[0, -1]])


@pytest.mark.parametrize("how", SLOW)
def test_a_clip_of_one_frame_repeats_it(how):
    frames = random_clip(1)
    assert np.array_equal(interpolate(frames, 10, how), frames.repeat(10, axis=0))


@pytest.mark.parametrize("how", SLOW)
def test_a_single_frame_is_the_first(how):
    frames = random_clip(6)
    assert np.array_equal(interpolate(frames, 1, how), frames[:1])


def test_bytes_are_rounded_and_clipped():
    frames = np.array([[0], [0], [255], [255], [0]], np.uint8)
    exact = interpolate(frames.astype(np.float64), 40, "tim")
    assert exact.min() < -1  # the curve overshoots
    assert exact.max() > 256
    given = interpolate(frames, 40, "tim")
    assert given.dtype == np.uint8
    assert np.array_equal(given, np.clip(np.rint(exact), 0, 255))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_stay_floats(dtype):
    assert interpolate(random_clip(4).astype(dtype), 7, "tim").dtype == dtype
