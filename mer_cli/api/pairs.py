"""The clips of a store as a torch dataset, for a training loop of your own."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from mer_cli.training.batches import IMAGENET_MEAN, IMAGENET_STD


class PairDataset(Dataset[tuple[Tensor, Tensor, int]]):
    """Onset, apex and label of each clip, sorted by clip id, as a network of `mer` sees them, without augmentation.

    An image is (3, 224, 224) float32, RGB, normalised by ImageNet's mean and deviation.

    ids : clip ids · labels : (N,) int64 · class_names : in label order
    """

    def __init__(
        self,
        images: tuple[NDArray[np.uint8], NDArray[np.uint8]],
        label_of: Mapping[str, int],
        class_names: tuple[str, ...],
    ) -> None:
        self.ids, self.class_names = tuple(label_of), class_names
        self.labels = torch.tensor(list(label_of.values()), dtype=torch.int64)
        self._onset, self._apex = images  # as bytes, a quarter of the memory
        self._mean, self._std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        return self._normalised(self._onset[index]), self._normalised(self._apex[index]), int(self.labels[index])

    def _normalised(self, image: NDArray[np.uint8]) -> Tensor:
        return ((torch.from_numpy(image).float() / 255 - self._mean) / self._std).permute(2, 0, 1)
