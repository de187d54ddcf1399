"""What a run will do, decided before it is trained: by `runs.protocol`, and by `training.plan` for the machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mer_cli.records import Fold
from mer_cli.runs.run_config import Role, RunConfig
from mer_cli.store.hdf5 import StoreInfo


@dataclass(frozen=True)
class PlannedStore:
    """A store that a planned run uses, with its role in the protocol.

    role : "added" if its clips were generated to be trained on in every fold, and are never held out
    clips : (emotion, class) by clip id, sorted by id, for the clips that the scheme keeps
    """

    info: StoreInfo
    role: Role | Literal["added"]
    clips: dict[str, tuple[str, int]]


@dataclass(frozen=True)
class RunPlan:
    """All that is decided about a run before it is trained.

    stores : sorted by dataset, so that the clips of all stores, one store after the other, are sorted by id
    folds : all folds of the protocol · wanted : the folds that this call is to train
    warnings : a sentence for each dataset with other counts than published, or than your scheme expects, for two
        subjects that seem to be one person, and one if the store cuts the released draw of frames
    weight_bytes : size of one fold's weights; 0 for a method without weights
    initial : weights that every fold starts from, by name; those of other names are drawn
    initial_path : the model that has them, as the user gave it
    """

    stores: tuple[PlannedStore, ...]
    config: RunConfig
    folds: tuple[Fold, ...]
    wanted: tuple[Fold, ...]
    warnings: tuple[str, ...]
    weight_bytes: int = 0
    initial: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    initial_path: str = ""

    @property
    def labels(self) -> dict[str, int]:
        """The class of each clip of the run, by clip id."""
        return {clip_id: label for store in self.stores for clip_id, (_, label) in store.clips.items()}

    @property
    def emotions(self) -> dict[str, str]:
        """The emotion of each clip of the run, as the coding table spells it, by clip id."""
        return {clip_id: emotion for store in self.stores for clip_id, (emotion, _) in store.clips.items()}

    def paths(self, *roles: Role) -> tuple[str, ...]:
        """Return the paths, as the user gave them, of the stores that have one of these roles."""
        return tuple(str(store.info.path) for store in self.stores if store.role in roles)
