"""Builds the table that a report begins with and the demo ends with: your runs by protocol, guessers and ceilings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mer_cli.evaluation.ceiling import Ceiling
from mer_cli.evaluation.chance import REPETITIONS, ChanceScores, run_chance
from mer_cli.evaluation.run_text import UNCHECKED, progress, remarks, settings
from mer_cli.evaluation.statistics import METRICS, Spread
from mer_cli.report.ceiling_rows import CEILING, protocol_ceiling, with_ceiling
from mer_cli.report.entries import Entry, Protocol, protocols, score_runs
from mer_cli.report.lines import with_form
from mer_cli.report.model import SUMMARY, Block, Cell, Column, Note, Row, RowKind, Table
from mer_cli.report.paper import SOURCE
from mer_cli.report.placing import place_runs
from mer_cli.report.rows import HEADINGS, NONE, Cells, key_of, mark_best, score_cell, table_row
from mer_cli.report.tried import Tried, tried
from mer_cli.runs.directory import Run
from mer_cli.runs.methods import MMNET
from mer_cli.runs.variants import TUNED_REASON

RULE = "last"  # every run can be scored under it, and it chooses nothing


@dataclass(frozen=True)
class SummaryRow:
    """One row of the summary: the finished seeds of one configuration, or one run that lacks folds; scores are 0..1.

    method, settings : "MMNet", "released recipe, epochs 10"
    variant : form of MMNet that is not the paper's, such as "balanced"; "" for the paper's and for other methods
    protocol : "casme2-5/249, leave one subject out" · generated : whether the faces are generated
    n_clips, n_subjects : number of clips that are scored, and of their subjects
    accuracy, uf1, uar : mean, deviation over the seeds, interval over subjects, under RULE; None if folds are missing
    chance : scores of the guessers `majority` and `prior-random`; empty if folds are missing
    ceiling : what the labels of the clips allow; None if the stores are not where they were, or have no action units
    remarks : warnings on the scores: "permuted labels", "tuned on test", "14 of 26 folds"
    runs : names of the run directories
    """

    method: str
    settings: str
    variant: str
    protocol: str
    generated: bool
    n_clips: int
    n_subjects: int
    seeds: tuple[int, ...]
    accuracy: Spread | None
    uf1: Spread | None
    uar: Spread | None
    chance: tuple[ChanceScores, ...]
    ceiling: Ceiling | None
    remarks: tuple[str, ...]
    runs: tuple[str, ...]


def summarise_runs(runs: Sequence[Run]) -> tuple[SummaryRow, ...]:
    """Score the runs and return a row for each configuration, grouped by protocol, within it the best first."""
    entries = score_runs(runs, place_runs(runs))
    return tuple(row for protocol in protocols(None, _whole(entries)) for _, row in _summed(protocol))


def _whole(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries without those for a single dataset of a run that also has an entry for all clips."""
    return [entry for entry in entries if entry.dataset is None or entry.config.is_across]


def _summed(protocol: Protocol) -> list[tuple[Entry, SummaryRow]]:
    """Return the entries of one protocol, sorted by `_standing`, each with its row of the summary.

    Rows of your own method that would have the same name end with the source that they were trained with.
    """
    standing = tried(protocol.entries)
    entries = sorted(protocol.entries, key=lambda entry: _standing(entry, standing))
    rows = [_row(protocol, entry, standing) for entry in entries]
    n_named = Counter((row.method, row.settings) for row in rows)
    return [
        (entry, _with_source(row, entry) if n_named[row.method, row.settings] > 1 else row)
        for entry, row in zip(entries, rows, strict=True)
    ]


def _with_source(row: SummaryRow, entry: Entry) -> SummaryRow:
    foreign = entry.config.foreign
    if foreign is None or entry.is_stated:
        return row
    return replace(row, settings=f"{row.settings}, {SOURCE} {foreign.source_sha256[:8]}")


def _standing(entry: Entry, block: Tried) -> tuple[object, ...]:
    """Return the sort key: ranked rows by UF1, then predictions, other settings, recipes tuned on test, the rest."""
    config = entry.config
    uf1 = entry.spreads[RULE, "uf1"].mean if entry.is_finished else 0.0
    unranked = (not entry.is_finished, config.shuffle_labels, entry.is_tuned, entry.is_stated)
    is_other = not any(unranked) and not block.competes(entry, RULE)
    return (*unranked[:-1], is_other, entry.is_stated, -uf1, config.run_name)


def _row(protocol: Protocol, entry: Entry, block: Tried) -> SummaryRow:
    run, config = entry.runs[0], entry.config
    told = [remark for remark in (block.remark(entry), "" if entry.is_finished else progress(run)) if remark]
    return SummaryRow(
        method=with_form(config.method),
        settings=settings(config, entry.dataset),
        variant="" if config.variant == MMNET else config.variant,
        protocol=protocol.name,
        generated=config.generated,
        n_clips=sum(entry.class_counts),
        n_subjects=entry.n_subjects,
        seeds=tuple(run.config.seed for run in entry.runs),
        accuracy=entry.spreads.get((RULE, "accuracy")),
        uf1=entry.spreads.get((RULE, "uf1")),
        uar=entry.spreads.get((RULE, "uar")),
        chance=run_chance(run, RULE, entry.dataset) if entry.is_finished else (),
        ceiling=protocol_ceiling(protocol).found,
        remarks=(*remarks(config, entry.dataset), *told),
        runs=tuple(run.path.name for run in entry.runs),
    )


NO_RUNS = Note(
    "There are no runs here yet. Train one: `mer train data/casme2.h5 --loso`. Or try everything on generated "
    "faces: `mer demo`."
)
_SCORES = Note(
    "Scores are of the last epoch of each fold (`last`): nothing was chosen. Several seeds: mean ± standard deviation. "
    "[low, high]: 95 % interval, drawn over subjects. Bold: the best of the protocol; runs on permuted labels, "
    "unfinished ones, recipes that were tuned on the test subjects, other settings of a method than its own recipe, "
    "and runs that trained on more than the dataset's clips don't compete."
)
_STATED = Note(
    "Predictions of a method that was trained outside mer don't compete either. Their author states the epoch rule: "
    f"{UNCHECKED}."
)
_CHANCE = Note(
    "chance: what guessers reach on the same clips. `majority` predicts the commonest class of the training clips; "
    f"`prior-random` draws from their class shares: average of {REPETITIONS} repetitions, and the interval that holds "
    "95 % of them."
)
_COLUMNS = (
    Column("method", "Method", numeric=False),
    *(Column(key_of(RULE, name), heading) for name, heading in HEADINGS.items()),
    Column("seeds", "Seeds", numeric=False),
    Column("epoch_rule", "Epoch rule", numeric=False),
    Column("remarks", "Remarks", numeric=False),
    Column("protocol", "Protocol", numeric=False, laid_out=False),
    Column("clips", "Clips", numeric=False, laid_out=False),
    Column("subjects", "Subjects", numeric=False, laid_out=False),
    Column("runs", "Runs", numeric=False, laid_out=False),
)


def build_summary(entries: Sequence[Entry]) -> Table:
    """Build the summary table of scored runs; without entries it has only a note on how to train a first run."""
    found = protocols(None, _whole(entries))
    blocks = tuple(map(_block, found))
    stated_notes = (_STATED,) if any(entry.is_stated for entry in entries) else ()
    tuned_notes = (Note(TUNED_REASON),) if any(entry.is_tuned for entry in entries) else ()
    ceilings = (CEILING,) if any(protocol_ceiling(protocol).found for protocol in found) else ()
    notes = (_SCORES, *stated_notes, *tuned_notes, _CHANCE, *ceilings) if blocks else (NO_RUNS,)
    return Table(SUMMARY, "Your runs", _COLUMNS, blocks, notes)


def _block(protocol: Protocol) -> Block:
    summed = _summed(protocol)
    filled = [(entry, _cells(row, entry)) for entry, row in summed]
    standing = tried(protocol.entries)
    mark_best([RULE], [cells for entry, cells in filled if standing.competes(entry, RULE)])
    rows = [table_row(_kind(entry), cells, _COLUMNS) for entry, cells in filled]
    rows, on_ceiling = with_ceiling(protocol_ceiling(protocol), [*rows, *_guessers(summed)], _COLUMNS)
    notes = (*protocol.warnings, *standing.notes, *on_ceiling)
    return Block(protocol.heading, tuple(rows), notes, protocol.generated, protocol.origin)


def _kind(entry: Entry) -> RowKind:
    if not entry.is_finished:
        return "incomplete"
    return "control" if entry.config.shuffle_labels else "method"


def _cells(row: SummaryRow, entry: Entry) -> Cells:
    foreign = entry.config.foreign if entry.is_stated else None
    spreads = {name: getattr(row, name) for name in METRICS}
    scores = {
        key_of(RULE, name): NONE if spread is None else score_cell(name, spread) for name, spread in spreads.items()
    }
    return scores | {
        "method": Cell(row.method if foreign else f"{row.method}, {row.settings}"),
        "seeds": Cell(", ".join(map(str, row.seeds))),
        "epoch_rule": Cell(f"its author's: {foreign.epoch_rule}" if foreign else RULE),
        "remarks": Cell(", ".join(row.remarks)),
        "protocol": Cell(row.protocol),
        "clips": Cell(str(row.n_clips)),
        "subjects": Cell(str(row.n_subjects)),
        "runs": Cell(", ".join(row.runs)),
    }


def _guessers(summed: Sequence[tuple[Entry, SummaryRow]]) -> Iterator[Row]:
    """Yield rows of guessers for each number of subjects that runs set aside; guessers don't use those clips either."""
    by_name = sorted(summed, key=lambda pair: pair[1].runs)
    guessers = {entry.config.inner_val: row.chance for entry, row in by_name if row.chance}
    for n_inner, chance in sorted(guessers.items()):
        for guesser in chance:
            name = f"chance: {guesser.name}{f', inner val {n_inner}' if n_inner else ''}"
            cells = {key_of(RULE, metric): _guess(guesser, metric) for metric in METRICS}
            yield table_row("chance", {"method": Cell(name), "epoch_rule": Cell(RULE), **cells}, _COLUMNS)


def _guess(guesser: ChanceScores, metric: str) -> Cell:
    low, high = guesser.intervals.get(metric, (None, None))
    return score_cell(metric, Spread(getattr(guesser, metric), low=low, high=high))
