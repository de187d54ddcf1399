"""Fit a model to all subjects of its stores, and write it as a model folder with its card (`mer fit`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mer_cli.errors import RunError
from mer_cli.inference.facts import facts_of
from mer_cli.inference.model import Facts
from mer_cli.inference.model_card import card_text
from mer_cli.inference.model_folder import require_free, write_model
from mer_cli.inference.quoted_run import quote_run
from mer_cli.runs.plan import RunPlan
from mer_cli.system.files import lock_file, unwritten
from mer_cli.training.fit import fit

DEFAULT_ROOT = "models"  # the folder of all models, unless --out gives another place


def default_folder(plan: RunPlan) -> Path:
    """Return the folder of a model, named as the leave-one-subject-out run of the same settings is."""
    return Path(DEFAULT_ROOT) / plan.config.run_name


@contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Let nobody else fit a model into a folder, and notice before the training if it can't be written.

    Raises
    ------
    StoreError
        If another process fits a model into it.
    RunError
        If nothing can be written beside the folder.
    """
    with ExitStack() as held:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(lock_file(folder))
        except OSError as error:
            raise RunError(unwritten(folder, error, kept="nothing was trained yet")) from None
        yield


def check_fit(plan: RunPlan, folder: Path, calibrate: Path | None) -> Facts:
    """Refuse what can be refused before anything is trained; return what will be known about the model.

    Parameters
    ----------
    plan : from `training.fit.plan_fit`
    calibrate : the leave-one-subject-out run of the same settings, which the card quotes; None quotes nothing

    Raises
    ------
    RunError
        If the folder holds something else, or the run is not finished or of other settings.
    ConfigError
        If the stores were cropped in different ways.
    """
    require_free(folder, plan.config)
    quoted = quote_run(calibrate, plan.config) if calibrate else None
    return facts_of(
        plan.config,
        [store.info for store in plan.stores],
        plan.labels,
        temperature=quoted.temperature if quoted else None,
        score=quoted.score if quoted else None,
    )


def fit_model(plan: RunPlan, folder: Path, facts: Facts, on_epoch: Callable[[int, float], None]) -> Path:
    """Train on all clips of a plan, and write the model folder; return its path. Call `compute_inputs` before.

    Parameters
    ----------
    facts : from `check_fit`
    on_epoch : as in `training.fit.fit`

    Raises
    ------
    RunError
        If the training diverges, the device runs out of memory, or the folder can't be written.
    """
    weights, config = fit(plan, on_epoch), plan.config
    return write_model(folder, weights, card_text(facts, plan, str(folder)), facts, config, config.network_options)
