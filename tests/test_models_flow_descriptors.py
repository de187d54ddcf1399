"""Raw flow, Bi-WOOF and the HOOF family against cases worked out by hand and a slow definition in plain Python."""

import math

import numpy as np
import pytest

from mer_cli.models.descriptors.bi_woof import bi_woof
from mer_cli.models.descriptors.flow_pixels import flow_pixels
from mer_cli.models.descriptors.hoof import fhofo, fhoof, hoof, membership
from mer_cli.models.descriptors.orientation import block_histograms, block_of_pixels, direction_bins, magnitudes
from mer_cli.motion.flow import strain
from mer_cli.runs.methods import METHODS

LENGTHS = {"flow-svm": 3072, "bi-woof": 200, "hoof": 200, "fhoof": 450, "fhofo": 450}
ON_CLIPS = {"hoof": hoof, "fhoof": fhoof, "fhofo": fhofo}


def uniform(u, v, size=20):
    return np.broadcast_to(np.float32([u, v])[:, None, None], (2, size, size))


def random_flows(n_frames=1, height=20, width=20, seed=1):
    return np.random.default_rng(seed).normal(size=(n_frames, 2, height, width)).astype(np.float32)


def rotated(flows, degrees):
    turn = np.exp(1j * np.deg2rad(degrees)) * (flows[:, 0] + 1j * flows[:, 1])
    return np.stack([turn.real, turn.imag], axis=1).astype(np.float32)


def slow_histograms(flow, weights, n_bins):
    """Block by block and pixel by pixel: lists of n_bins, 25 of them."""
    height, width = flow.shape[1:]
    histograms = []
    for row in range(5):
        for column in range(5):
            histogram = [0.0] * n_bins
            for y in range(math.ceil(row * height / 5), math.ceil((row + 1) * height / 5)):
                for x in range(math.ceil(column * width / 5), math.ceil((column + 1) * width / 5)):
                    degrees = math.degrees(math.atan2(flow[1, y, x], flow[0, y, x]))
                    histogram[int((degrees + 180) // (360 / n_bins)) % n_bins] += weights[y, x]
            histograms.append(histogram)
    return histograms


def slow_fuzzy(histogram):
    """18 bins out of 50."""
    centres = [round(place * 49 / 17) for place in range(18)]
    return [
        sum(
            count * math.exp(-(min((fine - centre) % 50, (centre - fine) % 50) ** 2) / 200)
            for fine, count in enumerate(histogram)
        )
        for centre in centres
    ]


def shares(histogram):
    total = sum(histogram)
    return [count / total if total else 0.0 for count in histogram]


@pytest.mark.parametrize(
    ("u", "v", "expected"), [(1, 0, 4), (2, 2, 5), (0, 1, 6), (-3, 3, 7), (-1, 0, 0), (-1, -0.0, 0), (0, -1, 2)]
)
def test_a_vector_on_an_edge_falls_in_the_bin_that_begins_there(u, v, expected):
    assert (direction_bins(uniform(u, v)[None], 8) == expected).all()


def test_bins_can_begin_elsewhere():
    assert (direction_bins(uniform(1, -0.3)[None], 8, start=-1 / 16) == 0).all()
    assert (direction_bins(uniform(1, -0.5)[None], 8, start=-1 / 16) == 7).all()


def test_blocks_of_a_crop_are_44_or_45_pixels_wide_and_numbered_row_by_row():
    blocks = block_of_pixels(224, 224)
    assert np.bincount(blocks[0]).tolist() == [45, 45, 45, 45, 44]
    assert blocks[0, -1] == 4
    assert blocks[-1, 0] == 20


@pytest.mark.parametrize("n_bins", [8, 50])
def test_flow_turned_by_a_bin_moves_each_histogram_by_one(n_bins):
    flows = random_flows(2)
    turned = block_histograms(rotated(flows, 360 / n_bins), magnitudes(flows), n_bins)
    np.testing.assert_allclose(turned, np.roll(block_histograms(flows, magnitudes(flows), n_bins), 1, axis=2))


def test_hoof_of_a_face_that_moves_to_the_right_has_one_bin_in_each_block():
    assert np.array_equal(hoof(uniform(0.4, 0)[None]).reshape(25, 8), np.eye(8)[[4] * 25])


def test_hoof_is_the_slow_definition():
    flow = random_flows(height=11, width=13)[0]
    expected = [shares(h) for h in slow_histograms(flow, np.hypot(*flow), 8)]
    np.testing.assert_allclose(hoof(flow[None]).reshape(25, 8), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["fhoof", "fhofo"])
def test_fuzzy_histograms_are_the_slow_definition(name):
    flow = random_flows(height=11, width=13)[0]
    flow[:, 5] = 0  # a row that does not move
    weights = np.hypot(*flow) if name == "fhoof" else np.hypot(*flow) > 0
    expected = [shares(slow_fuzzy(h)) for h in slow_histograms(flow, weights, 50)]
    np.testing.assert_allclose(ON_CLIPS[name](flow[None]).reshape(25, 18), expected, rtol=1e-5)


@pytest.mark.parametrize("function", ON_CLIPS.values(), ids=ON_CLIPS)
def test_a_clip_is_the_mean_of_its_frames(function):
    flows = random_flows(3)
    np.testing.assert_allclose(function(flows), np.mean([function(flow[None]) for flow in flows], 0), rtol=1e-5)


def test_fhofo_counts_pixels_that_move_whatever_their_length():
    flows = random_flows()
    longer = flows * np.random.default_rng(2).uniform(1, 9, (20, 20)).astype(np.float32)
    np.testing.assert_allclose(fhofo(longer), fhofo(flows), rtol=1e-6)
    assert np.abs(fhoof(longer) - fhoof(flows)).max() > 1e-3
    longer[:, :, ::2] = 0
    flows[:, :, ::2] = flows[:, :, 1::2]
    np.testing.assert_allclose(fhofo(longer), fhofo(flows), rtol=1e-6)


def test_membership_falls_off_along_the_circle():
    rows = membership(50, 18, 10)
    assert rows.shape == (18, 50)
    centres = rows.argmax(1)
    assert (centres[0], centres[1], centres[-1]) == (0, 3, 49)
    for row, centre in zip(rows, centres, strict=True):
        around = np.roll(row, -centre)
        assert around[0] == 1
        np.testing.assert_array_equal(around[1:], around[:0:-1])  # the same to both sides
        assert (np.diff(around[:26]) < 0).all()
    np.testing.assert_array_equal(rows[-1], np.roll(rows[0], -1))  # the ends are neighbours
    assert rows[0, 10] == rows[0, 40] == math.exp(-0.5)


def test_membership_without_spread_picks_the_bins_at_the_centres():
    rows = membership(50, 18, 1e-3)
    assert np.array_equal(rows, np.eye(50)[rows.argmax(1)])
    assert rows.sum() == 18


def test_bi_woof_is_the_slow_definition():
    flow = random_flows(height=11, width=13)[0]
    of_blocks = [sum(h) for h in slow_histograms(flow, strain(flow), 8)]
    weighted = np.array([shares(h) for h in slow_histograms(flow, np.hypot(*flow), 8)]) * np.array(of_blocks)[:, None]
    np.testing.assert_allclose(bi_woof(flow).reshape(25, 8), weighted / math.sqrt((weighted**2).sum()), rtol=1e-5)


def test_bi_woof_has_length_one_and_weighs_blocks_by_strain():
    flow = random_flows()[0]
    vector = bi_woof(flow).astype(np.float64)
    assert np.linalg.norm(vector) == pytest.approx(1)
    of_blocks = strain(flow).reshape(5, 4, 5, 4).sum((1, 3)).ravel()
    in_blocks = vector.reshape(25, 8).sum(1)
    np.testing.assert_allclose(in_blocks / in_blocks.sum(), of_blocks / of_blocks.sum(), rtol=1e-5)


def test_bi_woof_of_a_brow_that_alone_moves_up_is_in_its_block():
    flow = np.zeros((2, 100, 100), np.float32)
    flow[1, 5:15, 25:35] = -0.5
    flow[0, 5:15, 25:35] = 0.1
    vector = bi_woof(flow)
    assert vector[8 * 1 + 2] == 1  # block 1; from -90 degrees on
    assert np.count_nonzero(vector) == 1


def test_flow_pixels_are_means_over_areas_of_u_then_v_then_strain():
    flow = random_flows(height=64, width=64)[0]
    planes = np.stack([*flow, strain(flow)])
    expected = planes.reshape(3, 32, 2, 32, 2).mean((2, 4))
    np.testing.assert_allclose(flow_pixels(flow), expected.ravel(), atol=1e-6)


def test_strain_of_flow_pixels_is_taken_at_full_size():
    flow = np.zeros((2, 224, 224), np.float32)
    flow[0] = 0.1 * np.arange(224)
    np.testing.assert_allclose(flow_pixels(flow)[2048:], 0.1, rtol=1e-4)


@pytest.mark.parametrize("name", LENGTHS)
def test_a_descriptor_gives_finite_floats_also_where_nothing_moves(name):
    function = METHODS[name].load()
    n_frames = 3 if "flows" in METHODS[name].sees.arrays else None
    still = np.zeros((2, 224, 224) if n_frames is None else (n_frames, 2, 224, 224), np.float32)
    for flows in (still, -still):
        vector = function(flows)
        assert vector.dtype == np.float32
        assert vector.shape == (LENGTHS[name],)
        assert not vector.any()
