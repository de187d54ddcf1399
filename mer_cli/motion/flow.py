"""Compute the optical flow between two grey images, and the strain of a flow.

A flow is (2, H, W): `flow[0]` is u, to the right, and `flow[1]` is v, down, in pixels. What is at (x, y) in the first
image is at (x + u, y + v) in the second.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_cli.faces.pictures import Image
from mer_cli.motion.inputs import Backend
from mer_cli.system.opencv import cv2

Grey = NDArray[np.uint8]
Flow = NDArray[np.float32]

# Most papers of the field name TV-L1 without its settings; these are scikit-image's. On one core it takes a third of a
# second per clip, DIS a hundredth ("fast"), or three hundredths down to the full resolution ("fine").
SETTINGS: dict[Backend, dict[str, Any]] = {
    "tvl1": {"attachment": 15, "tightness": 0.3, "num_warp": 5, "num_iter": 10, "tol": 1e-4},
    "fast": {"preset": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM},
    "fine": {"preset": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM, "finest_scale": 0},
}


def flow_settings(backend: Backend) -> dict[str, Any]:
    """Return everything that a flow depends on except the two images, as plain values for JSON."""
    tool = f"scikit-image {version('scikit-image')}" if backend == "tvl1" else f"opencv {cv2.__version__}"
    return {"backend": backend, "tool": tool, **SETTINGS[backend]}


def grey(picture: Image) -> Grey:
    """Return the luma (ITU-R BT.601) of an image, (H, W, 3) uint8 RGB, as (H, W) uint8."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def optical_flow(onset: Grey, apex: Grey, backend: Backend) -> Flow:
    """Compute the dense flow from onset to apex.

    Parameters
    ----------
    onset, apex : (H, W) uint8
    backend : "tvl1", scikit-image's TV-L1; "fast", OpenCV's DIS with its medium preset, whose finest scale is half the
        resolution; "fine", the same down to the full resolution

    Returns
    -------
    (2, H, W) float32, u and v
    """
    settings = SETTINGS[backend]
    if backend != "tvl1":
        engine = cv2.DISOpticalFlow.create(settings["preset"])
        engine.setFinestScale(settings.get("finest_scale", engine.getFinestScale()))
        flow = engine.calc(np.ascontiguousarray(onset), np.ascontiguousarray(apex), np.empty(0, np.float32))
        return np.asarray(flow, dtype=np.float32).transpose(2, 0, 1)  # (H, W, (u, v)) -> (2, H, W)
    from skimage.registration import optical_flow_tvl1  # a third of a second

    v, u = optical_flow_tvl1(onset, apex, **settings)  # along rows first, then along columns
    return np.stack([u, v])


def strain(flow: Flow) -> Flow:
    """Return the magnitude of the optical strain of a flow, (2, H, W), as (H, W) float32, by central differences.

    sqrt(e_xx^2 + e_yy^2 + e_xy^2 + e_yx^2) with e_xx = u_x, e_yy = v_y and e_xy = e_yx = (u_y + v_x) / 2.

    Source
    ------
    Shreve et al., "Macro- and micro-expression spotting in long videos using spatio-temporal strain", FG 2011; the
    magnitude as in STSTNet (FG 2019)
    """
    u_y, u_x = np.gradient(flow[0])
    v_y, v_x = np.gradient(flow[1])
    return np.asarray(np.sqrt(u_x**2 + v_y**2 + 0.5 * (u_y + v_x) ** 2), dtype=np.float32)
