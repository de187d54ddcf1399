"""DSSN: two truncated AlexNets, one on the flow with its magnitude and one on the flow with its strain.

Khor, See, Liong, Phan, Lin, "Dual-stream Shallow Networks for Facial Micro-expression Recognition", ICIP 2019;
IcedDoggie/DSSN-MER at 763f257 (Keras) and Justin900429/PyTorch-DSSN-MER at 740d8cc. Each stream stops after CaffeNet's
second convolution; the two maps are multiplied, which was the best of the paper's three merges.

Deliberate differences:
- it is trained from scratch: the published streams start from CaffeNet's ImageNet weights, and torchvision's AlexNet
  has other shapes. So its input is not normalised by ImageNet's mean;
- the streams see what they see in the re-implementation: u and v, with magnitude or strain as the third plane;
- local response normalisation follows the pooling, as in CaffeNet; the re-implementation has it before.

Legend: B batch, K classes.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from mer_cli.motion.inputs import MotionInput


class DSSN(nn.Module):
    """The network DSSN, which sees flow, its strain and magnitude at 227x227: 972,805 parameters for five classes."""

    INPUT: ClassVar = MotionInput(227, ("u", "v", "strain", "magnitude"))

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.strain_stream, self.magnitude_stream = _stream(), _stream()
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(256 * 15 * 15, n_classes))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, (B, K), for planes of u, v, strain and magnitude, (B, 4, 227, 227) float."""
        strained = self.strain_stream(x[:, :3])  # (B, 256, 15, 15)
        strong = self.magnitude_stream(x[:, [0, 1, 3]])  # (B, 256, 15, 15)
        logits: Tensor = self.head(strained * strong)  # (B, K)
        return logits


def _stream() -> nn.Sequential:
    """Return the layers of a stream, (B, 3, 227, 227) -> (B, 256, 15, 15)."""
    return nn.Sequential(
        nn.Conv2d(3, 96, kernel_size=11, stride=4),  # (B, 96, 55, 55)
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2),  # (B, 96, 27, 27)
        nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2),
        nn.Conv2d(96, 256, kernel_size=5, padding=2, groups=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2),  # (B, 256, 13, 13)
        nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2),
        nn.ZeroPad2d(1),
    )
