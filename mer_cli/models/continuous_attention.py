"""MMNet's attention: the map of a block, multiplied by that of the block before it (equation 1 of arXiv 2201.05297).

Legend: B batch, C channels, H and W rows and columns.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ChannelPools(torch.autograd.Function):
    """Mean and largest of each pixel's channels; the largest one's gradient goes to that channel, the first of equals.

    Written out, because `amax` looks for the channel by its value when the gradient comes. A compiler computes that
    value a second time, and where it rounds it differently finds no channel: the gradient is then 0 / 0. And both
    gradients in one pass take half the time of two.
    """

    @staticmethod
    def forward(features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) in; out come mean and largest, (B, 2, H, W), and the largest one's channel, (B, 1, H, W)."""
        largest = features.max(dim=1, keepdim=True)
        pooled = torch.cat([features.mean(1, keepdim=True), largest.values], dim=1)
        return pooled, largest.indices.to(torch.int16)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(output[1])
        ctx.mark_non_differentiable(output[1])
        ctx.n_channels = inputs[0].shape[1]
        ctx.is_channels_last = inputs[0].is_contiguous(memory_format=torch.channels_last)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> Tensor:
        (channel,) = ctx.saved_tensors
        channels = torch.arange(ctx.n_channels, dtype=channel.dtype, device=channel.device)
        of_all = gradient[:, :1] / ctx.n_channels
        of_largest = of_all + gradient[:, 1:]
        if not ctx.is_channels_last:
            return torch.where(channels[:, None, None] == channel, of_largest, of_all)
        of_all, of_largest, channel = (x.permute(0, 2, 3, 1) for x in (of_all, of_largest, channel))  # (B, H, W, 1)
        return torch.where(channels == channel, of_largest, of_all).permute(0, 3, 1, 2)  # in memory as the features lie


class SpatialAttention(nn.Module):
    """The attention map of one block, multiplied by the map of the block before it where there is one (equation 1).

    M_l = sigmoid(BN(conv1x1([mean_C F, max_C F]))) * maxpool(M_{l-1}); the first block has no prior map. Because the
    product is handed on, the chain is cumulative: a region that one block closes stays closed.

    Parameters
    ----------
    kernel : side of the convolution; the paper takes 1, CBAM (Woo et al. 2018) 7
    """

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel_size=kernel, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(1)

    def forward(self, features: Tensor, prior: Tensor | None) -> Tensor:
        pooled: Tensor = ChannelPools.apply(features)[0]  # (B, 2, H, W)
        own = torch.sigmoid(self.norm(self.conv(pooled)))  # (B, 1, H, W)
        if prior is None:
            return own
        if prior.shape[-1] != own.shape[-1]:
            prior = F.max_pool2d(prior, kernel_size=3, stride=2, padding=1)  # (B, 1, H, W)
        return own * prior
