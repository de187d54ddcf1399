"""The configuration of a run: every setting that can move a number, each default written once, here.

A recipe is a named set of settings; a flag overrides one of them. The released five-class script is the default
(muse1998/MMNet `CASME2_5.py` at 7b62fa9). What the paper does not state is taken from that script in `paper` as well.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mer_cli.errors import ConfigError


class TrainConfig(BaseModel):
    """All settings of one run. Frozen; an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    scheme: str = "auto"
    """Label scheme: which emotions make which class; auto is the dataset's own."""
    model: Literal["mmnet"] = "mmnet"
    """Network."""
    recipe: Literal["released", "paper", "quick"] = "released"
    """Named settings: the released script's, the paper's text, or a short schedule for generated faces."""
    seed: int = Field(1, ge=0)
    """Seed of weights, batch order and augmentation."""
    epochs: int = Field(74, ge=1)
    """Passes over the training clips of a fold."""
    batch_size: int = Field(32, ge=2)
    """Onset-apex pairs in a step; the last partial batch is kept."""
    learning_rate: float = Field(8e-4, gt=0)
    """AdamW's learning rate in the first epoch."""
    decay: float = Field(0.987, gt=0, le=1)
    """Factor on the learning rate after each of the first `decay_epochs` epochs."""
    decay_epochs: int = Field(50, ge=0)
    """Epochs after which the learning rate still falls."""
    weight_decay: float = Field(0.6, ge=0)
    """AdamW's weight decay, on every parameter."""
    flip: float = Field(0.5, ge=0, le=1)
    """Probability of a horizontal flip, the same for onset and apex."""
    rotation: float = Field(3.0, ge=0, le=45)
    """Largest rotation either way, degrees."""
    padding: int = Field(15, ge=0, le=112)
    """Largest shift of the random crop either way, pixels."""
    color_jitter: float = Field(0.0, ge=0, lt=1)
    """Largest relative change of brightness, contrast and saturation, the same for onset and apex."""
    frame_jitter: Literal["released", "around", "none"] = "released"
    """Frames that may stand for onset and apex in training: the script's one-sided window, two on either side, none."""
    device: Literal["auto", "cuda", "cpu"] = "auto"
    """Where to train; auto takes CUDA where there is one."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the network; auto takes bf16 where the processor computes in it."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Whether to compile the network; auto does where the steps to come repay it."""

    @model_validator(mode="after")
    def _decay_ends_within_epochs(self) -> TrainConfig:
        if self.decay_epochs > self.epochs:
            raise ValueError(
                f"--decay-epochs: {self.decay_epochs} is more than --epochs {self.epochs}; expected at most as many. "
                "Lower it, or give both."
            )
        return self

    def learning_rate_in(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 0."""
        return self.learning_rate * self.decay ** min(epoch, self.decay_epochs)


RECIPES: dict[str, dict[str, Any]] = {
    "released": {},
    # Section 3.3 of the paper: 70 epochs of exponential decay; flip, random crop, colour jitter; "four frames around".
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


def resolve_config(recipe: str | None = None, **overrides: Any) -> TrainConfig:
    """The recipe's settings with the given ones on top; None means the released recipe, or "as in the recipe".

    Raises
    ------
    ConfigError
        If a name or a value can't be used; the message names the flag and its limits.
    """
    recipe = recipe or "released"
    if recipe not in RECIPES:
        raise ConfigError(f"--recipe: '{recipe}' is not known — expected one of {', '.join(RECIPES)}. Choose one.")
    given = {name: value for name, value in overrides.items() if value is not None}
    settings = {**RECIPES[recipe], **given}
    if "epochs" in given and "decay_epochs" not in given:  # a shorter run decays for as long as it lasts
        standard = RECIPES[recipe].get("decay_epochs", TrainConfig.model_fields["decay_epochs"].default)
        settings["decay_epochs"] = min(standard, given["epochs"]) if isinstance(given["epochs"], int) else standard
    try:
        return TrainConfig(recipe=recipe, **settings)  # type: ignore[arg-type]  # checked by pydantic
    except ValidationError as error:
        raise ConfigError(_as_sentence(error)) from None


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
