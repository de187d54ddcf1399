"""AU-GCN on flow: patches at brows and mouth pass two transformers and are scored against a graph of action units.

Lei, Chen, Li, Li, "Micro-expression Recognition Based on Facial Graph Representation Learning and Facial Action Unit
Fusion", CVPR Workshops 2021 (reference 27 of MMNet); sizes of the authors' model file (raying777/FGRMER at 1ed1be2),
layers of a re-implementation (Justin900429/Facial-Graph-Representation-Learning at a41fe68). Each landmark is a node
and its patch is the token. A second graph tells which action units occur together in the training clips; its nodes
are the directions in which the two feature vectors of the face are scored.

A variant, hence its name. Deliberate differences:
- the patches show the magnitude of the flow at 128x128. The authors use the shape features of MagNet, a network for
  motion magnification with weights of its own; so there is no random amplification either;
- the six layers follow each other, with dropout .1, as in the re-implementation. The authors' loop feeds all of them
  the same tokens and keeps the last output, so theirs is one layer deep, with dropout .5.

Legend: B batch, N tokens, D = 49 pixels of a patch, h = 8 heads of d = 16, F = 160 features, A = 9 action units, K
classes.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_cli.motion.inputs import BROW_POINTS, MOUTH_POINTS, PATCH_SIZE, MotionInput

BROW_UNITS = (1, 2, 4)
MOUTH_UNITS = (10, 12, 14, 15, 17, 25)

N_PATCHES = len(BROW_POINTS) + len(MOUTH_POINTS)
TOKEN = PATCH_SIZE * PATCH_SIZE
N_LAYERS = 6
N_HEADS = 8
HEAD = 16
HIDDEN = 128
FEATURES = 160
EMBEDDING, GRAPH_HIDDEN = 40, 80
LAYER_DROPOUT, FEATURE_DROPOUT = 0.1, 0.5
EPSILON = 1e-6  # of every layer norm


class Attention(nn.Module):
    """Self-attention over the tokens; its heads together are wider than a token."""

    def __init__(self) -> None:
        super().__init__()
        self.query_key_value = nn.Linear(TOKEN, 3 * N_HEADS * HEAD, bias=False)
        self.project = nn.Linear(N_HEADS * HEAD, TOKEN)
        self.dropout = nn.Dropout(LAYER_DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        split = self.query_key_value(x).unflatten(2, (3, N_HEADS, HEAD))  # (B, N, 3, h, d)
        query, key, value = split.permute(2, 0, 3, 1, 4)  # (B, h, N, d) each
        heads = F.scaled_dot_product_attention(query, key, value).transpose(1, 2)  # (B, N, h, d)
        out: Tensor = self.dropout(self.project(heads.flatten(2)))
        return out  # (B, N, D)


class EncoderLayer(nn.Module):
    """Attention and a small MLP, each followed by a sum and a layer norm, as in the first transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = Attention()
        self.attention_norm = nn.LayerNorm(TOKEN, EPSILON)
        self.mlp = nn.Sequential(
            nn.Linear(TOKEN, HIDDEN), nn.ReLU(inplace=True), nn.Linear(HIDDEN, TOKEN), nn.Dropout(LAYER_DROPOUT)
        )
        self.mlp_norm = nn.LayerNorm(TOKEN, EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        x = self.attention_norm(x + self.attention(x))
        out: Tensor = self.mlp_norm(x + self.mlp(x))
        return out  # (B, N, D)


class GraphConvolution(nn.Module):
    """A layer that replaces each node by the sum of its neighbours, linearly mapped and weighted by the edges."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_in, n_out).uniform_(-(n_out**-0.5), n_out**-0.5))

    def forward(self, nodes: Tensor, adjacency: Tensor) -> Tensor:
        return F.leaky_relu(adjacency @ (nodes @ self.weight), 0.2)  # (A, n_out)


class AUGCNFlow(nn.Module):
    """The network AU-GCN, on patches of flow and a graph of action units: 1,047,176 parameters for three classes."""

    INPUT: ClassVar = MotionInput(PATCH_SIZE, ("patches",), units=BROW_UNITS + MOUTH_UNITS)

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.patches = nn.Sequential(
            nn.Conv2d(N_PATCHES, N_PATCHES, kernel_size=3, padding=1, groups=N_PATCHES),
            nn.BatchNorm2d(N_PATCHES),
            nn.ReLU(inplace=True),
            nn.Flatten(2),
        )
        self.brow, self.mouth = _face_part(len(BROW_POINTS)), _face_part(len(MOUTH_POINTS))
        self.units = nn.Parameter(torch.empty(len(self.INPUT.units), EMBEDDING).normal_(std=0.01))
        self.first_graph = GraphConvolution(EMBEDDING, GRAPH_HIDDEN)
        self.second_graph = GraphConvolution(GRAPH_HIDDEN, FEATURES)
        self.score_norm = nn.LayerNorm(len(self.INPUT.units), EPSILON)
        self.head = nn.Linear(len(self.INPUT.units), n_classes)

    def forward(self, patches: Tensor, adjacency: Tensor) -> Tensor:
        """Return the logits (B, K).

        Parameters
        ----------
        patches : (B, 30, 7, 7) float, the patches at the brows first
        adjacency : (9, 9) float, normalised adjacency of `INPUT.units` (`motion.images.unit_adjacency`)
        """
        tokens = self.patches(patches)  # (B, 30, D)
        brow_tokens, mouth_tokens = tokens.split([len(BROW_POINTS), len(MOUTH_POINTS)], dim=1)
        units = self.second_graph(self.first_graph(self.units, adjacency), adjacency)  # (A, F)
        brow_units, mouth_units = units.split([len(BROW_UNITS), len(MOUTH_UNITS)])
        scores = [self.brow(brow_tokens) @ brow_units.T, self.mouth(mouth_tokens) @ mouth_units.T]  # (B, 3), (B, 6)
        logits: Tensor = self.head(self.score_norm(torch.cat(scores, dim=1)))
        return logits  # (B, K)


def _face_part(n_tokens: int) -> nn.Sequential:
    """Return the layers from tokens (B, N, D) to the features of that part of the face (B, F)."""
    return nn.Sequential(
        *(EncoderLayer() for _ in range(N_LAYERS)),
        nn.Flatten(),
        nn.Linear(n_tokens * TOKEN, 320),
        nn.ReLU(inplace=True),
        nn.Dropout(FEATURE_DROPOUT),
        nn.Linear(320, FEATURES),
        nn.ReLU(inplace=True),
    )
