"""The labels of a fold's training side: the true ones, or permuted ones under `--shuffle-labels`, the null control.

Only the labels change: weights, batch order and augmentation are those of the ordinary run of that seed. Held-out
labels stay as they are. Evaluation uses the second function, since no label is stored with a prediction. No torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mer_cli.training.config import TrainConfig
from mer_cli.training.streams import Stream, fold_seed


def training_labels(
    fold_id: str, clip_ids: Sequence[str], labels: Mapping[str, int], config: TrainConfig
) -> dict[str, int]:
    """The labels that a fold's training clips are learnt with, by clip id."""
    return _labels(fold_id, clip_ids, labels, config, "shuffle")


def inner_labels(
    fold_id: str, clip_ids: Sequence[str], labels: Mapping[str, int], config: TrainConfig
) -> dict[str, int]:
    """The labels that a fold's epoch is chosen by under `inner-val`: permuted too, or true labels would choose it."""
    return _labels(fold_id, clip_ids, labels, config, "shuffle-inner")


def _labels(
    fold_id: str, clip_ids: Sequence[str], labels: Mapping[str, int], config: TrainConfig, stream: Stream
) -> dict[str, int]:
    ordered = sorted(clip_ids)
    classes = np.array([labels[clip_id] for clip_id in ordered], dtype=np.int64)
    if config.shuffle_labels:
        classes = np.random.default_rng(fold_seed(config.seed, fold_id, stream)).permutation(classes)
    return dict(zip(ordered, classes.tolist(), strict=True))
