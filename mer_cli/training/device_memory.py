"""Takes a config and a number of clips, gives the device memory that a fold needs; what does not fit is refused.

    needed = clips x bytes of a clip + 16 x parameters + ACTIVATIONS x batch x saved bytes of a clip + WORKSPACE

16 bytes are a weight, its gradient and the optimiser's two moments in float32. What a training step saves of a clip for
its backward pass is counted from the network itself. The two constants leave room over what was measured
(docs/performance.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from mer_cli.errors import ConfigError
from mer_cli.faces.crop import CROP_SIZE
from mer_cli.faces.frames import HALF_WINDOW
from mer_cli.models import motion_input
from mer_cli.models.cost import count_parameters, count_saved
from mer_cli.training.config import TrainConfig

ACTIVATIONS = 1.5  # gradients and intermediate results on top of what is saved
WORKSPACE = 1_500_000_000  # CUDA itself, and what its libraries take to compute with
BYTES_OF_A_WEIGHT = 16


@dataclass(frozen=True)
class NeededMemory:
    """Bytes on the device: of all clips, of the weights with what trains them, of one clip in a step, and the rest."""

    clips: int
    weights: int
    per_pair: int
    rest: int = WORKSPACE

    def total(self, batch_size: int) -> int:
        return self.clips + self.weights + batch_size * self.per_pair + self.rest


def count_memory(config: TrainConfig, n_clips: int, n_classes: int) -> NeededMemory:
    """What a fold of `config` needs, every clip of the run on the device."""
    saved = count_saved(config.model, n_classes, **config.network_options)
    if config.precision == "bf16":
        saved //= 2
    weights = BYTES_OF_A_WEIGHT * count_parameters(config.model, n_classes, **config.network_options)
    return NeededMemory(n_clips * _bytes_of_a_clip(config.model), weights, int(ACTIVATIONS * saved))


def require_memory(config: TrainConfig, needed: NeededMemory, free: int, folds_on_device: int) -> None:
    """Refuses a run that would end for lack of memory.

    Parameters
    ----------
    free : bytes that the device has left
    folds_on_device : folds that share it, each with a process of its own

    Raises
    ------
    ConfigError
        If they would not fit; the message names what would.
    """
    of_a_fold = needed.total(config.batch_size)
    if folds_on_device * of_a_fold <= free:
        return
    n_fitting = free // of_a_fold
    largest = (free - needed.total(0)) // needed.per_pair
    if n_fitting:
        advice = f"Give --folds-at-once {n_fitting}."
    elif largest >= 2:
        advice = f"Give --batch-size {largest} (another run, since BatchNorm sees the batch), or --device cpu."
    else:
        advice = "Free the GPU, or use --device cpu."
    flag, folds = "--batch-size", "a fold"
    if folds_on_device > 1:
        flag, folds = "--folds-at-once", f"{folds_on_device} folds at once"
    raise ConfigError(
        f"{flag}: {folds} of {config.batch_size} clips a step would need {folds_on_device * of_a_fold / 1e9:.1f} "
        f"GB on the GPU (clips {needed.clips / 1e9:.1f}, weights {needed.weights / 1e9:.1f}, step "
        f"{config.batch_size * needed.per_pair / 1e9:.1f}, workspace {needed.rest / 1e9:.1f} each), which has "
        f"{free / 1e9:.1f} free — expected no more than that. {advice}"
    )


def _bytes_of_a_clip(model: str) -> int:
    wanted = motion_input(model)
    if wanted is None:
        return 2 * (2 * HALF_WINDOW + 1) * CROP_SIZE * CROP_SIZE * 3  # two windows, uint8
    return wanted.n_planes * wanted.size * wanted.size * 4
