"""The settings of a run: each is declared here once, with its default, its limits and its group.

A recipe is a named set of settings; a flag overrides one of them. MMNet's released five-class script is the default
(muse1998/MMNet `CASME2_5.py` at 7b62fa9). A method says which groups mean something to it; a setting of another group
is refused, because it would do nothing and still change the run's name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from mer_cli.datasets.units import predicts_units
from mer_cli.errors import ConfigError, unknown_name
from mer_cli.motion.inputs import (
    CANONICAL,
    CROP,
    STEPS,
    Backend,
    Interpolation,
    Normalisation,
    PairInput,
    Span,
    Step,
    steps_of,
    text_of_steps,
)
from mer_cli.runs.foreign import Foreign, Option
from mer_cli.runs.methods import LIVE, METHODS, MMNET, Method, method_of
from mer_cli.runs.own_method import find_any_method
from mer_cli.runs.variants import VARIANTS
from mer_cli.system.documents import short_repr

# Group of settings: where `mer train --help` shows it, and for whom it is.
GROUPS = {
    "method": ("Method", "all methods"),
    "protocol": ("Protocol", "all methods"),
    "epochs": ("Training of a network", "networks and learners"),
    "training": ("Training of a network", "networks"),
    "augmentation": ("Augmentation", "networks that see two images"),
    "input": ("Motion", "methods that see onset and apex, or the flow between them"),
    "flow": ("Motion", "methods that see optical flow"),
    "normalisation": ("Motion", "networks that see motion"),
    "span": ("Motion", "descriptors of the flow over a clip"),
    "clips": ("Motion", "descriptors that see whole clips"),
    "svm": ("Support-vector machine", "classical methods"),
    "parts": ("Parts of MMNet", "MMNet"),
    "device": ("Machine", "networks and learners"),
    "machine": ("Machine", "networks"),
}


MOST = 1_000_000  # of epochs, clips, subjects or frames: a number beyond is a slip of the keyboard


def setting(default: Any, group: str, **limits: Any) -> Any:
    """Return pydantic's `Field` for a setting; `group` is a key of `GROUPS`, `limits` are, for example, ge=0."""
    return Field(default, json_schema_extra={"group": group}, **limits)


class TrainConfig(BaseModel):
    """All settings of one run. Frozen; an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    scheme: str = setting("auto", "protocol")
    """Label scheme, which says which emotions make which class: a name, or a .toml file of your own; auto uses the
    dataset's own; units predicts action units instead."""
    foreign: Foreign | None = setting(None, "method")
    """Record of a method that is your own, otherwise None."""
    model: str = setting(MMNET, "method")
    """Method: MMNet, another network, a classical descriptor (`mer models` lists them), or your own: FILE.py:CLASS,
    MODULE:CLASS, or the name of an installed package's."""
    variant: str = setting(MMNET, "parts")
    """Named form of MMNet: mmnet, or a row of the paper's ablations (docs/protocol.md)."""
    recipe: str = setting("released", "method")
    """Named settings: released, released-3, paper or quick for MMNet and resnet18-diff; published for other methods;
    own, or plain if your class brings none, for your own."""
    seed: int = setting(1, "protocol", ge=0)
    """Seed of weights, batch order and augmentation; a classical method uses no random numbers."""
    inner_val: int = setting(0, "epochs", ge=0, le=MOST)
    """Number of training subjects held back in each fold to choose the epoch (rule inner-val)."""
    shuffle_labels: bool = setting(False, "protocol")
    """Permute the training labels of each fold: a null control, whose accuracy must be at chance level."""
    pretrain: str = setting("", "protocol")
    """Generated clips to add to the training clips of every fold: synth:N for N of them, drawn in the layout of the
    run's own dataset. They are never held out and never scored."""
    init: str = setting("", "training")
    """SHA-256 of the weights that every fold starts from; "" if they are drawn."""
    epochs: int = setting(74, "epochs", ge=1, le=MOST)
    """Number of passes over the training clips of a fold."""
    batch_size: int = setting(32, "training", ge=2, le=MOST)
    """Number of clips in a training step; the last partial batch is kept."""
    optimiser: Literal["adamw", "adam", "sgd"] = setting("adamw", "training")
    """Optimiser; sgd uses momentum 0.9."""
    learning_rate: float = setting(8e-4, "training", gt=0)
    """Learning rate of the first epoch."""
    decay: float = setting(0.987, "training", gt=0, le=1)
    """Factor on the learning rate each time it decays."""
    decay_every: int = setting(1, "training", ge=1, le=MOST)
    """Number of epochs between two decays of the learning rate."""
    decay_epochs: int = setting(50, "training", ge=0, le=MOST)
    """Number of epochs during which the learning rate decays."""
    weight_decay: float = setting(0.6, "training", ge=0)
    """Weight decay of the optimiser, on every parameter."""
    flip: float = setting(0.5, "augmentation", ge=0, le=1)
    """Probability of a horizontal flip, the same for onset and apex."""
    rotation: float = setting(3.0, "augmentation", ge=0, le=45)
    """Largest rotation to either side, in degrees."""
    padding: int = setting(15, "augmentation", ge=0, le=112)
    """Largest shift of the random crop to either side, in pixels."""
    color_jitter: float = setting(0.0, "augmentation", ge=0, lt=1)
    """Largest relative change of brightness, contrast and saturation, the same for onset and apex."""
    frame_jitter: Literal["released", "released-3", "around", "none"] = setting("released", "augmentation")
    """Frames drawn in place of onset and apex in training: released and released-3, the windows of the two scripts;
    around, two to either side; none, the labelled frames only."""
    input: str = setting(CROP, "input")
    """What is done to make the input of different people comparable: nothing (crop), every step (canonical), or some of
    the steps head (the head's motion is taken away), face (what isn't the face counts as still), shape (every face is
    brought to one mean face), average (the flow is averaged over the frames near onset and apex), joined by +."""
    flow: Backend = setting("tvl1", "flow")
    """Optical flow: tvl1 (TV-L1), fast (DIS) or fine (DIS down to the full resolution). fast and fine take a small
    part of TV-L1's time."""
    normalisation: Normalisation = setting("standard", "normalisation")
    """Normalisation of motion: standard, by mean and deviation of the training clips; minmax and minmax8, each plane
    of a clip stretched to 0..1, or to whole numbers 0..255."""
    span: Span = setting("clip", "span")
    """Flow that a descriptor sees: from the onset to every later frame of the clip, or to the apex alone."""
    clip_frames: int = setting(0, "clips", ge=0, le=MOST)
    """Number of frames that a whole clip is interpolated to; 0 leaves it as recorded."""
    interpolation: Interpolation = setting("linear", "clips")
    """Interpolation of a whole clip: linear between neighbouring frames, or tim, on the clip's curve."""
    scale: Literal["each", "one"] = setting("each", "svm")
    """Scaling of a descriptor's numbers: each by its own deviation over the training clips, or all by one."""
    class_weight: Literal["none", "balanced"] = setting("none", "svm")
    """Weight of a clip: the same for all, or balanced, the inverse of its class's size."""
    stem: Literal["released", "figure", "literal"] = setting("released", "parts")
    """First layers: as released, as the paper's figure 2 draws them, or with the widths of equations 2 and 3."""
    block: Literal["ca", "basic"] = setting("ca", "parts")
    """Convolutions of a block: ca, 3x3 and 1x1 as in the paper, or basic, ResNet-18's 3x3 and 3x3."""
    attention: Literal["continuous", "independent", "none"] = setting("continuous", "parts")
    """Attention maps of the blocks: handed on from block to block, independent of each other, or none."""
    attention_kernel: Literal[1, 7] = setting(1, "parts")
    """Side of the convolution that makes an attention map; 7 is CBAM's."""
    pc: bool = setting(True, "parts")
    """Position-calibration branch."""
    n_layers: int = setting(2, "parts", ge=1, le=12)
    """Transformer layers of the position-calibration branch (the paper's N_L)."""
    n_heads: Literal[1, 2, 4, 8, 16] = setting(4, "parts")
    """Attention heads of the position-calibration branch (the paper's N_H)."""
    mlp_ratio: int = setting(4, "parts", ge=1, le=8)
    """Hidden width of the position-calibration branch's MLPs, in token widths."""
    stochastic_depth: float = setting(0.0, "parts", ge=0, lt=1)
    """Probability of skipping the last transformer layer of the position-calibration branch in training."""
    balanced: bool = setting(False, "parts")
    """BatchNorm on both branches before their sum, so that neither hides the other (ours)."""
    device: Literal["auto", "cuda", "mps", "cpu"] = setting("auto", "device")
    """Device to train on; auto uses CUDA if there is a GPU, and the processor otherwise."""
    precision: Literal["auto", "fp32", "bf16"] = setting("auto", "machine")
    """Arithmetic of the network; auto uses bf16 where the device computes in it."""
    compile: Literal["auto", "on", "off"] = setting("auto", "machine")
    """Compile the network; auto does so on a GPU for a long run."""
    deterministic: bool = setting(False, "machine")
    """Make a GPU compute the same bits every time, more slowly; the CPU always does."""

    @field_validator("model", "variant")
    @classmethod
    def _is_known(cls, name: str, info: Any) -> str:
        known = [method.name for method in LIVE] if info.field_name == "model" else VARIANTS
        if name not in known and not info.data.get("foreign"):
            raise ValueError(f"must be one of {', '.join(known)}")
        return name

    @field_validator("input")
    @classmethod
    def _names_steps(cls, text: str) -> str:
        return text_of_steps(steps_of(text))

    @field_validator("pretrain")
    @classmethod
    def _names_number(cls, text: str) -> str:
        if text == "none":  # what the help calls the default
            return ""
        if text and not (re.fullmatch(r"synth:[1-9]\d*", text) and int(text.removeprefix("synth:")) <= MOST):
            raise ValueError(f"must be synth:N, with N from 1 to {MOST}, or none")
        return text

    @model_validator(mode="after")
    def _decay_ends_within_epochs(self) -> TrainConfig:
        if self.decay_epochs > self.epochs:
            raise ValueError(
                f"--decay-epochs must be at most --epochs, got {self.decay_epochs} and {self.epochs}. "
                "Lower it, or give both."
            )
        return self

    @field_validator("foreign")
    @classmethod
    def _learns_from_known(cls, foreign: Foreign | None) -> Foreign | None:
        if foreign and foreign.features and foreign.features not in METHODS:
            raise ValueError(f"learns from the vectors of '{foreign.features}', which this version doesn't have")
        return foreign

    @property
    def predicts_units(self) -> bool:
        """Whether the targets are action units, several of which a clip may show, not one class of a clip."""
        return predicts_units(self.scheme)

    @property
    def method(self) -> Method:
        """The run's method: its entry in `METHODS`, or what the run records of your own method."""
        return method_of(self.model, self.foreign) if self.foreign else METHODS[self.model]

    @property
    def steps(self) -> tuple[Step, ...]:
        """Steps that make the input of different people comparable, in their order (`motion.canonical`)."""
        return steps_of(self.input)

    @property
    def n_drawn(self) -> int:
        """Number of generated clips that are drawn to be trained on beside the run's own."""
        return int(self.pretrain.removeprefix("synth:") or 0)

    @property
    def has_epochs(self) -> bool:
        """Whether predictions were kept after several epochs, or at least could be, so that an epoch can be chosen."""
        return self.method.is_network or self.epochs > 1

    @property
    def network_options(self) -> dict[str, Any]:
        """Keyword arguments of the method's class, such as MMNet's parts, or the options of your own method."""
        if self.foreign:
            return dict(self.foreign.options)
        if "parts" in self.method.groups:
            return {name: getattr(self, name) for name in PARTS}
        return {"predicts_units": True} if self.predicts_units and self.method.averages else {}

    def learning_rate_in(self, epoch: int) -> float:
        """Return the learning rate of an epoch, counted from 0."""
        return self.learning_rate * self.decay ** (min(epoch, self.decay_epochs) // self.decay_every)


def require_classes(config: TrainConfig, what: str) -> None:
    """Raise a ConfigError that begins with `what`, something for classes alone, if the targets are action units."""
    if config.predicts_units:
        raise ConfigError(
            f"{what}: is for one class of each clip, and --scheme {config.scheme} predicts action units, several of "
            "which a clip may show. Give another --scheme, or a run of classes."
        )


def group_of(name: str) -> str:
    """Return the group that the setting `name` is declared in, such as "training" (a key of `GROUPS`)."""
    extra: Any = TrainConfig.model_fields[name].json_schema_extra
    return str(extra["group"])


SETTINGS = tuple(name for name in TrainConfig.model_fields if name not in ("foreign", "init"))  # each has a flag
# Settings of MMNet's parts: the keyword arguments of its class.
PARTS = tuple(name for name in TrainConfig.model_fields if group_of(name) == "parts" and name != "variant")
OF_NETWORK = ("model", "variant", *PARTS)  # settings that say which network it is


def resolve_config(
    recipe: str | None = None,
    variant: str | None = None,
    *,
    options: Mapping[str, str | Option] | None = None,
    features: str | None = None,
    **overrides: Any,
) -> TrainConfig:
    """Return the settings of a run: the recipe's values, replaced by the variant's, replaced by the overrides.

    `variant` in the result is not always the variant that was asked for. It is the variant that differs from the
    resulting network in the fewest settings, the first of equals. So a network has one name, however it was asked for.

    Parameters
    ----------
    recipe : None means the method's first recipe ("released" for MMNet)
    variant : None means the variant "mmnet"
    options : arguments of your own class, by name (--set)
    features : descriptor that your own estimator learns from, or "flow"
    overrides : values by the name of the setting; None means "as in the recipe". `model` may be a class of your own

    Raises
    ------
    ConfigError
        If a name or a value can't be used, or has no effect with the method; the message names the flag and its limits.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    if held := given.get("foreign"):
        method = method_of(given["model"], held)
    else:
        method = find_any_method(given.get("model", MMNET), options, features)
    if method.foreign:
        _check_own_recipe(method, method.foreign)
        given |= {"model": method.name, "foreign": method.foreign}
    recipe = recipe or next(iter(method.recipes))
    if recipe not in method.recipes:
        known = ", ".join(method.recipes)
        raise ConfigError(f"--recipe: {method.name} has no recipe '{recipe}'. Expected one of: {known}.")
    check_settings(method, given | ({"variant": variant} if variant else {}))
    # What is left without effect asks for what the method does anyway: "auto" must not undo its recipe.
    given = {name: value for name, value in given.items() if not _is_setting(name) or has_effect(method, name, given)}
    own = recipe_settings(method, recipe, given.get("span", "clip"))
    settings = {**own, **VARIANTS.get(variant or MMNET, {}), **given}
    if "epochs" in given and "decay_epochs" not in given:  # a shorter run decays for as long as it lasts
        decay_epochs = own.get("decay_epochs", TrainConfig.model_fields["decay_epochs"].default)
        longest = given["epochs"] if method.sees_motion else decay_epochs  # their rate falls to the end
        settings["decay_epochs"] = min(longest, given["epochs"]) if isinstance(given["epochs"], int) else decay_epochs
    try:
        config = TrainConfig(recipe=recipe, variant=variant or MMNET, **settings)
    except ValidationError as error:
        raise ConfigError(describe_invalid(error)) from None
    if isinstance(method.sees, PairInput) and {"average", *config.steps} == {*STEPS}:  # one name for one input
        config = config.model_copy(update={"input": CANONICAL})
    return config.model_copy(update={"variant": _nearest_variant(config)}) if method.variants else config


def recipe_settings(method: Method, recipe: str, span: Span) -> dict[str, Any]:
    """Return the settings in a recipe; with span "apex" (one flow, no clip) also the default flow and interpolation."""
    if span == "apex":
        return {**method.recipes[recipe], "flow": "tvl1", "clip_frames": 0, "interpolation": "linear"}
    return dict(method.recipes[recipe])


def check_settings(method: Method, given: Mapping[str, Any]) -> None:
    """Raise an error if a given setting has no effect with the method, unless the method uses that value anyway.

    Raises
    ------
    ConfigError
        If there is such a setting, or `clip_frames` is less than the method needs.
    """
    for name, value in given.items():
        if not _is_setting(name) or has_effect(method, name, given) or _is_harmless(method, name, value, given):
            continue
        flag = f"--{'' if value is not False else 'no-'}{name.replace('_', '-')}"
        whom = GROUPS[group_of(name)][1]
        why = f"with --model {method.name}: it is for {whom}"
        if name == "seed":
            why = f"with --model {method.name}, which is the same for every seed"
        elif group_of(name) == "clips" and "clips" in method.groups:
            why = f"with --span {given['span']}"
        raise ConfigError(f"{flag} has no effect {why}. Leave it out.")
    wanted = str(given.get("input"))
    if "average" in wanted.split("+") and isinstance(method.sees, PairInput):
        raise ConfigError(
            f"--input {wanted}: average has no effect with --model {method.name}, which sees two images and no flow. "
            "Expected crop, canonical, or some of head, face and shape, joined by +."
        )
    n_frames, needed = given.get("clip_frames") or 0, getattr(method.sees, "min_frames", 0)
    if isinstance(n_frames, int) and 0 < n_frames < needed:
        raise ConfigError(f"--clip-frames must be 0, or at least {needed} for {method.name}, got {n_frames}.")


def has_effect(method: Method, name: str, given: Mapping[str, Any]) -> bool:
    """Return whether the setting `name` has an effect on a method, if `given` holds all settings that the user gave."""
    group = group_of(name)
    if name == "seed":
        return method.is_random or bool(given.get("shuffle_labels"))
    if group == "clips" and given.get("span") == "apex":
        return "frames" in getattr(method.sees, "arrays", ())
    return group in method.groups


def _check_own_recipe(method: Method, foreign: Foreign) -> None:
    """Raise an error if the RECIPE of your own class names a setting without effect, or has a value of no use."""
    known = [name for name in SETTINGS if group_of(name) not in ("method", "parts", "protocol")]
    (plain,) = method_of(method.name, foreign.model_copy(update={"settings": {}})).recipes.values()
    for name, value in foreign.settings.items():
        if name not in known:
            raise ConfigError(f"{foreign.code}: RECIPE: {unknown_name('setting', name, known)}")
        group, harmless = group_of(name), plain.get(name, TrainConfig.model_fields[name].default)
        if group not in method.groups and value != harmless:
            raise ConfigError(
                f"{foreign.code}: RECIPE: {name} has no effect: it is for {GROUPS[group][1]}. Leave it out."
            )
    try:
        TrainConfig.model_validate(foreign.recipe)
    except ValidationError as error:
        raise ConfigError(f"{foreign.code}: RECIPE: {describe_invalid(error)}") from None


def _is_setting(name: str) -> bool:
    return name in SETTINGS


def _is_harmless(method: Method, name: str, value: Any, given: Mapping[str, Any]) -> bool:
    own = recipe_settings(method, next(iter(method.recipes)), given.get("span", "clip"))
    return bool(value == "auto" or value == own.get(name, TrainConfig.model_fields[name].default))


def check_seeds(method: Method, n_seeds: int, *, shuffle_labels: bool) -> None:
    """Raise an error for several seeds of a classical method: all runs would be the same, unless labels are permuted.

    Raises
    ------
    ConfigError
        If `n_seeds` is above 1, the method is classical and `shuffle_labels` is off.
    """
    if n_seeds > 1 and not (method.is_random or shuffle_labels):
        raise ConfigError(
            f"--seeds has no effect with --model {method.name}, which is the same for every seed. "
            "Leave it out, or add --shuffle-labels for null controls."
        )


def _nearest_variant(config: TrainConfig) -> str:
    standard = {name: TrainConfig.model_fields[name].default for name in PARTS}

    def n_departures(variant: str) -> int:
        options = standard | dict(config.method.recipes[config.recipe]) | dict(VARIANTS[variant])
        return sum(options[name] != value for name, value in config.network_options.items())

    return min(VARIANTS, key=n_departures)


def describe_invalid(error: ValidationError) -> str:
    """Return pydantic's first complaint as a sentence that names the flag and its limits."""
    problem = error.errors()[0]
    if not problem["loc"]:
        return str(problem["ctx"]["error"])
    name = str(problem["loc"][0])
    if problem["type"] == "extra_forbidden":
        return f"There is no setting '{name}'. Expected one of: {', '.join(SETTINGS)}."
    flag = f"--{name.replace('_', '-')}"
    if problem["type"] == "value_error":
        return f"{flag} {problem['ctx']['error']}, got {short_repr(problem['input'])}."
    expected = problem["msg"].removeprefix("Input should be ")
    for theirs, ours in (("greater than or equal to", "at least"), ("less than or equal to", "at most")):
        expected = expected.replace(theirs, ours)
    return f"{flag} must be {expected}, got {short_repr(problem['input'])}."
