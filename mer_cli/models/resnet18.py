"""ResNet-18 on motion: on flow and strain, on MMNet's difference of two images, or on a dynamic image.

He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016; torchvision's network with as many
outputs as there are classes. On flow it is MEB's baseline (tvaranka/meb at f731b0a). On the difference it is the whole
network; the baseline in MMNet's table 3 (`--variant baseline`) has four of its eight blocks. On the dynamic image it is
a single-task ablation of GEME (Neurocomputing 2021), which has a second stream and a gender head too; those need labels
that are not public. Formula and settings are ours.

Deliberate differences: no ImageNet weights, which MEB and GEME start from.

Legend: B batch, K classes.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from mer_cli.motion.inputs import MotionInput


class _ResNet18(nn.Module):
    def __init__(self, n_classes: int) -> None:
        from torchvision.models import resnet18  # takes as long to import as torch, and no other network needs it

        super().__init__()
        self.network = resnet18(weights=None, num_classes=n_classes)


class ResNet18Flow(_ResNet18):
    """The network ResNet-18, which sees flow (u, v) and strain at 112x112: 11,178,051 parameters for three classes."""

    INPUT: ClassVar = MotionInput(112)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, (B, K), for planes of u, v and strain, (B, 3, 112, 112) float."""
        logits: Tensor = self.network(x)
        return logits  # (B, K)


class ResNet18Dynamic(_ResNet18):
    """The network ResNet-18, which sees the dynamic image of a whole clip: 11,178,051 parameters for three classes."""

    INPUT: ClassVar = MotionInput(224, ("dynamic",))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, (B, K), for dynamic images, (B, 3, 224, 224) float, RGB."""
        logits: Tensor = self.network(x)
        return logits  # (B, K)


class ResNet18Difference(_ResNet18):
    """The network ResNet-18, on apex minus onset, like MMNet's main branch: 11,178,051 parameters for three classes."""

    def forward(self, onset: Tensor, apex: Tensor) -> Tensor:
        """Return the logits, (B, K), for onset and apex, (B, 3, 224, 224) float each, RGB, ImageNet-normalised."""
        logits: Tensor = self.network(apex - onset)
        return logits  # (B, K)
