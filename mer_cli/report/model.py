"""The model of a table that all formats share: builders fill it, renderers lay it out, and neither knows of the other.

Some formats lay out every block by itself (`single_blocks`), without the columns that are empty in the whole block or
for programs only. A command doesn't fit into a narrow column: it moves into a note, which equal commands share.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Group = Literal["", "published", "here", "last", "inner-val", "best-test"]
Collapsed = Literal["open", "closed", "line"]
RowKind = Literal["method", "missing", "incomplete", "chance", "ceiling", "control", "count"]

NOT_A_RESULT = "Generated faces: not a result on {}"  # stands beside every number of generated faces
ANY_DATASET = NOT_A_RESULT.format("any dataset")

SUMMARY = "summary"  # ids of the tables that are not the paper's
METHODS = "methods"
UNITS = "units"
COUNT_TABLES = ("1", "2")
NUMBERS = (3, 4, 5, 6, 7)  # of the paper's tables with scores
EVERY_TABLE = (SUMMARY, *COUNT_TABLES, *map(str, NUMBERS), METHODS, UNITS)
ALL = "all"  # of them


@dataclass(frozen=True)
class Column:
    """A column of a table.

    key : its name in CSV and JSON, unique in the table ("last_accuracy")
    heading : what people read ("Accuracy %"); the group's heading stands above it
    group : what kind of number it has: printed in the paper, counted here, or ours under an epoch rule; "" for none
    numeric : whether it is right-aligned and sorted by value
    laid_out : whether formats for people show the column; if not, only CSV and JSON have it, and notes say it to people
    """

    key: str
    heading: str
    group: Group = ""
    numeric: bool = True
    laid_out: bool = True


@dataclass(frozen=True)
class Cell:
    """The text and value of one cell of a table.

    text : what is printed, without any mark-up; "" if the column doesn't apply to the row
    value : what it is sorted by, in the printed unit (percent for accuracies); None if it has no number
    sd : standard deviation over the seeds, in the unit of `value`
    low, high : 95 % interval over subjects, or over a guesser's draws, in the unit of `value`
    best : whether it is the best of its column in the block, under an honest epoch rule
    marks : marks of the notes that the cell refers to, in the block or the table
    code : whether the text is a command to type
    """

    text: str = ""
    value: float | None = None
    sd: float | None = None
    low: float | None = None
    high: float | None = None
    best: bool = False
    marks: tuple[str, ...] = ()
    code: bool = False


@dataclass(frozen=True)
class Row:
    """One row of a table, for a method, a guesser, a ceiling or a class, with a cell for every column."""

    kind: RowKind
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Note:
    """A sentence under a block; cells refer to it by `mark`, "" if it holds for all cells. `Code` is in backticks."""

    text: str
    mark: str = ""


@dataclass(frozen=True)
class Block:
    """The rows of one protocol: all on the same clips, labels and folds, so that they are comparable.

    generated : whether the faces are generated, so that the numbers are not a result on a dataset
    origin : the coding tables and stores of the clips, which distinguish it from a block with the same heading
    """

    heading: str
    rows: tuple[Row, ...]
    notes: tuple[Note, ...] = ()
    generated: bool = False
    origin: str = ""


@dataclass(frozen=True)
class Table:
    """One table of a report: the summary of the runs, a table of the paper, or the methods of every protocol.

    id : "summary", "3", "methods" or "units"
    notes : notes that hold for more than one block; cells of any block may refer to them
    absent : why the table has nothing of yours: "nothing here was trained for it"; "" if it has a run of yours
    collapsed : how a page for people shows it: "open"; "closed", hidden in HTML until you click, and printed in the
        other formats; "line", the same in HTML and one line elsewhere. CSV and JSON always have all of it; the key in
        JSON is "fold"
    """

    id: str
    title: str
    columns: tuple[Column, ...]
    blocks: tuple[Block, ...]
    notes: tuple[Note, ...] = ()
    absent: str = ""
    collapsed: Collapsed = "open"

    @property
    def heading(self) -> str:
        """The title, after the number if the table is the paper's: "Table 3: ..."."""
        return f"Table {self.id}: {self.title}" if self.id.isdigit() else self.title


GROUP_HEADINGS: dict[Group, str] = {
    "": "",
    "published": "published",
    "here": "here",
    "last": "ours, last epoch",
    "inner-val": "ours, inner-val",
    "best-test": "ours, best-test: selected on the test subject",
}


def single_blocks(table: Table) -> tuple[Table, ...]:
    """Split a table into one table for each block, without columns that are empty there; the first always stays."""
    return tuple(without_empty_columns(table, _commands_as_notes(table, block)) for block in table.blocks)


def without_empty_columns(table: Table, block: Block) -> Table:
    """Return a table with this block only, without columns that are empty in it or meant for programs only."""
    kept = [
        place
        for place, column in enumerate(table.columns)
        if place == 0
        or (column.laid_out and any(row.cells[place].text or row.cells[place].marks for row in block.rows))
    ]
    rows = tuple(Row(row.kind, tuple(row.cells[place] for place in kept)) for row in block.rows)
    columns = tuple(table.columns[place] for place in kept)
    return replace(table, columns=columns, blocks=(replace(block, rows=rows),))


def _commands_as_notes(table: Table, block: Block) -> Block:
    marks = _command_marks(table, block)
    rows = tuple(
        Row(
            row.kind,
            tuple(Cell("–", marks=(*cell.marks, marks[cell.text])) if cell.code else cell for cell in row.cells),
        )
        for row in block.rows
    )
    notes = tuple(Note(f"To fill or continue it: `{command}`", mark) for command, mark in marks.items())
    return replace(block, rows=rows, notes=(*block.notes, *notes))


def _command_marks(table: Table, block: Block) -> dict[str, str]:
    """Return a mark for each command of the block: "c1", "c2" and so on, without marks that other notes have."""
    commands = list(dict.fromkeys(cell.text for row in block.rows for cell in row.cells if cell.code))
    taken = {note.mark for note in (*table.notes, *block.notes)}
    free = [mark for number in range(len(commands) + len(taken)) if (mark := f"c{number + 1}") not in taken]
    return dict(zip(commands, free, strict=False))
