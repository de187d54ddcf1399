"""How many clips have a released draw of frames that the windows of a store cut."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_store import edited, write_store

from mer_cli.runs.config import resolve_config
from mer_cli.runs.frame_draw import draw_reach
from mer_cli.runs.protocol import plan_protocol


def warnings(tmp_path, rises, **settings):
    """The warnings of a plan for clips with these frames from onset to apex, without those about counts."""
    path = write_store(tmp_path / "mylab.h5", {f"mylab/p{n}/c": ("smile", "frown")[n % 2] for n in range(len(rises))})
    with edited(path) as file:
        onset = file["clips/onset"][:]
        file["clips/apex"][:] = onset + np.array(rises)
        file["clips/offset"][:] = onset + np.array(rises) + 200
    return plan_protocol([path], resolve_config(scheme="labels", **settings)).warnings


@pytest.mark.parametrize(("rise", "reach"), [(26, 0), (27, 1), (106, 3), (107, 4), (134, 5)])
def test_the_released_draw_grows_with_the_rise(rise, reach):
    before, after = draw_reach("released", np.array([rise]), np.array([0]))
    assert (before.tolist(), after.tolist()) == ([[0], [reach]], [[reach], [0]])


def test_a_rise_of_107_frames_is_warned_of(tmp_path):
    assert warnings(tmp_path, [20, 106, 106, 106]) == ()
    assert warnings(tmp_path, [20, 106, 107, 134]) == (
        "--frame-jitter released: in 2 of 4 training clips the released script would draw frames up to 5 from onset or "
        "apex; the store holds 3 on either side, which the draw is limited to.",
    )


@pytest.mark.parametrize("settings", [{"frame_jitter": "none"}, {"frame_jitter": "around"}, {"model": "ststnet"}])
def test_a_run_without_the_released_draw_is_not_warned(tmp_path, settings):
    assert warnings(tmp_path, [20, 107, 200, 200], **settings) == ()


def test_the_draw_of_the_three_class_script_reaches_beyond_the_apex(tmp_path):
    (warning,) = warnings(tmp_path, [20, 20, 20, 20], frame_jitter="released-3")
    assert "in 4 of 4 training clips the released script would draw frames up to 7 from" in warning
