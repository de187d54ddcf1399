"""Hand the loss and the learning rate of each epoch to loggers while a run trains: TensorBoard, MLflow, your own.

A logger gets these two numbers and the run's config, and no held-out score: training knows none. All loggers live in
this process. Of a fold that a worker process trains, they get every epoch when the fold has ended.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mer_cli.errors import ConfigError, unknown_name
from mer_cli.records import Fold
from mer_cli.runs.fold_files import read_history
from mer_cli.runs.run_config import RunConfig
from mer_cli.system.extras import import_extra

if TYPE_CHECKING:
    from mer_cli.training.train import Listener

ENTRY_POINTS = "mer.loggers"  # group in which an installed package offers its logger's class
BUILT_IN = {
    "tensorboard": "mer_cli.training.tensorboard_log:TensorBoardLogger",
    "mlflow": "mer_cli.training.tracking:MlflowLogger",
    "wandb": "mer_cli.training.tracking:WandbLogger",
}


class Logger(Protocol):
    """A place that the curves of a run are written to; its class is called without arguments.

    The methods are called in the order in which they stand here, `on_fold` to `on_fold_end` once for each fold. If the
    training is interrupted, `on_end` comes without `on_fold_end`; if it is killed, it does not come at all. Epochs
    count from 1. A classical method has no epochs.
    """

    def on_run(self, run: Path, config: RunConfig, n_folds: int) -> None:
        """Begin a run in the directory `run`; `n_folds` are to be trained now, 0 if all are finished."""

    def on_fold(self, fold_id: str) -> None: ...

    def on_epoch(self, epoch: int, loss: float, learning_rate: float | None) -> None: ...

    def on_fold_end(self) -> None:
        """End a fold, which is trained and written."""

    def on_end(self) -> None:
        """End the run for now: its folds are finished, or the training stops."""


METHODS = tuple(name for name in vars(Logger) if name.startswith("on_"))


class Loggers:
    """The loggers of a command by name. If one fails, a warning says so once, and training goes on without it.

    Parameters
    ----------
    warn : called with the warning; by default `warnings.warn`
    """

    def __init__(self, loggers: Mapping[str, Logger], warn: Callable[[str], None] = warnings.warn) -> None:
        self.active = dict(loggers)
        self.warn = warn

    def tell(self, method: str, *values: Any) -> None:
        """Call a method of every logger that has not failed."""
        for name, logger in list(self.active.items()):
            try:
                getattr(logger, method)(*values)
            except (Exception, SystemExit) as error:  # of another's code: it must not cost a fold
                del self.active[name]
                self.warn(
                    f"--log {name}: {method} failed ({type(error).__name__}: {error}). Training goes on without this "
                    "logger; the history.csv of each fold has the same numbers."
                )

    @contextmanager
    def beside(self, listener: Listener, run: Path, config: RunConfig) -> Iterator[Listener]:
        """Yield a listener that also tells the loggers; at the end of the block they are told that the run ends."""
        both = _Beside(self, listener, run, config)
        try:
            yield both
        finally:
            if both.has_begun:
                self.tell("on_end")


class _Beside:
    """A listener that passes everything on to another listener, and to the loggers."""

    def __init__(self, loggers: Loggers, listener: Listener, run: Path, config: RunConfig) -> None:
        self.loggers, self.listener, self.run, self.config = loggers, listener, run, config
        self.has_begun = False
        self.fold_id = ""
        self.n_told = 0

    def on_start(self, n_folds: int) -> None:
        self.listener.on_start(n_folds)
        self.has_begun = True
        self.loggers.tell("on_run", self.run, self.config, n_folds)

    def on_fold(self, fold: Fold) -> None:
        self.listener.on_fold(fold)
        self.fold_id, self.n_told = fold.id, 0
        self.loggers.tell("on_fold", fold.id)

    def on_epoch(self, epoch: int, loss: float) -> None:
        self.listener.on_epoch(epoch, loss)
        if epoch == self.n_told + 1:  # of a worker's fold, only the last epoch is reported
            self._tell_epoch(loss)

    def on_fold_end(self) -> None:
        self.listener.on_fold_end()
        for loss in self._losses()[self.n_told :]:
            self._tell_epoch(loss)
        self.loggers.tell("on_fold_end")

    def _tell_epoch(self, loss: float) -> None:
        has_rate = "learning_rate" in self.config.method.history_columns  # a learner has its own
        self.loggers.tell(
            "on_epoch", self.n_told + 1, loss, self.config.learning_rate_in(self.n_told) if has_rate else None
        )
        self.n_told += 1

    def _losses(self) -> list[float]:
        """Return the loss of each epoch of the ended fold, if the loggers have not got all of them."""
        config = self.config
        if not self.loggers.active or self.n_told == config.epochs or "loss" not in config.method.history_columns:
            return []
        return read_history(self.run / "folds" / self.fold_id / "history.csv", "loss", config.epochs)


def make_loggers(text: str) -> dict[str, Logger]:
    """Return a new logger for each name in a text such as "tensorboard,mylab.logging:MyLogger".

    A name is built in, an entry point of the group `mer.loggers`, or "module:Class".

    Raises
    ------
    ConfigError
        If a name is unknown, or its logger can't be imported or made.
    """
    names = [name for part in text.split(",") if (name := part.strip())]
    if not names:
        raise ConfigError(f"--log: {text!r} names no logger. Separate names by commas: tensorboard,mlflow.")
    return {name: _make_logger(name) for name in dict.fromkeys(names)}


def _make_logger(name: str) -> Logger:
    point = EntryPoint(name, name, ENTRY_POINTS) if ":" in name else _find_point(name)
    if not re.fullmatch(r"[\w.]+:[\w.]+", point.value):
        raise ConfigError(f"--log {name}: expected a module that Python can import, and a class: module:Class.")
    try:
        logger: Logger = point.load()()
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:  # SystemExit(0) would look as if the run were finished
        raise ConfigError(
            f"--log {name}: {point.value} can't be imported and called ({type(error).__name__}: {error}). Correct it, "
            "or leave it out."
        ) from None
    missing = [method for method in METHODS if not callable(getattr(logger, method, None))]
    if missing:
        raise ConfigError(
            f"--log {name}: {point.value} is not a logger: it lacks {', '.join(missing)}. Expected a class with the "
            f"methods {', '.join(METHODS)}."
        )
    return logger


def _find_point(name: str) -> EntryPoint:
    """Return where the class of a named logger is: built in, or in an installed package."""
    offered = [*(EntryPoint(*held, ENTRY_POINTS) for held in BUILT_IN.items()), *entry_points(group=ENTRY_POINTS)]
    found: dict[str, EntryPoint] = {point.value: point for point in offered if point.name == name}
    if not found:
        raise ConfigError(f"--log: {unknown_name('logger', name, dict.fromkeys(point.name for point in offered))}")
    if len(found) > 1:
        raise ConfigError(
            f"--log {name}: several packages have a logger of this name: {', '.join(found)}. Give one of these instead "
            "of the name."
        )
    return next(iter(found.values()))


def require(flag: str, title: str, module: str) -> Any:
    """Import and return the library of a logger, which is an extra.

    Parameters
    ----------
    flag : the flag that asks for it, with which the error begins
    module : name of the module and of the extra

    Raises
    ------
    ConfigError
        If it can't be imported.
    """
    otherwise = "Or leave the flag out: history.csv has the same numbers."
    return import_extra(flag, title, module, extra=module, otherwise=otherwise)
