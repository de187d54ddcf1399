"""How each network on motion was trained by those who published it, as data; the loss is cross-entropy throughout.

The networks that take MMNet's pictures take MMNet's recipes too (`training.config`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mer_cli.motion.inputs import Normalisation


@dataclass(frozen=True)
class Recipe:
    """A published training recipe.

    optimiser : "adam"; "sgd", with momentum .9
    weight_decay : the optimiser's own, not decoupled
    normalisation : of its input, "raw" where they do not say (`motion.normalise`)
    decay, decay_every : factor on the learning rate, and the number of epochs after which it is taken each time
    takes_flow : whether a run may choose the optical flow that it sees
    source : where the numbers are from, and which of them are ours
    """

    optimiser: Literal["adam", "sgd"]
    learning_rate: float
    epochs: int
    batch_size: int
    source: str
    weight_decay: float = 0.0
    normalisation: Normalisation = "raw"
    decay: float = 1.0
    decay_every: int = 1
    takes_flow: bool = True


RECIPES: dict[str, Recipe] = {
    "ststnet": Recipe(
        "adam",
        5e-5,
        500,
        256,
        normalisation="minmax8",
        source="paper (500 epochs) and christy1206/STSTNet main.py, which runs 800",
    ),
    "offapexnet": Recipe(
        "adam",
        1e-4,
        3000,
        64,
        normalisation="minmax8",
        source="paper and STSTNet's table V; MEB adds weight decay 1e-3",
    ),
    "sssnet": Recipe("adam", 1e-4, 200, 32, weight_decay=1e-3, source="tvaranka/meb; batches there are 32 to 256"),
    "resnet18-flow": Recipe("adam", 1e-4, 50, 32, weight_decay=1e-3, source="tvaranka/meb"),
    "rcn-a": Recipe("sgd", 5e-4, 20, 64, decay=0.5, decay_every=10, source="README of xiazhaoqiang/ParameterFreeRCNs"),
    "dual-inception": Recipe("adam", 1e-3, 500, 32, source="paper, second-hand; the batch is ours"),
    "dssn": Recipe("adam", 1e-4, 15, 32, source="Justin900429/PyTorch-DSSN-MER"),
    "tscnn-lite": Recipe(
        "adam",
        1e-3,
        100,
        16,
        weight_decay=5e-4,
        source="SKD-TSTSAN; the epochs are ours, its 20,000 steps would be some 1,300",
    ),
    "augcn-flow": Recipe("adam", 1e-4, 15, 32, source="Justin900429's re-implementation; the authors' batch is 64"),
    "di-resnet18": Recipe("adam", 1e-4, 50, 32, takes_flow=False, source="ours; GEME's own are not public"),
}
