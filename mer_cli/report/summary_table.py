"""The table that a report leads with: your runs, a block for each protocol, guessers below them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mer_cli.evaluation.chance import REPETITIONS, ChanceScores
from mer_cli.evaluation.scoring import run_chance
from mer_cli.evaluation.spread import METRICS, Spread
from mer_cli.report.cells import HEADINGS, NONE, key_of, score_cell
from mer_cli.report.method_rows import Cells, mark_best, table_row
from mer_cli.report.model import SUMMARY, Block, Cell, Column, Note, Row, RowKind, Table
from mer_cli.report.placing import Protocol, protocols
from mer_cli.report.scores import Entry
from mer_cli.report.summary import RULE, SummaryRow, summary_rows, whole

NO_RUNS = Note(
    "There are no runs here yet. Train one: `mer train data/casme2.h5 --loso`. Or see all of it on generated faces: "
    "`mer demo`."
)
_SCORES = (
    "Scores are of the last epoch of each fold (`last`): nothing was chosen. Several seeds: mean ± standard deviation. "
    "[low, high]: 95 % interval, drawn over subjects. Bold: the best of the protocol; runs on permuted labels, "
    "unfinished ones and recipes that were tuned on the test subjects don't compete."
)
_CHANCE = (
    "chance: what guessers reach on the same clips. `majority` says the commonest class of the training clips; "
    f"`prior-random` draws from their class shares: mean of {REPETITIONS} repetitions, and where 95 % of them lie."
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
    """Build the summary of scored runs; without any it has one note, which says what to type.

    Raises
    ------
    RunError
        If a run cannot be scored.
    """
    blocks = tuple(_block(protocol) for protocol in protocols(None, whole(entries)))
    notes = (Note(_SCORES), Note(_CHANCE)) if blocks else (NO_RUNS,)
    return Table(SUMMARY, "Your runs", _COLUMNS, blocks, notes)


def _block(protocol: Protocol) -> Block:
    summed = summary_rows(protocol)
    filled = [_cells(row) for row in summed]
    mark_best([RULE], [cells for row, cells in zip(summed, filled, strict=True) if not row.remarks])
    rows = [table_row(_kind(row), cells, _COLUMNS) for row, cells in zip(summed, filled, strict=True)]
    return Block(protocol.heading, (*rows, *_guessers(protocol)), generated=protocol.generated, origin=protocol.origin)


def _kind(row: SummaryRow) -> RowKind:
    if row.uf1 is None:
        return "incomplete"
    return "control" if "permuted labels" in row.remarks else "method"


def _cells(row: SummaryRow) -> Cells:
    spreads = {name: getattr(row, name) for name in METRICS}
    scores = {
        key_of(RULE, name): NONE if spread is None else score_cell(name, spread) for name, spread in spreads.items()
    }
    return scores | {
        "method": Cell(f"{row.method}, {row.settings}"),
        "seeds": Cell(", ".join(map(str, row.seeds))),
        "epoch_rule": Cell(RULE),
        "remarks": Cell(", ".join(row.remarks)),
        "protocol": Cell(row.protocol),
        "clips": Cell(str(row.n_clips)),
        "subjects": Cell(str(row.n_subjects)),
        "runs": Cell(", ".join(row.runs)),
    }


def _guessers(protocol: Protocol) -> Iterator[Row]:
    """Yield the guessers for each number of subjects set aside, whose clips they don't know."""
    finished = {entry.config.inner_val: entry for entry in protocol.entries if entry.is_finished}
    for n_inner, entry in sorted(finished.items()):
        for guesser in run_chance(entry.runs[0], RULE, entry.dataset):
            name = f"chance: {guesser.name}{f', inner val {n_inner}' if n_inner else ''}"
            cells = {key_of(RULE, metric): _guess(guesser, metric) for metric in METRICS}
            yield table_row("chance", {"method": Cell(name), "epoch_rule": Cell(RULE), **cells}, _COLUMNS)


def _guess(guesser: ChanceScores, metric: str) -> Cell:
    low, high = guesser.intervals.get(metric, (None, None))
    return score_cell(metric, Spread(getattr(guesser, metric), low=low, high=high))
