"""MDMO's regions on the landmarks of a generated face, and its numbers for motions that are made up."""

import numpy as np
import pytest

from mer_cli.models.descriptors.mdmo import NO_REGION, mdmo, region_corners, region_map

SIZE = 224
POINTS = """
    28 68 29 93 33 117 38 141 47 162 60 181 76 197 96 208 115 212 135 209 152 197 167 180 179 161 187 140 192 117
    195 95 196 72 46 52 58 42 73 39 90 40 105 46 136 48 149 43 164 42 178 46 188 55 120 71 120 90 120 107 119 126
    98 132 107 134 118 138 128 135 137 133 63 70 73 67 85 67 93 74 83 76 72 75 142 76 152 69 163 68 172 72 164 78
    152 78 88 160 100 154 111 150 119 152 126 150 136 154 146 161 137 172 127 177 119 178 109 177 99 171 94 160
    110 159 119 160 126 160 141 161 126 161 119 162 110 161
"""  # x and y of Dlib's points on the first generated clip of CASME II, in its crop
FACE = np.array(POINTS.split(), np.float32).reshape(68, 2)
REGIONS = region_map(FACE, SIZE, SIZE)


def still(n_frames=1):
    return np.zeros((n_frames, 2, SIZE, SIZE), np.float32)


def lengths_and_angles(flows, landmarks=FACE):
    """Without their weights: parts of the longest, and radians."""
    vector = mdmo(flows, landmarks)
    assert vector.shape == (72,)
    assert vector.dtype == np.float32
    assert np.isfinite(vector).all()
    return vector[:36] / 0.8, vector[36:] / 0.2


def test_each_region_of_a_frontal_face_has_pixels_and_lies_in_the_crop():
    assert np.bincount(REGIONS[REGIONS != NO_REGION], minlength=36).min() > 100
    corners = region_corners(FACE)
    assert corners.min() > 0
    assert corners.max() < SIZE


@pytest.mark.parametrize(
    ("place", "x", "y", "expected"),
    [
        ("above the inner half of the right brow", 88, 36, 1),
        ("between the brows", 115, 45, 2),
        ("above the outer left brow", 175, 37, 5),
        ("temple", 45, 75, 6),
        ("right cheek", 75, 95, 15),
        ("left cheek", 150, 100, 18),
        ("bridge of the nose", 110, 95, 16),
        ("left wing of the nose", 135, 125, 21),
        ("corner of the mouth", 90, 160, 22),
        ("chin", 105, 200, 33),
        ("jaw", 170, 140, 29),
        ("pupil", 79, 72, NO_REGION),
        ("lips", 119, 165, NO_REGION),
        ("forehead", 120, 20, NO_REGION),
    ],
)
def test_regions_lie_where_the_paper_draws_them(place, x, y, expected):
    assert REGIONS[y, x] == expected, place


def test_corners_are_landmarks_points_above_the_brows_and_middles():
    corners = region_corners(FACE)
    eye = np.hypot(*(FACE[36:42].mean(0) - FACE[42:48].mean(0)))
    up = 20 / 130 * eye
    np.testing.assert_allclose(corners[0], [[46, 52], [46, 52 - up], [73, 39 - up], [73, 39]], rtol=1e-5)
    # between landmarks 2 and 41, and between 3 and 29
    np.testing.assert_allclose(corners[14], [[38, 141], [33, 117], [52.5, 96], [79, 124]])


def test_the_table_is_the_same_for_both_sides_of_the_face():
    pairs = [(0, 5), (1, 4), (2, 3), (6, 13), (7, 12), (8, 11), (9, 10), (14, 19), (15, 18), (16, 17), (20, 21)]
    pairs += [(22, 23), (24, 27), (25, 26), (28, 29), (30, 31), (32, 35), (33, 34)]
    assert sorted(sum(pairs, ())) == list(range(36))
    swapped = [*range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1)]  # jaw, brows, nose
    swapped += [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]  # eyes
    swapped += [*range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), *range(67, 64, -1)]  # lips
    mirror = np.float32([-1, 1])
    corners, mirrored = region_corners(FACE), region_corners(FACE[swapped] * mirror)
    for one, other in pairs:
        assert sorted(map(tuple, mirrored[other] * mirror)) == sorted(map(tuple, corners[one])), (one, other)


def test_the_corners_of_a_region_go_round_it():
    def turns(a, b, c):
        return np.sign((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))

    for number, (a, b, c, d) in enumerate(region_corners(FACE)):
        for one, two, three, four in ((a, b, c, d), (b, c, d, a)):  # opposite sides do not cross
            crosses = turns(one, two, three) != turns(one, two, four) and turns(three, four, one) != turns(
                three, four, two
            )
            assert not crosses, number


def test_regions_do_not_overlap():
    x, y = region_corners(FACE).transpose(2, 0, 1)  # (36, 4) each
    areas = 0.5 * np.abs((x * np.roll(y, -1, axis=1) - np.roll(x, -1, axis=1) * y).sum(1))
    assert np.count_nonzero(REGIONS != NO_REGION) == pytest.approx(areas.sum(), rel=0.03)


def test_regions_grow_with_the_face():
    np.testing.assert_allclose(region_corners(FACE / 2), region_corners(FACE) / 2, rtol=1e-5)


def test_what_lies_outside_the_picture_is_cut_off():
    cut = region_map(FACE - np.float32([0, 60]), SIZE, SIZE)  # as far as the eyes
    assert np.count_nonzero(cut[:-60] != REGIONS[60:]) < 40  # of 30,000: where an edge is cut it is rounded anew
    assert not {0, 1, 4, 5} & set(np.unique(cut).tolist())
    lengths, _ = lengths_and_angles(still() + 1, FACE - np.float32([0, 500]))
    assert not lengths.any()


@pytest.mark.parametrize("region", [1, 16, 25])
def test_a_region_that_moves_alone_shows_in_its_two_numbers_alone(region):
    flows = still(3)
    flows[:, :, region == REGIONS] = np.float32([0.3, -0.4])[:, None]
    vector = mdmo(flows, FACE)
    assert np.flatnonzero(vector).tolist() == [region, 36 + region]
    assert vector[region] == pytest.approx(0.8)
    assert vector[36 + region] == pytest.approx(0.2 * np.arctan2(-0.4, 0.3))


def test_the_direction_of_most_pixels_counts_not_the_longest_vectors():
    flows = still()
    y, x = np.nonzero(REGIONS == 16)
    flows[0, 0, y, x] = 0.5
    flows[0, :, y[::3], x[::3]] = (0, 9)
    y, x = np.nonzero(REGIONS == 17)
    flows[0, 0, y, x] = 1
    lengths, angles = lengths_and_angles(flows)
    assert lengths[16] == pytest.approx(0.5)
    assert angles[16] == 0


def test_directions_on_both_sides_of_zero_share_a_bin_and_their_mean():
    flows = still()
    y, x = np.nonzero(REGIONS == 16)
    flows[0, 0, y, x] = 1
    flows[0, 1, y, x] = np.where(np.arange(len(y)) % 2, 0.3, -0.3)
    flows[0, 1, y[0], x[0]] = 0
    lengths, angles = lengths_and_angles(flows)
    assert lengths[16] == 1
    assert angles[16] == pytest.approx(0, abs=1e-2)


def test_frames_are_averaged_as_vectors():
    flows = still(2)
    flows[0, 0, REGIONS == 16] = 1  # to the right, then down
    flows[1, 1, REGIONS == 16] = 1
    flows[:, 0, REGIONS == 25] = 1
    lengths, angles = lengths_and_angles(flows)
    assert lengths[25] == 1
    assert lengths[16] == pytest.approx(np.sqrt(0.5))
    assert angles[16] == pytest.approx(np.pi / 4)


def test_a_head_that_turns_shifts_and_comes_nearer_has_no_motion():
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    flows = np.stack([0.01 * x - 0.02 * y + 1.5, 0.02 * x + 0.01 * y - 0.7])[None]
    assert not mdmo(flows, FACE).any()


def test_what_a_moving_head_does_beside_is_left():
    flows = still()
    flows[0, 1, REGIONS == 1] = -0.5
    alone = mdmo(flows, FACE)
    np.testing.assert_allclose(mdmo(flows + np.float32([2, 1])[:, None, None], FACE), alone, atol=1e-4)


def test_a_face_that_does_not_move_is_all_zero():
    assert not mdmo(still(2), FACE).any()
    assert not mdmo(-still(2), FACE).any()
