"""HIGO-TOP against a slow one written from its definition, and on ramps whose direction is known."""

import math

import numpy as np
import pytest

from mer_cli.models.descriptors.higo_top import higo_top, orientation_bins
from mer_cli.runs.methods import METHODS


def clip(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def ramp(*, t: int = 0, y: int = 0, x: int = 0) -> np.ndarray:
    """A clip whose grey rises evenly, by so much from pixel to pixel."""
    along_t, along_y, along_x = np.mgrid[:6, :18, :20]
    return (120 + t * along_t + y * along_y + x * along_x).astype(np.uint8)


def by_block(vector: np.ndarray) -> np.ndarray:
    return vector.reshape(3, 2, 8, 8, 8)  # plane, time, row, column, bin


def slow_higo_top(frames):
    """Pixel by pixel, with the angle in degrees."""
    n_frames, height, width = frames.shape
    counts = np.zeros((3, 2, 8, 8, 8))
    for t in range(1, n_frames - 1):
        for y in range(1, height - 1):
            for x in range(1, width - 1):
                along_t = int(frames[t + 1, y, x]) - int(frames[t - 1, y, x])
                along_y = int(frames[t, y + 1, x]) - int(frames[t, y - 1, x])
                along_x = int(frames[t, y, x + 1]) - int(frames[t, y, x - 1])
                block = (t - 1) * 2 // (n_frames - 2), (y - 1) * 8 // (height - 2), (x - 1) * 8 // (width - 2)
                for plane, (first, second) in enumerate([(along_x, along_y), (along_x, along_t), (along_y, along_t)]):
                    if first or second:
                        degrees = math.degrees(math.atan2(second, first)) % 180
                        counts[plane, *block, int(degrees // 22.5)] += 1
    sums = counts.sum(axis=-1, keepdims=True)
    return (counts / np.where(sums == 0, 1, sums)).ravel()


@pytest.mark.parametrize("shape", [(4, 10, 10), (7, 19, 13)])
def test_higo_top_is_that_of_the_slow_definition(shape):
    frames = clip(*shape) // 16 * 16  # few levels of grey, so that many gradients are zero or lie on a bin's border
    vector = higo_top(frames)
    assert vector.dtype == np.float32
    np.testing.assert_allclose(vector, slow_higo_top(frames), rtol=1e-6)


def test_higo_top_has_a_histogram_for_each_block_and_plane():
    vector = higo_top(clip(10, 224, 224))
    assert vector.shape == (3 * 2 * 8 * 8 * 8,)
    np.testing.assert_allclose(by_block(vector).sum(axis=-1), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("slopes", "bins"),
    [
        ({"x": 1}, (0, 0, None)),  # along the first axis of XY and XT; YT sees nothing
        ({"y": 3}, (4, None, 0)),
        ({"t": 2}, (None, 4, 4)),
        ({"x": 2, "y": 2}, (2, 0, 0)),  # 45 degrees is the first angle of bin 2
        ({"x": 2, "y": -2}, (6, 0, 0)),
        ({"x": 5, "t": 1}, (0, 0, 4)),  # 11 degrees: grey comes from the right, one fifth of a pixel a frame
        ({"x": 5, "t": -1}, (0, 7, 4)),  # and from the left
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_ramp_votes_for_its_direction_whichever_end_is_bright(slopes, bins, sign):
    histograms = by_block(higo_top(ramp(**{axis: sign * slope for axis, slope in slopes.items()})))
    for plane, b in zip(histograms, bins, strict=True):
        assert (plane == (np.arange(8) == b)).all()


def test_a_pixel_without_gradient_does_not_vote():
    frames = clip(6, 18, 18)
    frames[:, :, 9:] = 77  # the columns of blocks 4..7 but for the edge
    histograms = by_block(higo_top(frames))
    assert (histograms[0, :, :, 5:] == 0).all()
    np.testing.assert_allclose(histograms[0, :, :, :4].sum(axis=-1), 1, rtol=1e-6)
    assert (higo_top(np.full((6, 18, 18), 77, np.uint8)) == 0).all()


def test_what_happens_early_stays_in_the_early_blocks():
    frames = np.repeat(ramp(x=1)[:1], 10, axis=0)
    frames[:4] += np.arange(4, dtype=np.uint8)[:, None, None]
    along_time = by_block(higo_top(frames))[1]
    assert (along_time[1, ..., 0] == 1).all()
    assert (along_time[0, ..., 0] < 1).all()


def test_opposite_gradients_share_a_bin():
    first, second = (np.arange(-9, 10, dtype=np.float32)[shape] for shape in ((None, slice(None)), (slice(None), None)))
    first, second = (part.ravel() for part in np.broadcast_arrays(first, second))
    some = (first != 0) | (second != 0)
    there, back = (orientation_bins(sign * first[some], sign * second[some]) for sign in (1, -1))
    np.testing.assert_array_equal(there, back)
    assert set(there.tolist()) == set(range(8))


@pytest.mark.parametrize("shape", [(3, 20, 20), (10, 9, 20), (10, 20, 9)])
def test_a_clip_with_fewer_pixels_than_blocks_is_refused(shape):
    with pytest.raises(ValueError, match=r"cannot split a clip of shape \(\d+, \d+, \d+\) into \(2, 8, 8\) blocks"):
        higo_top(clip(*shape))


def test_the_registry_asks_for_frames_enough():
    higo_top(clip(METHODS["higo-top"].sees.min_frames, 10, 10))
