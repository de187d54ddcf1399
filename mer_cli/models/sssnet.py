"""SSSNet: a shallow single-stream network that keeps the size of the motion.

Varanka, Li, Peng, Zhao, "Data Leakage and Evaluation Issues in Micro-Expression Analysis", IEEE Transactions on
Affective Computing 2023 (arXiv 2211.11425); tvaranka/meb at f731b0a (Apache-2.0). Two convolutions and one hidden
layer, on flow that is not stretched clip by clip.

Deliberate differences: none in the network. MEB uses another flow (classic+NL, in MATLAB), and it is not known whether
that was scaled.

Legend: B batch, K classes.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from mer_cli.motion.inputs import MotionInput


class SSSNet(nn.Module):
    """The network SSSNet, which sees flow (u, v) and strain at 64x64: 1,349,251 parameters for three classes."""

    INPUT: ClassVar = MotionInput(64)

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(self.INPUT.n_planes, 32, kernel_size=5),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3),  # (B, 32, 20, 20)
            nn.BatchNorm2d(32),
            nn.Dropout2d(0.5),
            nn.Conv2d(32, 64, kernel_size=3),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),  # (B, 64, 9, 9)
            nn.BatchNorm2d(64),
            nn.Dropout2d(0.5),
            nn.Flatten(),
        )
        self.head = nn.Sequential(
            nn.Linear(64 * 9 * 9, 256),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(256, n_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, (B, K), for planes of u, v and strain, (B, 3, 64, 64) float."""
        logits: Tensor = self.head(self.features(x))  # (B, 5184) -> (B, K)
        return logits
