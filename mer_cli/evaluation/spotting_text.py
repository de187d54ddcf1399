"""Tell the scores of spotted intervals as `mer evaluate --spotting` prints them."""

from __future__ import annotations

from collections.abc import Iterator

from mer_cli.evaluation.spotting import N_CHANCE, Found, SpottingScores
from mer_cli.evaluation.statistics import FEW_SUBJECTS
from mer_cli.evaluation.summary import TextTable, fraction


def spotting_facts(scores: SpottingScores) -> list[tuple[str, str]]:
    """Return (name, value) of what was scored, of STRS and of the false alarms."""
    return list(_facts(scores))


def _facts(scores: SpottingScores) -> Iterator[tuple[str, str]]:
    subjects = f", {scores.n_subjects} subjects" if scores.n_subjects else ""
    minutes = "" if scores.minutes is None else f", {scores.minutes:.1f} minutes"
    yield "videos", f"{scores.n_videos}{subjects}{minutes}"
    n_units = scores.n_subjects or scores.n_videos
    if scores.found[-1].interval and n_units < FEW_SUBJECTS:
        what = "subjects" if scores.n_subjects else "videos"
        yield "few " + what, f"with fewer than {FEW_SUBJECTS}, the interval holds the true score less often than 95 %"
    yield "right", "an interval that shares at least half of the frames it and a true one cover together (IoU >= .5)"
    yield "chance", f"as many intervals of the same lengths at random places, {N_CHANCE} draws"
    a_minute = scores.false_a_minute
    if a_minute is not None:
        yield "false alarms a minute", f"{a_minute:.2f}"
    elif scores.found[-1].false:
        yield "false alarms a minute", "not known, because no file has the columns fps and n_frames for all videos"
    if scores.false_in:
        yield "false alarms during", ", ".join(f"{kind} {count}" for kind, count in scores.false_in.items())
    if scores.recognised:
        found = scores.recognised
        yield (
            "emotions",
            f"{found.n_right} of {found.n} right intervals; precision {fraction(found.precision)}, recall "
            f"{fraction(found.recall)}, F1 {fraction(found.f1)}, means over the emotions of the truth",
        )
        yield "STRS", f"{fraction(found.strs)}, F1 of spotting times F1 of the emotions"


def spotting_table(scores: SpottingScores) -> TextTable:
    """Return a row for each kind of expression, below a header."""
    header = ("kind", "right", "false", "missed", "precision", "recall", "F1", "95 % interval", "chance", "to (95 %)")
    return (header, *map(_row, scores.found))


def _row(found: Found) -> tuple[str, ...]:
    interval = "" if found.interval is None else f"{fraction(found.interval[0])} to {fraction(found.interval[1])}"
    counts = (str(found.right), str(found.false), str(found.missed))
    shares = (fraction(found.precision), fraction(found.recall), fraction(found.f1))
    return (found.kind, *counts, *shares, interval, fraction(found.chance), fraction(found.chance_high))
