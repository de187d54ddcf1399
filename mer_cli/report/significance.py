"""Tests every finished row of a table against MMNet with the same settings, under each honest rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mer_cli.evaluation.comparison import compare_scores, under_seeds_of
from mer_cli.evaluation.epoch_rules import Scores
from mer_cli.evaluation.statistics import N_DRAWS, Comparison, holm
from mer_cli.evaluation.summary import fraction
from mer_cli.report.layout import Line
from mer_cli.report.model import Note
from mer_cli.report.scores import Entry

P_MEANING = (
    f"p: paired permutation test on UF1, both methods' predictions swapped for whole subjects ({N_DRAWS:,} draws), "
    "averaged over the seeds that both have, and adjusted by Holm over the tests of the whole table under that rule."
)


@dataclass(frozen=True)
class Tested:
    """A row against its reference under one rule; `p_value` is adjusted by Holm over the table."""

    comparison: Comparison
    p_value: float


Tests = Mapping[tuple[int, str], Tested]  # of a block, by the line's place and the rule


def compare_lines(blocks: Sequence[Sequence[Line]], rules: Sequence[str]) -> list[Tests]:
    """Compare each line that has a reference with it, where they share a rule and a seed; give the tests of each block.

    Parameters
    ----------
    blocks : the lines of each block of one table
    rules : honest ones: where the epoch was chosen on the test subject no p-value holds
    """
    tests: list[dict[tuple[int, str], Tested]] = [{} for _ in blocks]
    for rule in rules:
        found = {
            (block, place): compare_scores(own, reference, line.entry.runs[0])
            for block, lines in enumerate(blocks)
            for place, line in enumerate(lines)
            if line.entry and line.reference
            for own, reference in [_by_seed(line.entry, line.reference, rule)]
            if own.keys() & reference.keys()
        }
        adjusted = holm([comparison.p_value for comparison in found.values()])
        for ((block, place), comparison), p_value in zip(found.items(), adjusted, strict=True):
            tests[block][place, rule] = Tested(comparison, p_value)
    return list(tests)


def _by_seed(entry: Entry, reference: Entry, rule: str) -> tuple[dict[int, Scores], dict[int, Scores]]:
    others = reference.by_seed(rule)
    return under_seeds_of(others, entry.by_seed(rule), entry.config), others


def comparison_notes(lines: Sequence[Line], marks: Mapping[int, str], tests: Tests) -> Iterator[Note]:
    """Yield a note for each compared line: how many seeds, what such a test could find, and McNemar's p.

    Parameters
    ----------
    marks : of the lines that were compared, by their place
    """
    for place, mark in marks.items():
        of_line = {rule: tested.comparison for (at, rule), tested in tests.items() if at == place}
        found = "; ".join(
            f"`{rule}`: smallest difference that such a test finds 4 times in 5 {fraction(comparison.detectable)}, "
            f"p of McNemar's test, seed {comparison.mcnemar_seed}, {fraction(comparison.mcnemar)} (over clips, so too "
            "small)"
            for rule, comparison in of_line.items()
        )
        n_seeds = next(iter(of_line.values())).n_seeds
        yield Note(f"{lines[place].method}, minus MMNet; seeds in common: {n_seeds}. {found}.", mark)
