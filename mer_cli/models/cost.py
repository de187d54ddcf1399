"""How much arithmetic a network is, so that cheap ones can be trained first. Nothing is computed to find out."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from mer_cli.models import build_model, motion_input

PICTURE = (3, 224, 224)


@cache
def count_operations(name: str, n_classes: int, **options: Any) -> int:
    """Floating-point operations of a forward pass for one clip, those of convolutions and matrix products alone.

    Parameters
    ----------
    options : keyword arguments of the network's class
    """
    wanted = motion_input(name)
    with torch.device("meta"):  # shapes without numbers
        network = build_model(name, n_classes, **options).eval()
        if wanted is None:
            inputs = [torch.empty(1, *PICTURE), torch.empty(1, *PICTURE)]
        else:
            inputs = [torch.empty(1, wanted.n_planes, wanted.size, wanted.size)]
            inputs += [torch.empty(len(wanted.units), len(wanted.units))] if wanted.units else []
        with FlopCounterMode(display=False) as counter:
            network(*inputs)
    return int(counter.get_total_flops())
