"""The plain training that ours is compared with: the same network and recipe, written like the released script.

Float32, contiguous, eager; a DataLoader without workers that reads nine JPEGs a sample, of which the network uses two,
and augments each sample on the processor. On a GPU it has torch's defaults: TF32 in convolutions, not in products.

The images are generated: smooth patches with a sensor's noise, as large as a store's. No time depends on them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from mer_cli.faces.crop import CROP_SIZE
from mer_cli.runs.config import TrainConfig
from mer_cli.system.opencv import cv2
from mer_cli.training.batches import IMAGENET_MEAN, IMAGENET_STD

Image = NDArray[np.uint8]

N_CLASSES = 5
NOISE = 3  # grey levels either way
FRAMES_READ = 9
ONSET, APEX = 0, FRAMES_READ - 1
JPEG_QUALITY = 95


def draw_image(rng: np.random.Generator) -> Image:
    """Return a random image, patches of colour under noise, (224, 224, 3) uint8."""
    patches = rng.integers(NOISE, 256 - NOISE, (14, 14, 3)).repeat(CROP_SIZE // 14, 0).repeat(CROP_SIZE // 14, 1)
    noise = rng.integers(-NOISE, NOISE + 1, (CROP_SIZE, CROP_SIZE, 1))
    return np.asarray(patches + noise, dtype=np.uint8)


def write_clips(folder: Path, n_clips: int) -> list[Path]:
    """Write nine JPEG files for each clip, each clip in a folder of its own; return the folders."""
    rng = np.random.default_rng(0)
    folders = [folder / f"{number:04}" for number in range(n_clips)]
    for clip in folders:
        clip.mkdir()
        for frame in range(FRAMES_READ):
            cv2.imwrite(str(clip / f"{frame}.jpg"), draw_image(rng), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return folders


def read_image(path: Path) -> Image:
    """Return the image in a file, (H, W, 3) uint8, RGB."""
    image = cv2.imread(str(path))
    assert image is not None, path
    return np.asarray(image[..., ::-1], dtype=np.uint8).copy()


class ReleasedClips(Dataset[tuple[Tensor, Tensor, int]]):
    """A torch dataset like the released script's: nine JPEG files a clip, of which onset and apex are one sample."""

    def __init__(self, folders: list[Path], config: TrainConfig) -> None:
        self.folders = folders
        self.normalise = transforms.Compose([transforms.ToTensor(), transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD)])
        self.augment = transforms.Compose(
            [
                transforms.RandomHorizontalFlip(config.flip),
                transforms.RandomRotation(config.rotation),
                transforms.RandomCrop(CROP_SIZE, padding=config.padding),
            ]
        )

    def __len__(self) -> int:
        return len(self.folders)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor, int]:
        frames = [self.normalise(read_image(path)) for path in sorted(self.folders[number].iterdir())]
        moved: Tensor = self.augment(torch.cat(frames))  # (27, 224, 224)
        return moved[3 * ONSET : 3 * ONSET + 3], moved[3 * APEX : 3 * APEX + 3], number % N_CLASSES


def reference_step(config: TrainConfig) -> Callable[[], None]:
    """Return a function that runs a plain training step on images that are already on the device."""
    onset, apex = torch.randn(2, config.batch_size, 3, CROP_SIZE, CROP_SIZE, device=config.device)
    labels = torch.arange(config.batch_size, device=config.device) % N_CLASSES
    return partial(_step, *_network(config), onset, apex, labels)


def reference_epoch(config: TrainConfig, folders: list[Path]) -> Callable[[], None]:
    """Return a function that runs a plain training epoch, which reads the clips from JPEG files in `folders`."""
    loader = DataLoader(ReleasedClips(folders, config), config.batch_size, shuffle=True)
    network, optimiser = _network(config)

    def epoch() -> None:
        for batch in loader:
            _step(network, optimiser, *(tensor.to(config.device) for tensor in batch))

    return epoch


def _network(config: TrainConfig) -> tuple[nn.Module, torch.optim.Optimizer]:
    network = config.method.build(N_CLASSES, **config.network_options).to(config.device)
    rate, decay = config.learning_rate, config.weight_decay
    return network, torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay)


def _step(network: nn.Module, optimiser: torch.optim.Optimizer, onset: Tensor, apex: Tensor, labels: Tensor) -> None:
    loss = F.cross_entropy(network(onset, apex), labels)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
