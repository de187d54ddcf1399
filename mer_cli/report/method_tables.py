"""The paper's Tables 3 to 7 and the table of all methods: a block for each protocol, published numbers beside ours.

Blocks on the paper's own clips come first, in its order, even without a run. Blocks on other clips of the dataset
follow, then blocks on generated faces. These two kinds have no published numbers; their methods are sorted by rank.
The columns and the cells are made in `rows`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from mer_cli.evaluation.chance import REPETITIONS
from mer_cli.evaluation.epoch_rules import usable_rules
from mer_cli.evaluation.machines import machines_text, unlike_machines
from mer_cli.evaluation.run_text import UNCHECKED, standard_config
from mer_cli.evaluation.statistics import N_DRAWS
from mer_cli.evaluation.summary import percent
from mer_cli.report.ceiling_rows import CEILING, protocol_ceiling, with_ceiling
from mer_cli.report.entries import Entry, Protocol, dataset_title, heading, protocols
from mer_cli.report.lines import Line, lay_out
from mer_cli.report.model import METHODS, Block, Column, Note, Table
from mer_cli.report.nested_rows import nested_rows
from mer_cli.report.paper import PaperBlock, paper_blocks, paper_table
from mer_cli.report.placing import Place
from mer_cli.report.rows import (
    MMNETS,
    REFERENCES,
    Tests,
    compare_lines,
    guesser_rows,
    honest_rules,
    in_rank_order,
    letters_of,
    method_columns,
    method_rows,
    table_row,
    with_expected,
    with_reference,
)
from mer_cli.report.summary import NO_RUNS
from mer_cli.report.tried import Tried, tried
from mer_cli.runs.variants import GRIDS, TUNED_REASON

# Notes on a whole table.
_PUBLISHED = Note(
    "Published: as printed. Clips: the number of clips that the accuracy fits; numbers of different clips do not "
    "compare."
)
_OURS = Note(
    "Ours: counts pooled over the folds. Several seeds: mean ± standard deviation over whole runs, one for each seed. "
    f"[low, high]: 95 % interval of that mean, from {N_DRAWS:,} draws of subjects. Bold: the block's best value of "
    "finished runs under an honest rule. `best-test` takes accuracy and F1 from different epochs of one fold, as the "
    "released script does; no interval and no p covers its choice."
)
_RANK = Note(
    "Rank: by UF1 under `last`, among the block's finished rows; equal values share a rank. Controls, guessers, "
    "recipes that were tuned on the test subjects, other settings of a method than its own recipe, and runs that "
    "trained on more than the dataset's clips are not ranked."
)
_TUNED = Note(f"{TUNED_REASON} They are not ranked there, and never bold.")
_CLASSICAL = Note(
    "Classical methods are descriptors with a support-vector machine: they have no epochs, so `best-test` has nothing "
    "to choose, and they give the same numbers for every seed."
)
_STATED = Note(
    "A rank in brackets: predictions of a method that was trained outside mer, and the rank that they would have. They "
    f"move no other rank and are never bold. Their author states the epoch rule: {UNCHECKED}."
)
_P = Note(
    f"p: paired permutation test on UF1, both methods' predictions swapped for whole subjects ({N_DRAWS:,} draws), "
    "averaged over the seeds that both have, and adjusted by Holm over the tests of the whole table under that rule."
)
_REFERENCE = Note(
    "The reference is MMNet with the same settings. Where no run of MMNet has finished, it is the best row that is "
    "ranked."
)
_CHANCE = Note(
    "chance: `majority` predicts the commonest class of the training clips; `prior-random` draws from their class "
    f"shares anew in every epoch, average of {REPETITIONS} repetitions. Choosing among independent draws gains more "
    "than choosing among the epochs of one training, so `prior-random` is an upper bound."
)
_TITLE_OF_ALL = "Methods on the same clips"


def build_method_table(number: int | None, entries: Sequence[Entry]) -> Table:
    """Build Table 3, 4, 5, 6 or 7, or the table of all methods (number None), which has no published numbers.

    Parameters
    ----------
    entries : scored runs, in any order; entries that the table has no row for are left out
    """
    entries = [entry for entry in entries if number in entry.place.rows]
    rules = {rule for entry in entries for rule in entry.rules} | set(usable_rules(standard_config()))
    reference = REFERENCES if number is None else MMNETS
    columns = method_columns(rules, ranked=number not in GRIDS, published=_published_keys(number), reference=reference)
    found = protocols(number, entries)
    places = list(_places(paper_blocks(number), found))
    lines = [_lines(number, printed, protocol) for printed, protocol in places]
    tests = compare_lines(lines, honest_rules(columns))
    letters = letters_of(chain.from_iterable(lines))
    blocks = [
        _block(number, printed, protocol, of_block, tested, letters, columns)
        for (printed, protocol), of_block, tested in zip(places, lines, tests, strict=True)
    ]
    beside = {note for protocol in found for note in (*protocol.warnings, *_tried(protocol).notes)}
    notes = (*_table_notes(number, found, has_tests=any(tests)), *_shared_notes(blocks, beside))
    return Table(
        id=METHODS if number is None else str(number),
        title=_TITLE_OF_ALL if number is None else paper_table(number).title,
        columns=columns,
        blocks=tuple(
            replace(block, notes=tuple(note for note in block.notes if note not in notes)) for block in blocks
        ),
        notes=notes if blocks else (NO_RUNS,),
        absent="" if entries else "nothing here was trained for it",
    )


def _published_keys(number: int | None) -> set[str]:
    """Return the keys of the columns with published numbers: Table 5 has no F1, the table of all methods has none."""
    rows = [row for block in paper_blocks(number) for row in block.rows]
    keys = {"published_clips", "published_accuracy", "published_epoch_rule"} if rows else set()
    return keys | ({"published_f1"} if any(row.f1 for row in rows) else set())


def _places(
    paper: Sequence[PaperBlock], found: Sequence[Protocol]
) -> Iterator[tuple[PaperBlock, Protocol | None] | tuple[None, Protocol]]:
    """Yield a pair for each block: the paper's rows and a protocol on the same clips; either can be None."""
    for printed in paper:
        own: list[Protocol | None] = [protocol for protocol in found if protocol.first.place.paper == printed.clips]
        yield from ((printed, protocol) for protocol in own or [None])
    for protocol in found:
        if protocol.first.place.paper not in [printed.clips for printed in paper]:
            yield None, protocol


def _lines(number: int | None, paper: PaperBlock | None, protocol: Protocol | None) -> list[Line]:
    lines = lay_out(number, paper, protocol.entries if protocol else ())
    if paper is None and number not in GRIDS:
        lines = in_rank_order(lines, _tried(protocol))
    return with_reference(lines, _tried(protocol)) if number is None else lines


def _tried(protocol: Protocol | None) -> Tried:
    return tried(protocol.entries if protocol else ())


def _block(
    number: int | None,
    paper: PaperBlock | None,
    protocol: Protocol | None,
    lines: Sequence[Line],
    tests: Tests,
    letters: Mapping[str, str],
    columns: Sequence[Column],
) -> Block:
    standing = _tried(protocol)
    nested = list(nested_rows(protocol.entries)) if protocol and number not in GRIDS else []
    best_of = [row.cells for row in nested if row.competes]
    rows, marked = method_rows(lines, tests, letters, columns, standing, best_of)
    if protocol is None:
        assert paper, "a block is there for the paper or for runs"
        notes = [Note(f"The commands need the store of the real release: `mer preprocess {paper.dataset} RAW`.")]
        if number not in GRIDS:
            command = f"`mer compare-methods data/{paper.dataset}.h5 --scheme {paper.scheme}`"
            notes.append(Note(f"To train them all, and the methods that the paper has no row for: {command}."))
        title = heading(f"{paper.protocol_id}, leave one subject out", paper.class_counts, paper.n_subjects)
        return Block(title, tuple(rows), (*notes, *marked))
    rows, on_controls = with_expected(lines, rows, columns)
    rows += [table_row("method", row.cells, columns) for row in nested]
    rows += guesser_rows(protocol.entries, columns)
    rows, on_ceiling = with_ceiling(protocol_ceiling(protocol), rows, columns)
    place = protocol.first.place
    notes = [*_other_clips(number, place), *_training_notes(protocol), *protocol.warnings, *standing.notes]
    notes += [*_lost(protocol.entries), *_unlike_machines(protocol.entries)]
    notes += [*on_ceiling, *on_controls, *marked]
    return Block(protocol.heading, tuple(rows), tuple(notes), protocol.generated, protocol.origin)


def _table_notes(number: int | None, found: Sequence[Protocol], *, has_tests: bool) -> Iterator[Note]:
    """Yield the notes that explain the columns and rows of the whole table."""
    if paper_blocks(number):
        yield _PUBLISHED
    if found:
        yield _OURS
        if number not in GRIDS:
            yield _RANK
        if any(entry.is_tuned for protocol in found for entry in protocol.entries):
            yield _TUNED
        if number not in GRIDS and any(entry.is_stated for protocol in found for entry in protocol.entries):
            yield _STATED
        if any(entry.config.method.kind == "classical" for protocol in found for entry in protocol.entries):
            yield _CLASSICAL
        if has_tests:
            yield _P
            if number is None:
                yield _REFERENCE
        yield _CHANCE
        if any(protocol_ceiling(protocol).found for protocol in found):
            yield CEILING


def _other_clips(number: int | None, place: Place) -> list[Note]:
    """Return a note on how a run's clips differ from the paper's, if the protocol has the same name; else nothing."""
    return [
        Note(
            f"Not the paper's clips, though there are as many: clips of each class {_listed(place.class_counts)}, of "
            f"{place.n_subjects} subjects; the published numbers are of {_listed(block.class_counts)}"
            f"{f', of {block.n_subjects} subjects' if block.n_subjects else ''}."
        )
        for block in paper_blocks(number)
        if block.clips == place.namesake
    ]


def _listed(counts: Sequence[int]) -> str:
    return ", ".join(map(str, counts))


def _training_notes(protocol: Protocol) -> Iterator[Note]:
    """Yield a note on what was trained and scored, if the runs have several datasets or go across datasets."""
    config = protocol.first.config
    titles = ", ".join(dataset_title(store.dataset) for store in config.stores)
    if config.is_across:
        yield Note(
            "Trained on every clip of the training datasets, scored on every clip of the test dataset; intervals and "
            "tests are over the subjects of the test dataset."
        )
    elif config.averages_datasets:
        of = (
            f"of {dataset_title(protocol.dataset)}; intervals and tests are over its subjects"
            if protocol.dataset
            else "the mean over the scores of the datasets; intervals draw the subjects of each dataset"
        )
        yield Note(f"Each fold trains on all but one of {titles}, and is scored on that dataset. Scores are {of}.")
    elif len(config.stores) > 1:
        on = f"the clips of {dataset_title(protocol.dataset)} alone" if protocol.dataset else "all their clips"
        left_out = "one list of subjects" if config.fold_lists else "one subject"
        yield Note(f"Each fold trains on {titles} together, with {left_out} left out; scores are of {on}.")


def _lost(entries: Sequence[Entry]) -> list[Note]:
    lost = max((spread.lost for entry in entries for spread in entry.spreads.values()), default=0.0)
    return [Note(f"In up to {percent(lost)} % of the draws a class has no clip and counts 0.")] if lost else []


def _unlike_machines(entries: Sequence[Entry]) -> Iterator[Note]:
    """Yield a note for each finished run that was trained on unlike machines."""
    for run, dataset in ((run, entry.dataset) for entry in entries if entry.is_finished for run in entry.runs):
        if text := machines_text(unlike_machines(run, dataset)):
            name = run.path.name
            yield Note(f"The folds of `{name}` come from unlike machines: {text}. Their last digits may differ.")


def _shared_notes(blocks: Sequence[Block], beside: Collection[Note]) -> tuple[Note, ...]:
    """Return the notes to print once for the table: those that all blocks have, and lettered ones that several share.

    A note marked with a number or a pair of numbers stays in its block, because each block counts from 1. Those in
    `beside` stay as well: they must stand beside every number.
    """
    counts = Counter(note for block in blocks for note in block.notes if note not in beside)
    return tuple(
        note
        for note, count in counts.items()
        if (count > 1 and note.mark.isalpha()) or (count == len(blocks) > 1 and not note.mark)
    )
