"""Builds the tables, the sentences and the JSON that `mer ceiling` shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from mer_cli.datasets.action_units import unreadable_units
from mer_cli.evaluation.ceiling import CARE, READS, TOLD, UNITS, C, bounds_of
from mer_cli.evaluation.ceiling_sources import Coded, SchemeCeiling
from mer_cli.evaluation.statistics import METRICS, Spread, few_subjects
from mer_cli.evaluation.summary import Facts, TextTable, fraction, percent
from mer_cli.runs.run_config import GENERATED


def source_facts(source: Coded) -> Facts:
    """Return where the action units come from: file, dataset, coding table and number of clips."""
    failed = f", {len(source.failed)} rows are not among them" if source.failed else ""
    return (
        *([("faces", GENERATED)] if source.generated else []),
        ("file", str(source.path)),
        ("coding table", source.table),
        ("clips", f"{len(source.cells)} of {source.dataset}{failed}"),
    )


def source_notes(source: Coded) -> Iterator[str]:
    """Yield what to know about a file: how it was read, each row that is not among the clips, unreadable units."""
    yield from source.notes
    yield from (f"{clip.clip_id} is left out: {clip.reason}" for clip in source.failed)
    unreadable = unreadable_units(source.cells)
    if unreadable:
        yield f"{unreadable}; a part that can't be read counts as a unit of its own"


def scheme_facts(under: SchemeCeiling) -> Facts:
    """Return the clips of each class, and how many have no unit, a doubtful one, or one that can't be read."""
    found = under.found
    counts = zip(under.scheme.class_names, under.class_counts, strict=True)
    few = few_subjects(found.n_subjects)
    return (
        ("classes", ", ".join(f"{name} {count}" for name, count in counts)),
        ("clips, subjects", f"{found.n_clips}, {found.n_subjects}"),
        (
            "action units",
            f"{found.n_units} different; clips with none {found.n_uncoded}, with alternatives or a doubt "
            f"{found.n_doubtful}, unreadable {found.n_unreadable}",
        ),
        *([("few subjects", few)] if few else []),
        *([("warning", under.warning)] if under.warning else []),
    )


def scheme_table(under: SchemeCeiling) -> TextTable:
    """Return the ceilings under one scheme as a table: scores, number of sets, and clips with a set of their own."""
    found = under.found
    rows = [
        (name, percent(rule.accuracy), fraction(rule.uf1), fraction(rule.uar), str(rule.n_sets), str(rule.n_alone))
        for name, rule in bounds_of(found)
    ]
    told = [getattr(found.told, name) for name in METRICS]
    cells = [_spelt(spread, name) for name, spread in zip(METRICS, told, strict=True)]
    header = ("ceiling", "accuracy %", "UF1", "UAR", "sets", "alone")
    return (header, *rows, (TOLD, *cells, "", ""))


def _spelt(spread: Spread, name: str) -> str:
    text = percent if name == "accuracy" else fraction
    if spread.low is None or spread.high is None:
        return text(spread.mean)
    return f"{text(spread.mean)} [{text(spread.low)}, {text(spread.high)}]"


EXPLAINED = (
    f"{UNITS}: each set of units is given the class that most of its clips have, counted on all clips. No other rule "
    "on the set is right more often; its UF1 and UAR are not bounds. A clip alone with its set (alone) is always right",
    f"told: logistic regression on the units (C {C:g}, nothing is chosen), leaving one subject out; it {READS}. "
    "[low, high]: 95 % interval, drawn over subjects",
    CARE,
)


def as_json(ceilings: Iterable[SchemeCeiling]) -> list[dict[str, Any]]:
    """Return the ceilings for JSON; scores are 0 to 1."""
    return [_fields(under) for under in ceilings]


def _fields(under: SchemeCeiling) -> dict[str, Any]:
    source, found = under.source, under.found
    return {
        "file": str(source.path),
        "dataset": source.dataset,
        "table_version": source.version,
        "generated": source.generated,
        "failed": [asdict(clip) for clip in source.failed],
        "scheme": under.scheme.name,
        "protocol": under.protocol,
        "classes": dict(zip(under.scheme.class_names, under.class_counts, strict=True)),
        "clips": found.n_clips,
        "subjects": found.n_subjects,
        "units": found.n_units,
        "clips_without_units": found.n_uncoded,
        "clips_with_doubtful_units": found.n_doubtful,
        "clips_with_unreadable_units": found.n_unreadable,
        "any_rule": asdict(found.units),
        "any_rule_with_sides": asdict(found.sides),
        "told": {"note": READS, **{name: _interval(getattr(found.told, name)) for name in METRICS}},
        "warning": under.warning,
    }


def _interval(spread: Spread) -> dict[str, float | None]:
    return {"value": spread.mean, "low": spread.low, "high": spread.high}
