"""OFF-ApexNet: two small convolutional streams, one on each component of the flow from onset to apex.

Gan, Liong, Yau, Huang, Tan, "OFF-ApexNet on Micro-expression Recognition System", Signal Processing: Image
Communication 2019 (arXiv 1805.08699). There is no code of the authors; the layers are those of a re-implementation
(ECNU-Cross-Innovation-Lab/PRICAI2021-Off-TANet at b6149ba). Table V of the STSTNet paper says 2.77 million parameters,
that re-implementation's README 2.66.

Deliberate differences:
- a ReLU follows each convolution, as in the paper and not in the re-implementation;
- the flow is computed at 224x224, made smaller, and stretched to 0..255, as in the code of STSTNet, which is by the
  same authors; the re-implementation computes it between images of 28x28 and does not normalise it.

Legend: B batch, K classes.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from mer_cli.motion.inputs import MotionInput


class OFFApexNet(nn.Module):
    """The network OFF-ApexNet, which sees the flow (u, v) at 28x28: 2,664,475 parameters for three classes."""

    INPUT: ClassVar = MotionInput(28, ("u", "v"))

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.horizontal, self.vertical = _stream(), _stream()
        self.head = nn.Sequential(
            nn.Linear(2 * 16 * 7 * 7, 1024),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(1024, 1024),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(1024, n_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, (B, K), for planes of u and v, (B, 2, 28, 28) float."""
        u, v = self.horizontal(x[:, :1]), self.vertical(x[:, 1:])  # (B, 784) each
        logits: Tensor = self.head(torch.cat([u, v], dim=1))  # (B, K)
        return logits


def _stream() -> nn.Sequential:
    """Return the layers of a stream, (B, 1, 28, 28) -> (B, 784)."""
    return nn.Sequential(
        nn.Conv2d(1, 6, kernel_size=5, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),  # (B, 6, 14, 14)
        nn.Conv2d(6, 16, kernel_size=5, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),  # (B, 16, 7, 7)
        nn.Flatten(),
    )
