"""Progress in a notebook: one line with a bar, drawn anew in its place."""

from __future__ import annotations

import time
from html import escape
from importlib import import_module
from types import TracebackType
from typing import Any, Self

from mer_cli.cli.console import spell_seconds
from mer_cli.records import Fold

SECONDS_BETWEEN_DRAWINGS = 0.2


class _Bar:
    """A bar in the output of the cell that runs; it is drawn as soon as something has begun."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.drawn = 0.0
        self.place: Any = None  # IPython's handle of what is displayed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def draw(self, done: int, total: int, text: str, *, now: bool = False) -> None:
        """Draw the bar and a text beside it, unless it was drawn a moment ago and this need not be drawn now."""
        moment = time.monotonic()
        if not now and moment - self.drawn < SECONDS_BETWEEN_DRAWINGS:
            return
        self.drawn = moment
        elapsed = moment - self.started
        left = f", {spell_seconds(elapsed / done * (total - done))} left" if 0 < done < total else ""
        line = f"{escape(text)}, {spell_seconds(elapsed)}{left}"
        display = import_module("IPython.display")
        page = display.HTML(f'<progress value="{done}" max="{total}"></progress> {line}')
        if self.place is None:
            self.place = display.display(page, display_id=True)
        else:
            self.place.update(page)


class NotebookSteps(_Bar):
    """Progress over steps, such as the clips whose flow is computed."""

    def __init__(self, what: str, total: int = 0) -> None:
        super().__init__()
        self.what, self.total, self.done = what, total, 0

    def on_clip(self, clip_id: str, status: str) -> None:
        """Count a finished clip."""
        self.done += 1
        self.draw(self.done, self.total, f"{self.what}: {self.done} of {self.total}", now=self.done == self.total)


class NotebookTrainProgress(_Bar):
    """Progress over the folds and epochs of a run; a `Listener` of `train_run`."""

    def __init__(self, n_epochs: int) -> None:
        super().__init__()
        self.n_epochs, self.n_folds, self.n_done = n_epochs, 0, 0
        self.fold_id = ""
        self.loss: float | None = None  # stays None with a classical method

    def on_start(self, n_folds: int) -> None:
        self.started, self.n_folds = time.monotonic(), n_folds

    def on_fold(self, fold: Fold) -> None:
        self.fold_id = fold.id
        self._show(0, now=True)

    def on_epoch(self, epoch: int, loss: float) -> None:
        self.loss = loss
        self._show(epoch)

    def on_fold_end(self) -> None:
        self.n_done += 1
        self._show(0, now=True)

    def _show(self, epoch: int, *, now: bool = False) -> None:
        done, total = self.n_done * self.n_epochs + epoch, self.n_folds * self.n_epochs
        loss = "" if self.loss is None else f", loss {self.loss:.3f}"
        self.draw(done, total, f"{self.n_done} of {self.n_folds} folds, fold {self.fold_id}{loss}", now=now)
