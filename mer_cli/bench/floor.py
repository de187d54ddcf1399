"""Operations and bytes of each layer of a network, and the time below which no step of it can come.

Counted from the network itself, on shapes without numbers. Training takes three times a layer's operations: forward,
for the gradient of its input, for that of its weights. As often it reads and writes what goes in and out; pointwise
work between layers is taken as done on the way, so the bytes are the fewest that there can be. A layer takes the longer
of the two times, at the machine's ceilings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from mer_cli.bench.ceilings import Ceilings
from mer_cli.models.cost import without_numbers

TIMES = 3  # forward, and the two gradients
BYTES = {"bf16": 2, "fp32": 4}


@dataclass(frozen=True)
class Layer:
    """name : of the module · macs : multiplications with an addition, of a pair · numbers : in and out, of a pair

    weights : of the layer, read once a batch
    """

    name: str
    macs: int
    numbers: int
    weights: int


def count_layers(name: str, n_classes: int, **options: Any) -> list[Layer]:
    """Convolutions, matrix products and attention of a network on pairs of pictures, in the forward pass's order."""
    layers: list[Layer] = []

    def note(called: str, module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        weight = module.get_parameter("weight")  # (out, in, ...)
        macs = output.numel() * weight[0].numel()
        n_weights = sum(parameter.numel() for parameter in module.parameters())
        layers.append(Layer(called, macs, inputs[0].numel() + output.numel(), n_weights))
        if called.endswith("qkv"):  # softmax(q k) v: two products of N x N x D
            _, n_tokens, width = inputs[0].shape
            called = called.removesuffix("qkv") + "attention"
            layers.append(Layer(called, 2 * n_tokens**2 * width, output.numel() + n_tokens * width, 0))

    network, inputs = without_numbers(name, n_classes, 1, **options)
    for called, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(partial(note, called))
    network.eval()(*inputs)
    return layers


def floor_seconds(layers: Sequence[Layer], batch_size: int, precision: str, ceilings: Ceilings) -> dict[str, float]:
    """Least seconds of a training step: by operations alone, by bytes alone, and layer by layer the longer of both."""
    operations = [2 * TIMES * layer.macs * batch_size / ceilings.operations_per_s for layer in layers]
    n_bytes = [
        TIMES * BYTES[precision] * (layer.numbers * batch_size + layer.weights) / ceilings.bytes_per_s
        for layer in layers
    ]
    return {
        "operations_s": sum(operations),
        "bytes_s": sum(n_bytes),
        "floor_s": sum(max(both) for both in zip(operations, n_bytes, strict=True)),
    }


def step_operations(layers: Sequence[Layer], batch_size: int) -> int:
    """Floating-point operations of a training step."""
    return 2 * TIMES * sum(layer.macs for layer in layers) * batch_size


def step_bytes(layers: Sequence[Layer], batch_size: int, precision: str) -> int:
    """The fewest bytes that a training step reads and writes."""
    return TIMES * BYTES[precision] * sum(layer.numbers * batch_size + layer.weights for layer in layers)
