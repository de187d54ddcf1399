"""What a run will do, decided by `training.plan` before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass

from mer_cli.records import Fold
from mer_cli.runs.run_config import Role, RunConfig
from mer_cli.store.hdf5 import StoreInfo


@dataclass(frozen=True)
class PlannedStore:
    """A store of the run.

    clips : emotion and class by clip id, sorted by id, for the clips that the scheme keeps
    """

    info: StoreInfo
    role: Role
    clips: dict[str, tuple[str, int]]


@dataclass(frozen=True)
class RunPlan:
    """A run, planned.

    stores : in the order of their datasets, so that the clips of all, one store after the other, are sorted by id
    folds : all folds of the protocol · wanted : those to be trained here
    warnings : where a dataset's counts are not the published ones, a sentence each
    weight_bytes : size of one fold's weights; 0 for a classical method, which has none
    """

    stores: tuple[PlannedStore, ...]
    config: RunConfig
    folds: tuple[Fold, ...]
    wanted: tuple[Fold, ...]
    warnings: tuple[str, ...]
    weight_bytes: int

    @property
    def labels(self) -> dict[str, int]:
        """Class by clip id."""
        return {clip_id: label for store in self.stores for clip_id, (_, label) in store.clips.items()}

    @property
    def emotions(self) -> dict[str, str]:
        """The coding table's own word by clip id."""
        return {clip_id: emotion for store in self.stores for clip_id, (emotion, _) in store.clips.items()}

    def paths(self, *roles: Role) -> tuple[str, ...]:
        """Return the paths of the stores of these roles, as they were given."""
        return tuple(str(store.info.path) for store in self.stores if store.role in roles)
