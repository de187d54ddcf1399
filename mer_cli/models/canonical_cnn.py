"""A small network on canonical flow, which is averaged over several starts and doesn't tell left from right.

An action unit on the left side of a face and the same unit on the right side mean the same class, so a clip and its
mirror image get the same answer by construction. A few hundred clips train a small network differently each time;
several of them, which differ in their first weights only, are trained side by side and their answers averaged.

Legend: B batch, M members, K classes, C channels of a member.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_cli.motion.inputs import MotionInput

SIZE = 16  # rows and columns of the input
WIDTHS = (8, 16)  # channels of a member after its two convolutions, C
DROPOUT = 0.5


class CanonicalCNN(nn.Module):
    """The network: M members of two 3x3 convolutions, a pool, and a linear layer each.

    Parameters
    ----------
    n_classes : number of emotion classes or action units, K
    n_members : M
    predicts_units : whether each logit is of an action unit, and not one of a softmax over classes

    Source
    ------
    ours
    """

    INPUT = MotionInput(SIZE, ("u", "v"))

    def __init__(self, n_classes: int = 5, *, n_members: int = 3, predicts_units: bool = False) -> None:
        super().__init__()
        self.n_members = n_members
        self.predicts_units = predicts_units
        first, second = (width * n_members for width in WIDTHS)
        self.features = nn.Sequential(
            nn.Conv2d(2, first, kernel_size=3, stride=2, padding=1, bias=False),  # 8x8
            nn.BatchNorm2d(first),
            nn.ReLU(inplace=True),
            nn.Conv2d(first, second, kernel_size=3, padding=1, groups=n_members, bias=False),
            nn.BatchNorm2d(second),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),  # 4x4
            nn.Dropout(DROPOUT),
        )
        # A linear layer for each member: a convolution in groups whose kernel covers the whole map.
        self.head = nn.Conv2d(second, n_classes * n_members, kernel_size=SIZE // 4, groups=n_members)

    def forward(self, motion: Tensor) -> Tensor:
        """Return the logits of clips, (B, K): the members' log probabilities, averaged, of a clip and its mirror image.

        Of action units the logits themselves are averaged, because a clip may show several.

        Parameters
        ----------
        motion : (B, 2, 16, 16) float, u and v
        """
        maps = self.features(torch.cat([motion, mirrored(motion)]))  # (2B, M C, 4, 4)
        logits: Tensor = self.head(maps).view(2, motion.shape[0], self.n_members, -1)  # (2, B, M, K)
        return (logits if self.predicts_units else F.log_softmax(logits, dim=-1)).mean(dim=(0, 2))


def mirrored(motion: Tensor) -> Tensor:
    """Return the motion that a mirror shows, (B, 2, S, S): left and right change places, and u its sign."""
    return motion.flip(-1) * motion.new_tensor([-1.0, 1.0]).view(1, 2, 1, 1)


def symmetrical(motion: Tensor) -> tuple[Tensor, Tensor]:
    """Return the motion of the two symmetrical faces that are made of a face's halves, (B, 2, S, S) each.

    The first is made of the person's left half, which is on the right of the image, and its mirror image.
    """
    half, other = motion.shape[-1] // 2, mirrored(motion)
    of_right = torch.cat([motion[..., :half], other[..., half:]], dim=-1)
    of_left = torch.cat([other[..., :half], motion[..., half:]], dim=-1)
    return of_left, of_right
