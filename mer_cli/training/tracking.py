"""Loggers that hand the curves of a run to MLflow and to Weights & Biases; each library is imported if asked for.

Where they write is set as these libraries document it: MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME, WANDB_PROJECT
and WANDB_MODE. Every call of `mer train` that trains folds makes a new entry there.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mer_cli.runs.config_file import settings_of
from mer_cli.runs.run_config import GENERATED, RunConfig
from mer_cli.training.loggers import require


class MlflowLogger:
    """A logger that makes a run of MLflow named after the run, with its settings, and in it a run for each fold."""

    def __init__(self) -> None:
        self.mlflow = require("--log mlflow", "MLflow", "mlflow")
        self.n_open = 0

    def on_run(self, run: Path, config: RunConfig, n_folds: int) -> None:
        self.faces = {"faces": GENERATED} if config.generated else {}
        if n_folds:
            self._open(config.run_name)
            self.mlflow.log_params(_described(config))

    def on_fold(self, fold_id: str) -> None:
        self._open(fold_id)

    def on_epoch(self, epoch: int, loss: float, learning_rate: float | None) -> None:
        self.mlflow.log_metrics({"loss": loss, **_rate(learning_rate)}, step=epoch)

    def on_fold_end(self) -> None:
        self._close("FINISHED")

    def on_end(self) -> None:
        """End the runs that are open; if a fold's is among them, the training was interrupted."""
        status = "KILLED" if self.n_open > 1 else "FINISHED"
        while self.n_open:
            self._close(status)

    def _open(self, name: str) -> None:
        self.mlflow.start_run(run_name=name, nested=self.n_open > 0, tags=self.faces)
        self.n_open += 1

    def _close(self, status: str) -> None:
        self.n_open -= 1
        self.mlflow.end_run(status)


class WandbLogger:
    """A logger that makes a run of Weights & Biases named after the run, with curves for each fold."""

    def __init__(self) -> None:
        self.wandb = require("--log wandb", "Weights & Biases", "wandb")
        self.run: Any = None

    def on_run(self, run: Path, config: RunConfig, n_folds: int) -> None:
        if n_folds:
            faces = {"faces": GENERATED} if config.generated else {}
            project = os.environ.get("WANDB_PROJECT", "mer")
            self.run = self.wandb.init(project=project, name=config.run_name, config=_described(config) | faces)

    def on_fold(self, fold_id: str) -> None:
        self.fold_id = fold_id
        self.run.define_metric(f"{fold_id}/*", step_metric=f"{fold_id}/epoch")

    def on_epoch(self, epoch: int, loss: float, learning_rate: float | None) -> None:
        values = {"epoch": epoch, "loss": loss, **_rate(learning_rate)}
        self.run.log({f"{self.fold_id}/{name}": value for name, value in values.items()})

    def on_fold_end(self) -> None: ...

    def on_end(self) -> None:
        if self.run is not None:
            self.run.finish()
            self.run = None


def _described(config: RunConfig) -> dict[str, Any]:
    """Return the settings that have an effect on the run, its protocol, and its stores by their content."""
    stores = ", ".join(f"{store.dataset} ({store.role}) {store.content_hash[:12]}" for store in config.stores)
    more = {"init": config.init} if config.init else {}
    if config.added:
        more["added"] = ", ".join(f"{store.dataset} {store.content_hash[:12]}" for store in config.added)
    return settings_of(config) | {"protocol": f"{config.protocol_id}, {config.protocol()}", "stores": stores} | more


def _rate(learning_rate: float | None) -> dict[str, float]:
    """Return the learning rate by its name; nothing for a learner, which has none that mer knows."""
    return {} if learning_rate is None else {"learning_rate": learning_rate}
