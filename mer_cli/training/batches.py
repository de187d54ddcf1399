"""Make batches of normalised onset-apex pairs on the device, augmented for training.

The windows are copied to the device once. What is random in an epoch (order, frames, flip, rotation, shift, colour) is
drawn for all clips in one go. Onset and apex of a clip always share the draw; otherwise their difference would show the
augmentation instead of the muscles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mer_cli.faces.frames import HALF_WINDOW
from mer_cli.runs.config import TrainConfig
from mer_cli.runs.frame_draw import draw_reach

CENTRE = HALF_WINDOW  # index of the labelled frame in its window
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601 luma, as torchvision's colour jitter uses it


@dataclass(frozen=True)
class Windows:
    """The frames around onset and apex of N clips, as in the store; row i of each array is the same clip.

    onset, apex : (N, 7, S, S, 3) uint8, RGB
    onset_numbers, apex_numbers : (N, 7) int32, numbers of these frames in the release; -1 if it does not have the frame
    offset_numbers : (N,) int32, frame number of the offset
    """

    onset: NDArray[np.uint8]
    apex: NDArray[np.uint8]
    onset_numbers: NDArray[np.int32]
    apex_numbers: NDArray[np.int32]
    offset_numbers: NDArray[np.int32]


@dataclass(frozen=True)
class EpochDraw:
    """The random choices of one epoch, for n clips in the order in which the epoch trains on them.

    row : (n,) int64, row of the clip in the windows
    onset_frame, apex_frame : (n,) int64, index in the window
    flip : (n,) bool · angle : (n,) float32, radians · shift : (n, 2) int64, pixels (x, y)
    color : (n, 3) float32, factors of brightness, contrast and saturation
    """

    row: Tensor
    onset_frame: Tensor
    apex_frame: Tensor
    flip: Tensor
    angle: Tensor
    shift: Tensor
    color: Tensor


def frame_ranges(windows: Windows, frame_jitter: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first and last window index that may stand for the onset and the apex of each clip in training.

    `released`: the onset up to floor(.15 (apex - onset) / 4) frames late, the apex up to as many early (`CASME2_5.py`);
    `released-3`: the onset with .2 instead, the apex up to floor(.15 (offset - apex) / 4) late as well (`CASME2_3.py`);
    `around`: two frames on either side (the paper's "four frames around") and the labelled frame itself. A frame that
    the release does not have is never drawn.

    Returns
    -------
    low, high : (2, N) int64 each, row 0 for the onset and row 1 for the apex, ends included
    """
    numbers = np.stack([windows.onset_numbers, windows.apex_numbers])  # (2, N, 7)
    rise = windows.apex_numbers[:, CENTRE] - windows.onset_numbers[:, CENTRE]
    fall = windows.offset_numbers - windows.apex_numbers[:, CENTRE]
    before, after = (reach.clip(0, CENTRE) for reach in draw_reach(frame_jitter, rise, fall))
    held = numbers >= 0
    held_before = np.cumprod(held[:, :, CENTRE - 1 :: -1], axis=2).sum(axis=2)
    held_after = np.cumprod(held[:, :, CENTRE + 1 :], axis=2).sum(axis=2)
    return CENTRE - np.minimum(before, held_before), CENTRE + np.minimum(after, held_after)


def plain_images(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return images, (B, S, S, 3) uint8 RGB, as a network sees them: (B, 3, S, S) float32, normalised.

    Parameters
    ----------
    mean, std : `IMAGENET_MEAN` and `IMAGENET_STD` on the images' device
    """
    return ((images.float() / 255 - mean) / std).permute(0, 3, 1, 2)


class PairBatches:
    """All clips of a run in the device's memory, from which batches of onset-apex pairs are made (a `loop.Batches`)."""

    def __init__(self, windows: Windows, config: TrainConfig, device: torch.device) -> None:
        self.config = config
        self.device = device
        self.low, self.high = frame_ranges(windows, config.frame_jitter)
        self.onset = torch.from_numpy(windows.onset).to(device)
        self.apex = torch.from_numpy(windows.apex).to(device)
        self.size = windows.onset.shape[2]
        self.mean = torch.tensor(IMAGENET_MEAN, device=device)
        self.std = torch.tensor(IMAGENET_STD, device=device)
        self.grey = torch.tensor(GREY, device=device)

    def __len__(self) -> int:
        return len(self.onset)

    def start_fold(self, train_rows: NDArray[np.int64]) -> None:
        """Do nothing: image pairs, unlike motion, are normalised in the same way in every fold."""

    def draw_epoch(self, rows: NDArray[np.int64], rng: np.random.Generator) -> EpochDraw:
        """Return the random choices of an epoch: the order of the clips in `rows`, their frames and augmentation."""
        config, n = self.config, len(rows)
        rows = rng.permutation(rows)
        frames = rng.integers(self.low[:, rows], self.high[:, rows] + 1)
        draws = (
            rows,
            frames[0],
            frames[1],
            rng.random(n) < config.flip,
            np.deg2rad(rng.uniform(-config.rotation, config.rotation, n)).astype(np.float32),
            rng.integers(-config.padding, config.padding + 1, (n, 2)),
            rng.uniform(1 - config.color_jitter, 1 + config.color_jitter, (n, 3)).astype(np.float32),
        )
        on_cuda = self.device.type == "cuda"
        return EpochDraw(*(torch.from_numpy(draw).to(self.device, non_blocking=on_cuda) for draw in draws))

    def training_batch(self, draw: EpochDraw, batch: slice | Tensor) -> tuple[Tensor, Tensor]:
        """Return the augmented onset and apex of some of the clips of an epoch's draw.

        Parameters
        ----------
        batch : a slice of the draw, or (B,) int64 positions in it

        Returns
        -------
        onset, apex : (B, 3, S, S) float32 in channels-last memory, ImageNet-normalised; 0, the average colour, outside
            the image
        """
        row = draw.row[batch]
        onset = self.onset[row, draw.onset_frame[batch]].float() / 255  # (B, S, S, 3)
        apex = self.apex[row, draw.apex_frame[batch]].float() / 255
        if self.config.color_jitter > 0:
            onset, apex = _jitter_color(onset, apex, draw.color[batch], self.grey)
        source, inside = _source_pixels(draw.flip[batch], draw.angle[batch], draw.shift[batch], self.size)
        return self._resample(onset, source, inside), self._resample(apex, source, inside)

    def plain_batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return labelled onset and apex of the clips in `rows`, not augmented, shaped as in `training_batch`."""
        onset, apex = (plain_images(images[rows, CENTRE], self.mean, self.std) for images in (self.onset, self.apex))
        return onset, apex

    def _resample(self, image: Tensor, source: Tensor, inside: Tensor) -> Tensor:
        flat = ((image - self.mean) / self.std).flatten(1, 2)  # (B, S*S, 3)
        moved = flat.gather(1, source[..., None].expand(-1, -1, 3)) * inside[..., None]
        return moved.view(-1, self.size, self.size, 3).permute(0, 3, 1, 2)  # (B, 3, S, S)


def _source_pixels(flip: Tensor, angle: Tensor, shift: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return the pixel that each pixel of the augmented image shows (nearest neighbour), and whether there is one.

    The released script flips, rotates and then crops from the padded image. In reverse, a pixel is shifted, rotated and
    flipped. What the rotation moved out of the image does not come back through the shift.
    """
    axis = torch.arange(size, device=angle.device)
    x = axis[None, None, :] + shift[:, 0, None, None]  # (B, 1, S)
    y = axis[None, :, None] + shift[:, 1, None, None]  # (B, S, 1)
    middle = (size - 1) / 2
    cos, sin = torch.cos(angle)[:, None, None], torch.sin(angle)[:, None, None]
    column = torch.round(cos * (x - middle) - sin * (y - middle) + middle).long()  # (B, S, S)
    row = torch.round(sin * (x - middle) + cos * (y - middle) + middle).long()
    inside = (x >= 0) & (x < size) & (y >= 0) & (y < size)
    inside = inside & (column >= 0) & (column < size) & (row >= 0) & (row < size)
    column = torch.where(flip[:, None, None], size - 1 - column, column)
    source = torch.where(inside, row * size + column, 0)
    return source.flatten(1), inside.flatten(1)


def _jitter_color(onset: Tensor, apex: Tensor, factors: Tensor, grey: Tensor) -> tuple[Tensor, Tensor]:
    """Change brightness, contrast (around the onset's mean grey) and saturation of both images by the same factors.

    Parameters
    ----------
    onset, apex : (B, S, S, 3) float, RGB, 0..1
    factors : (B, 3) float
    """
    brightness, contrast, saturation = (factors[:, k, None, None, None] for k in range(3))
    mean = (brightness * onset @ grey).clamp(0, 1).mean((1, 2))[:, None, None, None]
    jittered = []
    for image in (onset, apex):
        bright = (brightness * image).clamp(0, 1)
        contrasted = (mean + contrast * (bright - mean)).clamp(0, 1)
        luma = (contrasted @ grey)[..., None]
        jittered.append((luma + saturation * (contrasted - luma)).clamp(0, 1))
    return jittered[0], jittered[1]
