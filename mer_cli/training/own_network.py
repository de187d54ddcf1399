"""Check what your own method does, and put the blame for an error on the line of its file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from mer_cli.errors import ConfigError, MerError, RunError
from mer_cli.motion.inputs import MotionInput
from mer_cli.runs.config import TrainConfig
from mer_cli.runs.foreign import Foreign
from mer_cli.runs.methods import Method
from mer_cli.runs.own_code import line_in, own_files
from mer_cli.runs.process_state import unchanged_process
from mer_cli.training.cost import input_shapes
from mer_cli.training.targets import loss_of

if TYPE_CHECKING:
    from mer_cli.training.loop import TrainedFold


@contextmanager
def blamed_on_own_code(config: TrainConfig) -> Iterator[None]:
    """Turn an error that your own code raises into a ConfigError with its line; leave any other error as it is.

    A device without memory stays a `torch.OutOfMemoryError`, which the training of a run explains. Code that changes
    what all methods share (`process_state`) is refused, too.
    """
    if config.foreign is None:
        yield
        return
    try:
        with unchanged_process(config.foreign.code):
            yield
    except (MerError, torch.OutOfMemoryError):
        raise
    except (Exception, SystemExit) as error:  # SystemExit(0) would look as if the run were finished
        line = line_in(error, own_files(config.foreign), config.foreign.code.partition(":")[0])
        frames = extract_tb(error.__traceback__)
        # Two places where a library goes through no line of the file:
        if not line and "backward" in {frame.name for frame in frames}:
            line = ", in the backward pass"
        elif not line and config.foreign.door == "estimator" and "sklearn" in Path(frames[-1].filename).parts:
            line = ", in scikit-learn"
        if not line and not isinstance(error, SystemExit):
            raise
        text = " ".join(str(error).split()).rstrip(".")
        raise ConfigError(f"{config.foreign.code}{line}: {type(error).__name__}: {text}. Correct the file.") from error


def require_finite(foreign: Foreign, fold_id: str, trained: TrainedFold) -> None:
    """Raise a RunError if a logit of a trained fold is not finite; the message names the first such epoch."""
    for logits in (trained.logits, trained.inner_logits):
        bad = np.flatnonzero(~np.isfinite(logits).all(axis=(1, 2)))
        if len(bad):
            cure = "Lower the learning rate (--learning-rate), or correct the method."
            raise RunError(
                f"{foreign.code}: fold {fold_id}: the logits are not finite after epoch {bad[0] + 1}, so the fold is "
                f"not written. {cure if foreign.door == 'network' else 'Correct the method.'}"
            )


def check_logits(logits: object, n_clips: int, n_classes: int, code: str) -> Tensor:
    """Return a network's output, if it is a float tensor of shape (n_clips, n_classes); else raise a ConfigError."""
    expected = f"Expected ({n_clips}, {n_classes}): a row of logits for each clip of the batch."
    if not isinstance(logits, Tensor):
        raise ConfigError(f"{code}: forward returned a value of type {type(logits).__name__}. {expected}")
    if tuple(logits.shape) != (n_clips, n_classes) or not logits.is_floating_point():
        raise ConfigError(f"{code}: forward returned {logits.dtype} of shape {tuple(logits.shape)}. {expected}")
    return logits


def check_loss(loss: object, code: str) -> Tensor:
    """Return a loss, if it is a single number with a gradient; else raise a ConfigError."""
    if not isinstance(loss, Tensor) or loss.ndim != 0:
        what = (
            f"a tensor of shape {tuple(loss.shape)}"
            if isinstance(loss, Tensor)
            else f"a value of type {type(loss).__name__}"
        )
        raise ConfigError(f"{code}: loss returned {what}. Expected the mean over the batch: a tensor of shape ().")
    if not loss.requires_grad:
        raise ConfigError(
            f"{code}: the loss has no gradient. Compute it from the logits with torch, without detach() or no_grad()."
        )
    return loss


def random_inputs(method: Method, n_clips: int) -> list[Tensor]:
    """Return inputs of the shapes and the spread that a network gets in training, drawn from torch's generator."""
    first, *others = input_shapes(method, n_clips)
    image = torch.randn(first)
    if not isinstance(method.sees, MotionInput):
        return [image, image + 0.1 * torch.randn_like(image)]
    return [image, *(torch.rand(graph) for graph in others)]


def _check_parameters(network: nn.Module, code: str) -> None:
    """Raise a ConfigError if a parameter can't be trained, or the state of the network can't be written."""
    for name, parameter in network.named_parameters():
        if isinstance(parameter, nn.parameter.UninitializedParameter):
            raise ConfigError(f"{code}: the size of {name} is not known before forward. Use no Lazy module.")
        if not parameter.is_floating_point():
            raise ConfigError(
                f"{code}: the parameter {name} is {parameter.dtype}. Expected real numbers of floating point."
            )
    for name, held in network.state_dict().items():
        if not isinstance(held, Tensor):
            raise ConfigError(
                f"{code}: {name} in its state_dict is of type {type(held).__name__}. Expected a tensor, which can be "
                "written with the weights."
            )


def try_network(config: TrainConfig, n_classes: int) -> None:
    """Run your own network on two clips, and on one in eval mode, so that a mistake is told before all computing.

    Raises
    ------
    ConfigError
        If the network can't be built or run, or its logits or its loss are not as expected.
    """
    code = config.method.code
    with blamed_on_own_code(config), torch.random.fork_rng(devices=[]):
        network = config.method.build(n_classes, **config.network_options)
        _check_parameters(network, code)
        before = {id(parameter) for parameter in network.parameters()}
        logits = check_logits(network.train()(*random_inputs(config.method, 2)), 2, n_classes, code)
        if not any(True for _ in network.parameters()):
            raise ConfigError(f"{code}: the network has no parameters to train. Assign its layers in __init__.")
        if later := [name for name, parameter in network.named_parameters() if id(parameter) not in before]:
            raise ConfigError(
                f"{code}: forward makes the parameter {later[0]}, which would never be trained, because the optimiser "
                "has the parameters of before. Make it in __init__."
            )
        if config.predicts_units and hasattr(network, "loss"):
            raise ConfigError(
                f"{code}: has a loss of its own, which is for classes, and --scheme {config.scheme} trains with the "
                "binary cross-entropy of each action unit. Take loss out of the class, or choose another --scheme."
            )
        check_loss(loss_of(config, network)(logits.float(), torch.arange(2) % n_classes), code)
        with torch.no_grad():  # a subject may have a single clip
            check_logits(network.eval()(*random_inputs(config.method, 1)), 1, n_classes, code)
