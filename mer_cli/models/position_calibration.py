"""MMNet's position-calibration (PC) branch: where on the face something is, from the onset alone.

Of arXiv 2201.05297; its sizes are those of the released code (muse1998/MMNet at 7b62fa9, `PC_module.py`).

Legend: B batch, N = 14*14 tokens, D = 512 token width, d = D / heads.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GRID = 14  # rows and columns of the last feature map, and of the onset picture that the PC branch sees
WIDTH = 512  # channels of that map, and width of a PC token


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
        mixed = _attend(q, k, v).transpose(1, 2).reshape(B, N, D)  # (B, N, D)
        x = x + self._kept(self.project(mixed))
        x = x + self._kept(self.mlp2(F.gelu(self.mlp1(self.norm2(x)))))  # (B, N, D)
        return x

    def _kept(self, branch: Tensor) -> Tensor:
        """Stochastic depth (Huang et al. 2016), a draw for each clip; what is kept is scaled up."""
        if not self.training or self.skip == 0:
            return branch
        return branch * torch.empty_like(branch[:, :1, :1]).bernoulli_(1 - self.skip).div_(1 - self.skip)


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(d)) v, of (B, heads, N, d) each; the fused form takes a CPU three times as long in bf16."""
    if q.is_cuda:
        return F.scaled_dot_product_attention(q, k, v)
    return torch.softmax(q * q.shape[-1] ** -0.5 @ k.transpose(-2, -1), dim=-1) @ v


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
