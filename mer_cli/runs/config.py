"""The configuration of a run: every setting that can move a number, each default written once, here.

A recipe is a named set of settings; a flag overrides one of them. The released five-class script is the default
(muse1998/MMNet `CASME2_5.py` at 7b62fa9). What the paper does not state is taken from that script in `paper` as well.
Variants are the networks of the paper's ablations, and grids the rows of its tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mer_cli.errors import ConfigError
from mer_cli.motion.inputs import Backend, Interpolation, Normalisation
from mer_cli.runs.methods import (
    FIRST_SEED,
    MMNET,
    PUBLISHED,
    check_settings,
    is_classical,
    is_on_motion,
    published_settings,
)

NETWORK_OPTIONS = (
    "stem",
    "block",
    "attention",
    "attention_kernel",
    "pc",
    "n_layers",
    "n_heads",
    "mlp_ratio",
    "stochastic_depth",
)
OF_NETWORK = ("model", "variant", *NETWORK_OPTIONS)  # settings that say which network it is

# Rows of the paper's Tables 3 and 4 as its section 3.3 tells them (no script of theirs was released); then cells that
# the tables do not have, and stems.
VARIANTS: dict[str, dict[str, Any]] = {
    "mmnet": {},
    "baseline": {"block": "basic", "attention": "none", "pc": False},
    "ca": {"pc": False},
    "pc": {"block": "basic", "attention": "none"},
    "independent": {"attention": "independent"},
    "cbam": {"attention": "independent", "attention_kernel": 7},
    # From baseline to ca two things change at once; these change one each.
    "ca-block": {"attention": "none", "pc": False},
    "basic-continuous": {"block": "basic", "pc": False},
    "figure": {"stem": "figure"},
    "literal": {"stem": "literal"},
}

# What must stand beside every number of a recipe.
RECIPE_STAMPS = {"released-3": "tuned on test"}

RECIPES: dict[str, dict[str, Any]] = {
    "released": {},
    # `CASME2_3.py`, whose settings differ from the five-class script's on the same clips.
    "released-3": {
        "epochs": 99,
        "batch_size": 24,
        "weight_decay": 0.7,
        "rotation": 4.0,
        "padding": 4,
        "frame_jitter": "released-3",
        "n_layers": 3,
        "mlp_ratio": 2,
        "stochastic_depth": 0.3,
    },
    # Section 3.2 of the paper: batch 32, rate .0008, 70 epochs of exponential decay; flip, random crop, colour jitter;
    # one of four frames around the onset and the apex. It gives neither weight decay nor the decay's factor, nor how
    # strong the augmentation is: those are the released script's, and colour jitter, which that lacks, is ours.
    "paper": {
        "epochs": 70,
        "decay_epochs": 70,
        "rotation": 0.0,
        "color_jitter": 0.2,
        "frame_jitter": "around",
    },
    # Ours, for generated faces on two cores. With the flat head of 100,352 inputs a step of AdamW swings the logits by
    # far more than motion moves them; the rate starts high, to learn, and falls fast, to let the swing settle.
    "quick": {
        "epochs": 8,
        "batch_size": 4,
        "learning_rate": 5e-4,
        "decay": 0.65,
        "decay_epochs": 8,
        "rotation": 0.0,
        "padding": 0,
    },
}


# Rows of the paper's tables by what is set; after them, in Tables 3 and 4, cells that the paper does not have and that
# tell apart what it changes at once. Table 5 is the paper's settings i to vi, in its order.
GRIDS: dict[int, tuple[Mapping[str, Any], ...]] = {
    3: tuple({"variant": name} for name in ("baseline", "ca", "pc", "mmnet", "ca-block", "basic-continuous")),
    4: tuple({"variant": name} for name in ("independent", "mmnet", "cbam")),
    5: tuple({"n_layers": n_layers, "n_heads": n_heads} for n_layers in (2, 3) for n_heads in (2, 4, 8)),
}


class TrainConfig(BaseModel):
    """All settings of one run. Frozen; an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    scheme: str = "auto"
    """Label scheme: which emotions make which class; auto is the dataset's own."""
    model: Literal[
        "mmnet",
        "ststnet",
        "offapexnet",
        "sssnet",
        "resnet18-flow",
        "resnet18-diff",
        "rcn-a",
        "dual-inception",
        "dssn",
        "tscnn-lite",
        "augcn-flow",
        "di-resnet18",
        "flow-svm",
        "bi-woof",
        "hoof",
        "fhoof",
        "fhofo",
        "mdmo",
        "lbp-top",
        "higo-top",
    ] = "mmnet"
    """Method: MMNet, another network, or a classical descriptor (`mer models`)."""
    variant: Literal[
        "mmnet", "baseline", "ca", "pc", "independent", "cbam", "ca-block", "basic-continuous", "figure", "literal"
    ] = "mmnet"
    """Named form of the network: MMNet, or a cell of the paper's ablations (docs/protocol.md)."""
    recipe: Literal["released", "released-3", "paper", "quick", "published"] = "released"
    """Named settings: MMNet's five- or three-class script, its paper, a short one; published, of any other method."""
    seed: int = Field(FIRST_SEED, ge=0)
    """Seed of weights, batch order and augmentation; a classical method draws nothing."""
    inner_val: int = Field(0, ge=0)
    """Training subjects of each fold to set aside and choose its epoch by (rule inner-val); not trained on."""
    shuffle_labels: bool = False
    """Permute each fold's training labels: a null control, whose accuracy must be chance."""
    epochs: int = Field(74, ge=1)
    """Passes over the training clips of a fold."""
    batch_size: int = Field(32, ge=2)
    """Onset-apex pairs in a step; the last partial batch is kept."""
    optimiser: Literal["adamw", "adam", "sgd"] = "adamw"
    """What turns gradients into steps; sgd has momentum .9."""
    learning_rate: float = Field(8e-4, gt=0)
    """The learning rate in the first epoch."""
    decay: float = Field(0.987, gt=0, le=1)
    """Factor on the learning rate after every `decay_every` of the first `decay_epochs` epochs."""
    decay_every: int = Field(1, ge=1)
    """Epochs between two such factors."""
    decay_epochs: int = Field(50, ge=0)
    """Epochs after which the learning rate still falls."""
    weight_decay: float = Field(0.6, ge=0)
    """The optimiser's weight decay, on every parameter."""
    flip: float = Field(0.5, ge=0, le=1)
    """Probability of a horizontal flip, the same for onset and apex."""
    rotation: float = Field(3.0, ge=0, le=45)
    """Largest rotation either way, degrees."""
    padding: int = Field(15, ge=0, le=112)
    """Largest shift of the random crop either way, pixels."""
    color_jitter: float = Field(0.0, ge=0, lt=1)
    """Largest relative change of brightness, contrast and saturation, the same for onset and apex."""
    frame_jitter: Literal["released", "released-3", "around", "none"] = "released"
    """Frames that may stand for onset and apex in training: the scripts' windows, two on either side, none."""
    flow: Backend = "tvl1"
    """Optical flow that a method sees: TV-L1, or DIS, which takes a thirtieth of the time."""
    normalisation: Normalisation = "raw"
    """Of that motion: by the training clips' mean and deviation, or each plane of a clip stretched to 0..255."""
    span: Literal["clip", "apex"] = "clip"
    """What a descriptor of flow sees: the flow from the onset to every later frame, or to the apex alone."""
    clip_frames: int = Field(0, ge=0)
    """Frames that a whole clip is interpolated to; 0 leaves it as recorded."""
    interpolation: Interpolation = "linear"
    """How: between neighbouring frames, or on the clip's curve (TIM)."""
    class_weight: Literal["none", "balanced"] = "none"
    """Whether the support-vector machine weighs a clip by the inverse of its class's size."""
    stem: Literal["released", "figure", "literal"] = "released"
    """First layers: as released, as the paper's figure 2 draws them, or with the widths of equations 2 and 3."""
    block: Literal["ca", "basic"] = "ca"
    """Convolutions of a block: 3x3 and 1x1 (the paper's CA block), or ResNet-18's 3x3 and 3x3."""
    attention: Literal["continuous", "independent", "none"] = "continuous"
    """Whether blocks weight their output by a map, and whether the map is handed on to the next block."""
    attention_kernel: Literal[1, 7] = 1
    """Side of the attention's convolution; 7 is CBAM's."""
    pc: bool = True
    """Whether there is a position-calibration branch."""
    n_layers: int = Field(2, ge=1, le=12)
    """Transformer layers of that branch (the paper's N_L)."""
    n_heads: Literal[1, 2, 4, 8, 16] = 4
    """Its heads (the paper's N_H)."""
    mlp_ratio: int = Field(4, ge=1, le=8)
    """Hidden width of its MLPs, in token widths."""
    stochastic_depth: float = Field(0.0, ge=0, lt=1)
    """Probability of skipping in its last layer, while training."""
    device: Literal["auto", "cuda", "cpu"] = "auto"
    """Where to train; auto takes CUDA where there is one."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the network; auto takes bf16 where the processor computes in it."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Whether to compile the network; auto does on a GPU, where the steps to come repay it."""
    deterministic: bool = False
    """Make a GPU compute the same bits every time, more slowly; the CPU always does."""

    @model_validator(mode="after")
    def _decay_ends_within_epochs(self) -> TrainConfig:
        if self.decay_epochs > self.epochs:
            raise ValueError(
                f"--decay-epochs: {self.decay_epochs} is more than --epochs {self.epochs}; expected at most as many. "
                "Lower it, or give both."
            )
        return self

    @property
    def network_options(self) -> dict[str, Any]:
        """Keyword arguments of the network's class; only MMNet has any."""
        if self.model != MMNET:
            return {}
        return {name: getattr(self, name) for name in NETWORK_OPTIONS}

    def learning_rate_in(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 0."""
        return self.learning_rate * self.decay ** (min(epoch, self.decay_epochs) // self.decay_every)


def resolve_config(recipe: str | None = None, variant: str | None = None, **overrides: Any) -> TrainConfig:
    """The recipe's settings, the variant's on top of them, and the given ones on top of both.

    The network's name in the result is that of the variant from which it departs in the fewest settings, the first of
    equals, whatever it was asked for by: so one network has one name, and one run.

    Parameters
    ----------
    recipe, variant : None means the network's own recipe (MMNet's released one), and MMNet itself
    overrides : None means "as in the recipe"

    Raises
    ------
    ConfigError
        If a name or a value can't be used, or is of no use to the network; the message names the flag and its limits.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    model = given.get("model", MMNET)
    has_own_recipe = is_on_motion(model) or is_classical(model)
    recipe = recipe or (PUBLISHED if has_own_recipe else "released")
    check_settings(model, given | ({"variant": variant} if variant else {}), NETWORK_OPTIONS)
    variant = variant or MMNET
    known_recipes = [PUBLISHED] if has_own_recipe else [*RECIPES]
    for flag, name, known in (("recipe", recipe, known_recipes), ("variant", variant, [*VARIANTS])):
        if name not in known:
            whom = "" if model == MMNET else f" for {model}"
            raise ConfigError(
                f"--{flag}: '{name}' is not known{whom} — expected one of {', '.join(known)}. Choose one."
            )
    standard = _recipe_settings(model, recipe, given.get("span", "clip"))
    settings = {**standard, **VARIANTS[variant], **given}
    if "epochs" in given and "decay_epochs" not in given:  # a shorter run decays for as long as it lasts
        decay_epochs = standard.get("decay_epochs", TrainConfig.model_fields["decay_epochs"].default)
        longest = given["epochs"] if is_on_motion(model) else decay_epochs  # their rate falls to the end
        settings["decay_epochs"] = min(longest, given["epochs"]) if isinstance(given["epochs"], int) else decay_epochs
    try:
        config = TrainConfig(recipe=recipe, variant=variant, **settings)  # type: ignore[arg-type]  # checked by pydantic
    except ValidationError as error:
        raise ConfigError(_as_sentence(error)) from None
    return config.model_copy(update={"variant": _nearest_variant(config)}) if model == MMNET else config


def _recipe_settings(model: str, recipe: str, span: str) -> dict[str, Any]:
    """What a recipe sets of a method; parts of MMNet are MMNet's alone."""
    if is_on_motion(model) or is_classical(model):
        return published_settings(model, span)
    return {name: value for name, value in RECIPES[recipe].items() if model == MMNET or name not in NETWORK_OPTIONS}


def _nearest_variant(config: TrainConfig) -> str:
    standard = {name: TrainConfig.model_fields[name].default for name in NETWORK_OPTIONS}

    def n_departures(variant: str) -> int:
        options = standard | RECIPES[config.recipe] | VARIANTS[variant]
        return sum(options[name] != value for name, value in config.network_options.items())

    return min(VARIANTS, key=n_departures)


def _as_sentence(error: ValidationError) -> str:
    """pydantic's first complaint in our four parts."""
    problem = error.errors()[0]
    if not problem["loc"]:
        return str(problem["ctx"]["error"])
    name = str(problem["loc"][0])
    if problem["type"] == "extra_forbidden":
        return f"'{name}' is not a setting — expected one of {', '.join(TrainConfig.model_fields)}. Correct the name."
    expected = problem["msg"].removeprefix("Input should be ")
    return f"--{name.replace('_', '-')}: {problem['input']!r} can't be used — expected {expected}. Change the value."
