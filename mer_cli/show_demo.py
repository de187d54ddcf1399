"""The demo's last screen: the answer in one line, each method beside chance, where to look, and what to type next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from mer_cli import console

if TYPE_CHECKING:
    from mer_cli.report.summary import SummaryRow

PLACES = {
    "report.html": "these scores in full, and the paper's tables",
    "data/audit/casme2/index.html": "every training clip, with its face and landmarks",
    "data/audit/casme/index.html": "every test clip",
    "runs": "what was trained: settings, weights, and the predictions after every epoch",
}
ON_A_REAL_RELEASE = (
    "mer preprocess casme2 /raw",
    "mer train --loso",
    "mer report --format html --out report.html",
)


def show_demo(folder: Path, rows: Sequence[SummaryRow]) -> None:
    """Print what the demo's runs reached.

    Parameters
    ----------
    rows : of `report.summary`, finished, on generated faces; one of them is MMNet's
    """
    console.out.print()
    for row in rows:
        if row.method == "MMNet":
            for line in console.folded(_answer(row), ""):
                console.out.print(f"[bold]{escape(line)}[/bold]")
    console.out.print("The faces are generated: this shows that everything works, and is not a result on any dataset.")
    for line in _table(rows):
        console.out.print(escape(line))
    console.out.print("\nTo look at:")
    for line in console.aligned([(f"  {folder / place}", what) for place, what in PLACES.items()]):
        console.out.print(escape(line))
    console.out.print("\nOn a real release, unpacked in /raw:")
    for line in ON_A_REAL_RELEASE:
        console.out.print(escape(f"  {line}"))


def _answer(row: SummaryRow) -> str:
    """Return the score with its interval, and whether guessing reaches it."""
    assert row.accuracy is not None
    guess = next(guesser for guesser in row.chance if guesser.intervals)
    low, high = guess.intervals["accuracy"]
    found = "MMNet has learnt something" if row.accuracy.mean > high else "MMNet can't be told from guessing here"
    return (
        f"MMNet names the emotion of {_percent(row.accuracy.mean)} % of {row.n_clips} clips of people it has never seen"
        f"{_interval(row)}. Guessing gives {_percent(guess.accuracy)} %, and between {_percent(low)} and "
        f"{_percent(high)} % in 95 of 100 trials: {found}."
    )


def _interval(row: SummaryRow) -> str:
    if row.accuracy is None or row.accuracy.low is None or row.accuracy.high is None:
        return ""
    return f" (95 % interval over the people {_percent(row.accuracy.low)} to {_percent(row.accuracy.high)})"


def _table(rows: Sequence[SummaryRow]) -> Iterator[str]:
    """Yield the lines of a table for each protocol, best method first, guessers last."""
    for protocol, group in groupby(rows, lambda row: row.protocol):
        same = list(group)
        first = same[0]
        cells = [("method", "accuracy %", "UF1", "UAR")]
        for row in same:
            seed = f", seed {row.seeds[0]}" if row.method == "MMNet" else ""  # the other draws nothing
            cells.append((f"{row.method}, {row.settings}{seed}", *_scores(row)))
        for guess in first.chance:
            cells.append((f"chance: {guess.name}", *_texts(guess.accuracy, guess.uf1, guess.uar)))
        yield f"\n{protocol}: {first.n_clips} clips, {first.n_subjects} subjects, last epoch"
        yield from console.aligned(cells, numeric=(1, 2, 3))


def _scores(row: SummaryRow) -> tuple[str, str, str]:
    assert row.accuracy is not None
    assert row.uf1 is not None
    assert row.uar is not None
    return _texts(row.accuracy.mean, row.uf1.mean, row.uar.mean)


def _texts(accuracy: float, uf1: float, uar: float) -> tuple[str, str, str]:
    from mer_cli.evaluation.summary import fraction, percent

    return percent(accuracy), fraction(uf1), fraction(uar)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
