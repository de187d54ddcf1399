"""A run as people see it: what its method takes is computed under one bar, then its folds are trained under another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mer_cli import console

if TYPE_CHECKING:
    from mer_cli.training.run_plan import RunPlan


def train_with_progress(plan: RunPlan, out: Path, *, resume: bool = True, **options: Any) -> Path:
    """Train a plan; gives the run directory.

    Parameters
    ----------
    options : of `training.train.train_run`
    """
    from mer_cli.training.features import compute_features
    from mer_cli.training.methods import is_classical
    from mer_cli.training.motion import compute_motion, needs_flow
    from mer_cli.training.run import folds_to_train
    from mer_cli.training.train import train_run

    config = plan.config
    if folds_to_train(out / config.run_name, plan.wanted, resume=resume):
        if needs_flow(config):
            with console.Steps("flow", sum(len(store.info.clips) for store in plan.stores)) as steps:
                compute_motion(plan, steps.on_clip)
        if is_classical(config.model):
            with console.Steps("features", len(plan.labels)) as steps:
                compute_features(plan, steps.on_clip)
    with console.TrainProgress(config.epochs) as progress:
        return train_run(plan, out, progress, resume=resume, **options)
