"""Micro-expression recognition: the steps of `mer` as Python functions, each imported when it is first used.

Importing the package itself loads nothing else. For example:

    import mer_cli as mer

    store = mer.open_store("data/casme2.h5")
    run = mer.train(store, MyNet, scheme="mmnet3", epochs=20)
    print(mer.evaluate(run))

`docs/python.md` describes all of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mer_cli.api.fit import fit, open_model
    from mer_cli.api.loso import Loso
    from mer_cli.api.predict import predict
    from mer_cli.api.scores import evaluate
    from mer_cli.api.store import Store, open_store
    from mer_cli.api.train import train
    from mer_cli.datasets.registry import load_release
    from mer_cli.errors import MerError
    from mer_cli.evaluation import metrics
    from mer_cli.motion.inputs import MotionInput, PairInput, ViewInput
    from mer_cli.report.document import report
    from mer_cli.runs.config import resolve_config
    from mer_cli.runs.directory import read_run
    from mer_cli.store.build import build_store
    from mer_cli.store.hdf5 import read_store
    from mer_cli.training.plan import plan_run
    from mer_cli.training.train import train_run

__version__ = "0.1.0"

__all__ = [
    "Loso",
    "MerError",
    "MotionInput",
    "PairInput",
    "Store",
    "ViewInput",
    "__version__",
    "build_store",
    "evaluate",
    "fit",
    "load_release",
    "metrics",
    "open_model",
    "open_store",
    "plan_run",
    "predict",
    "read_run",
    "read_store",
    "report",
    "resolve_config",
    "train",
    "train_run",
]

_MODULE_OF = {
    "load_release": "datasets.registry",
    "build_store": "store.build",
    "read_store": "store.hdf5",
    "open_store": "api.store",
    "Store": "api.store",
    "Loso": "api.loso",
    "resolve_config": "runs.config",
    "plan_run": "training.plan",
    "train_run": "training.train",
    "train": "api.train",
    "fit": "api.fit",
    "open_model": "api.fit",
    "predict": "api.predict",
    "read_run": "runs.directory",
    "evaluate": "api.scores",
    "MerError": "errors",
    "PairInput": "motion.inputs",
    "MotionInput": "motion.inputs",
    "ViewInput": "motion.inputs",
}
_MODULES = {"metrics": "evaluation.metrics", "report": "report"}  # `report` can be called


if not TYPE_CHECKING:  # type checkers would believe that every name is there

    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            return import_module(f"{__name__}.{_MODULES[name]}")
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
