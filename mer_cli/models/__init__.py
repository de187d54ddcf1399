"""Takes normalised pictures or motion as float tensors, gives logits; one file per network, read like its paper.

Nothing here knows of clips, folds or files, except `official`, which maps a released state dict onto `mmnet`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mer_cli.motion.inputs import MotionInput

if TYPE_CHECKING:
    from torch import nn

# File and class of each network; imported where one is built, so that names and recipes are there without torch.
NETWORKS = {
    "mmnet": "mmnet.MMNet",
    "ststnet": "ststnet.STSTNet",
    "offapexnet": "offapexnet.OFFApexNet",
    "sssnet": "sssnet.SSSNet",
    "resnet18-flow": "resnet18.ResNet18Flow",
    "resnet18-diff": "resnet18.ResNet18Difference",
    "rcn-a": "rcn.RCNA",
    "dual-inception": "dual_inception.DualInception",
    "dssn": "dssn.DSSN",
    "tscnn-lite": "tscnn.TSCNNLite",
    "augcn-flow": "augcn.AUGCNFlow",
    "di-resnet18": "resnet18.ResNet18Dynamic",
}


def build_model(name: str, n_classes: int, **options: Any) -> nn.Module:
    """A freshly initialised network, which gives logits (B, K).

    Its forward pass takes one picture of motion, (B, P, S, S), as `motion_input` says, and where that names action
    units their graph, (A, A); where it says None, an onset and an apex, each (B, 3, 224, 224).

    Parameters
    ----------
    options : keyword arguments of the network's class
    """
    return _network_class(name)(n_classes, **options)


def motion_input(name: str) -> MotionInput | None:
    """What a network takes in the place of two pictures; None where it takes those."""
    return getattr(_network_class(name), "INPUT", None)


def _network_class(name: str) -> type[nn.Module]:
    file, _, class_name = NETWORKS[name].partition(".")
    found: type[nn.Module] = getattr(import_module(f"{__name__}.{file}"), class_name)
    return found
