"""A table in, each of its blocks as a table of its own out: for formats where every block is laid out by itself.

Columns that are empty in the whole block go, and those that are for programs only. A command doesn't fit into a narrow
column, so it moves from its cell into a note, which equal commands share.
"""

from __future__ import annotations

from dataclasses import replace

from mer_cli.report.model import Block, Cell, Note, Row, Table


def single_blocks(table: Table) -> tuple[Table, ...]:
    """Give a table of one block for each block; the first column stays whatever it holds."""
    return tuple(without_empty_columns(table, _commands_as_notes(table, block)) for block in table.blocks)


def without_empty_columns(table: Table, block: Block) -> Table:
    """Give the table of this block alone, without the columns that say nothing in it or are for programs only."""
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
    """Return marks "c1", "c2" for the block's commands, in their order, other than the marks that are taken."""
    commands = list(dict.fromkeys(cell.text for row in block.rows for cell in row.cells if cell.code))
    taken = {note.mark for note in (*table.notes, *block.notes)}
    free = [mark for number in range(len(commands) + len(taken)) if (mark := f"c{number + 1}") not in taken]
    return dict(zip(commands, free, strict=False))
