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
attends, whether there is a PC branch and how deep it is. None of them was released; `variants` names the readings.

Legend: B batch, C channels, H and W rows and columns, N = 14*14 tokens, D = 512 token width, K classes.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_cli.models.continuous_attention import SpatialAttention

GRID = 14  # rows and columns of the last feature map, and of the onset picture that the PC branch sees
WIDTH = 512  # channels of that map, and width of a PC token

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

    On a GPU the channels between them are filled up with zeros to a multiple of 64, which changes no number: its fast
    kernels take no other count, and the released one, 180, costs a twelfth of a step.
    """

    def forward(self, difference: Tensor) -> Tensor:
        first, first_norm, first_relu, second, second_norm, second_relu = self
        x: Tensor = first_relu(first_norm(first(difference)))
        n_missing = -x.shape[1] % 64
        if x.is_cuda and n_missing:
            fill = (0, 0, 0, 0, 0, n_missing)  # of the last two dimensions nothing, of the channels behind
            x = F.conv2d(F.pad(x, fill), F.pad(second.get_parameter("weight"), fill), padding=1)
        else:
            x = second(x)
        x = second_relu(second_norm(x))
        return x


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


class TransformerLayer(nn.Module):
    """Pre-norm self-attention and MLP over the onset's tokens; in training a clip skips either with chance `skip`."""

    def __init__(self, width: int, n_heads: int, mlp_ratio: int, skip: float) -> None:
        super().__init__()
        self.n_heads, self.skip = n_heads, skip
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp1 = nn.Linear(width, mlp_ratio * width)
        self.mlp2 = nn.Linear(mlp_ratio * width, width)

    def forward(self, x: Tensor) -> Tensor:
        B, N, D = x.shape
        qkv = self.qkv(self.norm1(x)).view(B, N, 3, self.n_heads, D // self.n_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, N, D / heads)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(B, N, D)  # (B, N, D)
        x = x + self._kept(self.project(mixed))
        x = x + self._kept(self.mlp2(F.gelu(self.mlp1(self.norm2(x)))))  # (B, N, D)
        return x

    def _kept(self, branch: Tensor) -> Tensor:
        """Stochastic depth (Huang et al. 2016), a draw for each clip; what is kept is scaled up."""
        if not self.training or self.skip == 0:
            return branch
        return branch * torch.empty_like(branch[:, :1, :1]).bernoulli_(1 - self.skip).div_(1 - self.skip)


class PositionCalibration(nn.Module):
    """The PC branch: a small vision transformer, without class token, whose patches are single pixels of the onset."""

    def __init__(self, n_layers: int, n_heads: int, mlp_ratio: int, stochastic_depth: float) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, WIDTH, kernel_size=1)
        self.position = nn.Parameter(torch.zeros(1, GRID * GRID, WIDTH))
        skips = [stochastic_depth * index / max(n_layers - 1, 1) for index in range(n_layers)]  # rising with depth
        self.layers = nn.ModuleList([TransformerLayer(WIDTH, n_heads, mlp_ratio, skip) for skip in skips])
        self.norm = nn.LayerNorm(WIDTH, eps=1e-6)

    def forward(self, onset: Tensor) -> Tensor:
        small = F.interpolate(onset, size=(GRID, GRID), mode="bilinear", align_corners=False, antialias=False)
        x: Tensor = self.patch(small).flatten(2).transpose(1, 2) + self.position  # (B, N, D)
        for layer in self.layers:
            x = layer(x)
        x = self.norm(x).transpose(1, 2).reshape(-1, WIDTH, GRID, GRID)  # (B, D, 14, 14)
        return x


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
        """The released initialisation: kaiming for the main branch's convolutions, truncated normal for the PC branch.

        The first stem convolution, the patch convolution and the head keep torch's default.
        """
        if self.head.weight.is_meta:  # a network to be counted, whose drawing would load torch's compiler
            return
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d) and (name == "stem.3" or name.startswith("blocks")):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.Linear) and name.startswith("position"):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        if self.position is not None:
            nn.init.trunc_normal_(self.position.position, std=0.02)
