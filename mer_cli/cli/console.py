"""Progress for people: bars with the time left on a terminal, plain lines elsewhere; always on stderr."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Sequence
from textwrap import wrap
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from mer_cli.records import Fold


out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)
NARROWEST = 20  # columns that a text is folded to behind a long start
# Where there is no terminal, so that a log stays readable.
SECONDS_BETWEEN_LINES = 10.0
SECONDS_BETWEEN_EPOCHS = 60.0


def spell_seconds(seconds: float) -> str:
    """ "45 s", "3 min 20 s", "2 h 5 min"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def width() -> int | None:
    """Give the columns to fold long lines at: the terminal's, or COLUMNS; None where they go to a file or a program."""
    return out.width if out.is_terminal or "COLUMNS" in os.environ else None


def aligned(rows: Sequence[Sequence[str]], *, numeric: Collection[int] = (), gap: int = 2) -> list[str]:
    """Set rows of cells as lines, those of the columns `numeric` to the right.

    By hand: a table of Rich would break cells, or cut them off, where the lines are wider than the terminal. Here the
    gaps between the columns, `gap` blanks, shrink down to one.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    wide = width()
    if wide is not None and len(widths) > 1:
        gap = min(gap, max(1, (wide - sum(widths)) // (len(widths) - 1)))
    lines = []
    for row in rows:
        cells = (
            f"{cell:>{widest}}" if index in numeric else f"{cell:{widest}}"
            for index, (cell, widest) in enumerate(zip(row, widths, strict=True))
        )
        lines.append((" " * gap).join(cells).rstrip())
    return lines


def folded(text: str, start: str) -> list[str]:
    """Set a text behind `start`, in lines that fit `width()`; those after the first are indented as far."""
    wide = width()
    if wide is None or len(start) + len(text) <= wide:
        return [f"{start}{text}"]
    return wrap(
        text,
        max(wide, len(start) + NARROWEST),
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_long_words=False,
        break_on_hyphens=False,
    )


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Names with their values below each other, a long value folded beside its name."""
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        for line in folded(value, f"{name:{width}}  "):
            out.print(escape(line))


def print_table(rows: Sequence[Sequence[str]], *, numeric: int, where: Console = out) -> None:
    """Print rows of cells, the header first, whose columns from `numeric` on are numbers."""
    for line in aligned(rows, numeric=range(numeric, len(rows[0])), gap=3):
        where.print(escape(line))


def print_notes(notes: Iterable[str]) -> None:
    """Print on stderr what was passed over and why."""
    for note in notes:
        err.print(escape(f"note: {note}"))


class _Bars:
    """Something that shows rich bars while it is open."""

    bar: Progress

    def __enter__(self) -> Self:
        self.bar.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.__exit__(kind, error, trace)


class Steps(_Bars):
    """A bar over steps, with the time left; plain lines where stderr is no terminal. `update` may tell their number."""

    def __init__(self, what: str, total: int = 0) -> None:
        self.what, self.total, self.done = what, total, 0
        self.started = time.monotonic()
        self.last_line = self.started
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=err,
            disable=not err.is_terminal,
        )
        self.task = self.bar.add_task(what, total=total)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the bar full: of what was there before no step was told. Where there was no step at all, leave none."""
        if not self.done:
            self.bar.update(self.task, visible=False)
        elif error is None and self.done < self.total:
            self.update(self.done, self.done)
        super().__exit__(kind, error, trace)

    def on_clip(self, clip_id: str, status: str) -> None:
        """One more clip has ended."""
        self.update(self.done + 1, self.total)

    def update(self, done: int, total: int) -> None:
        self.done, self.total = done, total
        self.bar.update(self.task, completed=done, total=total)
        now = time.monotonic()
        if not err.is_terminal and (done == total or now - self.last_line >= SECONDS_BETWEEN_LINES):
            self.last_line = now
            left = (now - self.started) / max(done, 1) * (total - done)
            err.print(
                f"{self.what}: {done} of {total}, {spell_seconds(now - self.started)}, {spell_seconds(left)} left"
            )


class TrainProgress(_Bars):
    """Shows folds, epochs, the loss and the time left of a run; a `Listener` of `train_run`."""

    def __init__(self, n_epochs: int) -> None:
        self.n_folds, self.n_epochs = 0, n_epochs
        self.n_done = 0
        self.started = self.last_line = time.monotonic()
        self.fold_id = ""
        self.loss: float | None = None  # of a classical method there is none
        self.bar = Progress(
            TextColumn("{task.description}", justify="left"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[loss]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=err,
            disable=not err.is_terminal,
        )
        # Epochs of all folds are one bar: its time left is that of the run.
        self.run_task = self.bar.add_task("folds", total=None, loss="")
        self.epoch_task = self.bar.add_task("epochs", total=None, loss="")

    def on_start(self, n_folds: int) -> None:
        self.n_folds = n_folds
        self.started = self.last_line = time.monotonic()
        self.bar.update(self.run_task, total=n_folds, visible=n_folds > 0)
        self.bar.update(self.epoch_task, total=n_folds * self.n_epochs, visible=n_folds > 0)

    def on_fold(self, fold: Fold) -> None:
        self.fold_id = fold.id
        self.bar.update(self.run_task, description=f"fold {fold.id}")

    def on_epoch(self, epoch: int, loss: float) -> None:
        self.loss = loss
        completed = self.n_done * self.n_epochs + epoch
        self.bar.update(self.epoch_task, completed=completed, loss=f"loss {loss:.3f}")
        now = time.monotonic()
        if not err.is_terminal and epoch < self.n_epochs and now - self.last_line >= SECONDS_BETWEEN_EPOCHS:
            self.last_line = now
            left = (now - self.started) / completed * (self.n_folds * self.n_epochs - completed)
            err.print(
                f"fold {self.fold_id}: epoch {epoch} of {self.n_epochs}, loss {loss:.3f}, {spell_seconds(left)} left"
            )

    def on_fold_end(self) -> None:
        self.n_done += 1
        self.bar.update(self.run_task, completed=self.n_done)
        self.bar.update(self.epoch_task, completed=self.n_done * self.n_epochs)
        if not err.is_terminal:
            self.last_line = time.monotonic()
            elapsed = self.last_line - self.started
            left = elapsed / self.n_done * (self.n_folds - self.n_done)
            learnt = "" if self.loss is None else f"loss {self.loss:.3f} after {self.n_epochs} epochs, "
            err.print(
                f"fold {self.fold_id} done ({self.n_done} of {self.n_folds}): {learnt}{spell_seconds(elapsed)}, "
                f"{spell_seconds(left)} left"
            )
