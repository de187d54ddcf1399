"""A method from outside the package, as a run records it: all that reading the run needs, without the method's code.

There are four doors: a network, which mer trains; a learner, which trains itself; a scikit-learn estimator on the
vectors of a descriptor; and predictions that were made elsewhere. `own_code` finds and imports the code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, field_validator

from mer_cli.motion.inputs import DescriptorInput, MotionInput, PairInput, ViewInput

Door = Literal["network", "learner", "estimator", "predictions"]
Option = bool | int | float | str

# Used by networks that bring no settings of their own. MMNet's would not do: its weight decay of .6 suits no other.
PLAIN = {
    "optimiser": "adam",
    "learning_rate": 1e-4,
    "weight_decay": 0.0,
    "epochs": 50,
    "decay": 1.0,
    "decay_epochs": 50,
    "frame_jitter": "none",
}
UNCHANGED = {"flip": 0.0, "rotation": 0.0, "padding": 0, "frame_jitter": "none"}  # images of motion are not augmented
FLOW = {"flow": "fast"}  # it finds more of a known motion than TV-L1, in a seventieth of the time (docs/flow.md)
UNTRAINED = {"epochs": 1, "decay_epochs": 0, "precision": "fp32", "compile": "off"}  # mer itself trains nothing


class Foreign(BaseModel):
    """A method from outside the package: what it is, what it sees, its settings, and a hash of its source."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    door: Door
    """How the method comes in."""
    title: str
    """Name in tables, from the class's `TITLE`, otherwise the class's name."""
    code: str
    """File name or module, and class: "mynet.py:MyNet", "mylab.nets:MyNet"; for predictions the file's name."""
    source_sha256: str
    """Hash over the file, or over the package that holds the class; for predictions over the file's content."""
    version: str = ""
    """Version of the installed package, or ""."""
    sees: PairInput | MotionInput | DescriptorInput | ViewInput
    """What the method sees of a clip."""
    features: str = ""
    """Built-in method whose descriptor an estimator learns from, otherwise ""."""
    options: dict[str, Option] = {}
    """Arguments of the class that were given with --set."""
    settings: dict[str, Any] = {}
    """The class's `RECIPE`: settings of its own."""
    keeps_no_state: bool = False
    """Whether one module may be used for all folds, because it keeps no state outside its state dict."""
    epoch_rule: str = ""
    """Epoch rule of predictions made elsewhere, as their author states it, otherwise ""."""

    @field_validator("sees", mode="before")
    @classmethod
    def _read_sees(cls, held: Any, info: Any) -> Any:
        """Read what the method sees back from JSON; the door says which kind of input it is."""
        if not isinstance(held, dict):
            return held
        of_network: Any = MotionInput if "size" in held else PairInput
        of_door = {"learner": ViewInput, "estimator": DescriptorInput}
        return TypeAdapter(of_door.get(info.data.get("door"), of_network)).validate_python(held)

    def __hash__(self) -> int:
        return hash((self.code, self.source_sha256))  # the order of the options must not matter, as it doesn't to ==

    @property
    def recipe_name(self) -> str:
        """Name of the method's recipe: "own" if the class brings settings, otherwise "plain"."""
        return "own" if self.settings else "plain"

    @property
    def recipe(self) -> Mapping[str, Any]:
        """The settings of the recipe: those of the door, replaced by the class's own."""
        settings: dict[str, Any] = dict(PLAIN if self.door == "network" else UNTRAINED)
        if self.door in ("network", "learner") and "flow" in self.sees.groups:
            settings |= FLOW
        settings |= (UNCHANGED if isinstance(self.sees, MotionInput) else {}) | self.settings
        epochs = self.settings.get("epochs")
        if isinstance(epochs, int) and "decay_epochs" not in self.settings:
            settings["decay_epochs"] = min(epochs, settings["decay_epochs"])
        return settings
