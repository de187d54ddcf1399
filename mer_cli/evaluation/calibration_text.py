"""Build the tables that `mer evaluate --calibration` shows of a run, and the rows of its CSV file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mer_cli.errors import ConfigError
from mer_cli.evaluation.calibrated_run import Answered, Calibration, Error, answered_at, calibration_of, errors_of
from mer_cli.evaluation.run_text import remarks, stated_rule
from mer_cli.evaluation.statistics import few_subjects
from mer_cli.evaluation.summary import Facts, TextTable, fraction, percent, signed_fraction
from mer_cli.records import parts_of, subject_of
from mer_cli.runs.directory import Run
from mer_cli.runs.run_config import GENERATED

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # of the top probability


@dataclass(frozen=True)
class Judged:
    """The calibration of a run on one of its test datasets, or under LOSO on all of them (`dataset` is None)."""

    run: Run
    dataset: str | None
    found: Calibration


@dataclass(frozen=True)
class CalibrationSummary:
    """What `mer evaluate --calibration` shows of one calibration, as text; each table begins with its header."""

    title: str
    facts: Facts
    errors: TextTable
    answers: TextTable


def require_last(rule: str) -> None:
    """Raise a ConfigError if calibration is asked for under another rule than `last`."""
    if rule != "last":
        raise ConfigError(
            f"--calibration has only --rule last: {rule} chooses epochs, and a model that is fitted for new people has "
            "no held-out clips to choose by. Leave --rule out."
        )


def judge(run: Run) -> tuple[Judged, ...]:
    """Return the calibration of a run: one of all clips; if whole datasets are held out, one for each of them."""
    return tuple(Judged(run, dataset, calibration_of(run, dataset)) for dataset in run.config.pooled_parts)


def summarise_calibration(judged: Judged) -> CalibrationSummary:
    """Return what `mer evaluate --calibration` shows of one calibration."""
    run, found = judged.run, judged.found
    temperatures = found.temperatures.values()
    told = [
        ("faces", GENERATED if run.config.generated else ""),
        ("protocol", f"{run.config.protocol_id}, {run.config.protocol([judged.dataset] if judged.dataset else None)}"),
        ("clips, subjects", f"{len(found.clip_ids)}, {found.n_subjects}"),
        ("few subjects", few_subjects(found.n_subjects)),
        (
            "temperature",
            f"{found.temperature:.3g}; {min(temperatures):.3g} to {max(temperatures):.3g} for single subjects, each "
            "fitted on the held-out clips of the others",
        ),
        ("at its limit", found.note),
        ("stands beside", "; ".join(remarks(run.config))),
    ]
    return CalibrationSummary(
        title=f"Calibration of {run.path.name}, last epoch",
        facts=tuple((name, text) for name, text in told if text),
        errors=_error_table(errors_of(found)),
        answers=_answer_table(found),
    )


def _error_table(errors: Iterable[Error]) -> TextTable:
    rows = [
        (
            error.name,
            fraction(error.before),
            fraction(error.after),
            _interval(error.after_interval),
            signed_fraction(error.change),
            f"{signed_fraction(error.change_interval[0])} to {signed_fraction(error.change_interval[1])}",
            "" if error.exact is None else fraction(error.exact),
        )
        for error in errors
    ]
    return (("error", "before", "after", "95 % interval", "change", "95 % interval", "if exact"), *rows)


def _answer_table(found: Calibration) -> TextTable:
    """Return a row for each threshold that leaves some clips out and answers some, after that of all clips."""
    every, own = answered_at(found, 0.0), answered_at(found, None)
    rows = [_answer_row("any (all answered)", every)]
    for threshold in THRESHOLDS:
        answered = answered_at(found, threshold)
        if 0 < answered.n_answered < every.n_answered:
            rows.append(_answer_row(f"at least {fraction(threshold)[:2]}", answered))
    low, high = found.thresholds.min(), found.thresholds.max()
    rows.append(_answer_row(f"says something (above {low:.2f} to {high:.2f})".replace("0.", "."), own))
    header = ("top probability", "answered", "%", "right %", "95 % interval", "largest class %", "unanswered: right %")
    return (header, *rows)


def _answer_row(name: str, answered: Answered) -> tuple[str, ...]:
    interval = (
        "" if answered.interval is None else f"{percent(answered.interval[0])} to {percent(answered.interval[1])}"
    )
    shares = ("" if share is None else percent(share) for share in (answered.chance, answered.silent))
    right = "" if answered.accuracy is None else percent(answered.accuracy)
    return (name, str(answered.n_answered), percent(answered.coverage), right, interval, *shares)


def _interval(ends: tuple[float, float]) -> str:
    return f"{fraction(ends[0])} to {fraction(ends[1])}"


def calibration_rows(judged: Iterable[Judged]) -> list[tuple[str, ...]]:
    """Return a row for each held-out clip with its calibrated probabilities, below a header; runs of equal classes.

    `temperature` and `threshold` are those of the clip's subject, fitted without it; `answered` is "true" if the top
    probability is above the threshold. The other columns are those of `summary.prediction_table`.
    """
    rows, n_classes = [], 0
    for each in judged:
        run, found = each.run, each.found
        n_classes = found.after.shape[1]
        warnings = "; ".join(remarks(run.config))
        rule, generated = stated_rule(run.config) or "last", str(run.config.generated).lower()
        for row, clip_id in enumerate(found.clip_ids):
            named = (*parts_of(clip_id), run.fold_of[clip_id], str(run.config.seed), rule)
            classes = (str(found.labels[row]), str(int(np.argmax(found.after[row]))))
            numbers = (*found.after[row], found.temperatures[subject_of(clip_id)], found.thresholds[row])
            texts = (f"{number:.6f}" for number in numbers)
            rows.append((*named, *classes, *texts, str(bool(found.answered[row])).lower(), generated, warnings))
    shares = (f"p_{index}" for index in range(1, n_classes + 1))
    header = ("dataset", "subject", "clip", "fold", "seed", "epoch rule", "gt", "pred", *shares)
    return [(*header, "temperature", "threshold", "answered", "generated", "remarks"), *rows]
