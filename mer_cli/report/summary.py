"""One row for each configuration of runs: what it is, what it reached, and what guessers reach on the same clips.

The report leads with these rows, and the demo ends with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mer_cli.evaluation.chance import ChanceScores
from mer_cli.evaluation.run_text import progress, settings
from mer_cli.evaluation.scoring import run_chance
from mer_cli.evaluation.spread import Spread
from mer_cli.models.catalogue import method_of
from mer_cli.report.method_names import with_form
from mer_cli.report.placing import Protocol, class_counts, n_subjects, protocols
from mer_cli.report.scores import Entry, score_runs
from mer_cli.training.mmnet_settings import RECIPE_STAMPS
from mer_cli.training.run import Run

RULE = "last"  # every run can be scored under it, and it chooses nothing


@dataclass(frozen=True)
class SummaryRow:
    """The finished seeds of one configuration, or one run that lacks folds. Scores are shares, under RULE.

    method, settings : "MMNet", "released recipe, epochs 10"
    protocol : "casme2-5/249, leave one subject out" · generated : of generated faces, so no result on a dataset
    n_clips, n_subjects : that it is scored on
    accuracy, uf1, uar : mean, deviation over the seeds, interval over subjects; None if folds are missing
    chance : what the guessers `majority` and `prior-random` reach; none if folds are missing
    remarks : what has to be known of it: "permuted labels", "tuned on test", "14 of 26 folds"
    runs : names of the run directories
    """

    method: str
    settings: str
    protocol: str
    generated: bool
    n_clips: int
    n_subjects: int
    seeds: tuple[int, ...]
    accuracy: Spread | None
    uf1: Spread | None
    uar: Spread | None
    chance: tuple[ChanceScores, ...]
    remarks: tuple[str, ...]
    runs: tuple[str, ...]


def summarise_runs(runs: Sequence[Run]) -> tuple[SummaryRow, ...]:
    """Return a row for each configuration, protocol by protocol, the best first.

    Raises
    ------
    RunError
        If two runs share configuration and seed, or a run cannot be scored.
    """
    return tuple(row for protocol in protocols(None, whole(score_runs(runs))) for row in summary_rows(protocol))


def whole(entries: Sequence[Entry]) -> list[Entry]:
    """Leave out the entries that are of one dataset while another entry is of all clips of the same runs."""
    return [entry for entry in entries if entry.dataset is None or not entry.config.is_loso]


def summary_rows(protocol: Protocol) -> list[SummaryRow]:
    """Return the rows of one protocol: those that compete by UF1, then what was tuned on test, controls, unfinished."""
    return [_row(protocol, entry) for entry in sorted(protocol.entries, key=_standing)]


def _standing(entry: Entry) -> tuple[object, ...]:
    config = entry.config
    uf1 = entry.spreads[RULE, "uf1"].mean if entry.is_finished else 0.0
    return (not entry.is_finished, config.shuffle_labels, config.recipe in RECIPE_STAMPS, -uf1, config.run_name)


def _row(protocol: Protocol, entry: Entry) -> SummaryRow:
    run, config = entry.runs[0], entry.config
    return SummaryRow(
        method=with_form(method_of(config.model)),
        settings=settings(config),
        protocol=protocol.name,
        generated=config.generated,
        n_clips=sum(class_counts(run, entry.dataset)),
        n_subjects=n_subjects(run, entry.dataset),
        seeds=tuple(run.config.seed for run in entry.runs),
        accuracy=entry.spreads.get((RULE, "accuracy")),
        uf1=entry.spreads.get((RULE, "uf1")),
        uar=entry.spreads.get((RULE, "uar")),
        chance=run_chance(run, RULE, entry.dataset) if entry.is_finished else (),
        remarks=_remarks(entry),
        runs=tuple(run.path.name for run in entry.runs),
    )


def _remarks(entry: Entry) -> tuple[str, ...]:
    config = entry.config
    remarks = ["permuted labels"] if config.shuffle_labels else []
    remarks += [RECIPE_STAMPS[config.recipe]] if config.recipe in RECIPE_STAMPS else []
    return (*remarks, *([] if entry.is_finished else [progress(entry.runs[0])]))
