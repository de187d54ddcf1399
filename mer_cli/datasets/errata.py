"""Known mistakes of the published tables, as data: a row's annotation comes in, the corrected one goes out.

A correction names dataset, subject, clip and field, and is applied only where the table still holds the old value, so
that a table which its user has already mended is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mer_cli.datasets.tables import whole_number

Field = Literal["onset", "apex", "offset"]


@dataclass(frozen=True)
class Erratum:
    """One correction; `old` and `new` are cell texts, `source` says who established the new value."""

    dataset: str
    subject: str
    clip: str
    field: Field
    old: str
    new: str
    reason: str
    source: str

    def sentence(self) -> str:
        return f"{self.field} {self.old} set to {self.new}: {self.reason} (erratum; {self.source})."


ERRATA = (
    Erratum(
        "casme2", "04", "EP12_01f", "apex", "/", "291",
        reason="no apex is annotated, the middle of onset 261 and offset 321 is taken",
        source="ours; the table itself counts the clip in its 249",
    ),
    Erratum(
        "casme2", "16", "EP01_08", "offset", "110", "96",
        reason="the release's frames end at 96",
        source="an audit of the released frames; SLSTT's coding.csv has 96 too",
    ),
)  # fmt: skip


def apply_errata(
    dataset: str, subject: str, clip: str, annotation: Mapping[Field, str]
) -> tuple[dict[Field, str], tuple[Erratum, ...]]:
    """Give the annotation with its known mistakes corrected, and the corrections that were made.

    Parameters
    ----------
    annotation : the texts of the table's frame cells
    """
    corrected = dict(annotation)
    applied = []
    for erratum in ERRATA:
        if (erratum.dataset, erratum.subject, erratum.clip) != (dataset, subject, clip):
            continue
        if _same_cell(annotation[erratum.field], erratum.old):
            corrected[erratum.field] = erratum.new
            applied.append(erratum)
    return corrected, tuple(applied)


def _same_cell(text: str, other: str) -> bool:
    number = whole_number(text)
    return text == other if number is None else number == whole_number(other)
