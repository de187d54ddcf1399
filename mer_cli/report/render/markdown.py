"""Renders tables as one Markdown page; the the heading of a column includes the heading of its group."""

from __future__ import annotations

import re
from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined

from mer_cli.report.model import GROUP_HEADINGS, Cell, Column, Note, Table, without_empty_columns

ESCAPED = r"\1\1\\\2"  # a sign with a backslash before it, and those that were there doubled


def render_markdown(tables: Sequence[Table]) -> str:
    """Return the tables as one Markdown page that ends in a newline, with best values in bold and commands as code.

    A column that is empty in a whole block is left out. Pipes and line breaks in a cell are escaped, so that a row
    keeps its number of cells.
    """
    environment = Environment(
        loader=PackageLoader("mer_cli.report"),
        undefined=StrictUndefined,
        autoescape=False,  # Markdown, not HTML
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"heading": _heading, "ruler": _ruler, "cell": _cell, "note": _note, "prose": _prose}
    grids = [(table, [without_empty_columns(table, block) for block in table.blocks]) for table in tables]
    return environment.get_template("report.md.j2").render(tables=grids)


def _heading(column: Column) -> str:
    group = GROUP_HEADINGS[column.group]
    return _line(f"{group}: {_lower_first(column.heading)}" if group else column.heading)


def _lower_first(heading: str) -> str:
    """Return a heading with a small first letter, to stand after a colon: "accuracy %"; "UF1", "F1" and "p" stay."""
    return heading if heading[:2].isupper() or len(heading) < 3 else heading[0].lower() + heading[1:]


def _ruler(column: Column) -> str:
    return "---:" if column.numeric else "---"


def _cell(cell: Cell) -> str:
    if cell.text and cell.code:
        fence = "`" * (1 + max(map(len, re.findall("`+", cell.text)), default=0))
        pad = " " if fence != "`" else ""
        code = " ".join(cell.text.split()).replace("|", "\\|")
        text = f"{fence}{pad}{code}{pad}{fence}"
    else:
        text = _line(cell.text)
        text = f"**{text}**" if text and cell.best else text
    marks = f"({', '.join(_line(mark) for mark in cell.marks)})" if cell.marks else ""
    return " ".join(part for part in (text, marks) if part)


def _note(note: Note) -> str:
    text = _prose(note.text)
    return f"({note.mark}) {text}" if note.mark else text


def _prose(text: str) -> str:
    """Return a sentence on one line, with text in backticks as code, and no HTML or link from a name in it."""
    parts = re.split(r"(`[^`]*`)", re.sub("`+", "`", " ".join(text.split())))
    return "".join(part if place % 2 else _escaped(part) for place, part in enumerate(parts))


def _line(text: str) -> str:
    return re.sub(r"(\\*)(\|)", ESCAPED, _escaped(" ".join(text.split())))


def _escaped(text: str) -> str:
    """Return a text in which no HTML, link or code begins; other signs stay, so that it reads as it is typed."""
    return re.sub(r"(\\*)(<(?=[A-Za-z/!?])|`|\](?=[(\[]))", ESCAPED, text)
