"""ResNet-18 on motion: on flow and strain in the place of colours, on MMNet's own difference of two pictures, or on a
dynamic image.

He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016; torchvision's network with as many
outputs as there are classes. On flow it is MEB's baseline (tvaranka/meb at f731b0a); on the difference it is the
whole network; the baseline in MMNet's table 3 (`--variant baseline`) has four of its eight blocks. On the dynamic image
it is a single-task ablation of GEME (Neurocomputing 2021), whose second stream and gender head would need labels that
are not public; formula and settings are ours.

Deliberate differences: no ImageNet weights, which MEB and GEME start from.

Legend: B batch, K classes.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from mer_cli.motion.inputs import MotionInput


class ResNet18Flow(nn.Module):
    """ResNet-18 on u, v and strain: 11,178,051 parameters for three classes.

    Parameters
    ----------
    n_classes : number of emotion classes, K
    """

    INPUT: ClassVar = MotionInput(112)

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.network = _resnet18(n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, K) of u, v and strain, (B, 3, 112, 112) float."""
        logits: Tensor = self.network(x)
        return logits  # (B, K)


class ResNet18Dynamic(nn.Module):
    """ResNet-18 on the dynamic image of the whole clip: 11,178,051 parameters for three classes.

    Parameters
    ----------
    n_classes : number of emotion classes, K
    """

    INPUT: ClassVar = MotionInput(224, ("dynamic",))

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.network = _resnet18(n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, K) of dynamic images, (B, 3, 224, 224) float, red, green and blue."""
        logits: Tensor = self.network(x)
        return logits  # (B, K)


class ResNet18Difference(nn.Module):
    """ResNet-18 on what MMNet's main branch sees: 11,178,051 parameters for three classes.

    Parameters
    ----------
    n_classes : number of emotion classes, K
    """

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.network = _resnet18(n_classes)

    def forward(self, onset: Tensor, apex: Tensor) -> Tensor:
        """Logits (B, K) of onset and apex, (B, 3, 224, 224) float each, RGB, ImageNet-normalised."""
        logits: Tensor = self.network(apex - onset)
        return logits  # (B, K)


def _resnet18(n_classes: int) -> nn.Module:
    from torchvision.models import resnet18  # takes as long to import as torch itself, and no other network needs it

    network: nn.Module = resnet18(weights=None, num_classes=n_classes)
    return network
