"""A table as every format prints it: builders fill it, renderers lay it out, and neither knows of the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Group = Literal["", "published", "here", "last", "inner-val", "best-test"]
RowKind = Literal["method", "missing", "incomplete", "chance", "control", "count"]


@dataclass(frozen=True)
class Column:
    """A column of a table.

    key : its name in CSV and JSON, unique in the table ("last_accuracy")
    heading : what people read ("Accuracy %"); the group's heading stands above it
    group : which number it is: printed in the paper, counted here, or ours under an epoch rule
    numeric : whether it is set right and sorted by value
    laid_out : whether people see it in a row; where not, CSV and JSON alone have it, and notes say it to people
    """

    key: str
    heading: str
    group: Group = ""
    numeric: bool = True
    laid_out: bool = True


@dataclass(frozen=True)
class Cell:
    """One cell.

    text : what is printed, without any mark-up; "" where the column doesn't apply to the row
    value : what it is sorted by, in the printed unit (percent for accuracies); None where it has no number
    sd : over the seeds · low, high : 95 % interval over subjects; in the unit of `value`
    best : the best honest value of its block
    marks : of the block's notes that belong to it
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
    """One method, guesser or class; it has a cell for every column."""

    kind: RowKind
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Note:
    """A sentence under a block; `mark` is what cells refer to it by, "" for all of them. `Code` stands in backticks."""

    text: str
    mark: str = ""


@dataclass(frozen=True)
class Block:
    """The rows of one protocol: the same clips, labels and folds, so that they compare.

    generated : of generated faces, so no result on the dataset
    """

    heading: str
    rows: tuple[Row, ...]
    notes: tuple[Note, ...] = ()
    generated: bool = False


@dataclass(frozen=True)
class Table:
    """One table of the paper.

    Raises
    ------
    ValueError
        If a row has more or fewer cells than there are columns, a key occurs twice, or a mark has no note.
    """

    number: int
    title: str
    columns: tuple[Column, ...]
    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        if len({column.key for column in self.columns}) < len(self.columns):
            raise ValueError(f"table {self.number}: a column's key occurs twice")
        for block in self.blocks:
            known = {note.mark for note in block.notes}
            for row in block.rows:
                if len(row.cells) != len(self.columns):
                    raise ValueError(
                        f"table {self.number}, {block.heading}: {len(row.cells)} cells for {len(self.columns)} columns"
                    )
                if unknown := {mark for cell in row.cells for mark in cell.marks} - known:
                    raise ValueError(f"table {self.number}, {block.heading}: no note for {sorted(unknown)}")


GROUP_HEADINGS: dict[Group, str] = {
    "": "",
    "published": "published",
    "here": "here",
    "last": "ours, last epoch",
    "inner-val": "ours, inner-val",
    "best-test": "ours, best-test: selected on the test subject",
}
