"""Tables for programs: a CSV file with a line for each row of every table, or the table model as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from mer_cli.report.model import GROUP_HEADINGS, Cell, Column, Note, Table
from mer_cli.system.shown_text import csv_cell

_PARTS = ("sd", "low", "high")  # of a cell, each in a column of its own


def render_csv(tables: Sequence[Table]) -> str:
    """Return the tables as CSV with a header.

    The first columns are table, block, generated ("true" or "false") and kind. Then comes a column for
    each key of any table, empty if the row's table has no such column or no number. The last column, `notes`, is the
    text of all notes that the row refers to. A number stands alone, in the printed unit: its standard deviation over
    seeds and its interval are in `<key>_sd`, `<key>_low` and `<key>_high`. A published number stands as
    printed ("71.20"). A cell with a command has the command, and a cell that only refers to notes has their text.
    Columns of `best-test` end in `selected_on_test`. A table without any block has one line with its notes. A text
    that a spreadsheet program would compute has an apostrophe before it.
    """
    columns = {column.key: column for table in tables for column in table.columns}
    lines = [line for table in tables for line in _lines(table)]
    used = {name for line in lines for name in line}
    names = ["table", "block", "generated", "kind"]
    names += [name for column in columns.values() for name in _names(column) if name in used]
    names.append("notes")
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: csv_cell(cell) for name, cell in line.items()} for line in lines)
    return text.getvalue()


def _lines(table: Table) -> Iterator[dict[str, str]]:
    if not table.blocks:
        yield {"table": table.id, "notes": " ".join(_plain(note) for note in table.notes)}
    for block in table.blocks:
        texts = {note.mark: _plain(note) for note in (*table.notes, *block.notes)}
        for row in block.rows:
            line = {
                "table": table.id,
                "block": ", ".join(part for part in (block.heading, block.origin) if part),
                "generated": str(block.generated).lower(),
                "kind": row.kind,
            }
            for column, cell in zip(table.columns, row.cells, strict=True):
                line |= _fields(column, cell, texts)
            marks = dict.fromkeys(mark for cell in row.cells if cell.text for mark in cell.marks)
            yield line | {"notes": " ".join(texts[mark] for mark in marks)}


def _plain(note: Note) -> str:
    return note.text.replace("`", "")


def _names(column: Column) -> tuple[str, ...]:
    stamp = "_selected_on_test" if column.group == "best-test" else ""
    parts = _PARTS if column.numeric else ()
    return (f"{column.key}{stamp}", *(f"{column.key}_{part}{stamp}" for part in parts))


def _fields(column: Column, cell: Cell, texts: Mapping[str, str]) -> dict[str, str]:
    """Return the CSV fields of a cell by column name: value, `_sd`, `_low`, `_high`; only those that the cell has.

    Parameters
    ----------
    texts : text of each note, by its mark
    """
    name, *parts = _names(column)
    if not column.numeric:
        return {name: cell.text or " ".join(texts[mark] for mark in cell.marks)}
    if column.group == "published":
        return {name: "" if cell.value is None else cell.text}
    numbers = dict(zip((name, *parts), (cell.value, cell.sd, cell.low, cell.high), strict=True))
    return {name: ""} | {key: f"{number:.10g}" for key, number in numbers.items() if number is not None}


SCHEMA = 2  # raised whenever a field is renamed, dropped, or changes its meaning


def render_json(tables: Sequence[Table]) -> str:
    """Return a JSON object: `schema`, `groups` (headings), and `tables` with the fields of `report.model.Table`."""
    held = {"schema": SCHEMA, "groups": GROUP_HEADINGS, "tables": [_table_fields(table) for table in tables]}
    return json.dumps(held, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _table_fields(table: Table) -> dict[str, Any]:
    """Return the table's fields for JSON, with `collapsed` renamed to "fold"."""
    fields = asdict(table)
    fields["fold"] = fields.pop("collapsed")
    return fields
