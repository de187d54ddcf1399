"""Renders tables and figures as one HTML page that loads no other file: its Content-Security-Policy forbids requests.

Without JavaScript it shows every column; with JavaScript you can sort by a column and see one epoch rule at a time.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from importlib.resources import files
from itertools import groupby, pairwise

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from mer_cli.evaluation.epoch_rules import SELECTED_ON_TEST
from mer_cli.records import EPOCH_RULES
from mer_cli.report.model import ANY_DATASET, GROUP_HEADINGS, SUMMARY, Cell, Column, Table, single_blocks
from mer_cli.report.render.figures import RunFigure
from mer_cli.report.render.svg import class_chart, confusion_chart, curve_chart


def render_html(tables: Sequence[Table], figures: Sequence[RunFigure]) -> str:
    """Return one HTML page with the tables, and below them the figures of every run.

    The same inputs give the same bytes.
    """
    style, script = (asset(name) for name in ("report.css", "report.js"))
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            tables=[(table, single_blocks(table)) for table in tables],
            summary=SUMMARY,
            figures=figures,
            rules=_rules(tables, figures),
            style=style,
            style_hash=policy_hash(style),
            script=script,
            script_hash=policy_hash(script),
        )
    )


def _rules(tables: Sequence[Table], figures: Sequence[RunFigure]) -> list[str]:
    """Return the epoch rules that the page has numbers for, honest rules first."""
    used: set[str] = {column.group for table in tables for column in table.columns}
    used |= {rule.rule for figure in figures for rule in figure.rules}
    return [group for group in GROUP_HEADINGS if group in used and group in EPOCH_RULES]


def asset(name: str) -> Markup:
    """Return the text of a file among the templates, which is not escaped again."""
    return Markup((files("mer_cli.report") / "templates" / name).read_text(encoding="utf-8"))


def policy_hash(text: str) -> str:
    """Return the hash by which the page's Content-Security-Policy allows an inline script or style."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _groups(columns: Sequence[Column]) -> list[tuple[str, tuple[Column, ...]]]:
    """Return each run of adjacent columns that belong to one group, with the heading of the group."""
    return [
        (GROUP_HEADINGS[name], tuple(members)) for name, members in groupby(columns, key=lambda column: column.group)
    ]


def _starting(columns: Sequence[Column]) -> list[tuple[Column, bool]]:
    """Return each column, and whether it starts a group, so that a line separates it from the column before."""
    return [
        (column, before is not None and before.group != column.group)
        for before, column in pairwise((None, *columns))
        if column is not None
    ]


def _attributes(column: Column, starts: bool) -> Markup:
    """Return the HTML attributes of the column's heading and cells."""
    group = Markup(' data-group="{}"').format(column.group) if column.group else Markup("")
    return group + (Markup(" data-start") if starts else "")


def _number(cell: Cell) -> str:
    """Return the cell's text with spaces that no line break can split inside an interval."""
    return cell.text if cell.low is None else cell.text.replace(", ", ",\u00a0")


def _prose(text: str) -> Markup:
    """Return a sentence escaped for HTML, with text in backticks as code."""
    parts = re.split(r"`([^`]*)`", text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts)
    )


def environment() -> Environment:
    """Return the environment of the templates, with the filters and functions that they use."""
    environment = Environment(
        loader=PackageLoader("mer_cli.report"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"groups": _groups, "starting": _starting, "number": _number, "prose": _prose}
    environment.globals |= {
        "attributes": _attributes,
        "selected_on_test": SELECTED_ON_TEST,
        "not_a_result": ANY_DATASET,
        "confusion_chart": confusion_chart,
        "class_chart": class_chart,
        "curve_chart": curve_chart,
    }
    return environment
