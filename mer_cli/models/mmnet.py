"""MMNet, the muscle motion-guided network for micro-expression recognition, in the order of its paper.

Li, Sui, Zhu, Zhao, "MMNet: Muscle Motion-guided Network for Micro-expression Recognition", IJCAI 2022 (arXiv
2201.05297). Figure 2: the main branch sees only apex minus onset, which shows how the muscles moved; the
position-calibration (PC) branch sees only the onset at 14x14, which shows where on the face that is. Their sum is
classified.

The paper gives few sizes; they are those of the authors' five-class script (muse1998/MMNet at 7b62fa9:
`CASME2_5.py`, `CA_block.py`, `PC_module.py`). Where the script differs from the paper, the script is followed:
- the stem halves the image and the first block keeps its size (in the paper the other way round: `stem="figure"`);
- the widths of the blocks are 128, 128, 256, 512, where equations 2 and 3 double them (`stem="literal"`);
- the first block's shortcut is the identity, where equation 2 has a 1x1 convolution (`stem="literal"`);
- BatchNorm follows every convolution of the main branch, the attention's too, and ReLU the sum of equation 2.

Deliberate differences from the script:
- layers that its forward pass never uses are left out: 532,106 parameters;
- the network takes two images, not nine;
- the onset is scaled to 14x14 without antialiasing, as torchvision did in 2022;
- the forward pass can return its attention maps (`forward_with_maps`).

The paper's ablations (tables 3 to 5, section 3.3) are options of the network. No script of them was released;
`VARIANTS` of `runs/variants.py` names them. `balanced` is ours: BatchNorm on each branch before their sum
(docs/results/mmnet-balance.md).

Legend: B batch, C channels, H and W rows and columns, K classes; N = 14 * 14 tokens, D = 512 width of a token,
h heads, d = D / h. `attend`, `channel_pools` and `ConvolutionPair` are plain layers, written for speed in
`fast_layers.py`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_cli.models.fast_layers import ConvolutionPair, attend, channel_pools

Block = Literal["ca", "basic"]
Attention = Literal["continuous", "independent", "none"]
Stem = Literal["released", "figure", "literal"]

GRID = 14  # rows and columns of the last feature map F_M, and of the onset that the PC branch sees
WIDTH = 512  # channels of F_M, and D
BALANCED_DEVIATION = 0.1  # of each branch before the sum in a balanced network, at first; chosen by measurement

# Channels of the stem's two convolutions; channels of the four blocks; stride of the stem. If that is 1, the first
# block halves the image.
SHAPES: dict[Stem, tuple[tuple[int, int], tuple[int, int, int, int], int]] = {
    "released": ((180, 128), (128, 128, 256, WIDTH), 2),
    "figure": ((180, 128), (128, 128, 256, WIDTH), 1),
    "literal": ((32, 32), (64, 128, 256, WIDTH), 1),
}


# --- Main branch: stem (figure 2) ---


def make_stem(first: int, second: int, stride: int) -> nn.Sequential:
    """Return the stem: two 3x3 convolutions with `first` and `second` filters; the first has the stride."""
    return ConvolutionPair(
        nn.Conv2d(3, first, kernel_size=3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(first),
        nn.ReLU(inplace=True),
        nn.Conv2d(first, second, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(second),
        nn.ReLU(inplace=True),
    )


# --- Main branch: continuous attention blocks (section 2.2) ---


class SpatialAttention(nn.Module):
    """The CA module M^i: it multiplies a block's attention map by the map of the block before (equation 1, figure 3b).

    Attn^i = sigmoid(BN(conv([mean_C F_conv; max_C F_conv]))) * maxpool(Attn^(i-1)); the first block lacks the last
    factor. The next block gets the product, so a region that one block closes stays closed.

    Parameters
    ----------
    kernel : side of the convolution: 1 in the paper, 7 in CBAM (Woo et al. 2018, figure 3a)
    """

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel_size=kernel, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(1)

    def forward(self, features: Tensor, prior: Tensor | None) -> Tensor:
        pooled = channel_pools(features)  # (B, 2, H, W)
        own = torch.sigmoid(self.norm(self.conv(pooled)))  # (B, 1, H, W)
        if prior is None:
            return own
        if prior.shape[-1] != own.shape[-1]:
            prior = F.max_pool2d(prior, kernel_size=3, stride=2, padding=1)  # (B, 1, H, W)
        return own * prior  # equation 1


class CABlock(nn.Module):
    """A residual block (equation 2) whose output is weighted by its attention map (equation 3).

    Parameters
    ----------
    second_kernel : side of the second convolution: 1 in the CA block, 3 in ResNet-18's block (the paper's baseline)
    projects : whether the shortcut is a 1x1 convolution even if the shape does not change
    attention : the CA module; None leaves the output unweighted
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
        residual = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)), inplace=True)))  # (B, C, H, W)
        features = F.relu(residual + self.shortcut(x), inplace=True)  # F_conv of equation 2: (B, C, H, W)
        if self.attention is None:
            return features, None
        attention: Tensor = self.attention(features, prior)  # (B, 1, H, W)
        return features * attention, attention  # equation 3


# --- Position-calibration branch (section 2.3) ---


class TransformerLayer(nn.Module):
    """Self-attention and MLP over the tokens, each after a LayerNorm.

    skip : probability in training that a clip skips the self-attention, and likewise the MLP
    """

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
        qkv = self.qkv(self.norm1(x)).view(B, N, 3, self.n_heads, D // self.n_heads)  # (B, N, 3, h, d)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (B, h, N, d) each
        mixed = attend(q, k, v).transpose(1, 2).reshape(B, N, D)  # (B, N, D)
        x = x + self.drop(self.project(mixed))
        return x + self.drop(self.mlp2(F.gelu(self.mlp1(self.norm2(x)))))  # (B, N, D)

    def drop(self, branch: Tensor) -> Tensor:
        """Apply stochastic depth (Huang et al. 2016): in training, zero `branch` for some clips, scale the rest up."""
        if not self.training or self.skip == 0:
            return branch
        return branch * torch.empty_like(branch[:, :1, :1]).bernoulli_(1 - self.skip).div_(1 - self.skip)


class PositionCalibration(nn.Module):
    """The PC module: a small vision transformer without class token; its patches are the pixels of the small onset."""

    def __init__(self, n_layers: int, n_heads: int, mlp_ratio: int, stochastic_depth: float) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, WIDTH, kernel_size=1)
        self.position = nn.Parameter(torch.zeros(1, GRID * GRID, WIDTH))
        skips = [stochastic_depth * index / max(n_layers - 1, 1) for index in range(n_layers)]  # rising with depth
        self.layers = nn.ModuleList([TransformerLayer(WIDTH, n_heads, mlp_ratio, skip) for skip in skips])
        self.norm = nn.LayerNorm(WIDTH, eps=1e-6)

    def forward(self, onset: Tensor) -> Tensor:
        size = (GRID, GRID)
        small = F.interpolate(onset, size, mode="bilinear", align_corners=False, antialias=False)  # (B, 3, 14, 14)
        x: Tensor = self.patch(small).flatten(2).transpose(1, 2) + self.position  # E_p: (B, N, D)
        for layer in self.layers:
            x = layer(x)
        x = self.norm(x).transpose(1, 2).reshape(-1, WIDTH, GRID, GRID)  # E_pos: (B, D, 14, 14)
        return x


# --- The whole network (figure 2) ---


class MMNet(nn.Module):
    """The network MMNet, by default as its authors trained it: 9,438,841 parameters for five classes.

    Parameters
    ----------
    n_classes : number of emotion classes, K
    stem : "released"; "figure", which keeps the image's size as the paper draws it; "literal", the widths and shortcuts
        of equations 2 and 3
    block : "ca", 3x3 then 1x1; "basic", ResNet-18's 3x3 then 3x3
    attention : "continuous" passes each block's map to the next; "independent" does not; "none" has no maps
    attention_kernel : side of the attention's convolution
    pc : whether there is a PC branch
    n_layers, n_heads : transformer layers and heads of the PC branch (the paper's N_L and N_H)
    mlp_ratio : hidden width of a transformer layer's MLP, as a multiple of D
    stochastic_depth : probability of skipping the last transformer layer's branches in training
    balanced : whether BatchNorm brings both branches to one deviation before their sum, a small one, so that a step of
        the optimiser can't move the logits of all clips far (ours)
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
        balanced: bool = False,
    ) -> None:
        super().__init__()
        (first, second), widths, stride = SHAPES[stem]
        self.stem = make_stem(first, second, stride)
        self.blocks = nn.ModuleList(
            CABlock(
                in_channels,
                out_channels,
                stride=1 if index == 0 and stride == 2 else 2,
                second_kernel=1 if block == "ca" else 3,
                projects=stem == "literal",
                attention=None if attention == "none" else SpatialAttention(attention_kernel),
            )
            for index, (in_channels, out_channels) in enumerate(pairwise((second, *widths)))
        )
        self.is_continuous = attention == "continuous"
        self.position = PositionCalibration(n_layers, n_heads, mlp_ratio, stochastic_depth) if pc else None
        self.main_norm = nn.BatchNorm2d(WIDTH) if balanced else nn.Identity()
        self.position_norm = nn.BatchNorm2d(WIDTH) if balanced and pc else nn.Identity()
        self.head = nn.Linear(WIDTH * GRID * GRID, n_classes)
        self._initialise()

    def forward(self, onset: Tensor, apex: Tensor) -> Tensor:
        """Return the logits of each pair of onset and apex.

        Parameters
        ----------
        onset, apex : (B, 3, 224, 224) float, RGB, ImageNet-normalised

        Returns
        -------
        (B, K) float
        """
        return self.forward_with_maps(onset, apex)[0]

    def forward_with_maps(self, onset: Tensor, apex: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the logits, (B, K), and the attention maps of the blocks, M1 to M4.

        A map is (B, 1, S, S) in 0..1, with S = 112, 56, 28 and 14. Without attention the tuple is empty.
        """
        x = self.stem(apex - onset)  # (B, 128, 112, 112)
        prior: Tensor | None = None
        maps: list[Tensor] = []
        for block in self.blocks:
            x, attention = block(x, prior)  # (B, C, S, S), (B, 1, S, S)
            if attention is not None:
                maps.append(attention)
            prior = attention if self.is_continuous else None
        x = self.main_norm(x)
        if self.position is not None:
            x = x + self.position_norm(self.position(onset))  # F_M + E_pos: (B, 512, 14, 14)
        return self.head(x.flatten(1)), tuple(maps)  # (B, K)

    def _initialise(self) -> None:
        """Draw the weights as the script does: Kaiming for the main branch, normal for the PC branch.

        The first stem convolution, the patch convolution and the head keep torch's default. The script cuts the normal
        off at -2 and 2, a hundred standard deviations away; not looking for such values saves most of the time.
        """
        if self.head.weight.is_meta:  # a network that is only counted; drawing would load torch's compiler
            return
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d) and (name == "stem.3" or name.startswith("blocks")):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.Linear) and name.startswith("position"):
                nn.init.normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        if self.position is not None:
            nn.init.normal_(self.position.position, std=0.02)
        for norm in (self.main_norm, self.position_norm):
            if isinstance(norm, nn.BatchNorm2d):
                nn.init.constant_(norm.weight, BALANCED_DEVIATION)
