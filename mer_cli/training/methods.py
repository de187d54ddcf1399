"""What differs in a configuration from network to network: its default recipe, and the settings that it has no use for.

MMNet and `resnet18-diff` take two pictures, and train by MMNet's recipes; the others take the motion between them, and
train as their authors did (`models.recipes`). No torch.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from mer_cli.errors import ConfigError
from mer_cli.models import recipes

MMNET = "mmnet"  # the network, and that variant of it which is the paper's
PUBLISHED = "published"
OF_PICTURES = ("flip", "rotation", "padding", "color_jitter", "frame_jitter")
OF_MOTION = ("flow", "normalisation")


def is_on_motion(model: str) -> bool:
    """Whether a network takes the motion between two pictures, and so has a published recipe of its own."""
    return model in recipes.RECIPES


def published_settings(model: str) -> dict[str, Any]:
    """What the authors of a network on motion trained it with; no picture is augmented."""
    recipe = recipes.RECIPES[model]
    return {
        "optimiser": recipe.optimiser,
        "learning_rate": recipe.learning_rate,
        "epochs": recipe.epochs,
        "batch_size": recipe.batch_size,
        "weight_decay": recipe.weight_decay,
        "decay": recipe.decay,
        "decay_every": recipe.decay_every,
        "decay_epochs": recipe.epochs,
        "normalisation": recipe.normalisation,
        "flip": 0.0,
        "rotation": 0.0,
        "padding": 0,
        "frame_jitter": "none",
    }


def check_settings(model: str, given: Collection[str], of_mmnet: Collection[str]) -> None:
    """Refuse what was asked for and would do nothing to this network.

    Parameters
    ----------
    given : names of the settings that were given, `variant` among them
    of_mmnet : settings of MMNet's parts

    Raises
    ------
    ConfigError
        If there is such a setting.
    """
    without_use: list[tuple[str, str, Collection[str]]] = [
        ("a part of MMNet", f"{MMNET} alone", () if model == MMNET else ("variant", *of_mmnet)),
        ("about pictures", "a network that takes pictures", OF_PICTURES if is_on_motion(model) else ()),
        ("about motion", "a network that takes motion (see `mer models`)", () if is_on_motion(model) else OF_MOTION),
    ]
    for what, fitting, names in without_use:
        for name in names:
            if name in given:
                raise ConfigError(
                    f"--{name.replace('_', '-')}: is {what}, and of no use to {model} — expected it with {fitting}. "
                    "Leave it out, or choose another --model."
                )
