"""Fit a model to all subjects with one call, or open one: what `mer fit` does, for a notebook or a script."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mer_cli.api.store import Stores, opened
from mer_cli.datasets.schemes import AUTO
from mer_cli.inference import open_model as opening
from mer_cli.inference.fit_model import check_fit, default_folder, fit_model, hold_folder
from mer_cli.inference.model import Model
from mer_cli.runs.config import resolve_config
from mer_cli.runs.foreign import Option
from mer_cli.runs.methods import MMNET
from mer_cli.system.workers import end_unguarded_worker
from mer_cli.training.fit import plan_fit
from mer_cli.training.inputs import compute_inputs


def fit(
    stores: Stores,
    model: Any = MMNET,
    *,
    scheme: str = AUTO,
    calibrate: str | Path | None = None,
    out: str | Path | None = None,
    options: Mapping[str, Option] | None = None,
    **settings: Any,
) -> Model:
    """Train one model on all subjects of the stores, write it as a model folder, and return it.

    Parameters
    ----------
    stores : one store or several of different datasets, each as a path or opened
    model : your own network's class, its place ("mynet.py:MyNet"), or the name of a built-in method
    scheme : label scheme; "auto" means the dataset's own
    calibrate : finished leave-one-subject-out run of the same settings, whose score the model's card quotes
    out : folder of the model; models/ and the run's name if left out
    options : arguments of your own class, by name
    settings : every other setting of `mer fit`, such as epochs=20, seed=2, device="cpu"

    Raises
    ------
    MerError
        If a store, a setting or your own code can't be used, or the training fails. The text says what to do.
    """
    end_unguarded_worker()
    config = resolve_config(model=model, scheme=scheme, options=options, **settings)
    plan = plan_fit([store.path for store in opened(stores)], config)
    for sentence in plan.warnings:
        warnings.warn(sentence, stacklevel=2)
    folder = Path(out) if out else default_folder(plan)
    facts = check_fit(plan, folder, Path(calibrate) if calibrate else None)
    with hold_folder(folder):
        compute_inputs(plan)
        return opening.open_model(fit_model(plan, folder, facts, lambda epoch, loss: None))


def open_model(path: str | Path, stores: Stores = (), code: str | None = None) -> Model:
    """Return a model that classifies new clips.

    Parameters
    ----------
    path : a model folder, a run directory with weights, or an .onnx file
    stores : stores of a run that have moved, each as a path or opened
    code : the code of a network of your own, "mynet.py:MyNet"

    Raises
    ------
    MerError
        If there is no such model, or it is damaged, of another version, or lacks something. The text says what to do.
    """
    return opening.open_model(Path(path), [store.path for store in opened(stores)], code)
