"""Micro-expression recognition: the steps of `mer` as Python functions, each imported when it is first used.

Importing the package itself loads nothing else. For example:

    release = mer_cli.load_release("casme2", Path("/raw"))
    mer_cli.build_store(release, Path("data/casme2.h5"))
    plan = mer_cli.plan_run([Path("data/casme2.h5")], mer_cli.resolve_config(model="ststnet"))
    run = mer_cli.read_run(mer_cli.train_run(plan, Path("runs")))
    print(mer_cli.evaluate(run, "last").accuracy)
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_MODULE_OF = {
    "load_release": "datasets.registry",
    "build_store": "store.build",
    "read_store": "store.hdf5",
    "resolve_config": "runs.config",
    "plan_run": "training.plan",
    "train_run": "training.train",
    "read_run": "runs.directory",
    "evaluate": "evaluation.epoch_rules",
    "MerError": "errors",
    "PairInput": "motion.inputs",
    "MotionInput": "motion.inputs",
    "ViewInput": "motion.inputs",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return ["__version__", *_MODULE_OF]
