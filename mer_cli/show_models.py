"""The list of methods as a person reads it, or as JSON, on stdout; and the plan of a comparison, on stderr."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.markup import escape

from mer_cli import console

if TYPE_CHECKING:
    from mer_cli.errors import MerError
    from mer_cli.models.catalogue import Method
    from mer_cli.training.ablation import Cell
    from mer_cli.training.comparison_plan import Comparison, LeftOut


LEGEND = (
    "Parameters are for 3 / 5 classes; descriptors with a support-vector machine have none. Grade: A fully public, "
    "A- but for a detail that is ours, B needs labels or weights that can be had, C what is not public."
)
HOW_TO_TRAIN = "Train one: mer train --loso --model NAME, or all that are not quoted only: mer compare-methods"


def show_methods(methods: Sequence[tuple[Method, Mapping[str, int]]], as_json: bool) -> None:
    """Every method with its number of parameters by number of classes."""
    if as_json:
        known = [
            {"kind": method.kind, "form": method.form}
            | {name: value for name, value in asdict(method).items() if name != "is_variant"}  # which the form says
            | {"command": method.command, "parameters": dict(parameters)}
            for method, parameters in methods
        ]
        console.out.print_json(json.dumps(known))
        return
    cells = [("name", "method", "form", "grade", "parameters", "input; what keeps it from running, or differs")]
    for method, parameters in methods:
        counts = " / ".join(f"{count:,}" for count in parameters.values()) or "–"
        said = "; ".join(part for part in (method.input, method.note) if part)
        cells.append((method.name, method.title, method.form, method.grade, counts, said))
    for line in _method_lines(cells):
        console.out.print(escape(line))
    for sentences in (LEGEND, HOW_TO_TRAIN):
        for line in console.folded(sentences, ""):
            console.out.print(line)


def _method_lines(cells: Sequence[tuple[str, str, str, str, str, str]]) -> Iterator[str]:
    """A line for each method; on a narrow terminal its title and what is said of it stand below, folded."""
    lines, wide = console.aligned(cells), console.width()
    if wide is None or max(map(len, lines)) <= wide:
        yield from lines
        return
    heads = console.aligned([(name, form, grade, counts) for name, _, form, grade, counts, _ in cells])
    for head, (_, title, *_, said) in zip(heads, cells, strict=True):
        yield head
        yield from console.folded(f"{title}: {said}", "    ")


def show_comparison(plan: Comparison, seconds: Sequence[float | None]) -> None:
    """The runs in the order in which they are trained, how far each is, and the time that is left.

    Parameters
    ----------
    seconds : that a fold of each takes, None where that is not known
    """
    lines = [("protocol", "method", "seed", "folds", "finished", "a fold", "left")]
    for cell, of_fold in zip(plan.cells, seconds, strict=True):
        config = cell.plan.config
        counts = (str(config.seed), str(len(cell.plan.folds)), str(cell.n_finished))
        about = "" if cell.seconds is not None else "about "
        times = ("?", "?") if of_fold is None else (f"{about}{_spell(of_fold)}", _spell(of_fold * cell.n_turns))
        if not cell.n_missing:
            times = (times[0], "")
        lines.append((config.protocol_id, cell.name, *counts, *times))
    for line in console.aligned(lines, gap=3):
        console.err.print(escape(line))
    left = sum(of_fold * cell.n_turns for cell, of_fold in zip(plan.cells, seconds, strict=True) if of_fold)
    unknown = {
        cell.name: None for cell, of_fold in zip(plan.cells, seconds, strict=True) if cell.n_missing and of_fold is None
    }
    known = "about {} left for those that are known" if unknown else "about {} left"
    times_left = [known.format(console.spell_seconds(left))] if left or not unknown else []
    times_left += [f"time not known before a fold of it is finished: {', '.join(unknown)}"] if unknown else []
    n_missing = sum(cell.n_missing for cell in plan.cells)
    console.err.print(f"{n_missing} folds to train, {'; '.join(times_left)}")


def show_left_out(left_out: Sequence[LeftOut]) -> None:
    """Methods that a store can't serve, those of one reason together."""
    for reason in dict.fromkeys(lost.reason for lost in left_out):
        names = ", ".join(lost.method for lost in left_out if lost.reason == reason)
        console.err.print(escape(f"left out: {names}: {reason}"))


def show_failures(failed: Sequence[tuple[Cell, MerError]]) -> None:
    """Runs that ended in an error."""
    for cell, error in failed:
        console.err.print(escape(f"failed: {cell.plan.config.protocol_id}, {cell.name}: {error}"))


def _spell(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else console.spell_seconds(seconds)
