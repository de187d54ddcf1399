"""What AU-GCN sees: patches of the flow at brows and mouth, and the graph of the training clips' action units."""

import numpy as np
import pytest

from mer_cli.motion.images import Sources, cut_patches, draw_motion, unit_adjacency
from mer_cli.motion.inputs import MotionInput

WANTED = MotionInput(7, ("patches",))
ROWS, COLUMNS = np.mgrid[:128, :128].astype(np.float32)


def landmarks_at(x, y, point=48):
    """All in the middle, but one."""
    landmarks = np.full((68, 2), 112, np.float32)
    landmarks[point] = x, y
    return landmarks


def test_a_patch_is_centred_on_its_landmark():
    patches = cut_patches(1000 * ROWS + COLUMNS, landmarks_at(40, 70), 1)
    assert (patches.shape, patches.dtype) == ((30, 7, 7), np.float32)
    assert patches[10, 3, 3] == 70_040
    assert patches[10, 0].tolist() == [67_037 + column for column in range(7)]
    assert patches[10, :, 0].tolist() == [67_037 + 1000 * row for row in range(7)]


@pytest.mark.parametrize(("point", "place"), [(17, 0), (26, 9), (48, 10), (67, 29)])
def test_the_brows_ten_points_come_before_the_mouths_twenty(point, place):
    moved = cut_patches(COLUMNS, landmarks_at(50, 50, point), 1)[:, 3, 3]
    assert np.flatnonzero(moved == 50).tolist() == [place]


@pytest.mark.parametrize("point", [16, 27, 47])
def test_other_points_have_no_patch(point):
    assert (cut_patches(COLUMNS, landmarks_at(50, 50, point), 1)[:, 3, 3] == 112).all()


@pytest.mark.parametrize(
    ("x", "y", "corner"),
    [(0, 0, (0, 0)), (2, 64, (61, 0)), (127, 127, (121, 121)), (-40, 64, (61, 0)), (64, 900, (121, 61))],
)
def test_a_patch_that_would_reach_over_the_border_is_moved_inside(x, y, corner):
    patch = cut_patches(1000 * ROWS + COLUMNS, landmarks_at(x, y), 1)[10]
    row, column = corner
    np.testing.assert_array_equal(patch, (1000 * ROWS + COLUMNS)[row : row + 7, column : column + 7])


@pytest.mark.parametrize(("in_crop", "in_plane"), [(0, 3), (87.4, 50), (88, 50), (88.1, 50), (89.1, 51), (223, 124)])
def test_landmarks_of_the_crop_lie_where_the_smaller_plane_shows_them(in_crop, in_plane):
    """Pixel 50 of 128 covers 87.5 to 89.25 of 224, whose pixel i covers i to i + 1."""
    assert cut_patches(COLUMNS, landmarks_at(in_crop, 112), 128 / 224)[10, 3, 3] == in_plane


def test_patches_show_the_magnitude_of_the_flow_at_128():
    flow = np.zeros((2, 224, 224), np.float32)
    flow[:, 98:126, 98:126] = np.array([3, -4])[:, None, None]  # pixels 56 to 72 of 128
    patches = draw_motion(Sources(flow, landmarks=landmarks_at(30, 30, 20)), WANTED)
    assert (patches.shape, patches.dtype, WANTED.n_planes) == ((30, 7, 7), np.float32, 30)
    assert not patches[3].any()
    np.testing.assert_allclose(np.delete(patches, 3, axis=0), 5, rtol=1e-6)
    edge = draw_motion(Sources(flow, landmarks=landmarks_at(98, 112)), WANTED)[10]
    assert edge[3].tolist() == pytest.approx([0, 0, 0, 5, 5, 5, 5])


def test_the_graph_is_the_papers_formula_worked_out_by_hand():
    # Unit 1 in three clips, with 4 in two of them; unit 4 in those two; 12 in none; 7 is not asked for.
    clips = [{1, 4}, {1, 4, 7}, {1}, {7}, set()]
    # The column's unit is the condition: P(1 | 4) = 1 stands at (1, 4), P(4 | 1) = 2/3 at (4, 1). A = P + I has row
    # sums 2, 5/3 and 1; then D^-1/2 A^T D^-1/2.
    a, b = 2**-0.5, (5 / 3) ** -0.5
    expected = [[a * a, a * 2 / 3 * b, 0], [b * 1 * a, b * b, 0], [0, 0, 1]]
    graph = unit_adjacency(clips, (1, 4, 12))
    assert graph.dtype == np.float32
    np.testing.assert_allclose(graph, expected, rtol=1e-6)


@pytest.mark.parametrize("clips", [[], [set()], [{7}]])
def test_without_any_of_the_units_the_graph_is_one_of_loops(clips):
    np.testing.assert_array_equal(unit_adjacency(clips, (1, 2, 4)), np.eye(3))


def test_the_order_of_the_clips_changes_no_graph():
    clips = [{1, 4}, {4, 7}, {1}, {4}]
    np.testing.assert_array_equal(unit_adjacency(clips, (4, 1, 7)), unit_adjacency(clips[::-1], (4, 1, 7)))
