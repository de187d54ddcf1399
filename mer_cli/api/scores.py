"""The scores of a run, with all that must stand beside them: protocol, epoch rule, clips, seed and chance."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from mer_cli.evaluation import epoch_rules
from mer_cli.evaluation.epoch_rules import Scores
from mer_cli.evaluation.summary import Summary, TextTable, summarise_dataset
from mer_cli.runs.directory import Run, read_run


@dataclass(frozen=True)
class RunScores(Scores):
    """The scores of a run under one epoch rule; a notebook shows them as `mer evaluate` does.

    dataset : the test dataset that was pooled over; None for all
    """

    run: Run = field(repr=False)
    dataset: str | None

    @property
    def summary(self) -> Summary:
        """The scores with their intervals over subjects, the classes, the confusion and chance, all as text."""
        return summarise_dataset(self.run, self.rule, self.dataset)

    def __str__(self) -> str:
        facts = self.summary.facts
        width = max(len(name) for name, _ in facts)
        return "\n".join([self.run.path.name, *(f"{name:{width}}  {value}" for name, value in facts)])

    def _repr_html_(self) -> str:
        summary = self.summary
        facts = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in summary.facts)
        tables = (rows for rows in (summary.datasets, summary.classes, summary.confusion, summary.chance) if rows)
        return f"<p><b>{escape(summary.title)}</b></p><table>{facts}</table>{''.join(map(_table, tables))}"


def evaluate(run: Run | str | Path, rule: str = "last", dataset: str | None = None) -> RunScores:
    """Score a finished run under an epoch rule. The code of the run's method is neither needed nor imported.

    Parameters
    ----------
    run : a run directory, or the run that was read from it
    rule : "last", "inner-val", or "best-test" (selected on the test subject)
    dataset : pool over the folds of this test dataset only; over all folds if left out

    Raises
    ------
    RunError
        If it is not a run, a fold is missing (the score of some of the subjects would not compare), or a fold can't be
        scored.
    """
    held = run if isinstance(run, Run) else read_run(Path(run))
    return RunScores(**vars(epoch_rules.evaluate(held, rule, dataset)), run=held, dataset=dataset)


def _table(rows: TextTable) -> str:
    head, *body = rows
    header = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    lines = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in body)
    return f"<table><thead><tr>{header}</tr></thead><tbody>{lines}</tbody></table>"
