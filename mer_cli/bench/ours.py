"""Our training as it is measured: the trainer of `mer train`, on pictures of the store's shape."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from mer_cli.bench.pictures import N_CLASSES, draw_windows
from mer_cli.training.batches import PairBatches
from mer_cli.training.config import TrainConfig
from mer_cli.training.loop import FoldTrainer


def make_trainer(config: TrainConfig, n_clips: int) -> FoldTrainer:
    return FoldTrainer(PairBatches(draw_windows(n_clips), config, torch.device(config.device)), N_CLASSES, config)


def our_step(config: TrainConfig) -> Callable[[], object]:
    """A step, its batch made as well."""
    return our_epoch(config, config.batch_size, n_held_out=0)


def our_epoch(config: TrainConfig, n_clips: int, n_held_out: int) -> Callable[[], object]:
    """An epoch of `n_clips`, and the logits of held-out clips after it."""
    trainer = make_trainer(config, n_clips + n_held_out)
    rng = np.random.default_rng(0)
    held_out = torch.arange(n_clips, n_clips + n_held_out, device=config.device)
    trainer.steps.prepare(n_clips)

    def epoch() -> object:
        draw = trainer.batches.draw_epoch(np.arange(n_clips), rng)
        loss = trainer.steps.train_epoch(draw, draw.row % N_CLASSES)
        return loss, trainer.steps.plain_logits(held_out) if n_held_out else None

    return epoch
