"""Show where in a clip a network's answer comes from: its own attention maps, or an attribution of its answer.

An attribution asks how much of the predicted class's lead over the other classes each pixel of the input accounts for,
compared with a face that does not move: the pixel's distance from rest times the gradient, which is averaged over 16
noisy copies of the input (SmoothGrad, Smilkov et al. 2017, by captum). A network on two images is compared with an apex
that equals the onset, and a network on motion with the median of each plane, because most of a face rests.
docs/protocol.md says how the method was chosen.

A clip goes through the network alone, in passes of one fixed size and in float32, so its map does not depend on other
clips.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mer_cli.errors import RunError
from mer_cli.faces.crop import CROP_SIZE, Landmarks
from mer_cli.inference.on_crop import put_on_crop
from mer_cli.inference.truth import ATTENTION, ATTRIBUTION, to_crop
from mer_cli.models.mmnet import MMNet
from mer_cli.motion.inputs import MotionInput, PairInput
from mer_cli.system.opencv import cv2

Shown = NDArray[np.float32]

N_COPIES = 16  # with noise, over which the gradient is averaged
NOISE = 0.15  # its standard deviation, as a part of that of the input's distance from rest
PASS = 8  # copies in a pass through the network; MMNet's take 100 MB each
BLUR = 4.0  # standard deviation in pixels of the crop: single pixels of an attribution are noise


@dataclass(frozen=True)
class ClipMaps:
    """A map of each clip, which shows where the network's answer comes from.

    kind : ATTENTION or ATTRIBUTION
    maps : (n, 224, 224) float32, 0..1, on the pixels of the crop; all 0 if the answer depends on no pixel
    """

    kind: str
    maps: Shown = field(repr=False)


def explain_clips(
    network: Any,
    inputs: Sequence[Tensor],
    sees: PairInput | MotionInput,
    *,
    name: str,
    classes: Sequence[int] | None = None,
    landmarks: NDArray[np.float32] | None = None,
) -> ClipMaps:
    """Return a map of each clip: the mean of the attention maps if the network has any, otherwise an attribution.

    Parameters
    ----------
    network : on the device of the inputs
    inputs : what the network takes of n clips: onset and apex; or planes of motion, and the graph of action units
    sees : what kind of input that is
    name : of the network, for errors
    classes : (n,) the class whose lead is explained; None takes the network's own answer
    landmarks : (n, 68, 2) float32, (x, y) in pixels of the crop; needed if `sees` has patches

    Raises
    ------
    RunError
        If the network's answer can't be traced back to its input.
    """
    if has_attention(network):
        with torch.no_grad(), exact(network):
            _, maps = network.forward_with_maps(*inputs)
        enlarged = [to_crop(block[:, 0].cpu().numpy()) for block in maps]
        return ClipMaps(ATTENTION, np.mean(enlarged, axis=0).astype(np.float32))
    shown = np.zeros((len(inputs[0]), CROP_SIZE, CROP_SIZE), np.float32)
    for row in range(len(shown)):
        of_clip = [part[row : row + 1] if part.ndim == 4 else part for part in inputs]
        amounts = attribute(network, of_clip, sees, name, None if classes is None else classes[row])
        shown[row] = draw_map(amounts, sees, None if landmarks is None else landmarks[row])
    return ClipMaps(ATTRIBUTION, shown)


def has_attention(network: nn.Module) -> bool:
    """Return whether a network has attention maps of its own."""
    return isinstance(network, MMNet) and any(block.attention is not None for block in network.blocks)


def attribute(
    network: nn.Module, inputs: Sequence[Tensor], sees: PairInput | MotionInput, name: str, label: int | None
) -> Shown:
    """Return how much each pixel of a clip's input accounts for, (P, S, S) float32, not negative.

    Parameters
    ----------
    inputs : of one clip, as for `explain_clips`
    label : the class whose lead is explained; None takes the network's own answer
    """
    from captum.attr import NoiseTunnel, Saliency

    shown, still, others, answer = _compared(network, inputs, sees)
    with exact(network), _blamed(name):
        with torch.no_grad():
            target = int(answer(shown, *others).argmax()) if label is None else int(label)
        away = shown - still
        gradient = NoiseTunnel(Saliency(answer)).attribute(
            shown.clone().requires_grad_(),
            nt_type="smoothgrad",
            nt_samples=N_COPIES,
            nt_samples_batch_size=PASS,
            stdevs=NOISE * float(away.std()),
            target=target,
            additional_forward_args=others,
            abs=False,
        )
    found: Shown = (gradient * away)[0].detach().abs().cpu().numpy().astype(np.float32)
    if not np.isfinite(found).all():
        raise RunError(
            f"{name}: the gradients of its answer are not finite, so it can't be explained. Keep square roots, "
            "logarithms and divisions away from 0, or train with a lower learning rate."
        )
    return found


def draw_map(amounts: Shown, sees: PairInput | MotionInput, landmarks: Landmarks | None = None) -> Shown:
    """Return the map of a clip, (224, 224) float32 in 0..1, from what each pixel of its input accounts for.

    Parameters
    ----------
    amounts : (P, S, S) float32, not negative
    landmarks : (68, 2) float32; needed if `sees` has patches
    """
    crop = put_on_crop(amounts, sees, landmarks) if isinstance(sees, MotionInput) else amounts.sum(axis=0)
    smooth: Shown = np.asarray(cv2.GaussianBlur(crop, (0, 0), BLUR), dtype=np.float32)
    largest = float(smooth.max())
    return smooth / np.float32(largest) if largest > 0 else smooth


def resting(image: Tensor) -> Tensor:
    """Return planes of motion, (B, P, S, S), of a face that rests: each plane's median everywhere."""
    return image.flatten(2).median(dim=2).values[..., None, None].expand_as(image).contiguous()


Answer = Callable[..., Tensor]


def _compared(
    network: nn.Module, inputs: Sequence[Tensor], sees: PairInput | MotionInput
) -> tuple[Tensor, Tensor, tuple[Tensor, ...], Answer]:
    """Return the input that is explained, the same at rest, what else goes with it, and the network as a function.

    The function returns each class's lead, its logit less the mean of the others'. A shift of all logits changes no
    answer, so it explains nothing.
    """

    def lead(logits: Tensor) -> Tensor:
        others = (logits.sum(dim=1, keepdim=True) - logits) / max(logits.shape[1] - 1, 1)
        return logits - others

    if isinstance(sees, MotionInput):
        image, *shared = inputs
        return image, resting(image), (), lambda seen: lead(network(seen.clone(), *(held.clone() for held in shared)))
    onset, apex = inputs
    return apex, onset, (onset,), lambda seen, before: lead(network(before.clone(), seen.clone()))


@contextmanager
def exact(network: nn.Module) -> Iterator[None]:
    """Compute the same each time and in float32: without dropout, convolutions exact, noise from a fixed seed."""
    network.eval()
    cudnn = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    devices = {parameter.device for parameter in network.parameters() if parameter.is_cuda}
    with cudnn, torch.random.fork_rng(devices=list(devices)):
        torch.manual_seed(0)
        yield


@contextmanager
def _blamed(name: str) -> Iterator[None]:
    """Turn torch's error about a network without gradients into one that names the network."""
    try:
        with torch.enable_grad():
            yield
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise RunError(
            f"{name}: its answer can't be traced back to its input by gradients ({reason}). Let forward compute with "
            "torch alone, without detach(), no_grad() and numpy."
        ) from error
