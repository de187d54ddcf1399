"""Tables of text cells in, Markdown out; nothing is read but the template and nothing is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined


@dataclass(frozen=True)
class Block:
    """One grid of a table, with the sentences that belong under it. Every row has a cell for every column."""

    heading: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{self.heading}: row {row} has {len(row)} cells, expected {len(self.columns)}")


@dataclass(frozen=True)
class Table:
    """One table of the paper: its title and its blocks, the published one first."""

    title: str
    blocks: tuple[Block, ...]


def render_markdown(tables: Sequence[Table]) -> str:
    """Give the tables as one Markdown page that ends in a newline.

    Pipes and line breaks in a cell are escaped, so that a row keeps its number of cells.
    """
    environment = Environment(
        loader=PackageLoader("mer_cli.report"),
        undefined=StrictUndefined,
        autoescape=False,  # Markdown, not HTML
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = lambda text: " ".join(text.split()).replace("|", "\\|")
    return environment.get_template("report.md.j2").render(tables=tables)
