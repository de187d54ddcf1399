"""Print for people: progress with the time left, always on stderr, and lines that fit the terminal.

Progress is a bar on a terminal; elsewhere it is a plain line now and then, so that a log stays readable.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Sequence
from textwrap import wrap
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from mer_cli.system.shown_text import visible

if TYPE_CHECKING:
    from pathlib import Path

    from mer_cli.records import Fold


class SafeConsole(Console):
    """A console that shows control characters as their numbers: a run from others can't command the terminal."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a text with its markup interpreted, as Rich does."""
        return super().render_str(visible(text), **options)


out = SafeConsole(highlight=False, emoji=False, soft_wrap=True)
err = SafeConsole(stderr=True, highlight=False, emoji=False, soft_wrap=True)
NARROWEST = 20  # columns left for a folded text behind a long start
SECONDS_BETWEEN_LINES = 10.0
SECONDS_BETWEEN_EPOCHS = 60.0


def spell_seconds(seconds: float) -> str:
    """Return a duration as text, for example "45 s", "3 min 20 s" or "2 h 5 min"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def width() -> int | None:
    """Return the terminal's width in columns (or $COLUMNS); None if stdout is not a terminal and that is unset."""
    return out.width if out.is_terminal or "COLUMNS" in os.environ else None


def aligned(rows: Sequence[Sequence[str]], *, numeric: Collection[int] = (), gap: int = 2) -> list[str]:
    """Return each row of cells as a line, with the columns aligned; those with an index in `numeric` to the right.

    A table of Rich would break or cut off cells if the lines are wider than the terminal. Here only the gaps between
    the columns shrink, from `gap` blanks to one.
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


def fits(lines: Sequence[str]) -> bool:
    """Return whether no line is wider than `width()`."""
    wide = width()
    return wide is None or max(map(len, lines)) <= wide


def folded(text: str, start: str = "") -> list[str]:
    """Return `start` and a text as lines that fit `width()`; later lines are indented by the length of `start`."""
    if fits([f"{start}{text}"]):
        return [f"{start}{text}"]
    return wrap(
        text,
        max(width() or 0, len(start) + NARROWEST),
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_long_words=False,
        break_on_hyphens=False,
    )


def print_lines(lines: Iterable[str], where: Console | None = None) -> None:
    """Print lines without interpreting Rich's markup, on `where` (None: stdout)."""
    for line in lines:
        (where or out).print(Text(visible(line)))


def print_path(path: Path) -> None:
    """Print a path alone on a line of stdout, for scripts; characters that can't be seen are shown as their numbers."""
    typer.echo(visible(str(path)))


def print_text(text: str) -> None:
    """Print a text for another program or a terminal; on a terminal, what can't be seen is shown as its number."""
    typer.echo(visible(text) if out.is_terminal else text, nl=False)


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Print a line for each (name, value), values aligned; a long value is folded beside its name."""
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        print_lines(folded(value, f"{name:{width}}  "))


def print_table(rows: Sequence[Sequence[str]], *, numeric: int) -> None:
    """Print a table, with the header in its first row; columns with an index of at least `numeric` are numbers."""
    print_lines(aligned(rows, numeric=range(numeric, len(rows[0])), gap=3))


def print_notes(notes: Iterable[str]) -> None:
    """Print each note on stderr, as "note: ..."."""
    print_lines((f"note: {note}" for note in notes), err)


def end_early(*, has_result: bool) -> typer.Exit:
    """Say that Ctrl-C ended a command that can't continue later; return what ends it, with the usual exit code."""
    found = "this is what was found so far" if has_result else "nothing was found yet, nothing is written"
    print_lines([f"stopped: {found}"], err)
    return typer.Exit(130)


class _Bars:
    """Bars that are shown while this is open, and the clock for the lines of a log."""

    def __init__(self, *columns: TextColumn) -> None:
        self.started = self.last_line = time.monotonic()
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            *columns,
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=err,
            disable=not err.is_terminal,
        )

    def __enter__(self) -> Self:
        self.bar.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.__exit__(kind, error, trace)

    def _times(self, now: float, done: float, total: float) -> tuple[str, str]:
        """Note that a line is printed now; return the time since the start, and the time left."""
        self.last_line = now
        elapsed = now - self.started
        return spell_seconds(elapsed), spell_seconds(elapsed / done * (total - done) if done else 0.0)


class Steps(_Bars):
    """A progress bar over steps, such as clips; `update` may change the number of steps."""

    def __init__(self, what: str, total: int = 0) -> None:
        super().__init__()
        self.what, self.total, self.done = what, total, 0
        self.task = self.bar.add_task(what, total=total)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the bar: hide it if no step was done, fill it if steps done earlier were not counted."""
        if not self.done:
            self.bar.update(self.task, visible=False)
        elif error is None and self.done < self.total:
            self.update(self.done, self.done)
        super().__exit__(kind, error, trace)

    def on_clip(self, clip_id: str, status: str) -> None:
        """Count a finished clip as a step."""
        self.update(self.done + 1, self.total)

    def update(self, done: int, total: int) -> None:
        self.done, self.total = done, total
        self.bar.update(self.task, completed=done, total=total)
        now = time.monotonic()
        if not err.is_terminal and (done == total or now - self.last_line >= SECONDS_BETWEEN_LINES):
            elapsed, left = self._times(now, done, total)
            err.print(f"{self.what}: {done} of {total}, {elapsed}, {left} left")


class TrainProgress(_Bars):
    """Progress bars over the folds of all runs of a command, with the epochs and the loss of the fold at work.

    Parameters
    ----------
    n_folds : folds to train in all · work : the sum of `work` of them all, in any unit · unit : its name
    """

    def __init__(self, n_folds: int, work: float, unit: str = "epochs") -> None:
        super().__init__(TextColumn("{task.fields[loss]}"))
        self.n_folds, self.work = n_folds, work
        self.n_done, self.work_done, self.has_begun = 0, 0.0, False
        # All folds' epochs are one bar, so its time left is that of the command.
        shown = n_folds > 0
        self.run_task = self.bar.add_task("folds", total=n_folds, visible=shown, loss="")
        self.work_task = self.bar.add_task(unit, total=work, visible=shown, loss="")

    def __enter__(self) -> Self:
        """Wait with the bars for the first run, because other bars may be shown before."""
        return self

    def of_run(self, n_epochs: int, work: float, name: str = "", first_line: str = "") -> OfRun:
        """Return the listener of one run, which shows its folds in these bars.

        Parameters
        ----------
        n_epochs : of each fold · work : how much of the bar one fold is
        name : of the run, if there are several · first_line : printed when the run begins
        """
        return OfRun(self, n_epochs, work, f" of {visible(name)}" if name else "", first_line)


class OfRun:
    """The listener of one run that shows its folds in the bars of all (`training.train.Listener`)."""

    def __init__(self, bars: TrainProgress, n_epochs: int, work: float, name: str, first_line: str) -> None:
        self.bars, self.n_epochs, self.work, self.name, self.first_line = bars, n_epochs, work, name, first_line
        self.fold = ""
        self.loss: float | None = None  # stays None with a classical method

    def on_start(self, n_folds: int) -> None:
        """Begin the run; the clock begins with the first run, after what was computed before."""
        if not self.bars.has_begun:
            self.bars.has_begun = True
            self.bars.started = self.bars.last_line = time.monotonic()
            self.bars.bar.start()
        if self.first_line:
            print_lines([self.first_line], err)

    def on_fold(self, fold: Fold) -> None:
        self.fold = f"fold {visible(fold.id)}{self.name}"
        self.bars.bar.update(self.bars.run_task, description=self.fold)

    def on_epoch(self, epoch: int, loss: float) -> None:
        self.loss = loss
        bars = self.bars
        done = bars.work_done + self.work * epoch / self.n_epochs
        bars.bar.update(bars.work_task, completed=done, loss=f"loss {loss:.3f}")
        now = time.monotonic()
        if not err.is_terminal and epoch < self.n_epochs and now - bars.last_line >= SECONDS_BETWEEN_EPOCHS:
            _, left = bars._times(now, done, bars.work)
            print_lines([f"{self.fold}: epoch {epoch} of {self.n_epochs}, loss {loss:.3f}, {left} left"], err)

    def on_fold_end(self) -> None:
        bars = self.bars
        bars.n_done += 1
        bars.work_done += self.work
        bars.bar.update(bars.run_task, completed=bars.n_done)
        bars.bar.update(bars.work_task, completed=bars.work_done)
        if not err.is_terminal:
            elapsed, left = bars._times(time.monotonic(), bars.work_done, bars.work)
            learnt = "" if self.loss is None else f"loss {self.loss:.3f} after {self.n_epochs} epochs, "
            print_lines([f"{self.fold} done ({bars.n_done} of {bars.n_folds}): {learnt}{elapsed}, {left} left"], err)
