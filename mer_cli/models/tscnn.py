"""TSCNN-lite: three streams, on the whole apex frame, on its blocks, and on the flow from onset to apex.

Song, Li, Zong, Zhu, Zheng, Shi, Zhao, "Recognizing Spontaneous Micro-Expression Using a Three-Stream Convolutional
Neural Network", IEEE Access 2019. Its own sizes are not public; the streams here are those of its successor
SKD-TSTSAN (arXiv 2406.17538; MIT) without its additions.

Deliberate differences, and so "lite":
- no pretraining on FER2013, which the published numbers have;
- the temporal stream sees only the flow from onset to apex: the store has no offset frame for the flow to it.

Legend: B batch, K classes.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from mer_cli.motion.inputs import GRID, MotionInput

PLANES = (1, GRID * GRID, 2)  # of the static stream, the local one and the temporal one


class TSCNNLite(nn.Module):
    """The network TSCNN-lite, which sees apex, apex blocks and flow at 48x48: 921,093 parameters for five classes."""

    INPUT: ClassVar = MotionInput(48, ("apex", "apex-grid", "u", "v"))

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.streams = nn.ModuleList(stream(n_planes) for n_planes in PLANES)
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(len(PLANES) * 128, n_classes))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, (B, K), for planes of the apex, its 16 blocks, u and v, (B, 19, 48, 48) float."""
        parts = x.split(PLANES, dim=1)  # (B, 1 | 16 | 2, 48, 48)
        features = [stream(part) for stream, part in zip(self.streams, parts, strict=True)]  # (B, 128) each
        logits: Tensor = self.head(torch.cat(features, dim=1))  # (B, 384) -> (B, K)
        return logits


def stream(n_planes: int) -> nn.Sequential:
    """Return the layers of one stream of the network, (B, n_planes, 48, 48) -> (B, 128)."""
    return nn.Sequential(
        *_conv(n_planes, 64, 5, padding=0),  # (B, 64, 44, 44)
        nn.MaxPool2d(5, stride=2, padding=2),  # (B, 64, 22, 22)
        *_conv(64, 64, 3, padding=1),
        *_conv(64, 64, 3, padding=1),
        nn.AvgPool2d(3, stride=2, padding=1),  # (B, 64, 11, 11)
        *_conv(64, 128, 3, padding=1),
        *_conv(128, 128, 3, padding=1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def _conv(in_channels: int, out_channels: int, kernel: int, padding: int) -> tuple[nn.Module, ...]:
    conv = nn.Conv2d(in_channels, out_channels, kernel, padding=padding)
    return conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)
