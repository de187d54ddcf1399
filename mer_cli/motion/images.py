"""Flow, apex pictures and whole clips come in at 224, the pictures that a network takes go out.

Everything is derived at 224 from the flow as it is stored, and only then made smaller, each plane by area. Making it
smaller does not shorten vectors: u, v and magnitude stay in pixels of the crop, strain in pixels per pixel. Patches are
cut from the magnitude at 128, the size at which AU-GCN's authors cut theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mer_cli.faces.crop import CROP_SIZE, Landmarks
from mer_cli.faces.frames import HALF_WINDOW
from mer_cli.faces.pictures import Image
from mer_cli.motion.cache import read_motion
from mer_cli.motion.dynamic import dynamic_image
from mer_cli.motion.flow import Flow, Grey, grey, strain
from mer_cli.motion.inputs import GRID, Backend, Channel, MotionInput
from mer_cli.motion.patches import cut_patches
from mer_cli.opencv import cv2
from mer_cli.store.hdf5 import StoreInfo, read_landmarks, read_windows
from mer_cli.store.whole_clips import read_clip

PATCHED = 128  # rows and columns of the plane that patches are cut from

Plane = NDArray[np.float32]


@dataclass(frozen=True)
class Sources:
    """What is known of a clip; each is needed only where a channel is drawn from it.

    flow : (2, 224, 224) float32, u and v
    apex : (224, 224) uint8
    landmarks : (68, 2) float32, (x, y) in pixels of the crop
    frames : (T, 224, 224, 3) uint8 RGB, onset to offset
    """

    flow: Flow | None = None
    apex: Grey | None = None
    landmarks: Landmarks | None = None
    frames: Image | None = None


def read_images(store: StoreInfo, backend: Backend, clip_ids: Sequence[str], wanted: MotionInput) -> Plane:
    """Read what a network takes of some clips, not normalised yet, in the order of `clip_ids`.

    Returns
    -------
    (n, P, S, S) float32, the planes in the order of `wanted.channels`

    Raises
    ------
    StoreError
        As `read_motion`, `read_windows`, `read_landmarks` and `read_clip`, each where a channel is drawn from it.
    """
    path = store.path
    flows = read_motion(store, backend, clip_ids) if wanted.needs_flow else None
    landmarks = read_landmarks(path, clip_ids) if wanted.needs_landmarks else None
    images = np.empty((len(clip_ids), wanted.n_planes, wanted.size, wanted.size), np.float32)
    for row, clip_id in enumerate(clip_ids):
        sources = Sources(
            flow=None if flows is None else flows[row].astype(np.float32),
            apex=grey(read_windows(path, [clip_id])[2][0, HALF_WINDOW]) if wanted.needs_apex else None,
            landmarks=None if landmarks is None else landmarks[row],
            frames=read_clip(path, clip_id) if wanted.needs_clips else None,
        )
        images[row] = draw_motion(sources, wanted)
    return images


def draw_motion(sources: Sources, wanted: MotionInput) -> Plane:
    """Draw one clip, as (P, S, S) float32."""
    planes = [plane for channel in wanted.channels for plane in _planes(channel, sources)]
    return np.stack([resize(plane, wanted.size) for plane in planes])


def resize(plane: Plane, size: int) -> Plane:
    """Give a plane, (H, W) float32, as (size, size): each new pixel is the mean over the area that it covers.

    Where `size` is larger (DSSN's 227) OpenCV interpolates linearly.
    """
    return np.asarray(cv2.resize(plane, (size, size), interpolation=cv2.INTER_AREA), dtype=np.float32)


def _planes(channel: Channel, sources: Sources) -> Iterable[Plane]:
    if channel == "dynamic":
        assert sources.frames is not None, channel
        return dynamic_image(sources.frames)
    if channel in ("apex", "apex-grid"):
        assert sources.apex is not None, channel
        picture = sources.apex.astype(np.float32)
        if channel == "apex":
            return [picture]
        return [block for band in np.split(picture, GRID) for block in np.split(band, GRID, axis=1)]
    assert sources.flow is not None, channel
    if channel in ("u", "v"):
        return [sources.flow["uv".index(channel)]]
    if channel == "strain":
        return [strain(sources.flow)]
    magnitude = np.hypot(sources.flow[0], sources.flow[1])
    if channel == "magnitude":
        return [magnitude]
    assert sources.landmarks is not None, channel
    return cut_patches(resize(magnitude, PATCHED), sources.landmarks, PATCHED / CROP_SIZE)
