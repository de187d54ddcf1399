"""Keep your own code from changing what all methods of the process share: torch's defaults and the current folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mer_cli.errors import ConfigError


class ProcessChangedError(ConfigError):
    """An error of code that changed what all methods of the process share."""


@contextmanager
def unchanged_process(text: str) -> Iterator[None]:
    """Refuse code that leaves torch's defaults or the current folder changed, after setting them back.

    Another method that is trained in the same process would get other numbers under the same run name.

    Parameters
    ----------
    text : names the code in the error: "./mynet.py:MyNet"

    Raises
    ------
    ProcessChangedError
        If something is changed.
    """
    before = _state()
    yield
    for name, value in _state().items():
        if value != before[name]:
            _set(name, before[name])
            raise ProcessChangedError(
                f"{text}: changes {name} from {before[name]} to {value}, for every method in this process. "
                f"{_CURES.get(name, 'Take it out of the code.')}"
            )


DTYPE, DEVICE, FOLDER = "torch's default dtype", "torch's default device", "the current folder"
GRADIENTS = "whether torch computes gradients"
_CURES = {DTYPE: "Convert the network alone: self.double() in __init__, and its inputs in forward."}


def _state() -> dict[str, Any]:
    """Return what is shared, by name; torch's own defaults if it is not imported yet."""
    torch = sys.modules.get("torch")
    if torch is None:
        return {DTYPE: "torch.float32", DEVICE: "cpu", GRADIENTS: True, FOLDER: str(Path.cwd())}
    return {
        DTYPE: str(torch.get_default_dtype()),
        DEVICE: str(torch.get_default_device()),
        GRADIENTS: torch.is_grad_enabled(),
        FOLDER: str(Path.cwd()),
    }


def _set(name: str, value: Any) -> None:
    torch = sys.modules.get("torch")
    if name == FOLDER:
        os.chdir(value)
    elif torch and name == DTYPE:
        torch.set_default_dtype(getattr(torch, value.removeprefix("torch.")))
    elif torch and name == DEVICE:
        torch.set_default_device(None if value == "cpu" else value)
    elif torch:
        torch.set_grad_enabled(value)


def require_torch_defaults() -> None:
    """Refuse to train under another default of torch, which a notebook may have set: the numbers would be others.

    Raises
    ------
    ConfigError
        If the default dtype, the default device or the computing of gradients was changed in this process.
    """
    usual = {DTYPE: "torch.float32", DEVICE: "cpu", GRADIENTS: True}
    held = _state()
    for name, value in usual.items():
        if held[name] != value:
            raise ConfigError(
                f"{name} is {held[name]} in this process. Expected {value}, so that a run is the same everywhere. "
                "Set it back before you train."
            )
