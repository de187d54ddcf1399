"""What differs in a configuration from method to method: its default recipe, and the settings that it has no use for.

MMNet and `resnet18-diff` take two pictures, and train by MMNet's recipes; the other networks take the motion between
them, and train as their authors did (`models.recipes`). A classical method is a descriptor (`models.descriptors`) and
a support-vector machine: it has no epochs, and draws nothing. No torch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from mer_cli.errors import ConfigError
from mer_cli.models import recipes
from mer_cli.models.descriptors import DESCRIPTORS, Seen

MMNET = "mmnet"  # the network, and that variant of it which is the paper's
PUBLISHED = "published"
FIRST_SEED = 1
OF_PICTURES = ("flip", "rotation", "padding", "color_jitter", "frame_jitter")
OF_SCHEDULE = (
    *("inner_val", "epochs", "batch_size", "optimiser", "learning_rate"),
    *("decay", "decay_every", "decay_epochs", "weight_decay"),
)
OF_CLIPS = ("clip_frames", "interpolation")
OF_OTHERS = ("flow", "normalisation", "span", *OF_CLIPS, "class_weight")  # what MMNet has no use for
# Values that change nothing in a classical method, which is the same for every seed, and computed on the CPU.
HARMLESS: dict[str, tuple[Any, ...]] = {
    "device": ("auto", "cpu"),
    "precision": ("auto", "fp32"),
    "compile": ("auto", "off"),
}


def is_on_motion(model: str) -> bool:
    """Whether a network takes the motion between two pictures, and so has a published recipe of its own."""
    return model in recipes.RECIPES


def is_classical(model: str) -> bool:
    """Whether a method is a descriptor and a support-vector machine, and no network."""
    return model in DESCRIPTORS


def needs_clips(model: str, span: str) -> bool:
    """Whether a classical method sees whole clips, which a store has where it was built with `--clips`."""
    takes = DESCRIPTORS[model].takes if is_classical(model) else ()
    return "frames" in takes or ("flows" in takes and span == "clip")


def needs_motion(model: str, span: str) -> bool:
    """Whether a classical method sees the flow from onset to apex, which is computed once a store."""
    takes = DESCRIPTORS[model].takes if is_classical(model) else ()
    return "flow" in takes or ("flows" in takes and span == "apex")


def history_columns(model: str) -> tuple[str, ...]:
    """What a fold's `history.csv` holds of each epoch; of a classical method, what it chose its C by."""
    return ("C", "inner_uf1", "seconds") if is_classical(model) else ("loss", "learning_rate", "seconds")


def published_settings(model: str, span: str = "clip") -> dict[str, Any]:
    """What the authors of a network on motion trained it with; no picture is augmented. Of a classical method, its own.

    Parameters
    ----------
    span : of a classical method's flow. Over the whole clip it is the fast one: there are ten of them to a clip, and
        TV-L1 would take minutes where this takes seconds
    """
    if is_classical(model):
        descriptor = DESCRIPTORS[model]
        is_of_clip = needs_clips(model, span)
        return {
            "epochs": 1,
            "decay_epochs": 0,
            "flow": "fast" if is_of_clip and "flows" in descriptor.takes else "tvl1",
            "clip_frames": descriptor.clip_frames if is_of_clip else 0,
            "interpolation": descriptor.interpolation if is_of_clip else "linear",
        }
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


def check_settings(model: str, given: Mapping[str, Any], of_mmnet: Collection[str]) -> None:
    """Refuse what was asked for and would do nothing to this method.

    Parameters
    ----------
    given : the settings that were given, `variant` among them
    of_mmnet : settings of MMNet's parts

    Raises
    ------
    ConfigError
        If there is such a setting.
    """
    classical, on_motion = is_classical(model), is_on_motion(model)
    takes = DESCRIPTORS[model].takes if classical else ()
    sees_clip = needs_clips(model, given.get("span", "clip"))
    sees_flow = (on_motion and recipes.RECIPES[model].takes_flow) or "flow" in takes or "flows" in takes
    without_use: list[tuple[str, str, Collection[str]]] = [
        ("a part of MMNet", f"{MMNET} alone", () if model == MMNET else ("variant", *of_mmnet)),
        ("about pictures", "a network that takes pictures", OF_PICTURES if on_motion or classical else ()),
        ("about motion", "a method that takes motion (see `mer models`)", () if sees_flow else ("flow",)),
        ("about motion", "a network that takes motion (see `mer models`)", () if on_motion else ("normalisation",)),
        ("about the training of a network", "a network", (*OF_SCHEDULE, *HARMLESS) if classical else ()),
        ("about a support-vector machine", "a classical method", () if classical else ("class_weight",)),
        ("about the flow over a clip", _names_of("flows"), () if "flows" in takes else ("span",)),
        ("about whole clips", "a method that sees them (see `mer models`)", () if sees_clip else OF_CLIPS),
    ]
    for what, fitting, names in without_use:
        for name in names:
            if name in given and given[name] not in _changes_nothing(model, name):
                raise ConfigError(
                    f"--{name.replace('_', '-')}: is {what}, and of no use to {model} — expected it with {fitting}. "
                    "Leave it out, or choose another --model."
                )
    n_frames = given.get("clip_frames") or 0
    if sees_clip and 0 < n_frames < DESCRIPTORS[model].min_frames:
        raise ConfigError(
            f"--clip-frames: {n_frames} is fewer than {model} needs — expected 0, or at least "
            f"{DESCRIPTORS[model].min_frames}. Raise it, or leave it out."
        )
    if classical and given.get("seed", FIRST_SEED) != FIRST_SEED and not given.get("shuffle_labels"):
        raise ConfigError(f"--seed: {_same_for_every_seed(model)} Leave it out, or give --shuffle-labels.")


def check_seeds(model: str, n_seeds: int, *, shuffle_labels: bool) -> None:
    """Refuse several runs of a classical method that would be one and the same.

    Raises
    ------
    ConfigError
        If it is such a method, and its labels are not permuted.
    """
    if is_classical(model) and n_seeds > 1 and not shuffle_labels:
        raise ConfigError(f"--seeds: {_same_for_every_seed(model)} Leave it out, or give --shuffle-labels.")


def _names_of(seen: Seen) -> str:
    *first, last = (name for name, descriptor in DESCRIPTORS.items() if seen in descriptor.takes)
    return f"{', '.join(first)} or {last}"


def _same_for_every_seed(model: str) -> str:
    return (
        f"{model} draws nothing, and gives the same numbers for every seed — expected one run of it; the null control "
        "alone permutes by the seed."
    )


def _changes_nothing(model: str, name: str) -> tuple[Any, ...]:
    """Values of a setting that is of no use to a method which are as good as left out: those that its run has."""
    if not is_classical(model):
        return ()
    return HARMLESS.get(name) or (published_settings(model, span="apex").get(name),)
