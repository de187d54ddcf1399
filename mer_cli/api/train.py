"""Train a method with one call: what `mer train` does, for a notebook or a script."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

from mer_cli.api.notebook import NotebookSteps, NotebookTrainProgress
from mer_cli.api.store import Stores, opened
from mer_cli.cli import console
from mer_cli.cli.engine import check_engine_flags, engine_of, machine_of
from mer_cli.cli.train import draw_with_progress, prepare_with_progress, read_init, train_with_progress
from mer_cli.datasets.schemes import AUTO
from mer_cli.engines.resumable import ignore_clip
from mer_cli.runs.changed_code import changed_since
from mer_cli.runs.config import resolve_config
from mer_cli.runs.directory import Run, read_run
from mer_cli.runs.foreign import Option
from mer_cli.runs.methods import MMNET
from mer_cli.runs.plan import RunPlan
from mer_cli.runs.rare_classes import rare_text
from mer_cli.system.workers import end_unguarded_worker
from mer_cli.training.loggers import Loggers, make_loggers
from mer_cli.training.plan import plan_run
from mer_cli.training.train import Listener, Options, Silent, train_runs


def train(
    stores: Stores,
    model: Any = MMNET,
    *,
    scheme: str = AUTO,
    test_stores: Stores = (),
    folds_file: str | Path | None = None,
    leave_dataset_out: bool = False,
    out: str | Path = "runs",
    options: Mapping[str, Option] | None = None,
    features: str | None = None,
    init: str | Path | None = None,
    folds: Sequence[str] | None = None,
    resume: bool = True,
    save_weights: Literal["last", "none"] = "last",
    folds_at_once: int | None = None,
    gpus: Sequence[int] | None = None,
    log: str | None = None,
    engine: str = "local",
    slurm: str | None = None,
    progress: bool | None = None,
    **settings: Any,
) -> Run:
    """Train a method once for each held-out subject, and return the run with its predictions.

    Finished folds are kept: after Ctrl-C, or an interrupted kernel, the same call continues the run. A script must make
    the call under `if __name__ == "__main__":`, because worker processes import the script.

    Parameters
    ----------
    stores : one store or several of different datasets, each as a path or opened
    model : your own class, function or estimator, its place ("mynet.py:MyNet"), or the name of a built-in method
    scheme : label scheme; "auto" means the dataset's own
    test_stores : if given, train on all of `stores` and test on each of these, instead of leaving one subject out
    folds_file : if given, hold out a list of subjects at a time; a CSV with the columns subject and fold
    leave_dataset_out : whether to hold out a whole store at a time
    out : folder of all runs
    options : arguments of your own class, by name
    features : what your own estimator learns from: "flow", or the name of a descriptor
    init : model folder of `mer fit` whose weights each fold's network starts from, instead of random ones
    folds : subjects or fold ids to train; all if left out
    resume : False trains finished folds again
    save_weights : "last" keeps each fold's weights after the last epoch
    folds_at_once : number of folds in parallel; None decides by the method and the machine
    gpus : CUDA numbers; None takes the first
    log : loggers that get loss and learning rate while it trains: "tensorboard,mlflow", or "module:Class"
    engine : what trains the folds: "local", "ray", "ray:ADDRESS" or "slurm"
    slurm : options of SLURM's jobs, "partition=gpu,time=120"
    progress : show progress; None does so on a terminal and in a notebook
    settings : every other setting of `mer train`, such as epochs=20, seed=2, recipe="quick", device="cpu"

    Raises
    ------
    MerError
        If a store, a setting or your own code can't be used, or the training fails. The text says what to do.
    """
    end_unguarded_worker()
    check_engine_flags(engine, gpus=str(gpus) if gpus else None, resume=resume)
    config = resolve_config(model=model, scheme=scheme, options=options, features=features, **settings)
    paths, test_paths = ([store.path for store in opened(each)] for each in (stores, test_stores))
    asked: dict[str, Any] = {
        "test_stores": test_paths,
        "folds_file": Path(folds_file) if folds_file else None,
        "leave_dataset_out": leave_dataset_out,
        "wanted": folds,
        "initial": read_init(Path(init) if init else None),
    }
    with engine_of(engine, slurm) as held:
        asked["machine"] = machine_of(held, config.device, slurm)
        draw_with_progress(paths, config, asked, _steps(progress))
        plan = plan_run(paths, config, **asked)
        config = plan.config
        rare = rare_text(plan.labels, config.class_names, plan.folds, of_units=config.predicts_units)
        for sentence in (*plan.warnings, *([rare] if rare else []), *changed_since(Path(out), plan)):
            warnings.warn(sentence, stacklevel=2)
        how = Options(
            engine=held,
            resume=resume,
            save_weights=save_weights,
            folds_at_once=folds_at_once,
            gpus=gpus,
            loggers=Loggers(make_loggers(log) if log else {}),
            tell=warnings.warn,
        )
        return read_run(_train(plan, Path(out), progress, how))


def _steps(progress: bool | None) -> Callable[[str, int], Any]:
    """Return what shows the progress over clips: for a notebook, for a terminal, or nothing (`_is_shown`)."""
    if not _is_shown(progress):
        return lambda what, total: nullcontext(SimpleNamespace(on_clip=ignore_clip))
    return NotebookSteps if console.err.is_jupyter else console.Steps


def _is_shown(progress: bool | None) -> bool:
    """Return whether progress is shown: if that is asked for, or somebody can look at it."""
    return console.err.is_jupyter or console.err.is_terminal if progress is None else progress


def _train(plan: RunPlan, out: Path, progress: bool | None, options: Options) -> Path:
    """Train a plan and return the run's directory; show progress if `_is_shown`."""
    in_notebook, is_shown = console.err.is_jupyter, _is_shown(progress)
    if is_shown and not in_notebook:
        train_with_progress([plan], out, options, on_run_end=lambda _: None)
        return out / plan.config.run_name
    listener: Listener = Silent()
    if is_shown:
        options = replace(options, prepare=partial(prepare_with_progress, steps=NotebookSteps))
        listener = NotebookTrainProgress(plan.config.epochs)
    train_runs([plan], out, lambda _: listener, options)
    return out / plan.config.run_name
