"""Known mistakes of the published tables, as data: a row's annotation comes in, the corrected one goes out.

A correction names dataset, subject, clip and field, never a row number, which another copy of the table need not share.
It is applied only where the table still holds the old value, so that a table which its user has mended is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mer_cli.datasets.tables import whole_number

Field = Literal["onset", "apex", "offset", "emotion"]


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
    Erratum(
        "samm", "028", "028_4_1", "apex", "1143", "1113",
        reason="the apex lies after the offset 1134",
        source="quangdtsc/megc2019, README and apex list",
    ),
    Erratum(
        "samm", "032", "032_3_1", "apex", "1930", "4930",
        reason="the apex lies before the onset 4896",
        source="quangdtsc/megc2019, README and apex list; SLSTT's coding.csv and MiE-X's path list have 4930 too",
    ),
    Erratum(
        "samm", "013", "013_1_9", "offset", "5793", "5739",
        reason="two digits are swapped in some copies",
        source="the pristine table; MEB sets the same",
    ),
    Erratum(
        "smic", "18", "s18_sur_03", "emotion", "negative", "surprise",
        reason="the clip's own name says surprise, and so do the published 70, 51 and 43 clips",
        source="quangdtsc/megc2019, README",
    ),
    Erratum(
        "casme3", "spNO.149", "d_112", "apex", "83", "123",
        reason="the apex lies before the onset 112",
        source="MEB, meb/datasets/datasets.py",
    ),
    Erratum(
        "casme3", "spNO.216", "d_3647", "onset", "3647", "2647",
        reason="the onset lies after apex 2668 and offset 2694",
        source="ours; one digit differs from them",
    ),
    Erratum(
        "casme3", "spNO.216", "e_0", "onset", "0", "1",
        reason="the recording has no frame 0",
        source="ours; the released frames begin at 1",
    ),
    Erratum(
        "casme3", "spNO.40", "e_1812", "offset", "0", "1845",
        reason="the offset lies before the onset",
        source="MEB, meb/datasets/datasets.py",
    ),
    Erratum(
        "casme3", "spNO.40", "e_2327", "offset", "0", "2403",
        reason="the offset lies before the onset",
        source="MEB, meb/datasets/datasets.py",
    ),
    Erratum(
        "casme3", "spNO.214", "c_5", "offset", "3460", "34",
        reason="a digit too many: the clip would last two minutes",
        source="MEB, meb/datasets/datasets.py",
    ),
)  # fmt: skip


def apply_errata(
    dataset: str, subject: str, clip: str, annotation: Mapping[Field, str]
) -> tuple[dict[Field, str], tuple[Erratum, ...]]:
    """Give the annotation with its known mistakes corrected, and the corrections that were made.

    Parameters
    ----------
    annotation : the texts of the table's cells; those that it lacks are not corrected
    """
    corrected = dict(annotation)
    applied = []
    for erratum in ERRATA:
        if (erratum.dataset, erratum.subject, erratum.clip) != (dataset, subject, clip):
            continue
        if erratum.field in annotation and _same_cell(annotation[erratum.field], erratum.old):
            corrected[erratum.field] = erratum.new
            applied.append(erratum)
    return corrected, tuple(applied)


def _same_cell(text: str, other: str) -> bool:
    number = whole_number(text)
    return text == other if number is None else number == whole_number(other)
