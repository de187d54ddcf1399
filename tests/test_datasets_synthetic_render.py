"""The z-buffer, where triangles lie over one another."""

import numpy as np
import pytest

from mer_cli.datasets.synthetic.render import rasterise

# A front face in pixels, as y runs down; the middle of its long side is at (30, 30).
CORNERS = np.array([(10.0, 10.0), (10.0, 50.0), (50.0, 10.0)])


def drawn(*depths):
    """The triangles that are CORNERS at the given depths, drawn in that order."""
    screen = np.concatenate([np.column_stack([CORNERS, np.full(3, depth)]) for depth in depths])
    return rasterise(screen, np.arange(3 * len(depths)).reshape(-1, 3))


@pytest.mark.parametrize(("depths", "shown"), [((3, 1, 2), 1), ((1, 2, 3), 0), ((2, 1, 1), 1)])
def test_the_nearest_triangle_is_shown_and_the_first_of_equally_near_ones(depths, shown):
    raster = drawn(*depths)
    assert np.unique(raster.triangle).tolist() == [-1, shown]
    assert raster.depth[20, 20] == pytest.approx(1)
    assert (raster.hit[20, 20], raster.hit[40, 40], raster.triangle[40, 40]) == (True, False, -1)


def test_a_value_of_the_corners_is_spread_over_the_triangle_and_zero_outside():
    raster = drawn(1)
    places = raster.interpolate(CORNERS)
    for x, y in ((10, 10), (12, 40), (29, 30)):
        assert places[y, x] == pytest.approx((x, y), abs=1e-4)
    assert not places[~raster.hit].any()


def test_a_triangle_that_is_seen_from_behind_is_not_drawn():
    screen = np.column_stack([CORNERS, np.ones(3)])
    assert not rasterise(screen, np.array([[0, 2, 1]])).hit.any()
