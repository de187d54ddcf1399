"""Dual-Inception: a stream of two Inception blocks on each component of the flow from onset to apex.

Zhou, Mao, Xue, "Dual-Inception Network for Cross-Database Micro-Expression Recognition", FG 2019. There is no code of
the authors; the layers are those of a re-implementation (ECNU-Cross-Innovation-Lab/PRICAI2021-Off-TANet at b6149ba).
Another (xiazhaoqiang/Benchmark-MicroExpressionRec at 78d418c) shows both streams three channels at 20x20.

Deliberate differences: the flow is computed at 224x224 and made smaller, and then normalised ("standard"); the
re-implementation computes it between images of 28x28 and does not normalise it.

Legend: B batch, n filters of each path, K classes.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from mer_cli.motion.inputs import MotionInput


class InceptionBlock(nn.Module):
    """Four parallel paths, concatenated: convolutions 1x1; 1x1, 3x3; 1x1, 5x5; max pooling, 1x1; all with n filters.

    A ReLU follows each convolution but that of the first path, which is alone in it.
    """

    def __init__(self, in_channels: int, n: int) -> None:
        super().__init__()
        self.paths = nn.ModuleList(
            (
                nn.Conv2d(in_channels, n, 1),
                nn.Sequential(_conv(in_channels, n, 1), _conv(n, n, 3)),
                nn.Sequential(_conv(in_channels, n, 1), _conv(n, n, 5)),
                nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), _conv(in_channels, n, 1)),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([path(x) for path in self.paths], dim=1)  # (B, 4n, H, W)


class DualInception(nn.Module):
    """The network Dual-Inception, which sees the flow (u, v) at 28x28: 6,449,867 parameters for three classes."""

    INPUT: ClassVar = MotionInput(28, ("u", "v"))

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.horizontal, self.vertical = _stream(), _stream()
        self.head = nn.Sequential(
            nn.Linear(2 * 64 * 7 * 7, 1024),
            nn.ReLU(inplace=True),
            nn.Linear(1024, n_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, (B, K), for planes of u and v, (B, 2, 28, 28) float."""
        u, v = self.horizontal(x[:, :1]), self.vertical(x[:, 1:])  # (B, 3136) each
        logits: Tensor = self.head(torch.cat([u, v], dim=1))  # (B, K)
        return logits


def _stream() -> nn.Sequential:
    """Return the layers of a stream, (B, 1, 28, 28) -> (B, 3136)."""
    return nn.Sequential(
        InceptionBlock(1, 6),
        nn.MaxPool2d(2),  # (B, 24, 14, 14)
        InceptionBlock(24, 16),
        nn.MaxPool2d(2),  # (B, 64, 7, 7)
        nn.Flatten(),
    )


def _conv(in_channels: int, n: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, n, kernel, padding=kernel // 2), nn.ReLU(inplace=True))
