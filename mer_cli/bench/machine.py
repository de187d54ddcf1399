"""What the figures were measured on and with."""

from __future__ import annotations

from datetime import date
from typing import Any

import torch

from mer_cli.training.config import TrainConfig
from mer_cli.training.hardware import describe_environment


def describe_machine(config: TrainConfig) -> dict[str, Any]:
    """Device, threads, precision, versions and the date."""
    on_gpu = config.device == "cuda"
    facts: dict[str, Any] = describe_environment(config.device) | {
        "kind": config.device,
        "precision": config.precision,
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
