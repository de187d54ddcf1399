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

Legend: B batch, C channels, H and W rows and columns, N = 14*14 tokens, D = 512 token width, K classes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GRID = 14  # rows and columns of the last feature map, and of the onset picture that the PC branch sees
WIDTH = 512  # channels of that map, and width of a PC token


class ContinuousAttention(nn.Module):
    """The attention map of one block, multiplied by the map of the block before it (equation 1).

    M_l = sigmoid(BN(conv1x1([mean_C F, max_C F]))) * maxpool(M_{l-1}); the first block has no prior map. Because the
    product is handed on, the chain is cumulative: a region that one block closes stays closed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel_size=1, bias=False)
        self.norm = nn.BatchNorm2d(1)

    def forward(self, features: Tensor, prior: Tensor | None) -> Tensor:
        pooled = torch.cat([features.mean(1, keepdim=True), features.amax(1, keepdim=True)], dim=1)  # (B, 2, H, W)
        own = torch.sigmoid(self.norm(self.conv(pooled)))  # (B, 1, H, W)
        if prior is None:
            return own
        if prior.shape[-1] != own.shape[-1]:
            prior = F.max_pool2d(prior, kernel_size=3, stride=2, padding=1)  # (B, 1, H, W)
        return own * prior


class CABlock(nn.Module):
    """Continuous-attention block: a residual block whose output is weighted by the attention map (equations 2, 3)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, kernel_size=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )
        self.attention = ContinuousAttention()

    def forward(self, x: Tensor, prior: Tensor | None) -> tuple[Tensor, Tensor]:
        residual = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)), inplace=True)))
        features = F.relu(residual + self.shortcut(x), inplace=True)  # (B, C, H, W)
        attention = self.attention(features, prior)  # (B, 1, H, W)
        return features * attention, attention


class TransformerLayer(nn.Module):
    """Pre-norm self-attention and MLP over the onset's tokens."""

    def __init__(self, width: int, n_heads: int, mlp_ratio: int) -> None:
        super().__init__()
        self.n_heads = n_heads
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
        x = x + self.project(mixed)
        x = x + self.mlp2(F.gelu(self.mlp1(self.norm2(x))))  # (B, N, D)
        return x


class PositionCalibration(nn.Module):
    """The PC branch: a small vision transformer, without class token, whose patches are single pixels of the onset."""

    def __init__(self, n_layers: int, n_heads: int, mlp_ratio: int) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, WIDTH, kernel_size=1)
        self.position = nn.Parameter(torch.zeros(1, GRID * GRID, WIDTH))
        self.layers = nn.ModuleList([TransformerLayer(WIDTH, n_heads, mlp_ratio) for _ in range(n_layers)])
        self.norm = nn.LayerNorm(WIDTH, eps=1e-6)

    def forward(self, onset: Tensor) -> Tensor:
        small = F.interpolate(onset, size=(GRID, GRID), mode="bilinear", align_corners=False, antialias=False)
        x: Tensor = self.patch(small).flatten(2).transpose(1, 2) + self.position  # (B, N, D)
        for layer in self.layers:
            x = layer(x)
        x = self.norm(x).transpose(1, 2).reshape(-1, WIDTH, GRID, GRID)  # (B, D, 14, 14)
        return x


class MMNet(nn.Module):
    """MMNet as its authors trained it: 9,438,841 parameters for five classes.

    Parameters
    ----------
    n_classes : number of emotion classes, K
    n_layers, n_heads : transformer layers and heads of the PC branch (the paper's N_L and N_H)
    mlp_ratio : hidden width of a transformer layer's MLP, in token widths
    """

    def __init__(self, n_classes: int = 5, *, n_layers: int = 2, n_heads: int = 4, mlp_ratio: int = 4) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 180, kernel_size=3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(180),
            nn.ReLU(inplace=True),
            nn.Conv2d(180, 128, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(inplace=True),
        )
        self.blocks = nn.ModuleList(
            [
                CABlock(128, 128, stride=1),
                CABlock(128, 128, stride=2),
                CABlock(128, 256, stride=2),
                CABlock(256, WIDTH, stride=2),
            ]
        )
        self.position = PositionCalibration(n_layers, n_heads, mlp_ratio)
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
        """Logits (B, K), and each block's attention map M_l: (B, 1, S, S) in 0..1 with S = 112, 56, 28 and 14."""
        x = self.stem(apex - onset)  # (B, 128, 112, 112)
        attention: Tensor | None = None
        maps: list[Tensor] = []
        for block in self.blocks:
            x, attention = block(x, attention)
            maps.append(attention)
        x = x + self.position(onset)  # (B, 512, 14, 14)
        return self.head(x.flatten(1)), tuple(maps)  # (B, K)

    def _initialise(self) -> None:
        """The released initialisation: kaiming for the main branch's convolutions, truncated normal for the PC branch.

        The first stem convolution, the patch convolution and the head keep torch's default.
        """
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d) and (name == "stem.3" or name.startswith("blocks")):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.Linear) and name.startswith("position"):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        nn.init.trunc_normal_(self.position.position, std=0.02)
