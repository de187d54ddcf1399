"""The rows that no method may be read without: what guessers get, and what a run on shuffled labels shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mer_cli.evaluation.null_control import null_control
from mer_cli.evaluation.scoring import run_chance
from mer_cli.evaluation.spread import METRICS, Spread
from mer_cli.evaluation.summary import percent
from mer_cli.report.cells import HONEST, key_of, score_cell
from mer_cli.report.method_rows import Cells, table_row
from mer_cli.report.model import Cell, Column, Note, Row
from mer_cli.report.scores import Entry


def guesser_rows(entries: Sequence[Entry], columns: Sequence[Column]) -> Iterator[Row]:
    """Yield the guessers for each number of epochs and of subjects set aside that a finished run has.

    Under `inner-val` they know the clips that are left to train on, so what is set aside changes them as well.
    """
    finished = {
        (entry.config.epochs, entry.config.inner_val): entry for entry in reversed(entries) if entry.is_finished
    }
    for (n_epochs, n_inner), entry in sorted(finished.items()):
        cells: dict[str, Cells] = {}
        for rule in entry.rules:
            for scores in run_chance(entry.runs[0], rule):
                of_guesser = cells.setdefault(scores.name, {})
                for metric in METRICS:
                    of_guesser[key_of(rule, metric)] = score_cell(metric, Spread(getattr(scores, metric)))
        aside = f", inner val {n_inner}" if n_inner else ""
        for name, of_guesser in cells.items():
            method = Cell(f"chance: {name}, {n_epochs} epochs{aside}")
            yield table_row("chance", {"method": method, **of_guesser}, columns)


def control_rows(entries: Sequence[Entry], columns: Sequence[Column]) -> tuple[list[Row], list[Note]]:
    """Give what each finished control is expected to reach by chance, and a note on what the distance means."""
    rows, notes = [], []
    for entry in entries:
        if entry.config.shuffle_labels and entry.is_finished:
            found = {rule: null_control(entry.runs, rule) for rule in entry.rules}
            cells = {
                key_of(rule, "accuracy"): score_cell("accuracy", Spread(null.expected, low=null.low, high=null.high))
                for rule, null in found.items()
                if rule in HONEST
            }
            names = ", ".join(f"`{run.path.name}`" for run in entry.runs)
            rows.append(table_row("control", {"method": Cell("control: expected by chance"), **cells}, columns))
            leak = found["best-test"].accuracy - found["last"].expected
            notes.append(
                Note(
                    f"control {names}: trained on shuffled labels, so an honest rule must give what is expected by "
                    f"chance, the sum over classes of predicted share times true share. `best-test` gives "
                    f"{percent(found['best-test'].accuracy)} %, {100 * leak:+.2f} points from it: the size of that "
                    "rule's leak on this data."
                )
            )
    return rows, notes
