"""Renders tables as a LaTeX document that pdflatex compiles as it is; each block can be copied into a paper.

The source is ASCII: a character that LaTeX can't set is written as its code point.
"""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from jinja2 import Environment, PackageLoader, StrictUndefined

from mer_cli.report.model import ANY_DATASET, GROUP_HEADINGS, Block, Cell, Column, Row, Table, single_blocks

_SYMBOLS = {
    **dict(zip("·±×∞", ("cdot", "pm", "times", "infty"), strict=True)),
    **dict(zip("≤≥≠≈→←", ("le", "ge", "ne", "approx", "rightarrow", "leftarrow"), strict=True)),
    **dict(zip("αβκλµμσΔ", ("alpha", "beta", "kappa", "lambda", "mu", "mu", "sigma", "Delta"), strict=True)),
}
_SPECIAL = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "\\": "\\textbackslash{}",
    "`": "\\`{}",
    "<": "\\textless{}",
    ">": "\\textgreater{}",
    "|": "\\textbar{}",
    "[": "{[}",  # at the start of a row it would be an argument of the row before, and so would be a star
    "*": "{*}",
    "–": "\\textrm{\\textendash}",
    "—": "\\textrm{\\textemdash}",
    "‘": "`{}",
    "’": "'{}",
    "“": "``{}",
    "”": "''{}",
    "…": "\\dots{}",
    "\u00a0": "~",
    "\u2009": "\\,",
    "°": "\\ensuremath{^{\\circ}}",
    "−": "\\ensuremath{-}",
    "†": "\\dag{}",
    "‡": "\\ddag{}",
    "§": "\\S{}",
    "ß": "\\ss{}",
    "æ": "\\ae{}",
    "ø": "\\o{}",
    **{symbol: f"\\ensuremath{{\\{name}}}" for symbol, name in _SYMBOLS.items()},
    **{character: f"\\textsuperscript{{{n}}}" for character, n in zip("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789", strict=True)},
    **{character: f"\\textsubscript{{{n}}}" for character, n in zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True)},
}
_ACCENTS = {"\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0308": '"', "\u030c": "v", "\u0327": "c"}
_HEADING_WIDTH = 11  # characters of a group's heading above each of its columns


@dataclass(frozen=True)
class _Span:
    """The heading of a column group, as lines of text, over columns `first` to `last`, counted from 1."""

    lines: tuple[str, ...]
    first: int
    last: int

    @property
    def width(self) -> int:
        return self.last - self.first + 1


def render_latex(tables: Sequence[Table]) -> str:
    """Return the tables as one LaTeX document; pdflatex with Debian's texlive-latex-recommended compiles it.

    Two comments enclose each block, which can be copied into a paper that loads the packages booktabs and graphicx.
    """
    return (
        _environment().get_template("report.tex.j2").render(tables=[(table, single_blocks(table)) for table in tables])
    )


def escape_latex(text: str) -> str:
    """Escape text for LaTeX as one line of ASCII; a character that LaTeX can't set becomes its code, "[U+5FAE]"."""
    line = re.sub(r"\s+", " ", unicodedata.normalize("NFC", text))
    return re.sub(
        "-(?=-)", "-{}", "".join(_escaped(character) for character in line)
    )  # two hyphens would become a dash


def _escaped(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    if character.isascii() and character.isprintable():
        return character
    base, *marks = list(unicodedata.normalize("NFD", character))
    if len(marks) == 1 and marks[0] in _ACCENTS and base.isascii():
        return f"\\{_ACCENTS[marks[0]]}{{{base}}}"
    return f"{_SPECIAL['[']}U+{ord(character):04X}]"


def _prose(text: str) -> str:
    """Return a sentence escaped for LaTeX, with text in backticks set as code."""
    parts = re.split(r"`([^`]*)`", text)
    return "".join(_code(part) if place % 2 else escape_latex(part) for place, part in enumerate(parts))


def _code(text: str) -> str:
    """Return LaTeX for a command or path, in which lines may break after a slash, comma, equals sign or underscore."""
    breakable = re.sub(r"([/,=_])", r"\1\\allowbreak{}", escape_latex(text))
    return f"\\texttt{{{breakable}}}"


def _cell(cell: Cell) -> str:
    text = escape_latex(cell.text)
    if cell.best:
        text = f"\\textbf{{{text}}}"
    return text + (f"\\textsuperscript{{{escape_latex(','.join(cell.marks))}}}" if cell.marks else "")


def _spans(columns: Sequence[Column]) -> Iterator[_Span]:
    """Yield the heading of each column group, in the order of the columns; without a heading it has no lines."""
    end = 0
    for group, members in groupby(columns, key=lambda column: column.group):
        first, end = end + 1, end + len(list(members))
        width = _HEADING_WIDTH * (end - first + 1)
        yield _Span(tuple(textwrap.wrap(GROUP_HEADINGS[group], width, break_on_hyphens=False)), first, end)


def _label(table: Table) -> str:
    """Return the prefix of the block numbers of a table: "3" for Table 3, "S" for the summary."""
    return table.id if table.id.isdigit() else table.id[0].upper()


def _row_groups(block: Block) -> list[list[Row]]:
    """Return the rows in groups to be separated by a line: methods, guessers, ceilings, controls."""
    apart = ("chance", "ceiling", "control")
    return [list(rows) for _, rows in groupby(block.rows, key=lambda row: row.kind if row.kind in apart else "")]


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("mer_cli.report"),
        undefined=StrictUndefined,
        autoescape=False,  # LaTeX, not HTML: every value passes one of the filters
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
    )
    environment.filters |= {
        "label": _label,
        "tex": escape_latex,
        "prose": _prose,
        "cell": _cell,
        "spans": _spans,
        "row_groups": _row_groups,
    }
    environment.globals["not_a_result"] = ANY_DATASET
    return environment
