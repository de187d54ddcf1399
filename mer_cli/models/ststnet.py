"""STSTNet: a shallow triple-stream three-dimensional CNN on optical flow and strain.

Liong, Gan, See, Khor, Huang, "Shallow Triple Stream Three-dimensional CNN (STSTNet) for Micro-expression Recognition",
FG 2019 (arXiv 1902.03634); checked against the authors' PyTorch file (christy1206/STSTNet at 1afb56e,
`main.py`). Three branches of 3, 5 and 8 filters see the same image of motion; one linear layer reads their pooled
outputs.

Deliberate differences: none in what the PyTorch file computes. The branches differ only in their number of filters, so
they are one branch of 16 here: an epoch takes 33 ms instead of 54 (Z4 of docs/performance.md). That file pads by 2,
and the paper to the same size, which is 10x10 either way after the pooling. It has batch normalisation, which makes 13
parameters more than the 1,670 that the paper prints. The faces are this store's crops, not the paper's 170x140 ones.

Legend: B batch, K classes.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from mer_cli.motion.inputs import MotionInput

N_FILTERS = 3 + 5 + 8  # of the three branches


class STSTNet(nn.Module):
    """The network STSTNet, which sees flow (u, v) and strain at 28x28: 1,683 parameters for three classes."""

    INPUT: ClassVar = MotionInput(28)

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.branches = nn.Sequential(
            nn.Conv2d(self.INPUT.n_planes, N_FILTERS, kernel_size=3, padding=2),
            nn.ReLU(inplace=True),
            nn.BatchNorm2d(N_FILTERS),
            nn.MaxPool2d(kernel_size=3, stride=3, padding=1),
            nn.Dropout(0.5),
        )
        self.pool = nn.AvgPool2d(2)
        self.head = nn.Linear(N_FILTERS * 5 * 5, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, (B, K), for planes of u, v and strain, (B, 3, 28, 28) float."""
        x = self.pool(self.branches(x))  # (B, 16, 10, 10) -> (B, 16, 5, 5)
        logits: Tensor = self.head(x.flatten(1))  # (B, 400) -> (B, K)
        return logits
