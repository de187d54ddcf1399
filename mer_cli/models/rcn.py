"""RCN-A: a recurrent convolutional network with attention that has no parameters of its own.

Xia, Peng, Khor, Feng, Zhao, "Revealing the Invisible with Model and Data Shrinking for Composite-database
Micro-expression Recognition", IEEE Transactions on Image Processing 2020 (arXiv 2006.09674); sizes of the README of
xiazhaoqiang/ParameterFreeRCNs-MicroExpressionRec at 0c516cb. One convolution is applied repeatedly to the sum of its
input and its last output; the classifier's own weights say where on the face the classes look.

Deliberate differences from the authors' file:
- a small number is added to the range by which the attention map is stretched to 0..1; a flat map would divide by 0;
- the map is made of the weights of the classifier itself (the file calls one layer by two names).

Legend: B batch, D = 32 feature maps, P = 5 rows and columns of the pooled map, K classes.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_cli.motion.inputs import MotionInput

WIDTH = 32
POOLED = 5
EPSILON = 1e-6


class RecurrentConvolution(nn.Module):
    """A 1x1 convolution, then twice the same 3x3 convolution on the sum of the input and its last output."""

    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Sequential(nn.Conv2d(WIDTH, WIDTH, kernel_size=1), nn.BatchNorm2d(WIDTH), nn.ReLU(inplace=True))
        self.repeated = nn.Sequential(
            nn.Conv2d(WIDTH, WIDTH, kernel_size=3, padding=1), nn.BatchNorm2d(WIDTH), nn.ReLU(inplace=True)
        )
        self.reduce = nn.Sequential(nn.MaxPool2d(2), nn.Dropout(0.5))

    def forward(self, x: Tensor) -> Tensor:
        y = self.start(x)  # (B, D, 28, 28)
        for _ in range(2):
            y = self.repeated(x + y)
        out: Tensor = self.reduce(y)  # (B, D, 14, 14)
        return out


class RCNA(nn.Module):
    """The network RCN-A, which sees flow (u, v) and strain at 60x60: 15,331 parameters for three classes."""

    INPUT: ClassVar = MotionInput(60)

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(self.INPUT.n_planes, WIDTH, kernel_size=5),
            nn.BatchNorm2d(WIDTH),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Dropout(0.5),
        )
        self.recurrent = RecurrentConvolution()
        self.head = nn.Linear(WIDTH * POOLED * POOLED, n_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, (B, K), for planes of u, v and strain, (B, 3, 60, 60) float."""
        stem = self.stem(x)  # (B, D, 28, 28)
        attention = self.attention(F.adaptive_avg_pool2d(stem, POOLED))  # (B, 1, P, P)
        features = F.adaptive_avg_pool2d(self.recurrent(stem), POOLED)  # (B, D, P, P)
        logits: Tensor = self.head((features * attention).flatten(1))  # (B, K)
        return logits

    def attention(self, pooled: Tensor) -> Tensor:
        """Return the attention map, (B, 1, P, P) in 0..1, of the pooled stem features, (B, D, P, P).

        The weights of each class, as a map, times the features are averaged over the D maps and stretched to 0..1 clip
        by clip; the result is averaged over the classes.
        """
        weights = self.head.weight.view(-1, WIDTH, POOLED, POOLED)  # (K, D, P, P)
        maps = torch.einsum("kdij,bdij->bkij", weights, pooled) / WIDTH  # (B, K, P, P)
        low, high = maps.amin((2, 3), keepdim=True), maps.amax((2, 3), keepdim=True)
        return ((maps - low) / (high - low + EPSILON)).mean(1, keepdim=True)  # (B, 1, P, P)
