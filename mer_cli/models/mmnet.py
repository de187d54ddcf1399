"""MMNet: a muscle-motion-guided network for micro-expression recognition.

Li, Sui, Zhu, Zhao, "MMNet: Muscle Motion-guided Network for Micro-expression Recognition", IJCAI 2022
(arXiv 2201.05297), figure 2 and equations 1-3; the sizes are those of the authors' five-class script
(muse1998/MMNet at 7b62fa9: `CASME2_5.py`, `CA_block.py`, `PC_module.py`). The main branch sees only apex minus onset:
how the muscles moved. The position-calibration (PC) branch sees only the onset at 14x14: where on the face that is.
Their sum is classified.

Deliberate differences from the released class:
- the layers that its forward pass never uses are left out: 532,106 parameters;
- two pictures come in, not nine;
- the onset is scaled to 14x14 without antialiasing, which is what its torchvision of 2022 did;
- the attention maps can be had from the same forward pass (`forward_with_maps`).

The paper's ablations (tables 3 to 5) are options of the same network: what a block is made of, whether and how it
attends, whether there is a PC branch and how deep it is. No script of them was released;
section 3.3 says what they are, and `VARIANTS` of `training/mmnet_settings.py` names them.

Legend: B batch, C channels, H and W rows and columns, K classes.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_cli.models.continuous_attention import SpatialAttention
from mer_cli.models.position_calibration import GRID, WIDTH, PositionCalibration

Block = Literal["ca", "basic"]
Attention = Literal["continuous", "independent", "none"]
Stem = Literal["released", "figure", "literal"]

# Channels after each of the two stem convolutions, then after each block, and the stride of the first convolution.
# Where the stem keeps the picture's size (the paper's figure 2), the first block halves it (equations 2 and 3).
SHAPES: dict[Stem, tuple[tuple[int, int], tuple[int, int, int, int], int]] = {
    "released": ((180, 128), (128, 128, 256, WIDTH), 2),
    "figure": ((180, 128), (128, 128, 256, WIDTH), 1),
    "literal": ((32, 32), (64, 128, 256, WIDTH), 1),
}


class StemLayers(nn.Sequential):
    """Convolution, BatchNorm and ReLU, twice.

    Where a pixel's channels lie side by side, those between the convolutions are filled up with zeros to a multiple of
    64, which changes no number: fast kernels take no other count. The released one, 180, costs a GPU a twelfth of a
    step, and BatchNorm on the CPU three times as long as 192.
    """

    def forward(self, difference: Tensor) -> Tensor:
        layers: Any = tuple(self)  # of kinds that a Sequential does not tell
        first, first_norm, first_relu, second, second_norm, second_relu = layers
        n_missing = -first.out_channels % 64
        if n_missing and difference.is_contiguous(memory_format=torch.channels_last):
            filters = F.pad(first.weight, (0, 0, 0, 0, 0, 0, 0, n_missing))  # more of them
            x = F.conv2d(difference, filters, stride=first.stride, padding=first.padding)
            x = first_relu(_filled_norm(first_norm, x))
            filters = F.pad(second.weight, (0, 0, 0, 0, 0, n_missing))  # deeper ones
            x = F.conv2d(x, filters, padding=second.padding)
        else:
            x = second(first_relu(first_norm(first(difference))))
        features: Tensor = second_relu(second_norm(x))
        return features


def _filled_norm(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """BatchNorm of a picture with more channels than it knows; those behind are zeros, and stay it."""
    known, fill = slice(norm.num_features), (0, x.shape[1] - norm.num_features)
    mean, variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
    assert norm.momentum is not None
    means, variances, weight, bias = (F.pad(held, fill) for held in (mean, variance, norm.weight, norm.bias))
    normalised = F.batch_norm(x, means, variances, weight, bias, norm.training, norm.momentum, norm.eps)
    if norm.training:  # which has moved the running statistics
        mean.copy_(means[known])
        variance.copy_(variances[known])
        norm.get_buffer("num_batches_tracked").add_(1)
    return normalised


class ResidualBlock(nn.Module):
    """A residual block whose output may be weighted by an attention map (equations 2, 3).

    Parameters
    ----------
    second_kernel : side of the second convolution: 1 in the paper's CA block, 3 in ResNet-18's basic block
    projects : whether the shortcut is a 1x1 convolution even where the shape does not change
    attention : what makes the map; None leaves the output as it is
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        second_kernel: int = 1,
        projects: bool = False,
        attention: SpatialAttention | None = None,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, second_kernel, padding=second_kernel // 2, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.shortcut: nn.Module = nn.Identity()
        if projects or stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )
        self.attention = attention

    def forward(self, x: Tensor, prior: Tensor | None) -> tuple[Tensor, Tensor | None]:
        residual = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)), inplace=True)))
        features = F.relu(residual + self.shortcut(x), inplace=True)  # (B, C, H, W)
        if self.attention is None:
            return features, None
        attention: Tensor = self.attention(features, prior)  # (B, 1, H, W)
        return features * attention, attention


class MMNet(nn.Module):
    """MMNet; by default as its authors trained it, 9,438,841 parameters for five classes.

    Parameters
    ----------
    n_classes : number of emotion classes, K
    stem : "released"; "figure", which keeps the picture's size as the paper draws it; "literal", the widths that follow
        from equations 2 and 3, with a 1x1 shortcut in every block
    block : "ca", 3x3 then 1x1; "basic", ResNet-18's 3x3 then 3x3
    attention : "continuous" hands each block's map on; "independent" does not; "none" has no maps
    attention_kernel : side of the attention's convolution
    pc : whether there is a PC branch
    n_layers, n_heads : transformer layers and heads of the PC branch (the paper's N_L and N_H)
    mlp_ratio : hidden width of a transformer layer's MLP, in token widths
    stochastic_depth : probability of skipping in the last transformer layer, while training
    """

    def __init__(
        self,
        n_classes: int = 5,
        *,
        stem: Stem = "released",
        block: Block = "ca",
        attention: Attention = "continuous",
        attention_kernel: int = 1,
        pc: bool = True,
        n_layers: int = 2,
        n_heads: int = 4,
        mlp_ratio: int = 4,
        stochastic_depth: float = 0.0,
    ) -> None:
        super().__init__()
        (first, second), widths, stride = SHAPES[stem]
        self.stem = StemLayers(
            nn.Conv2d(3, first, kernel_size=3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(inplace=True),
            nn.Conv2d(first, second, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(second),
            nn.ReLU(inplace=True),
        )
        self.blocks = nn.ModuleList(
            ResidualBlock(
                in_channels,
                out_channels,
                stride=1 if index == 0 and stride == 2 else 2,
                second_kernel=1 if block == "ca" else 3,
                projects=stem == "literal",
                attention=None if attention == "none" else SpatialAttention(attention_kernel),
            )
            for index, (in_channels, out_channels) in enumerate(pairwise((second, *widths)))
        )
        self.hands_on = attention == "continuous"
        self.position = PositionCalibration(n_layers, n_heads, mlp_ratio, stochastic_depth) if pc else None
        self.head = nn.Linear(WIDTH * GRID * GRID, n_classes)
        self._initialise()

    def forward(self, onset: Tensor, apex: Tensor) -> Tensor:
        """Logits of each pair.

        Parameters
        ----------
        onset, apex : (B, 3, 224, 224) float, RGB, ImageNet-normalised

        Returns
        -------
        (B, K) float
        """
        return self.forward_with_maps(onset, apex)[0]

    def forward_with_maps(self, onset: Tensor, apex: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Logits (B, K), and each block's attention map M_l: (B, 1, S, S) in 0..1 with S = 112, 56, 28 and 14.

        Without attention there are no maps.
        """
        x = self.stem(apex - onset)  # (B, 128, 112, 112)
        prior: Tensor | None = None
        maps: list[Tensor] = []
        for block in self.blocks:
            x, attention = block(x, prior)
            if attention is not None:
                maps.append(attention)
            prior = attention if self.hands_on else None
        if self.position is not None:
            x = x + self.position(onset)  # (B, 512, 14, 14)
        return self.head(x.flatten(1)), tuple(maps)  # (B, K)

    def _initialise(self) -> None:
        """The released initialisation: kaiming for the main branch's convolutions, normal for the PC branch.

        The released normal is cut off at -2 and 2, a hundred standard deviations away: never, but looking for what is
        to be cut takes most of the time that a fold's fresh weights do.
        The first stem convolution, the patch convolution and the head keep torch's default.
        """
        if self.head.weight.is_meta:  # a network to be counted, whose drawing would load torch's compiler
            return
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d) and (name == "stem.3" or name.startswith("blocks")):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.Linear) and name.startswith("position"):
                nn.init.normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        if self.position is not None:
            nn.init.normal_(self.position.position, std=0.02)
