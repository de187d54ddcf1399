"""The loss of a network: cross-entropy over classes, or of each action unit by itself."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_cli.runs.config import TrainConfig

Loss = Callable[[Tensor, Tensor], Tensor]


def loss_of(config: TrainConfig, network: nn.Module) -> Loss:
    """Return the loss that a network is trained with: a function of logits (B, K) and labels (B,) int64, their mean."""
    if config.predicts_units:
        return unit_loss
    return getattr(network, "loss", F.cross_entropy) if config.foreign else F.cross_entropy


def unit_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Return the binary cross-entropy of action units, averaged over units and clips.

    Parameters
    ----------
    logits : (B, K) float, one for each unit
    masks : (B,) int64, whose bit k says that the clip shows unit k (`datasets.unit_masks`)
    """
    bits = (masks[:, None] >> torch.arange(logits.shape[1], device=masks.device)) & 1
    return F.binary_cross_entropy_with_logits(logits, bits.to(logits.dtype))
