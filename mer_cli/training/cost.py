"""Count a network's arithmetic, memory and parameters from shapes alone, without computing it."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mer_cli.motion.inputs import MotionInput
from mer_cli.runs.methods import Method
from mer_cli.runs.plan import RunPlan

IMAGE = (3, 224, 224)
# Operations of the forward pass that are trained on in a second, and seconds that a pair takes at least: two cores
# without bf16, and less than an H200 (docs/performance.md). A wrong guess costs some waiting, and changes no number.
PACES = {"cpu": (3e10, 4e-4), "cuda": (1e13, 1e-4)}
SECONDS_OF_A_MACHINE = 2.0  # a support-vector machine, with the choice of its C


def input_shapes(method: Method, n_clips: int) -> list[tuple[int, ...]]:
    """Return the shapes of a network's inputs: onset and apex; or an image of motion, perhaps with a graph of units."""
    sees = method.sees
    if not isinstance(sees, MotionInput):
        return [(n_clips, *IMAGE), (n_clips, *IMAGE)]
    return [(n_clips, sees.n_planes, sees.size, sees.size), *([(len(sees.units),) * 2] if sees.units else [])]


def without_numbers(method: Method, n_classes: int, n_clips: int, /, **options: Any) -> tuple[nn.Module, list[Tensor]]:
    """Return a method's network and inputs for `n_clips` clips, both without values (on torch's meta device).

    Your own network may do what the meta device can't, such as read a number; then both are zeros on the CPU.

    Parameters
    ----------
    options : keyword arguments of the network's class
    """
    if method.foreign:
        try:
            return _on("meta", method, n_classes, n_clips, options, runs=True)
        except Exception:  # whatever it is, the CPU tells
            return _on("cpu", method, n_classes, n_clips, options)
    return _on("meta", method, n_classes, n_clips, options)


def _on(
    device: str, method: Method, n_classes: int, n_clips: int, options: dict[str, Any], *, runs: bool = False
) -> tuple[nn.Module, list[Tensor]]:
    with torch.random.fork_rng(devices=[]), torch.device(device):
        network = method.build(n_classes, **options)
        inputs = [torch.zeros(shape) for shape in input_shapes(method, n_clips)]
        if runs:
            network(*inputs)
        return network, inputs


@cache
def count_operations(method: Method, n_classes: int, /, **options: Any) -> int:
    """Return the floating-point operations of one clip's forward pass, in convolutions and matrix products."""
    network, inputs = without_numbers(method, n_classes, 1, **options)
    with FlopCounterMode(display=False) as counter:
        network.eval()(*inputs)
    return int(counter.get_total_flops())


@cache
def count_saved(method: Method, n_classes: int, n_clips: int = 2, /, **options: Any) -> int:
    """Return the bytes for each clip that a float32 training step keeps in memory for its backward pass."""
    network, inputs = without_numbers(method, n_classes, n_clips, **options)
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
def count_weight_bytes(method: Method, n_classes: int, /, **options: Any) -> int:
    """Return the size of the network's state dict in bytes, BatchNorm's statistics included."""
    network, _ = without_numbers(method, n_classes, 1, **options)
    return sum(tensor.nbytes for tensor in network.state_dict().values())


def count_parameters(method: Method, n_classes: int, /, **options: Any) -> int:
    """Return the number of the network's trained parameters."""
    network, _ = without_numbers(method, n_classes, 1, **options)
    return sum(parameter.numel() for parameter in network.parameters())


def guess_seconds(plan: RunPlan) -> float | None:
    """Return roughly how long a fold of a run takes, to share folds out before any was timed; None for a learner."""
    config = plan.config
    if config.method.kind == "learner":
        return None
    if not config.method.is_network:
        return SECONDS_OF_A_MACHINE
    per_second, at_least = PACES["cuda" if config.device == "cuda" else "cpu"]
    operations = count_operations(config.method, len(config.class_names), **config.network_options)
    n_pairs = sum(len(fold.train) for fold in plan.folds) / len(plan.folds) * config.epochs
    return n_pairs * (operations / per_second + at_least)
