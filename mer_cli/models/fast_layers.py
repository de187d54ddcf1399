"""The parts of MMNet that are written for speed; each equals a plain layer, which its docstring names.

`mmnet.py` uses them by plain names, so you can read the network without opening this file. For each of them a test
compares values and gradients with the plain layer (`tests/test_models_fast_layers.py`).

Gains are of a bf16 training step of 32 pairs; docs/performance.md describes the machines, Z5 (two CPU cores) and H200.

Legend: B batch, C channels, H and W rows and columns, N tokens, d width of a head.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConvolutionPair(nn.Sequential):
    """Convolution, BatchNorm and ReLU, twice; the channels in between are padded to a number that has fast kernels.

    Equals `nn.Sequential` of the same six layers. If the channels of a pixel are adjacent in memory (channels last),
    the channels between the convolutions are padded with zeros to a multiple of 64, so 180 become 192: the fast kernels
    accept no other number. A contiguous input takes the plain layers.

    Gain: 93 ms of 2.34 s on Z5, and 0.6 ms of 8.0 ms on the H200.
    """

    def forward(self, x: Tensor) -> Tensor:
        layers: Any = tuple(self)  # typed as plain modules otherwise
        first, first_norm, first_relu, second, second_norm, second_relu = layers
        n_missing = -first.out_channels % 64
        if n_missing and x.is_contiguous(memory_format=torch.channels_last):
            filters = F.pad(first.weight, (0, 0, 0, 0, 0, 0, 0, n_missing))  # more filters
            x = F.conv2d(x, filters, stride=first.stride, padding=first.padding)
            x = first_relu(_padded_norm(first_norm, x))
            filters = F.pad(second.weight, (0, 0, 0, 0, 0, n_missing))  # deeper filters
            x = F.conv2d(x, filters, padding=second.padding)
        else:
            x = second(first_relu(first_norm(first(x))))
        features: Tensor = second_relu(second_norm(x))
        return features


def _padded_norm(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Apply BatchNorm to `x`, which has more channels than `norm`; the extra ones are zero and stay zero."""
    known, padding = slice(norm.num_features), (0, x.shape[1] - norm.num_features)
    mean, variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
    assert norm.momentum is not None
    means, variances, weight, bias = (F.pad(held, padding) for held in (mean, variance, norm.weight, norm.bias))
    normalised = F.batch_norm(x, means, variances, weight, bias, norm.training, norm.momentum, norm.eps)
    if norm.training:  # F.batch_norm has updated the padded copies of the running statistics
        mean.copy_(means[known])
        variance.copy_(variances[known])
        norm.get_buffer("num_batches_tracked").add_(1)
    return normalised


def channel_pools(features: Tensor) -> Tensor:
    """Return the mean and the maximum over the channels of each pixel; the gradients of both take one pass.

    Equals `torch.cat([features.mean(1, keepdim=True), features.max(1, keepdim=True).values], dim=1)`; the maximum's
    gradient goes to the first of equal channels. (`amax` would not do: it finds the channel by its value. A compiler
    that computes and rounds that value twice then finds none, and the gradient is 0 / 0.)

    Gain: 66 ms of 2.34 s on Z5, in the first block alone.

    Parameters
    ----------
    features : (B, C, H, W)

    Returns
    -------
    (B, 2, H, W)
    """
    pooled: Tensor = _ChannelPools.apply(features)[0]
    return pooled


class _ChannelPools(torch.autograd.Function):
    """`channel_pools` and the channel of the maximum, (B, 1, H, W) int16."""

    @staticmethod
    def forward(features: Tensor) -> tuple[Tensor, Tensor]:
        largest = features.max(dim=1, keepdim=True)
        pooled = torch.cat([features.mean(1, keepdim=True), largest.values], dim=1)  # (B, 2, H, W)
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
        return torch.where(channels == channel, of_largest, of_all).permute(0, 3, 1, 2)  # the features' memory layout


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return the attention of queries q to keys k with values v: softmax(q k^T / sqrt(d)) v.

    Equals `F.scaled_dot_product_attention`, which a GPU uses. On a CPU the products and the softmax are separate: the
    fused kernel takes three times as long in bf16.

    Gain: 71 ms of 2.34 s on Z5.

    Parameters
    ----------
    q, k, v : (B, heads, N, d)

    Returns
    -------
    (B, heads, N, d)
    """
    if q.is_cuda:
        return F.scaled_dot_product_attention(q, k, v)
    return torch.softmax(q * q.shape[-1] ** -0.5 @ k.transpose(-2, -1), dim=-1) @ v
