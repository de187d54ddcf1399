"""What the figures were measured on and with."""

from __future__ import annotations

import platform
from datetime import date
from typing import Any

import torch

from mer_cli.training.config import TrainConfig


def describe_machine(config: TrainConfig) -> dict[str, Any]:
    """Device, threads, precision, versions and the date."""
    on_gpu = config.device == "cuda"
    facts: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if on_gpu else platform.processor() or platform.machine(),
        "kind": config.device,
        "threads": torch.get_num_threads(),
        "precision": config.precision,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "date": date.today().isoformat(),
    }
    if on_gpu:
        facts |= {
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "reference_tf32": {
                "convolutions": torch.backends.cudnn.allow_tf32,
                "products": torch.backends.cuda.matmul.allow_tf32,
            },
        }
    return facts
