"""Count a network's arithmetic, memory and parameters from shapes alone, without computing it."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mer_cli.motion.inputs import MotionInput
from mer_cli.runs.methods import METHODS

IMAGE = (3, 224, 224)


def without_numbers(name: str, n_classes: int, n_clips: int, **options: Any) -> tuple[nn.Module, list[Tensor]]:
    """Return the network of a method and inputs for `n_clips` clips, both without values (on torch's meta device).

    Parameters
    ----------
    options : keyword arguments of the network's class
    """
    wanted = METHODS[name].sees
    with torch.device("meta"):
        network = METHODS[name].build(n_classes, **options)
        if not isinstance(wanted, MotionInput):
            return network, [torch.empty(n_clips, *IMAGE), torch.empty(n_clips, *IMAGE)]
        inputs = [torch.empty(n_clips, wanted.n_planes, wanted.size, wanted.size)]
        return network, inputs + ([torch.empty(len(wanted.units), len(wanted.units))] if wanted.units else [])


@cache
def count_operations(name: str, n_classes: int, **options: Any) -> int:
    """Return the floating-point operations of one clip's forward pass, in convolutions and matrix products."""
    network, inputs = without_numbers(name, n_classes, 1, **options)
    with FlopCounterMode(display=False) as counter:
        network.eval()(*inputs)
    return int(counter.get_total_flops())


@cache
def count_saved(name: str, n_classes: int, n_clips: int = 2, **options: Any) -> int:
    """Return the bytes for each clip that a float32 training step keeps in memory for its backward pass."""
    network, inputs = without_numbers(name, n_classes, n_clips, **options)
    saved: dict[int, torch.UntypedStorage] = {}

    def save(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        saved[storage._cdata] = storage  # its identity: several tensors may share it
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
        network.train()(*inputs)
    of_weights = {parameter.untyped_storage()._cdata for parameter in network.parameters()}
    return sum(storage.nbytes() for key, storage in saved.items() if key not in of_weights) // n_clips


@cache
def count_weight_bytes(name: str, n_classes: int, **options: Any) -> int:
    """Return the size of the network's state dict in bytes, BatchNorm's statistics included."""
    network, _ = without_numbers(name, n_classes, 1, **options)
    return sum(tensor.nbytes for tensor in network.state_dict().values())


def count_parameters(name: str, n_classes: int, **options: Any) -> int:
    """Return the number of the network's trained parameters."""
    network, _ = without_numbers(name, n_classes, 1, **options)
    return sum(parameter.numel() for parameter in network.parameters())
