"""Flow against pictures that move by a known amount, strain against fields worked out by hand."""

import json

import numpy as np
import pytest
from moved_store import moved, texture

from mer_cli.motion.flow import flow_settings, grey, optical_flow, strain
from mer_cli.system.opencv import cv2

SIZE = 96


@pytest.mark.parametrize("backend", ["tvl1", "fast", "fine"])
@pytest.mark.parametrize(("right", "down"), [(2, -1), (-1, 0), (0, 3)])
def test_optical_flow_gives_the_way_to_the_right_and_the_way_down(backend, right, down):
    picture = texture(1, SIZE)
    flow = optical_flow(moved(picture, 0, 0), moved(picture, right, down), backend)
    assert flow.shape == (2, SIZE, SIZE)
    assert flow.dtype == np.float32
    inner = flow[:, 8:-8, 8:-8]
    np.testing.assert_allclose(inner.mean((1, 2)), [right, down], atol=0.1)
    assert np.abs(inner - np.array([right, down])[:, None, None]).mean() < 0.15


@pytest.mark.parametrize("backend", ["tvl1", "fast", "fine"])
def test_pictures_that_are_alike_have_no_flow(backend):
    still = moved(texture(2, SIZE), 0, 0)
    assert np.abs(optical_flow(still, still, backend)).max() < 0.01
    flat = np.full((SIZE, SIZE), 7, np.uint8)
    assert np.abs(optical_flow(flat, flat, backend)).max() < 0.01


def test_the_fine_flow_follows_a_motion_that_is_few_pixels_wide():
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    right = 1.5 * np.exp(-((x - SIZE / 2) ** 2 + (y - SIZE / 2) ** 2) / (2 * 4**2))
    picture = texture(1, SIZE)
    onset = moved(picture, 0, 0)
    apex = cv2.remap(onset, x - right, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    moves = right > 0.5
    fast, fine = (np.abs(optical_flow(onset, apex, backend)[0] - right)[moves].mean() for backend in ("fast", "fine"))
    assert fine < 0.8 * fast


def test_strain_of_a_linear_field_is_the_number_worked_out_by_hand():
    y, x = np.mgrid[:6, :9].astype(np.float32)
    flow = np.stack([0.1 * x + 0.2 * y, 0.4 * x + 0.05 * y])
    # u_x = .1, u_y = .2, v_x = .4, v_y = .05: .01 + .0025 + .6^2 / 2
    assert strain(flow).shape == (6, 9)
    np.testing.assert_allclose(strain(flow), np.sqrt(0.1925), rtol=1e-5)


def test_strain_takes_central_differences():
    x = np.arange(7, dtype=np.float32)
    flow = np.stack([np.broadcast_to(x**3, (5, 7)), np.zeros((5, 7), np.float32)])
    # ((x + 1)^3 - (x - 1)^3) / 2 = 3 x^2 + 1
    np.testing.assert_allclose(strain(flow)[:, 1:-1], np.broadcast_to(3 * x[1:-1] ** 2 + 1, (5, 5)), rtol=1e-6)


@pytest.mark.parametrize("flow", [np.ones((2, 8, 8)), np.mgrid[:8, :8] * np.array([1, -1])[:, None, None]])
def test_a_face_that_is_moved_or_turned_as_a_whole_has_no_strain(flow):
    # The second is u = y, v = -x, a turn.
    assert strain(flow.astype(np.float32)).max() == 0


def test_grey_weighs_red_green_and_blue_as_luma():
    colours = np.eye(3, dtype=np.uint8)[None] * 200
    assert grey(colours).tolist() == [[60, 117, 23]]


def test_flow_settings_tell_every_parameter_and_the_version():
    settings = flow_settings("tvl1")
    assert settings.pop("tool").startswith("scikit-image 0.")
    assert json.loads(json.dumps(settings)) == {
        "backend": "tvl1",
        "attachment": 15,
        "tightness": 0.3,
        "num_warp": 5,
        "num_iter": 10,
        "tol": 1e-4,
    }
    assert flow_settings("fast").keys() == {"backend", "tool", "preset"}
    assert flow_settings("fine").keys() == {"backend", "tool", "preset", "finest_scale"}
