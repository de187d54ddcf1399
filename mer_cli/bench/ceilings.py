"""The machine's ceilings: bytes a second of a large copy, operations a second of a large matrix product."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from mer_cli.training.config import TrainConfig

COPIED = {"cpu": 2**29, "cuda": 2**31}  # bytes: far more than any cache
SIDE = {"cpu": 4096, "cuda": 8192}  # of the square matrices
REPEATS = 7


@dataclass(frozen=True)
class Ceilings:
    """bytes_per_s : read plus written · operations_per_s : a multiplication and an addition are two."""

    bytes_per_s: float
    operations_per_s: float


def measure_ceilings(config: TrainConfig) -> Ceilings:
    """Medians on the config's device, the product in its precision, of numbers drawn at random."""
    device, n_bytes, side = torch.device(config.device), COPIED[config.device], SIDE[config.device]
    source = torch.randint(0, 256, (n_bytes,), dtype=torch.uint8, device=device)
    copying = median_seconds(partial(torch.empty_like(source).copy_, source), device, REPEATS)
    dtype = torch.bfloat16 if config.precision == "bf16" else torch.float32
    one, other = torch.randn(2, side, side, device=device).to(dtype)
    multiplying = median_seconds(partial(torch.mm, one, other), device, REPEATS)
    return Ceilings(2 * n_bytes / copying, 2 * side**3 / multiplying)


def median_seconds(act: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Median of some runs after one that is not counted; a GPU is waited for."""
    seconds = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        act()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])
