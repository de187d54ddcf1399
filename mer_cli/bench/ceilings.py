"""The machine's ceilings, and the time below which no training step of a network can be on it.

The ceilings are the bytes a second of a large copy and the operations a second of a large matrix product. Operations
and bytes are counted from the network itself, on shapes without numbers. Training takes three times a layer's
operations: forward, for the gradient of its input, and for that of its weights. It reads and writes the layer's input
and output as often. Pointwise work between layers counts as free, so the bytes are the fewest possible. A layer takes
the longer of the two times.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mer_cli.runs.config import TrainConfig
from mer_cli.runs.methods import Method
from mer_cli.training.cost import without_numbers
from mer_cli.training.machine import describe_environment

COPIED = {"cpu": 2**29, "cuda": 2**31}  # bytes: far more than any cache
SIDE = {"cpu": 4096, "cuda": 8192}  # of the square matrices
REPEATS = 7
TIMES = 3  # forward, and the two gradients
BYTES = {"bf16": 2, "fp32": 4}


@dataclass(frozen=True)
class Ceilings:
    """The highest speeds that were measured on a machine.

    bytes_per_s : of a large copy, read plus written
    operations_per_s : of a large matrix product; a multiplication with an addition is two operations
    """

    bytes_per_s: float
    operations_per_s: float


@dataclass(frozen=True)
class Layer:
    """One layer of a network, for one pair of images.

    macs : number of multiplications with an addition, forward
    numbers : count of numbers in the layer's input and output
    weights : count of the layer's weights, which are read once for each batch
    """

    name: str
    macs: int
    numbers: int
    weights: int


def describe_machine(config: TrainConfig) -> dict[str, Any]:
    """Return facts about the machine and the measurement: device, threads, precision, versions and date."""
    facts: dict[str, Any] = describe_environment(config.device) | {
        "kind": config.device,
        "precision": config.precision,
        "date": date.today().isoformat(),
    }
    if config.device == "cuda":
        facts |= {
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "reference_tf32": {
                "convolutions": torch.backends.cudnn.allow_tf32,
                "products": torch.backends.cuda.matmul.allow_tf32,
            },
        }
    return facts


def measure_ceilings(config: TrainConfig) -> Ceilings:
    """Return the device's median speeds: copying bytes, and multiplying random matrices in the config's precision."""
    device, n_bytes, side = torch.device(config.device), COPIED[config.device], SIDE[config.device]
    source = torch.randint(0, 256, (n_bytes,), dtype=torch.uint8, device=device)
    copying = median_seconds(partial(torch.empty_like(source).copy_, source), device, REPEATS)
    dtype = torch.bfloat16 if config.precision == "bf16" else torch.float32
    one, other = torch.randn(2, side, side, device=device).to(dtype)
    multiplying = median_seconds(partial(torch.mm, one, other), device, REPEATS)
    return Ceilings(2 * n_bytes / copying, 2 * side**3 / multiplying)


def median_seconds(act: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Return the median seconds of `repeats` calls of `act`, after an uncounted one; the work on a GPU is included."""
    seconds = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        act()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


def count_layers(method: Method, n_classes: int, **options: Any) -> list[Layer]:
    """Return the convolutions, matrix products and attentions of a network on pairs of images, in forward order."""
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

    network, inputs = without_numbers(method, n_classes, 1, **options)
    for called, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(partial(note, called))
    network.eval()(*inputs)
    return layers


def floor_seconds(layers: Sequence[Layer], batch_size: int, precision: str, ceilings: Ceilings) -> dict[str, float]:
    """Return the fewest seconds that a training step can take with a network of these layers at these speeds.

    Returns
    -------
    operations_s, if only operations took time; bytes_s, if only reading and writing did; floor_s, if each layer took
    the longer of both
    """
    operations = [step_operations([layer], batch_size) / ceilings.operations_per_s for layer in layers]
    n_bytes = [step_bytes([layer], batch_size, precision) / ceilings.bytes_per_s for layer in layers]
    return {
        "operations_s": sum(operations),
        "bytes_s": sum(n_bytes),
        "floor_s": sum(max(both) for both in zip(operations, n_bytes, strict=True)),
    }


def step_operations(layers: Sequence[Layer], batch_size: int) -> int:
    """Return the number of floating-point operations of a training step."""
    return 2 * TIMES * sum(layer.macs for layer in layers) * batch_size


def step_bytes(layers: Sequence[Layer], batch_size: int, precision: str) -> int:
    """Return the fewest bytes that a training step can read and write."""
    return TIMES * BYTES[precision] * sum(layer.numbers * batch_size + layer.weights for layer in layers)
