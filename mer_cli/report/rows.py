"""Builds columns and rows of a table of methods: published numbers, our scores, tests against MMNet, guessers.

A method's score is always shown with the scores of guessers on the same clips and of runs on permuted labels, if any.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from string import ascii_lowercase
from typing import cast

from mer_cli.evaluation.chance import NullControl, control_of, run_chance
from mer_cli.evaluation.comparison import compare_scores, under_seeds_of
from mer_cli.evaluation.statistics import METRICS, Comparison, Spread, holm
from mer_cli.evaluation.summary import fraction, percent, signed_fraction
from mer_cli.records import EPOCH_RULES
from mer_cli.report.entries import Entry, metrics_of
from mer_cli.report.lines import Line
from mer_cli.report.model import Cell, Column, Group, Note, Row, RowKind
from mer_cli.report.paper import PaperRow, paper_notes
from mer_cli.report.tried import Tried
from mer_cli.runs.methods import METHODS

HONEST = cast("tuple[Group, ...]", tuple(rule for rule in EPOCH_RULES if rule != "best-test"))
NONE = Cell("–")  # there could be a number, but there is none yet
RANKED_BY = ("last", "uf1")  # every run can be scored under that rule, and it chooses nothing
RANK = "last_rank"
MMNETS, REFERENCES = "MMNet's", "the reference's"
HEADINGS = {"accuracy": "Accuracy %", "uf1": "UF1", "uar": "UAR"}
_PUBLISHED = (
    Column("published_clips", "Clips", "published", numeric=False),
    Column("published_accuracy", "Accuracy %", "published"),
    Column("published_f1", "F1", "published"),
    Column("published_epoch_rule", "Epoch rule", "published", numeric=False, laid_out=False),
)
_DIGITS = 6  # kept of a value: more than are printed, and the same on every machine


def method_columns(
    rules: Collection[str], *, ranked: bool, published: Collection[str], reference: str
) -> tuple[Column, ...]:
    """Return the columns of Tables 3 to 7, and of the table of all methods.

    Parameters
    ----------
    rules : epoch rules that can score at least one run of the table
    ranked : whether the table has a column of ranks
    published : keys of the columns that the paper's table fills; empty if the paper has no such table
    reference : whose UF1 the others are compared with, in the genitive
    """
    columns = [Column("method", "Method", numeric=False)]
    columns += [column for column in _PUBLISHED if column.key in published]
    for rule in HONEST:
        if rule in rules:
            headings = HEADINGS | {"difference": f"UF1 minus {reference}", "p": "p"}
            columns += [Column(key_of(rule, name), heading, rule) for name, heading in headings.items()]
            columns += [Column(RANK, "Rank", rule)] if ranked and rule == RANKED_BY[0] else []
    headings = HEADINGS | {"uf1": "F1"}
    columns += [Column(key_of("best-test", name), headings[name], "best-test") for name in metrics_of("best-test")]
    return (*columns, Column("seeds", "Seeds", numeric=False), Column("runs", "Runs", numeric=False))


def key_of(rule: str, name: str) -> str:
    """Return the key of a score's column: "inner_val_uf1", but "best_test_f1" because that F1 is not UF1."""
    return f"{rule.replace('-', '_')}_{'f1' if (rule, name) == ('best-test', 'uf1') else name}"


def score_cell(metric: str, spread: Spread) -> Cell:
    """Return the cell of a score: "72.92 ± 1.20 [62.96, 84.44]" for an accuracy (percent), ".6876" for an F1."""
    unit, text = (100, percent) if metric == "accuracy" else (1, fraction)
    spelt = text(spread.mean)
    if spread.sd is not None:
        spelt = f"{spelt} ± {text(spread.sd)}"
    if spread.low is not None and spread.high is not None:
        spelt = f"{spelt} [{text(spread.low)}, {text(spread.high)}]"
    value, sd, low, high = (_rounded(share, unit) for share in (spread.mean, spread.sd, spread.low, spread.high))
    return Cell(spelt, value, sd, low, high)


def _rounded(share: float | None, unit: int) -> float | None:
    return None if share is None else round(unit * share, _DIGITS)


@dataclass(frozen=True)
class Tested:
    """The comparison of a row with its reference under one epoch rule; `p_value` is adjusted by Holm over the table."""

    comparison: Comparison
    p_value: float


Tests = Mapping[tuple[int, str], Tested]  # of a block, by the line's place and the rule


def compare_lines(blocks: Sequence[Sequence[Line]], rules: Sequence[str]) -> list[Tests]:
    """Return for each block the tests of lines against their reference, where both have a rule and a seed in common.

    Parameters
    ----------
    blocks : the lines of each block of one table
    rules : honest epoch rules only; no p-value is valid if the epoch was chosen on the test subject
    """
    tests: list[dict[tuple[int, str], Tested]] = [{} for _ in blocks]
    for rule in rules:
        found = {
            (block, place): compare_scores(own, reference, line.entry.runs[0])
            for block, lines in enumerate(blocks)
            for place, line in enumerate(lines)
            if line.entry and line.reference
            for reference in [line.reference.by_seed(rule)]
            for own in [under_seeds_of(reference, line.entry.by_seed(rule), line.entry.config)]
            if own.keys() & reference.keys()
        }
        adjusted = holm([comparison.p_value for comparison in found.values()])
        for ((block, place), comparison), p_value in zip(found.items(), adjusted, strict=True):
            tests[block][place, rule] = Tested(comparison, p_value)
    return list(tests)


def _comparison_notes(lines: Sequence[Line], marks: Mapping[int, str], tests: Tests) -> Iterator[Note]:
    """Yield a note for each compared line: number of seeds, smallest detectable difference, McNemar's p.

    Parameters
    ----------
    marks : mark of the note by the index of the line, for the lines that were compared
    """
    names = {line.entry.runs[0].path: line.method for line in lines if line.entry and not line.entry.place.is_plain}
    beside = [names.get(line.reference.runs[0].path, "MMNet") if line.reference else "" for line in lines]
    for place, mark in marks.items():
        of_line = {rule: tested.comparison for (at, rule), tested in tests.items() if at == place}
        found = "; ".join(
            f"`{rule}`: this test would find a difference of {fraction(comparison.detectable)} 4 times in 5; McNemar's "
            f"p for seed {comparison.mcnemar_seed} is {fraction(comparison.mcnemar)} (over clips, so too small)"
            for rule, comparison in of_line.items()
        )
        n_seeds = next(iter(of_line.values())).n_seeds
        yield Note(f"{lines[place].method} minus {beside[place]}; seeds in common: {n_seeds}. {found}.", mark)


Cells = dict[str, Cell]  # by the key of the column
NO_REFERENCE = Note(
    "– instead of a difference from MMNet: no finished run of MMNet has these settings and one of these seeds."
)


def method_rows(
    lines: Sequence[Line],
    tests: Tests,
    letters: Mapping[str, str],
    columns: Sequence[Column],
    tried: Tried,
    nested: Sequence[Cells] = (),
) -> tuple[list[Row], list[Note]]:
    """Return the rows of a block, and the notes that marks in the rows refer to.

    A note marked with a letter explains a published number, a note marked with a number names the runs of a row, and
    "2-1" compares row 2 with row 1.

    Parameters
    ----------
    tests : from `compare_lines`, for this block · letters : from `letters_of` · columns : from `method_columns`
    tried : says which rows are ranked and can be bold
    nested : cells of rows of settings chosen fold by fold, which can be bold under `inner-val`; changed in place
    """
    rules = honest_rules(columns)
    entries = [line.entry for line in lines if line.entry]
    numbers = {entry.runs[0].path: str(number) for number, entry in enumerate(entries, start=1)}
    pairs = {
        place: f"{numbers[line.entry.runs[0].path]}-{numbers[line.reference.runs[0].path]}"
        for place, line in enumerate(lines)
        if line.entry and line.reference and any((place, rule) in tests for rule in rules)
    }
    filled: list[Cells] = []
    for place, line in enumerate(lines):
        own_mark = (numbers[line.entry.runs[0].path],) if line.entry else ()
        cells = {"method": Cell(line.method), "runs": Cell(line.command, marks=own_mark, code=bool(line.command))}
        cells |= _published(line.paper, letters) | _ours(line, rules) | _against(lines, place, rules, tests, pairs)
        filled.append(cells)
    for rule in rules:
        mark_best([rule], [*_competing(lines, filled, tried, rule), *nested])
    _rank(
        _competing(lines, filled, tried, RANKED_BY[0]),
        [cells for line, cells in zip(lines, filled, strict=True) if line.is_stated],
    )
    said = {text for line in lines if line.paper for text in _to_know(line.paper)}
    notes = [Note(text, letter) for text, letter in letters.items() if text in said]
    for entry in entries:
        notes.append(Note(", ".join(f"`{run.path.name}`" for run in entry.runs), numbers[entry.runs[0].path]))
    notes += _comparison_notes(lines, pairs, tests)
    lacking = (
        (place, rule) for place in range(len(lines)) for rule in rules if _lacks_reference(lines, place, rule, tests)
    )
    if any(lacking):
        notes.append(NO_REFERENCE)
    return [table_row(line.kind, cells, columns) for line, cells in zip(lines, filled, strict=True)], notes


def _competing(lines: Sequence[Line], filled: Sequence[Cells], tried: Tried, rule: str) -> list[Cells]:
    """Return the cells of the lines that are ranked under a rule, and can be bold."""
    pairs = zip(lines, filled, strict=True)
    return [cells for line, cells in pairs if line.entry and tried.competes(line.entry, rule)]


def in_rank_order(lines: Sequence[Line], tried: Tried) -> list[Line]:
    """Return the lines sorted: those that are ranked first, best first, then all others; ties keep their order."""

    def standing(line: Line) -> float:
        is_ranked = line.entry and tried.competes(line.entry, RANKED_BY[0])
        return -_ranked_value(line.entry) if line.entry and is_ranked else 1.0

    return sorted(lines, key=standing)


def with_reference(lines: Sequence[Line], tried: Tried) -> list[Line]:
    """Return lines in rank order; if no run of MMNet has finished, each is compared with the best that is ranked."""
    has_mmnet = any(line.entry.place.is_plain and line.entry.is_finished for line in lines if line.entry)
    ranked = (line.entry for line in lines if line.entry and tried.competes(line.entry, RANKED_BY[0]))
    best = None if has_mmnet else next(ranked, None)
    return [
        replace(line, reference=best)
        if best and line.kind == "method" and line.entry and line.entry is not best
        else line
        for line in lines
    ]


def honest_rules(columns: Sequence[Column]) -> list[Group]:
    """Return the honest rules that a table has columns for."""
    return [rule for rule in HONEST if any(column.group == rule for column in columns)]


def table_row(kind: RowKind, cells: Mapping[str, Cell], columns: Iterable[Column]) -> Row:
    """Return a row with the cells (by column key) in the order of the columns; a missing cell stays empty."""
    return Row(kind, tuple(cells.get(column.key, Cell()) for column in columns))


def _published(paper: PaperRow | None, letters: Mapping[str, str]) -> Cells:
    if paper is None:
        return {}
    known = set(_to_know(paper))
    marks = tuple(letter for text, letter in letters.items() if text in known)
    return {
        "published_clips": Cell(paper.clips),
        "published_accuracy": Cell(paper.accuracy, float(paper.accuracy), marks=marks),
        **({"published_f1": Cell(paper.f1, float(paper.f1))} if paper.f1 else {}),
        "published_epoch_rule": Cell(paper.epoch_rule),
    }


def _ours(line: Line, rules: Sequence[str]) -> Cells:
    """Return our scores of a row; dashes if it has not been run, nothing if the method is only quoted."""
    if line.entry is None and not line.command:
        return {}
    known = line.entry.rules if line.entry and not line.entry.config.has_epochs else (*rules, "best-test")
    cells = {key_of(rule, metric): NONE for rule in known for metric in metrics_of(rule)}
    if line.entry:
        cells |= {key_of(rule, metric): score_cell(metric, it) for (rule, metric), it in line.entry.spreads.items()}
        cells["seeds"] = Cell(", ".join(str(run.config.seed) for run in line.entry.runs))
    return cells


def _against(lines: Sequence[Line], place: int, rules: Sequence[str], tests: Tests, pairs: Mapping[int, str]) -> Cells:
    """Return the UF1 difference to the reference and its p under each rule; dashes without a run to compare with."""
    cells: Cells = {}
    for rule in rules:
        difference, p_value = key_of(rule, "difference"), key_of(rule, "p")
        if (place, rule) in tests:
            ahead, p = tests[place, rule].comparison.difference, tests[place, rule].p_value
            cells[difference] = Cell(signed_fraction(ahead), _rounded(ahead, 1), marks=(pairs[place],))
            cells[p_value] = Cell(fraction(p), _rounded(p, 1))
        elif any(_is_reference(lines[place], line, rule) for line in lines):
            cells[difference] = Cell("reference")
        elif _lacks_reference(lines, place, rule, tests):
            cells |= {difference: NONE, p_value: NONE}
    return cells


def _lacks_reference(lines: Sequence[Line], place: int, rule: str, tests: Tests) -> bool:
    """Return whether a row should have a difference under the rule, but there is no run to compare it with."""
    line = lines[place]
    if (place, rule) in tests or any(_is_reference(line, other, rule) for other in lines):
        return False
    if line.kind != "method" or line.entry is None or line.entry.place.is_plain:
        return False
    return rule in line.entry.rules or line.entry.config.has_epochs


def _is_reference(line: Line, other: Line, rule: str) -> bool:
    """Return whether `other` is compared with `line`, and `line` has a score under the rule."""
    return line.entry is not None and other.reference is line.entry and rule in line.entry.rules


def _ranked_value(entry: Entry) -> float:
    """Return the score that a row is ranked by: UF1 under `last`, 0 to 1."""
    return score_cell(RANKED_BY[1], entry.spreads[RANKED_BY]).value or 0.0


def _rank(honest: Sequence[Cells], stated: Sequence[Cells]) -> None:
    """Add the rank to each row, 1 for the best; equal values share a rank, and the next ranks are skipped.

    Parameters
    ----------
    stated : rows of predictions made elsewhere: the rank that they would have is in brackets, and moves no other rank
    """
    values = [cells[key_of(*RANKED_BY)].value or 0.0 for cells in honest]

    def rank_of(cells: Cells) -> int:
        return 1 + sum(other > (cells[key_of(*RANKED_BY)].value or 0.0) for other in values)

    for cells in honest:
        cells[RANK] = Cell(str(rank_of(cells)), rank_of(cells))
    for cells in stated:
        cells[RANK] = Cell(f"({rank_of(cells)})")


def mark_best(rules: Sequence[str], honest: Sequence[Cells]) -> None:
    """Mark the best value of each score under the rules (bold in print); equal values are all marked.

    `honest` has the cells of the rows that are ranked, and is changed in place.
    """
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
    """Return the text of each note on the table's published numbers, with the letter that marks it (a, b and so on)."""
    texts = dict.fromkeys(text for line in lines if line.paper for text in _to_know(line.paper))
    return {text: _letter(place) for place, text in enumerate(texts)}


def _letter(place: int) -> str:
    """Return the letter for a place from 0: "a" to "z", then "aa" to "az"."""
    return ascii_lowercase[place] if place < 26 else f"a{ascii_lowercase[place - 26]}"


def _to_know(paper: PaperRow) -> list[str]:
    """Return the notes that explain a published row: its epoch rule, how the method was built, the paper's notes."""
    rule = f"Epoch rule of the published number: {paper.epoch_rule}."
    return [rule, *_method_notes(paper), *(paper_notes()[key] for key in paper.notes)]


def _method_notes(paper: PaperRow) -> list[str]:
    """Return a note on why a method is only quoted, or how our version differs from the published one; else nothing."""
    for method in METHODS.values():
        if method.form == "quoted only" and paper.config is None and method.title == paper.method:
            return [f"Quoted only, not built here: {method.note}."]
        if method.form == "variant" and paper.config and method.name == paper.config.model:
            return [f"Ours is a variant: {method.note}."]
    return []


def guesser_rows(entries: Sequence[Entry], columns: Sequence[Column]) -> Iterator[Row]:
    """Yield a row for each guesser and each setting of finished runs: number of epochs and of subjects set aside.

    Guessers use the classes of the clips that are trained on, so setting clips aside changes their scores. `majority`
    doesn't depend on the number of epochs and has one row for all. Classical methods have no epochs, and have guessers
    of their own only if no network was run.
    """
    finished = [entry for entry in reversed(entries) if entry.is_finished]
    networks = [entry for entry in finished if entry.config.has_epochs]
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
    """Return the cells with the scores of each guesser on the entry's clips, by the guesser's name."""
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
    """Return the rows with a row below each finished control (run on permuted labels): its score expected by chance.

    The notes that are returned too say how far off each control is.

    Parameters
    ----------
    lines, rows : lines of `method_rows` and the rows it returned, one for each line
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
        f"for an honest rule, {percent(null.low)} to {percent(null.high)} %"
        for rule, null in found.items()
        if rule in HONEST and null.low is not None and null.high is not None
    )
    n_seeds = found["last"].n_seeds
    leak = ""
    if "best-test" in found:
        points = 100 * (found["best-test"].accuracy - found["last"].expected)
        leak = (
            f" `best-test` gives {percent(found['best-test'].accuracy)} %, {points:+.2f} points from what is expected "
            "under `last`: this is how much that rule leaks on these data."
        )
    return (
        f"{name}: trained on permuted labels, {n_seeds} {'seed' if n_seeds == 1 else 'seeds'}, so an honest rule must "
        "give what is expected by chance: the sum over classes of predicted share times true share. "
        f"{honest}.{leak}"
    )
