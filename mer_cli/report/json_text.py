"""Tables in, JSON out: the model as it is, with a version number for those who read it by program."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from mer_cli.report.model import GROUP_HEADINGS, Table

SCHEMA = 2  # raised whenever a field is renamed, dropped, or changes its meaning


def render_json(tables: Sequence[Table]) -> str:
    """Give the tables as one object: `schema`, the groups' headings, and `tables` with the fields of `report.model`."""
    held = {"schema": SCHEMA, "groups": GROUP_HEADINGS, "tables": [asdict(table) for table in tables]}
    return json.dumps(held, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
