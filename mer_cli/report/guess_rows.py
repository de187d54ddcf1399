"""The rows that no method may be read without: what guessers get, and what a run on shuffled labels shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from mer_cli.evaluation.null_control import NullControl, control_of
from mer_cli.evaluation.scoring import run_chance
from mer_cli.evaluation.spread import Spread
from mer_cli.evaluation.summary import percent
from mer_cli.report.cells import HONEST, key_of, score_cell
from mer_cli.report.layout import Line
from mer_cli.report.method_rows import Cells, table_row
from mer_cli.report.model import Cell, Column, Note, Row
from mer_cli.report.scores import Entry, metrics_of
from mer_cli.training.methods import is_classical


def guesser_rows(entries: Sequence[Entry], columns: Sequence[Column]) -> Iterator[Row]:
    """Yield the guessers for each number of epochs and of subjects set aside that a finished run has.

    Under `inner-val` they know the clips that are left to train on, so what is set aside changes them as well. What
    does not depend on the number of epochs has one row for all; a classical method has none, and has rows of its own
    only where there is no network.
    """
    finished = [entry for entry in reversed(entries) if entry.is_finished]
    networks = [entry for entry in finished if not is_classical(entry.config.model)]
    of_setting = {(entry.config.epochs, entry.config.inner_val): entry for entry in networks or finished}
    alike = Counter(n_inner for _, n_inner in of_setting)
    said: set[tuple[str, int]] = set()
    for (n_epochs, n_inner), entry in sorted(of_setting.items()):
        aside = f", inner val {n_inner}" if n_inner else ""
        for name, cells in _guesses(entry).items():
            is_for_all = name == "majority" and alike[n_inner] > 1
            if is_for_all and (name, n_inner) in said:
                continue
            said.add((name, n_inner))
            number = "any number of" if is_for_all else str(n_epochs) if networks else "no"
            epochs = f"{number} {'epoch' if number == '1' else 'epochs'}"
            yield table_row("chance", {"method": Cell(f"chance: {name}, {epochs}{aside}"), **cells}, columns)


def _guesses(entry: Entry) -> dict[str, Cells]:
    """What each guesser gets on the clips of a run, under each rule."""
    cells: dict[str, Cells] = {}
    for rule in entry.rules:
        for scores in run_chance(entry.runs[0], rule, entry.dataset):
            of_guesser = cells.setdefault(scores.name, {})
            for metric in metrics_of(rule):
                of_guesser[key_of(rule, metric)] = score_cell(metric, Spread(getattr(scores, metric)))
    return cells


def with_expected(
    lines: Sequence[Line], rows: Sequence[Row], columns: Sequence[Column]
) -> tuple[list[Row], list[Note]]:
    """Put below each finished control what it is expected to reach by chance, and give a note on how far off it is.

    Parameters
    ----------
    lines, rows : of `method_rows`, one row for each line
    """
    place_of_runs = [column.key for column in columns].index("runs")
    filled: list[Row] = []
    notes = []
    for line, row in zip(lines, rows, strict=True):
        filled.append(row)
        if line.kind != "control" or line.entry is None:
            continue
        entry, marks = line.entry, row.cells[place_of_runs].marks
        found = {rule: control_of(entry.scores[rule], entry.runs[0]) for rule in entry.rules}
        cells = {
            key_of(rule, "accuracy"): score_cell("accuracy", Spread(null.expected, low=null.low, high=null.high))
            for rule, null in found.items()
            if rule in HONEST
        }
        method, runs = Cell(f"{line.method}: expected by chance"), Cell(marks=marks)
        filled.append(table_row("control", {"method": method, **cells, "runs": runs}, columns))
        notes.append(Note(_control_text(f"{line.method} ({', '.join(marks)})", found)))
    return filled, notes


def _control_text(name: str, found: Mapping[str, NullControl]) -> str:
    honest = "; ".join(
        f"`{rule}` gives {percent(null.accuracy)} %, {'within' if null.is_at_chance else 'outside'} the 95 % interval "
        f"of an honest rule, {percent(null.low)} to {percent(null.high)} %"
        for rule, null in found.items()
        if rule in HONEST and null.low is not None and null.high is not None
    )
    n_seeds = found["last"].n_seeds
    leak = ""
    if "best-test" in found:
        points = 100 * (found["best-test"].accuracy - found["last"].expected)
        leak = (
            f" `best-test` gives {percent(found['best-test'].accuracy)} %, {points:+.2f} points from what is expected "
            "under `last`: the size of that rule's leak on this data."
        )
    return (
        f"{name}: trained on shuffled labels, {n_seeds} {'seed' if n_seeds == 1 else 'seeds'}, so an honest rule must "
        "give what is expected by chance, the sum over classes of predicted share times true share. "
        f"{honest}.{leak}"
    )
