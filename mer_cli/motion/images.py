"""Flow and apex pictures come in at 224, the small pictures that a network takes go out.

Everything is derived at 224 from the flow as it is stored, and only then made smaller, each plane by area. Making it
smaller does not shorten vectors: u, v and magnitude stay in pixels of the crop, strain in pixels per pixel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mer_cli.faces.frames import HALF_WINDOW
from mer_cli.motion.cache import read_motion
from mer_cli.motion.flow import Flow, Grey, grey, strain
from mer_cli.motion.inputs import GRID, Backend, Channel, MotionInput
from mer_cli.opencv import cv2
from mer_cli.store.hdf5 import StoreInfo, read_windows

Plane = NDArray[np.float32]


def read_images(store: StoreInfo, backend: Backend, clip_ids: Sequence[str], wanted: MotionInput) -> Plane:
    """Read what a network takes of some clips, not normalised yet, in the order of `clip_ids`.

    Returns
    -------
    (n, P, S, S) float32, the planes in the order of `wanted.channels`

    Raises
    ------
    StoreError
        As `read_motion`; as `read_windows` where the apex itself is wanted.
    """
    flows = read_motion(store, backend, clip_ids)
    images = np.empty((len(clip_ids), wanted.n_planes, wanted.size, wanted.size), np.float32)
    for row, clip_id in enumerate(clip_ids):
        apex = None
        if {"apex", "apex-grid"} & set(wanted.channels):
            apex = grey(read_windows(store.path, [clip_id])[2][0, HALF_WINDOW])
        images[row] = draw_motion(flows[row].astype(np.float32), apex, wanted)
    return images


def draw_motion(flow: Flow, apex: Grey | None, wanted: MotionInput) -> Plane:
    """Draw one clip.

    Parameters
    ----------
    flow : (2, 224, 224) float32, u and v
    apex : (224, 224) uint8; needed only where a channel of it is wanted

    Returns
    -------
    (P, S, S) float32
    """
    planes = [plane for channel in wanted.channels for plane in _planes(channel, flow, apex)]
    return np.stack([resize(plane, wanted.size) for plane in planes])


def resize(plane: Plane, size: int) -> Plane:
    """Give a plane, (H, W) float32, as (size, size): each new pixel is the mean over the area that it covers.

    Where `size` is larger (DSSN's 227) OpenCV interpolates linearly.
    """
    return np.asarray(cv2.resize(plane, (size, size), interpolation=cv2.INTER_AREA), dtype=np.float32)


def _planes(channel: Channel, flow: Flow, apex: Grey | None) -> list[Plane]:
    if channel in ("u", "v"):
        return [flow["uv".index(channel)]]
    if channel == "strain":
        return [strain(flow)]
    if channel == "magnitude":
        return [np.hypot(flow[0], flow[1])]
    assert apex is not None, f"{channel} needs the apex picture"
    picture = apex.astype(np.float32)
    if channel == "apex":
        return [picture]
    return [block for band in np.split(picture, GRID) for block in np.split(band, GRID, axis=1)]
