"""Check a method before it is trained, with drawn clips: no release is needed."""

from __future__ import annotations

from collections.abc import Iterator

from mer_cli.errors import ConfigError
from mer_cli.runs.config import TrainConfig
from mer_cli.training.check_learner import check_estimator, check_learner
from mer_cli.training.check_network import check_network
from mer_cli.training.finding import Finding
from mer_cli.training.hardware import resolve_hardware

CHECK_OF = {"network": check_network, "learner": check_learner, "estimator": check_estimator}


def check_method(config: TrainConfig, n_classes: int) -> Iterator[Finding]:
    """Return an iterator over findings, each of which is computed when it is asked for.

    Raises
    ------
    ConfigError
        If the method is a built-in descriptor, or the machine lacks the config's device.
    """
    kind = config.method.kind
    if kind not in CHECK_OF:
        raise ConfigError(
            f"--check {config.model}: is a built-in descriptor. Expected a network, or a method of your own."
        )
    return CHECK_OF[kind](resolve_hardware(config, 0), n_classes)
