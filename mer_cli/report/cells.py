"""The columns of a table of methods, and numbers as its cells: value, text, and how sure it is."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import cast

from mer_cli.evaluation.epoch_rules import RULES
from mer_cli.evaluation.run_text import signed_fraction
from mer_cli.evaluation.statistics import Spread
from mer_cli.evaluation.summary import fraction, percent
from mer_cli.report.collect import metrics_of
from mer_cli.report.model import Cell, Column, Group

HONEST = cast("tuple[Group, ...]", tuple(rule for rule in RULES if rule != "best-test"))
NONE = Cell("–")  # there could be a number, and there is none
RANKED_BY = ("last", "uf1")  # nothing is chosen under that rule, and every run has it
RANK = "last_rank"
HEADINGS = {"accuracy": "Accuracy %", "uf1": "UF1", "uar": "UAR"}
_AGAINST_HEADINGS = {"difference": "UF1 minus MMNet's", "p": "p"}
_PUBLISHED = (
    Column("published_clips", "Clips", "published", numeric=False),
    Column("published_accuracy", "Accuracy %", "published"),
    Column("published_f1", "F1", "published"),
    Column("published_epoch_rule", "Epoch rule", "published", numeric=False, laid_out=False),
)
_DIGITS = 6  # of a value, beyond what is printed: the same on every machine


def method_columns(rules: Collection[str], *, ranked: bool, published: Collection[str]) -> tuple[Column, ...]:
    """Return the columns of Tables 3 to 7, and of the table of all methods.

    Parameters
    ----------
    rules : those that any of the table's runs can be scored under
    ranked : whether the rows of a block are ranked
    published : keys of the columns that the paper's table fills; none if the paper has no such table
    """
    columns = [Column("method", "Method", numeric=False)]
    columns += [column for column in _PUBLISHED if column.key in published]
    for rule in HONEST:
        if rule in rules:
            headings = HEADINGS | _AGAINST_HEADINGS
            columns += [Column(key_of(rule, name), heading, rule) for name, heading in headings.items()]
            columns += [Column(RANK, "Rank", rule)] if ranked and rule == RANKED_BY[0] else []
    headings = HEADINGS | {"uf1": "F1"}
    columns += [Column(key_of("best-test", name), headings[name], "best-test") for name in metrics_of("best-test")]
    return (*columns, Column("seeds", "Seeds", numeric=False), Column("runs", "Runs", numeric=False))


def key_of(rule: str, name: str) -> str:
    """Give "inner_val_uf1"; under `best-test` "best_test_f1", for the released script's F1 is no UF1."""
    return f"{rule.replace('-', '_')}_{'f1' if (rule, name) == ('best-test', 'uf1') else name}"


def printed_cell(text: str, marks: tuple[str, ...] = ()) -> Cell:
    """Return a published number, character by character."""
    return Cell(text, float(text), marks=marks)


def score_cell(metric: str, spread: Spread) -> Cell:
    """Give "72.92 ± 1.20 [62.96, 84.44]", accuracies in percent."""
    unit, text = _unit(metric)
    spelt = text(spread.mean)
    if spread.sd is not None:
        spelt = f"{spelt} ± {text(spread.sd)}"
    if spread.low is not None and spread.high is not None:
        spelt = f"{spelt} [{text(spread.low)}, {text(spread.high)}]"
    value, sd, low, high = (_rounded(share, unit) for share in (spread.mean, spread.sd, spread.low, spread.high))
    return Cell(spelt, value, sd, low, high)


def difference_cell(difference: float, mark: str) -> Cell:
    """A difference of two UF1, with its sign."""
    return Cell(signed_fraction(difference), _rounded(difference, 1), marks=(mark,))


def p_cell(p_value: float) -> Cell:
    """A p-value."""
    return Cell(fraction(p_value), _rounded(p_value, 1))


def _unit(metric: str) -> tuple[int, Callable[[float], str]]:
    return (100, percent) if metric == "accuracy" else (1, fraction)


def _rounded(share: float | None, unit: int) -> float | None:
    return None if share is None else round(unit * share, _DIGITS)
