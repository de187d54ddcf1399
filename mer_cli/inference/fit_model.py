"""Fit a model to all subjects of its stores, and write it as a model folder with its card (`mer fit`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mer_cli.inference.facts import facts_of
from mer_cli.inference.model_card import card_text
from mer_cli.inference.model_folder import require_free, write_model
from mer_cli.inference.quoted_run import quote_run
from mer_cli.runs.plan import RunPlan
from mer_cli.training.fit import fit

DEFAULT_ROOT = "models"  # the folder of all models, unless --out gives another place


def default_folder(plan: RunPlan) -> Path:
    """Return the folder of a model, named as the leave-one-subject-out run of the same settings is."""
    return Path(DEFAULT_ROOT) / plan.config.run_name


def fit_model(
    plan: RunPlan,
    folder: Path,
    calibrate: Path | None,
    on_epoch: Callable[[int, float], None],
    *,
    prepare: Callable[[RunPlan], None],
) -> Path:
    """Train on all clips of a plan, and write the model folder; return its path.

    Parameters
    ----------
    plan : from `training.fit.plan_fit`
    calibrate : the leave-one-subject-out run of the same settings, which the card quotes; None quotes nothing
    on_epoch : as in `training.fit.fit`
    prepare : computes what the method sees of the clips, if it is not on disk

    Raises
    ------
    MerError
        If the folder holds something else, the run is of other settings, the stores were cropped in different ways, the
        training diverges, or the folder can't be written.
    """
    config = plan.config
    require_free(folder, config)
    quoted = quote_run(calibrate, config) if calibrate else None
    facts = facts_of(
        config,
        [store.info for store in plan.stores],
        plan.labels,
        look={},
        temperature=quoted.temperature if quoted else None,
        score=quoted.score if quoted else None,
    )
    prepare(plan)
    weights = fit(plan, on_epoch)
    return write_model(folder, weights, card_text(facts, plan, str(folder)), facts, config, config.network_options)
