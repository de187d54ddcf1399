"""What a row of a table of methods is called: as the paper prints it, with what stands for it here."""

from __future__ import annotations

from collections.abc import Hashable

from mer_cli.models.catalogue import METHODS, Method, method_of
from mer_cli.report.paper import PaperRow, paper_table
from mer_cli.report.placing import row_key
from mer_cli.training.config import resolve_config
from mer_cli.training.grids import GRIDS
from mer_cli.training.methods import MMNET

# Rows of our grids that the paper's tables lack.
_OUR_NAMES = {
    "ca-block": "CA block without attention",
    "basic-continuous": "Basic block with continuous attention",
    "cbam": "Independent attention, 7x7 (CBAM)",
}


def key_of_paper(number: int | None, row: PaperRow) -> Hashable | None:
    """Give the key of the runs that belong beside a printed row; None where the method is quoted only."""
    return None if row.settings is None else row_key(number, resolve_config(**row.settings))


def row_order(number: int | None, key: Hashable) -> tuple[int, str]:
    """Return what rows that the paper lacks are sorted by: the methods as `mer models` lists them."""
    names = [method.name for method in METHODS]
    return (0 if number in GRIDS else names.index(str(key).partition(", ")[0])), str(key)


def row_name(number: int | None, key: Hashable) -> str:
    """Return the name of a row that nothing is printed of, or of one in a table of ablations."""
    if isinstance(key, tuple):
        return "N_L {}, N_H {}".format(*key)
    if number is None or number not in GRIDS:
        name, comma, departures = str(key).partition(", ")
        return f"{with_form(method_of(name))}{comma}{departures}"
    for block in paper_table(number).blocks:
        for row in block.rows:
            if key_of_paper(number, row) == key:
                return row.method
    return _OUR_NAMES[str(key)]


def name_beside(row: PaperRow) -> str:
    """The printed method, and what stands for it here where that is a variant."""
    if row.settings is None:
        return row.method
    return with_form(method_of(row.settings.get("model", MMNET)), row.method)


def with_form(method: Method, printed: str = "") -> str:
    """Return "STSTNet", "DSSN (variant)"; beside another printed name "TSCNN: TSCNN-lite (variant)"."""
    name = method.title if printed in ("", method.title) else f"{printed}: {method.title}"
    return f"{name} (variant)" if method.form == "variant" else name
