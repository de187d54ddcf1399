"""The demo's last screen: the answer in one line, each method beside chance, where to look, and what to type next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from mer_cli import console

if TYPE_CHECKING:
    from mer_cli.evaluation.chance import ChanceScores
    from mer_cli.report.summary import SummaryRow

PLACES = {
    "report.html": "these scores in full, and the paper's tables",
    "data/audit/casme2/index.html": "every training clip, with its face and landmarks",
    "data/audit/casme/index.html": "every test clip",
    "runs": "what was trained: settings, weights, and the predictions after every epoch",
}
WHAT_IT_MEANS = (
    "MMNet was trained once, and for a few epochs. Another seed may give a score outside that interval. This "
    "does not tell which method is better.",
    "The faces are generated: this shows that everything works, and is not a result on any dataset.",
)
ON_A_REAL_RELEASE = {
    "mer preprocess casme2 /raw": "with --dry-run first: what will fail, and why, in seconds",
    "mer train --loso": "minutes on a GPU, many hours on two cores; --time-limit 4h stops after a fold",
    "mer report --format html --out report.html": "your runs beside the paper's tables",
}


def show_demo(folder: Path, rows: Sequence[SummaryRow]) -> None:
    """Print what the demo's runs reached.

    Parameters
    ----------
    rows : of `report.summary`, finished, on generated faces; one of them is MMNet's
    """
    console.out.print()
    ours = next(row for row in rows if row.method == "MMNet")
    others = [row for row in rows if row.protocol == ours.protocol and row is not ours]
    for line in console.folded(_scores_of_all(ours, others), ""):
        console.out.print(f"[bold]{escape(line)}[/bold]")
    for sentence in (_verdict(ours), *WHAT_IT_MEANS):
        for line in console.folded(sentence, ""):
            console.out.print(escape(line))
    for line in _table(rows):
        console.out.print(escape(line))
    console.out.print("\nTo look at:")
    for line in console.aligned([(f"  {folder / place}", what) for place, what in PLACES.items()]):
        console.out.print(escape(line))
    console.out.print("\nOn a real release, unpacked in /raw:")
    for line in console.aligned([(f"  {command}", what) for command, what in ON_A_REAL_RELEASE.items()]):
        console.out.print(escape(line))


def _scores_of_all(ours: SummaryRow, others: Sequence[SummaryRow]) -> str:
    """Return the accuracies of MMNet, of each other method, and of guessing."""
    besides = "".join(f", {row.method} of {_accuracy(row)} %" for row in others)
    return (
        f"MMNet names the emotion of {_accuracy(ours)} % of {ours.n_clips} clips of people it has never seen{besides}, "
        f"guessing of {_percent(_guesser(ours).accuracy)} %."
    )


def _verdict(row: SummaryRow) -> str:
    """Return MMNet's interval beside the guessers', and whether its score is above theirs."""
    assert row.accuracy is not None
    low, high = _guesser(row).intervals["accuracy"]
    found = "is above chance" if row.accuracy.mean > high else "can't be told from guessing here"
    return (
        f"Guessing stays between {_percent(low)} and {_percent(high)} % in 95 of 100 trials, so MMNet {found}. "
        f"{_interval(row)}"
    )


def _interval(row: SummaryRow) -> str:
    assert row.accuracy is not None
    if row.accuracy.low is None or row.accuracy.high is None:
        return f"{row.n_subjects} people are too few for an interval."
    return (
        f"Its 95 % interval over these {row.n_subjects} people is {_percent(row.accuracy.low)} to "
        f"{_percent(row.accuracy.high)}."
    )


def _guesser(row: SummaryRow) -> ChanceScores:
    return next(guesser for guesser in row.chance if guesser.intervals)


def _accuracy(row: SummaryRow) -> str:
    assert row.accuracy is not None
    return _percent(row.accuracy.mean)


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
