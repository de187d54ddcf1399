"""Fills the lines of a block of methods: published numbers, ours under every rule, and tests against MMNet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from string import ascii_lowercase

from mer_cli.evaluation.spread import METRICS
from mer_cli.models.catalogue import METHODS
from mer_cli.report.cells import (
    HONEST,
    NONE,
    RANK,
    RANKED_BY,
    difference_cell,
    key_of,
    p_cell,
    printed_cell,
    score_cell,
)
from mer_cli.report.layout import Line
from mer_cli.report.model import Cell, Column, Group, Note, Row, RowKind
from mer_cli.report.paper import PaperRow, paper_notes
from mer_cli.report.placing import is_plain
from mer_cli.report.scores import Entry, metrics_of
from mer_cli.report.significance import Tests, comparison_notes
from mer_cli.training.methods import is_classical
from mer_cli.training.mmnet_settings import RECIPE_STAMPS

Cells = dict[str, Cell]  # by the key of the column
NO_REFERENCE = Note(
    "–, where a difference from MMNet would stand: no finished run of MMNet shares these settings and a seed."
)


def method_rows(
    lines: Sequence[Line], tests: Tests, letters: Mapping[str, str], columns: Sequence[Column]
) -> tuple[list[Row], list[Note]]:
    """Give the rows of a block, and the notes that their marks refer to.

    Letters mark what has to be known of published numbers, numbers the runs, "2-1" a comparison of run 2 with run 1.

    Parameters
    ----------
    tests : of these lines · letters : of `letters_of` · columns : of `cells.method_columns`
    """
    rules = honest_rules(columns)
    entries = [line.entry for line in lines if line.entry]
    numbers = {_name(entry): str(number) for number, entry in enumerate(entries, start=1)}
    pairs = {
        place: f"{numbers[_name(line.entry)]}-{numbers[_name(line.reference)]}"
        for place, line in enumerate(lines)
        if line.entry and line.reference and any((place, rule) in tests for rule in rules)
    }
    filled: list[Cells] = []
    for place, line in enumerate(lines):
        own_mark = (numbers[_name(line.entry)],) if line.entry else ()
        cells = {"method": Cell(line.method), "runs": Cell(line.command, marks=own_mark, code=bool(line.command))}
        cells |= _published(line.paper, letters) | _ours(line, rules) | _against(lines, place, rules, tests, pairs)
        filled.append(cells)
    honest = _ranking(lines, filled)
    mark_best(rules, honest)
    _rank(honest)
    said = {text for line in lines if line.paper for text in _to_know(line.paper)}
    notes = [Note(text, letter) for text, letter in letters.items() if text in said]
    notes += [Note(", ".join(f"`{run.path.name}`" for run in entry.runs), numbers[_name(entry)]) for entry in entries]
    notes += comparison_notes(lines, pairs, tests)
    if any(cells.get(key_of(rule, "difference")) is NONE for cells in filled for rule in rules):
        notes.append(NO_REFERENCE)
    return [table_row(line.kind, cells, columns) for line, cells in zip(lines, filled, strict=True)], notes


def in_rank_order(lines: Sequence[Line]) -> list[Line]:
    """Put the rows that are ranked first, from the best; equal ones, and all others after them, stay as laid out."""
    return sorted(lines, key=lambda line: -_ranked_value(line) if _competes(line) else 1.0)


def honest_rules(columns: Sequence[Column]) -> list[Group]:
    """Give the honest rules that a table has columns for."""
    return [rule for rule in HONEST if any(column.group == rule for column in columns)]


def table_row(kind: RowKind, cells: Mapping[str, Cell], columns: Iterable[Column]) -> Row:
    """Give the row of these cells; a column that it has none for stays empty."""
    return Row(kind, tuple(cells.get(column.key, Cell()) for column in columns))


def _published(paper: PaperRow | None, letters: Mapping[str, str]) -> Cells:
    if paper is None:
        return {}
    known = set(_to_know(paper))
    marks = tuple(letter for text, letter in letters.items() if text in known)
    return {
        "published_clips": Cell(paper.clips or NONE.text),
        "published_accuracy": printed_cell(paper.accuracy, marks),
        "published_f1": printed_cell(paper.f1),
        "published_epoch_rule": Cell(paper.epoch_rule if paper.accuracy else ""),
    }


def _ours(line: Line, rules: Sequence[str]) -> Cells:
    """The scores, or dashes where there could be some; nothing for a method that is quoted only."""
    if line.entry is None and not line.command:
        return {}
    known = line.entry.rules if line.entry and is_classical(line.entry.config.model) else (*rules, "best-test")
    cells = {key_of(rule, metric): NONE for rule in known for metric in metrics_of(rule)}
    if line.entry:
        cells |= {key_of(rule, metric): score_cell(metric, it) for (rule, metric), it in line.entry.spreads.items()}
        cells["seeds"] = Cell(", ".join(str(run.config.seed) for run in line.entry.runs))
    return cells


def _against(lines: Sequence[Line], place: int, rules: Sequence[str], tests: Tests, pairs: Mapping[int, str]) -> Cells:
    """The difference to MMNet under each rule; dashes where it has no finished run of the same seed and settings."""
    cells: Cells = {}
    for rule in rules:
        difference, p_value = key_of(rule, "difference"), key_of(rule, "p")
        if (place, rule) in tests:
            tested = tests[place, rule]
            cells[difference] = difference_cell(tested.comparison.difference, pairs[place])
            cells[p_value] = p_cell(tested.p_value)
        elif any(_is_reference(lines[place], line, rule) for line in lines):
            cells[difference] = Cell("reference")
        elif _could_differ(lines[place], rule):
            cells |= {difference: NONE, p_value: NONE}
    return cells


def _could_differ(line: Line, rule: str) -> bool:
    """Whether a finished row could have a difference to MMNet under the rule."""
    if line.kind != "method" or line.entry is None or is_plain(line.entry.config):
        return False
    return rule in line.entry.rules or not is_classical(line.entry.config.model)


def _is_reference(line: Line, other: Line, rule: str) -> bool:
    """Whether another line is compared with this one, and this one has a score to compare under the rule."""
    return line.entry is not None and other.reference is line.entry and rule in line.entry.rules


def _ranking(lines: Sequence[Line], filled: Sequence[Cells]) -> list[Cells]:
    """The cells of rows that compete."""
    return [cells for line, cells in zip(lines, filled, strict=True) if _competes(line)]


def _competes(line: Line) -> bool:
    """Whether a row is finished, no control, and nothing that was tuned on the test subjects."""
    return line.kind == "method" and line.entry is not None and line.entry.config.recipe not in RECIPE_STAMPS


def _ranked_value(line: Line) -> float:
    """What a row that competes is ranked by, 0 to 1."""
    assert line.entry, line.method
    return score_cell(RANKED_BY[1], line.entry.spreads[RANKED_BY]).value or 0.0


def _rank(honest: Sequence[Cells]) -> None:
    """Number the rows from the best; equal values share a number, and the next ones are those that none has."""
    values = [cells[key_of(*RANKED_BY)].value or 0.0 for cells in honest]
    for cells, value in zip(honest, values, strict=True):
        rank = 1 + sum(other > value for other in values)
        cells[RANK] = Cell(str(rank), rank)


def mark_best(rules: Sequence[str], honest: Sequence[Cells]) -> None:
    """Set the best honest value of each column in bold."""
    for key in [key_of(rule, metric) for rule in rules for metric in METRICS]:
        values = {
            place: value
            for place, cells in enumerate(honest)
            if key in cells and (value := cells[key].value) is not None
        }
        for place, value in values.items():
            if value == max(values.values()):
                honest[place][key] = replace(honest[place][key], best=True)


def letters_of(lines: Iterable[Line]) -> dict[str, str]:
    """Return a letter for each thing that has to be known of the published numbers of a whole table."""
    texts = dict.fromkeys(text for line in lines if line.paper for text in _to_know(line.paper))
    return {text: _letter(place) for place, text in enumerate(texts)}


def _letter(place: int) -> str:
    """Give "a" to "z", then "aa" to "az"."""
    return ascii_lowercase[place] if place < 26 else f"a{ascii_lowercase[place - 26]}"


def _to_know(paper: PaperRow) -> list[str]:
    """What has to be known of a published row."""
    rule = [f"Epoch rule of the published number: {paper.epoch_rule}."] if paper.accuracy else []
    return [*rule, *_here(paper), *(paper_notes()[key] for key in paper.notes)]


def _here(paper: PaperRow) -> list[str]:
    """Why a method is quoted only, or in what ours differs from it."""
    name = (paper.settings or {}).get("model")
    for method in METHODS:
        if method.form == "quoted only" and paper.settings is None and method.title == paper.method:
            return [f"Quoted only, not built here: {method.note}."]
        if method.form == "variant" and method.name == name:
            return [f"Ours is a variant: {method.note}."]
    return []


def _name(entry: Entry) -> str:
    return str(entry.runs[0].path)
