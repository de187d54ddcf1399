"""LBP-TOP against a slow one written from its definition, against scikit-image, and on clips with a known answer."""

import math

import numpy as np
import pytest
from skimage.feature import local_binary_pattern

from mer_cli.models.descriptors.lbp_top import (
    CASME2_RADII,
    PLANES,
    lbp_top,
    lbp_top_histograms,
    plane_codes,
    uniform_labels,
)
from mer_cli.runs.methods import METHODS


def clip(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def slow_interpolated(frames, t, y, x):
    """Grey between the eight pixels around a position."""
    total = 0.0
    for whole_t in (math.floor(t), math.floor(t) + 1):
        for whole_y in (math.floor(y), math.floor(y) + 1):
            for whole_x in (math.floor(x), math.floor(x) + 1):
                weight = (1 - abs(t - whole_t)) * (1 - abs(y - whole_y)) * (1 - abs(x - whole_x))
                if weight > 1e-9:
                    total += weight * int(frames[whole_t, whole_y, whole_x])
    return total


def slow_codes(frames, plane, radii, neighbours):
    """Bit by bit; a difference below 1e-9 is the rounding of a cosine."""
    r_x, r_y, r_t = radii
    n_frames, height, width = frames.shape
    codes = np.zeros((n_frames - 2 * r_t, height - 2 * r_y, width - 2 * r_x), dtype=int)
    for t in range(r_t, n_frames - r_t):
        for y in range(r_y, height - r_y):
            for x in range(r_x, width - r_x):
                for p in range(neighbours):
                    cos, sin = math.cos(2 * math.pi * p / neighbours), math.sin(2 * math.pi * p / neighbours)
                    place = {
                        "XY": (t, y - r_y * sin, x + r_x * cos),
                        "XT": (t - r_t * sin, y, x + r_x * cos),
                        "YT": (t - r_t * sin, y + r_y * cos, x),
                    }[plane]
                    if slow_interpolated(frames, *place) >= int(frames[t, y, x]) - 1e-9:
                        codes[t - r_t, y - r_y, x - r_x] += 2**p
    return codes


def changes_round_the_circle(code, neighbours):
    bits = [code >> p & 1 for p in range(neighbours)]
    return sum(bits[p] != bits[p - 1] for p in range(neighbours))


def slow_histograms(frames, radii, neighbours, blocks):
    uniform = [code for code in range(2**neighbours) if changes_round_the_circle(code, neighbours) <= 2]
    counts = np.zeros((3, blocks, blocks, len(uniform) + 1))
    for number, plane in enumerate(("XY", "XT", "YT")):
        codes = slow_codes(frames, plane, radii, neighbours)
        _, height, width = codes.shape
        for (_, y, x), code in np.ndenumerate(codes):
            label = uniform.index(code) if code in uniform else len(uniform)
            counts[number, y * blocks // height, x * blocks // width, label] += 1
    return counts / counts.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("neighbours", [4, 8])
@pytest.mark.parametrize("radii", [(1, 1, 1), (1, 1, 4), (2, 1, 3), (3, 2, 1)])
def test_codes_are_those_of_the_slow_definition(plane, neighbours, radii):
    frames = clip(10, 9, 8)
    codes = plane_codes(frames, plane, radii=radii, neighbours=neighbours)
    assert codes.dtype == np.uint8
    np.testing.assert_array_equal(codes, slow_codes(frames, plane, radii, neighbours))


@pytest.mark.parametrize(("radii", "neighbours", "blocks"), [((1, 1, 4), 8, 2), ((2, 1, 1), 4, 3), ((1, 3, 2), 8, 1)])
def test_histograms_are_those_of_the_slow_definition(radii, neighbours, blocks):
    frames = clip(11, 12, 13)
    histograms = lbp_top_histograms(frames, radii=radii, neighbours=neighbours, blocks=blocks)
    assert histograms.dtype == np.float32
    np.testing.assert_allclose(histograms, slow_histograms(frames, radii, neighbours, blocks), rtol=1e-6)


@pytest.mark.parametrize("neighbours", [4, 8])
@pytest.mark.parametrize("radius", [1, 2, 3])
@pytest.mark.parametrize("plane", PLANES)
def test_codes_are_those_of_scikit_image_where_the_radii_agree(plane, neighbours, radius):
    # Scikit-image's circle is (-R sin, R cos) in rows and columns, so rows are the plane's second axis. The seed has
    # no near tie, where its positions, rounded to the fifth place, could decide otherwise.
    order = {"XY": (0, 1, 2), "XT": (1, 0, 2), "YT": (2, 0, 1)}[plane]  # axes: of the pictures, their rows, columns
    frames = clip(9, 12, 14, seed=2)
    pictures = frames.transpose(order)[radius:-radius]
    theirs = np.stack([local_binary_pattern(picture, neighbours, radius, "default") for picture in pictures])
    ours = plane_codes(frames, plane, radii=(radius, radius, radius), neighbours=neighbours).transpose(order)
    np.testing.assert_array_equal(ours, theirs[:, radius:-radius, radius:-radius])


@pytest.mark.parametrize(("neighbours", "n_labels"), [(4, 15), (8, 59)])
def test_uniform_labels_are_those_of_scikit_image_by_other_names(neighbours, n_labels):
    picture = clip(200, 200)
    codes = local_binary_pattern(picture, neighbours, 1, "default").astype(int).ravel()
    theirs = local_binary_pattern(picture, neighbours, 1, "nri_uniform").astype(int).ravel()
    assert len(set(codes)) == 2**neighbours
    pairs = set(zip(uniform_labels(neighbours)[codes].tolist(), theirs.tolist(), strict=True))
    assert [sorted(names) for names in zip(*pairs, strict=True)] == [list(range(n_labels))] * 2
    assert (n_labels - 1, n_labels - 1) in pairs  # the label that is shared is the last of both


def test_uniform_labels_count_up_in_the_order_of_the_codes():
    assert uniform_labels(4).tolist() == [0, 1, 2, 3, 4, 14, 5, 6, 7, 8, 14, 9, 10, 11, 12, 13]


def test_lbp_top_has_a_histogram_for_each_block_and_plane():
    vector = lbp_top(clip(10, 224, 224))
    assert vector.shape == (3 * 25 * 59,)
    assert vector.dtype == np.float32
    np.testing.assert_allclose(vector.reshape(-1, 59).sum(axis=1), 1, rtol=1e-6)


def test_lbp_top_is_of_the_radii_and_blocks_of_casme2():
    frames = clip(10, 30, 32)
    np.testing.assert_allclose(lbp_top(frames), slow_histograms(frames, (1, 1, 4), 8, 5).ravel(), rtol=1e-6)


def test_a_clip_without_contrast_has_only_the_pattern_of_ones():
    histograms = lbp_top_histograms(np.full((9, 12, 12), 77, np.uint8))
    assert (histograms[..., uniform_labels(8)[255]] == 1).all()


def test_a_neighbour_that_equals_its_centre_is_not_darker_on_the_ellipse_too():
    # Grey is x - y: the neighbours up to the right and down to the left lie between pixels, their grey is x - y + 2 s
    # and x - y - 2 s; the two others' is x - y itself, where a float could fall to either side.
    y, x = np.mgrid[:9, :9]
    frames = np.broadcast_to(100 + x - y, (3, 9, 9)).astype(np.uint8)
    codes = plane_codes(frames, "XY", radii=(1, 1, 1), neighbours=8)
    assert set(codes.ravel().tolist()) == {0b10001111}


def test_a_mirrored_clip_has_mirrored_blocks_and_patterns():
    frames = clip(10, 12, 14)
    there = lbp_top_histograms(frames, radii=(1, 1, 4), blocks=2)
    mirrored = lbp_top_histograms(frames[:, :, ::-1], radii=(1, 1, 4), blocks=2)
    labels = uniform_labels(8)
    # The neighbour at the angle a is now at 180 degrees - a: bit p of XY and XT moves to bit (4 - p) mod 8. Along y and
    # t nothing moves.
    turned = [sum((code >> p & 1) << (4 - p) % 8 for p in range(8)) for code in range(256)]
    label_of = np.zeros(59, dtype=int)
    label_of[labels] = labels[turned]
    np.testing.assert_array_equal(mirrored[:2, :, ::-1, label_of], there[:2])
    np.testing.assert_array_equal(mirrored[2, :, ::-1], there[2])


def test_a_still_clip_tells_its_texture_in_xy_and_no_change_in_time():
    frames = np.repeat(clip(1, 12, 12), 9, axis=0)
    reversed_in_time = np.array([sum((code >> p & 1) << -p % 8 for p in range(8)) for code in range(256)])
    for plane in ("XT", "YT"):
        codes = plane_codes(frames, plane, radii=(1, 1, 4), neighbours=8)
        assert (codes & 0b01000100 == 0b01000100).all()  # straight before and after: the pixel itself
        np.testing.assert_array_equal(reversed_in_time[codes], codes)
    assert len(set(plane_codes(frames, "XY", radii=(1, 1, 4), neighbours=8).ravel().tolist())) > 20


def test_a_clip_that_is_too_short_is_refused():
    with pytest.raises(
        ValueError, match=r"radii \(1, 1, 4\) \(x, y, t\) has no pixel in a clip of shape \(8, 20, 20\)"
    ):
        lbp_top(clip(8, 20, 20))


def test_the_registry_asks_for_frames_enough():
    assert METHODS["lbp-top"].sees.min_frames > 2 * CASME2_RADII[2]
