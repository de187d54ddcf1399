"""The paper's Tables 3 to 7 as printed, from `paper.toml`: its rows come out as records, with their footnotes.

Source: Li, Sui, Zhu, Zhao: MMNet, IJCAI 2022 (arXiv 2201.05297). `paper.toml` says where each number comes from.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from mer_cli.datasets.schemes import SCHEMES, protocol_id
from mer_cli.store.counts import PUBLISHED

_NOT_STATED = "not-stated"


@dataclass(frozen=True)
class PaperRow:
    """One method as printed.

    settings : of `resolve_config`, which repeat it or a variant of it here; {} is MMNet itself, None where nothing does
    accuracy, f1 : the printed characters, accuracy in percent; no F1 in Table 5, which is ""
    clips : for how many clips the accuracy is a whole number of correct ones: "145 or 128", "?" where that can't be
        told, "–" where none that is likely does
    epoch_rule : how each fold's epoch was chosen, as far as it is known
    notes : keys of `paper_notes`
    """

    method: str
    settings: Mapping[str, Any] | None
    accuracy: str
    f1: str
    clips: str
    epoch_rule: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class PaperBlock:
    """Rows that stand together in the paper, and MMNet's clips there; other rows may be of other clips.

    class_counts : MMNet's clips of each class, in label order · n_subjects : None where nobody published it
    """

    dataset: str
    scheme: str
    protocol_id: str
    class_counts: tuple[int, ...]
    n_subjects: int | None
    rows: tuple[PaperRow, ...]


@dataclass(frozen=True)
class PaperTable:
    """One table; the title is ours."""

    number: int
    title: str
    blocks: tuple[PaperBlock, ...]


def paper_table(number: int) -> PaperTable:
    """Give Table 3, 4, 5, 6 or 7; Tables 1 and 2 are counts (`store.counts`)."""
    (table,) = (table for table in _read()["tables"] if table["number"] == number)
    return PaperTable(number, table["title"], tuple(_block(**block) for block in table["blocks"]))


def paper_notes() -> Mapping[str, str]:
    """Give the footnotes of all tables by key, in the order of the file."""
    notes: dict[str, str] = _read()["notes"]
    return notes


@cache
def _read() -> dict[str, Any]:
    return tomllib.loads(files("mer_cli.report").joinpath("paper.toml").read_text(encoding="utf-8"))


def _block(
    dataset: str, scheme: str, rows: list[dict[str, Any]], notes: list[str] | None = None, epoch_rule: str = _NOT_STATED
) -> PaperBlock:
    table = (dataset, PUBLISHED[dataset])
    class_counts = SCHEMES[scheme].expected[table]
    n_clips = sum(class_counts)
    shared = {"epoch_rule": epoch_rule, "block_notes": notes or [], "block_clips": str(n_clips)}
    return PaperBlock(
        dataset=dataset,
        scheme=scheme,
        protocol_id=protocol_id(SCHEMES[scheme], [dataset], n_clips),
        class_counts=class_counts,
        n_subjects=SCHEMES[scheme].n_subjects.get(table),
        rows=tuple(_row(**{**shared, **row}) for row in rows),
    )


def _row(
    method: str,
    epoch_rule: str,
    block_notes: list[str],
    block_clips: str,
    accuracy: str,
    f1: str = "",
    settings: dict[str, Any] | None = None,
    clips: str | None = None,
    notes: list[str] | None = None,
) -> PaperRow:
    return PaperRow(
        method=method,
        settings=settings,
        accuracy=accuracy,
        f1=f1,
        clips=block_clips if clips is None else clips,
        epoch_rule=_read()["epoch_rules"][epoch_rule],
        notes=(*(notes or ()), *block_notes),
    )
