"""Takes normalised onset and apex pictures as float tensors, gives logits; one file per network, read like its paper.

Nothing here knows of clips, folds or files, except `official`, which maps a released state dict onto `mmnet`.
"""

from typing import Any

from mer_cli.models.mmnet import MMNet

NETWORKS = {"mmnet": MMNet}


def build_model(name: str, n_classes: int, **options: Any) -> MMNet:
    """A freshly initialised network; its forward pass takes (onset, apex), each (B, 3, 224, 224).

    Parameters
    ----------
    options : keyword arguments of the network's class
    """
    return NETWORKS[name](n_classes, **options)
