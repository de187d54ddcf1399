"""Make and normalise the inputs of networks that see motion, from flow, apex images and whole clips at 224x224.

Each plane is computed at 224x224 from the stored flow and then made smaller by area, which doesn't shorten vectors: u,
v and magnitude stay in pixels of the crop, strain in pixels per pixel. Patches are cut from the magnitude at 128x128,
as AU-GCN's authors did.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mer_cli.errors import FaceError
from mer_cli.faces.crop import CROP_SIZE, Landmarks
from mer_cli.faces.frames import HALF_WINDOW
from mer_cli.faces.mean_face import MEAN_FACE
from mer_cli.faces.pictures import Image
from mer_cli.motion.cache import not_a_face, read_motion
from mer_cli.motion.canonical import canonical_images
from mer_cli.motion.flow import Flow, Grey, grey, strain
from mer_cli.motion.inputs import (
    BROW_POINTS,
    GRID,
    MOUTH_POINTS,
    PATCH_SIZE,
    Backend,
    Channel,
    MotionInput,
    Normalisation,
    Step,
)
from mer_cli.store.hdf5 import StoreInfo, read_landmarks, read_windows
from mer_cli.store.whole_clips import read_clip
from mer_cli.system.opencv import cv2


def dynamic_image(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the dynamic image of a clip by approximate rank pooling, stretched to 0..255.

    It is the sum over t = 1..T of (2t - T - 1) I_t. What doesn't change cancels out; one frame alone leaves nothing.

    Parameters
    ----------
    frames : (T, H, W, 3) uint8, RGB, onset to offset

    Returns
    -------
    (3, H, W) float32, 0..255, red, green and blue stretched together; all 0 where nothing changes

    Source
    ------
    Bilen et al., "Dynamic image networks for action recognition", CVPR 2016; the stretch is ours
    """
    n_frames = len(frames)
    total = np.zeros(frames.shape[1:], np.int64)
    for t, frame in enumerate(frames, start=1):  # one by one: a clip of 300 frames takes 360 MB as int64
        total += (2 * t - n_frames - 1) * frame.astype(np.int64)
    low, high = total.min(), total.max()
    reach = max(high - low, 1)
    return np.asarray(((total - low) / reach * 255).transpose(2, 0, 1), dtype=np.float32)  # (3, H, W)


def cut_patches(plane: NDArray[np.float32], landmarks: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    """Cut 30 patches of 7x7 pixels from a plane, around 10 landmarks of the brows and 20 of the mouth.

    A patch is centred on the pixel that its landmark lies in; a patch that would cross the border is moved inside.

    Parameters
    ----------
    plane : (S, S) float32
    landmarks : (68, 2) float32, (x, y) in pixels of an image that shows the same square at another size
    scale : factor from pixels of that image to pixels of the plane

    Returns
    -------
    (30, 7, 7) float32, the brows first, then the mouth, both in the order of the landmarks
    """
    corners = patch_corners(landmarks, len(plane), scale)
    return np.stack([plane[y : y + PATCH_SIZE, x : x + PATCH_SIZE] for x, y in corners])


def patch_corners(landmarks: NDArray[np.float32], size: int, scale: float) -> NDArray[np.int64]:
    """Return the upper left pixel (x, y) of each patch that `cut_patches` cuts from a plane of `size` rows, (30, 2)."""
    at = (landmarks[[*BROW_POINTS, *MOUTH_POINTS]] + 0.5) * scale  # from the image's edge: pixel i covers i to i + 1
    corners = np.floor(at).astype(np.int64) - PATCH_SIZE // 2
    return np.asarray(np.clip(corners, 0, size - PATCH_SIZE))


Images = NDArray[np.float32]


def normalise(images: Images, how: Normalisation, train_rows: NDArray[np.int64]) -> Images:
    """Normalise the images of all clips of a fold.

    Parameters
    ----------
    images : (N, P, S, S) float32, P planes of S x S pixels for each clip
    how : "standard" keeps the size of the motion: each plane's mean and standard deviation over the fold's training
        clips become 0 and 1. The others lose it: "minmax" stretches each plane of each clip to 0..1, as MEB does
        before it stores the flow, and "minmax8" to the integers 0..255, as in the published code of STSTNet
    train_rows : (n,) rows of the fold's training clips; only "standard" looks at them

    Returns
    -------
    (N, P, S, S) float32
    """
    if how == "standard":
        return standardise(images, *plane_statistics(images, train_rows))
    stretched = _stretched(images)
    return stretched if how == "minmax" else np.asarray(np.rint(stretched * 255), dtype=np.float32)


def _stretched(images: Images) -> Images:
    low, high = images.min(axis=(2, 3), keepdims=True), images.max(axis=(2, 3), keepdims=True)
    reach = np.where(high > low, high - low, 1)  # a plane without contrast becomes 0
    return np.asarray((images - low) / reach, dtype=np.float32)


def plane_statistics(images: Images, train_rows: NDArray[np.int64]) -> tuple[Images, Images]:
    """Return mean and standard deviation of each plane over the training clips, each (1, P, 1, 1) float32.

    The deviation of a plane that is the same everywhere is given as 1.
    """
    train = images[train_rows]
    mean = train.mean(axis=(0, 2, 3), keepdims=True, dtype=np.float64)
    deviation = train.std(axis=(0, 2, 3), keepdims=True, dtype=np.float64)
    deviation[deviation == 0] = 1
    return mean.astype(np.float32), deviation.astype(np.float32)


def standardise(images: Images, mean: Images, deviation: Images) -> Images:
    """Return images of which each plane has lost its mean and been divided by its deviation (`plane_statistics`)."""
    return np.asarray((images - mean) / deviation, dtype=np.float32)


PATCHED = 128  # rows and columns of the plane that patches are cut from

Plane = NDArray[np.float32]


@dataclass(frozen=True)
class Sources:
    """The arrays of one clip that the channels of its input are made from; an array that no channel needs is None.

    flow : (2, 224, 224) float32, u and v
    apex : (224, 224) uint8
    landmarks : (68, 2) float32, (x, y) in pixels of the crop
    frames : (T, 224, 224, 3) uint8 RGB, onset to offset
    """

    flow: Flow | None = None
    apex: Grey | None = None
    landmarks: Landmarks | None = None
    frames: Image | None = None


def read_images(
    store: StoreInfo, backend: Backend, clip_ids: Sequence[str], wanted: MotionInput, steps: Sequence[Step] = ()
) -> Plane:
    """Read the inputs of a network for some clips, not yet normalised, in the order of `clip_ids`.

    Parameters
    ----------
    steps : taken to make motion comparable (`canonical`)

    Returns
    -------
    (n, P, S, S) float32, P planes of S x S pixels for each clip, in the order of `wanted.channels`

    Raises
    ------
    StoreError
        As `read_motion`, `read_windows`, `read_landmarks` and `read_clip`, if a channel needs them, or if steps can't
        be taken with a clip.
    """
    path = store.path
    flows = read_motion(store, backend, clip_ids, steps) if wanted.needs_flow("apex") else None
    landmarks = read_landmarks(path, clip_ids) if wanted.needs_landmarks or steps else None
    images = np.empty((len(clip_ids), wanted.n_planes, wanted.size, wanted.size), np.float32)
    for row, clip_id in enumerate(clip_ids):
        onset, _, apex, _ = read_windows(path, [clip_id]) if wanted.needs_apex else 4 * (None,)
        of_clip = None if landmarks is None else landmarks[row]
        flow = None if flows is None else flows[row].astype(np.float32)
        pair = None if onset is None or apex is None else (onset[0, HALF_WINDOW], apex[0, HALF_WINDOW])
        frames = read_clip(path, clip_id) if wanted.needs_clips("clip") else None
        try:
            sources = sources_of(flow, pair, of_clip, frames, steps)
        except FaceError:
            raise not_a_face(path, clip_id) from None
        images[row] = draw_motion(sources, wanted)
    return images


def redraw_windows(path: Path, clip_ids: Sequence[str], onsets: Image, apexes: Image, steps: Sequence[Step]) -> None:
    """Redraw the frames around onset and apex of a store's clips, in place, as the steps have them (`canonical`).

    Parameters
    ----------
    path : of the store
    onsets, apexes : (n, 7, 224, 224, 3) uint8, RGB, the windows of `clip_ids`

    Raises
    ------
    StoreError
        As `read_landmarks`, if there are steps, or if they can't be taken with a clip.
    """
    if not steps:
        return
    for row, landmarks in enumerate(read_landmarks(path, clip_ids)):
        onset = onsets[row, HALF_WINDOW].copy()
        both = np.concatenate([onsets[row], apexes[row]])
        try:
            onsets[row], apexes[row] = np.split(canonical_images(both, onset, landmarks, steps), 2)
        except FaceError:
            raise not_a_face(path, clip_ids[row]) from None


def sources_of(
    flow: Flow | None,
    pair: tuple[Image, Image] | None,
    landmarks: Landmarks | None,
    frames: Image | None,
    steps: Sequence[Step],
) -> Sources:
    """Return the arrays of one clip for `draw_motion`; apex and landmarks as the steps have them.

    Parameters
    ----------
    flow : the steps are taken already
    pair : onset and apex, each (224, 224, 3) uint8 RGB; None if the network doesn't see the apex
    landmarks : of the onset; they are needed if there are steps
    frames : (T, 224, 224, 3) uint8 RGB, the whole clip
    """
    apex = None if pair is None else pair[1]
    if steps and landmarks is not None:
        if pair is not None:
            apex = canonical_images(pair[1][None], pair[0], landmarks, steps)[0]
        landmarks = MEAN_FACE if "shape" in steps else landmarks
    return Sources(flow, None if apex is None else grey(apex), landmarks, frames)


def draw_motion(sources: Sources, wanted: MotionInput) -> Plane:
    """Return the input of a network for one clip, (P, S, S) float32: P planes in the order of `wanted.channels`."""
    planes = [plane for channel in wanted.channels for plane in _planes(channel, sources)]
    return np.stack([resize(plane, wanted.size) for plane in planes])


def resize(plane: Plane, size: int) -> Plane:
    """Resize a plane, (H, W) float32, to (size, size): each new pixel is the average of the area that it covers.

    If `size` is larger (DSSN's 227), OpenCV interpolates linearly.
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


def unit_adjacency(clips: Sequence[Collection[int]], units: Sequence[int]) -> NDArray[np.float32]:
    """Return the normalised adjacency matrix of action units, from how often two of them are coded in the same clip.

    P[i, j] is the share of the clips with unit j that have unit i, too; it is 0 on the diagonal and if no clip has unit
    j. With A = P + I and its row sums D, the result is D^-1/2 A^T D^-1/2.

    Parameters
    ----------
    clips : the units of each training clip; units that are not in `units` are ignored

    Returns
    -------
    (A, A) float32 for A units, in the order of `units`

    Source
    ------
    Lei et al., CVPR Workshops 2021; raying777/FGRMER `utils.py`. Which unit is the condition can be read from the
    matrices there: the column's
    """
    coded = np.array([[unit in clip for unit in units] for clip in clips], dtype=np.float64).reshape(-1, len(units))
    together = coded.T @ coded  # (A, A), with the count of each unit on the diagonal
    there = together.diagonal()[None, :]
    share = np.divide(together, there, out=np.zeros_like(together), where=there > 0)
    np.fill_diagonal(share, 1)
    root = share.sum(axis=1) ** -0.5
    return np.asarray(root[:, None] * share.T * root, dtype=np.float32)
