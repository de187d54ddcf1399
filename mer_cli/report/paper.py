"""The paper's Tables 3 to 7 as printed, read from `paper.toml`, and which row of a table a configuration belongs to.

Source: Li, Sui, Zhu, Zhao: MMNet, IJCAI 2022 (arXiv 2201.05297). `paper.toml` says where each number comes from.
"""

from __future__ import annotations

import tomllib
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from mer_cli.datasets.schemes import SCHEMES, protocol_id
from mer_cli.evaluation.run_text import own_options, standard_config
from mer_cli.runs.config import TrainConfig, resolve_config
from mer_cli.runs.methods import MMNET
from mer_cli.runs.variants import GRIDS, VARIANTS
from mer_cli.store.counts import PUBLISHED

LAYERS_AND_HEADS = ("n_layers", "n_heads")  # what Table 5 varies
_NOT_STATED = "not-stated"


@dataclass(frozen=True)
class PaperRow:
    """One row of a table in the paper: a method with its published numbers.

    settings : arguments of `resolve_config` that repeat the method or a variant of it here; {} is MMNet itself, None if
        the method is only quoted
    key : `row_key` of the runs that are shown beside it; None if the method is only quoted
    accuracy, f1 : as printed ("71.20"), accuracy in percent; f1 is "" in Table 5
    clips : numbers of clips that fit the accuracy (a whole number of correct clips gives it): "145 or 128"; "?" if
        unknown, "–" if no likely number fits
    epoch_rule : how each fold's epoch was chosen, as far as it is known
    notes : keys of `paper_notes`
    """

    method: str
    settings: Mapping[str, Any] | None
    key: Hashable | None
    accuracy: str
    f1: str
    clips: str
    epoch_rule: str
    notes: tuple[str, ...]

    @property
    def config(self) -> TrainConfig | None:
        """The complete settings that repeat the method here; None if it is only quoted."""
        return None if self.settings is None else standard_config(**self.settings)


@dataclass(frozen=True)
class PaperBlock:
    """Rows that are printed together in the paper, with the clips that MMNet was scored on; other rows may use others.

    class_counts : MMNet's number of clips of each class, in label order · n_subjects : None if it is not published
    """

    dataset: str
    scheme: str
    protocol_id: str
    class_counts: tuple[int, ...]
    n_subjects: int | None
    rows: tuple[PaperRow, ...]

    @property
    def clips(self) -> tuple[str, str]:
        """Dataset and scheme, which together identify the clips in every table of the paper."""
        return self.dataset, self.scheme


@dataclass(frozen=True)
class PaperTable:
    """One table of the paper; the title is our wording."""

    number: int
    title: str
    blocks: tuple[PaperBlock, ...]


@cache
def paper_table(number: int) -> PaperTable:
    """Return Table 3, 4, 5, 6 or 7 as printed; Tables 1 and 2 count clips and are in `store.counts`."""
    (table,) = (table for table in _read()["tables"] if table["number"] == number)
    return PaperTable(number, table["title"], tuple(_block(number, **block) for block in table["blocks"]))


def paper_blocks(number: int | None) -> tuple[PaperBlock, ...]:
    """Return the printed blocks of a table; none for number None, the table of all methods, which the paper lacks."""
    return () if number is None else paper_table(number).blocks


def paper_notes() -> Mapping[str, str]:
    """Return the footnotes of all tables by key, in the order of `paper.toml`."""
    notes: dict[str, str] = _read()["notes"]
    return notes


@cache
def _read() -> dict[str, Any]:
    return tomllib.loads(files("mer_cli.report").joinpath("paper.toml").read_text(encoding="utf-8"))


def _block(
    number: int,
    dataset: str,
    scheme: str,
    rows: list[dict[str, Any]],
    notes: list[str] | None = None,
    epoch_rule: str = _NOT_STATED,
) -> PaperBlock:
    table = (dataset, PUBLISHED[dataset])
    class_counts = SCHEMES[scheme].expected[table]
    n_clips = sum(class_counts)
    shared = {"number": number, "epoch_rule": epoch_rule, "block_notes": notes or [], "block_clips": str(n_clips)}
    return PaperBlock(
        dataset=dataset,
        scheme=scheme,
        protocol_id=protocol_id(SCHEMES[scheme], [dataset], n_clips),
        class_counts=class_counts,
        n_subjects=SCHEMES[scheme].n_subjects.get(table),
        rows=tuple(_row(**{**shared, **row}) for row in rows),
    )


def _row(
    number: int,
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
        key=None if settings is None else row_key(number, standard_config(**settings)),
        accuracy=accuracy,
        f1=f1,
        clips=block_clips if clips is None else clips,
        epoch_rule=_read()["epoch_rules"][epoch_rule],
        notes=(*(notes or ()), *block_notes),
    )


def row_key(number: int | None, config: TrainConfig) -> Hashable | None:
    """Return the key of the table row that a configuration belongs to, None if the table has no such row.

    The key is the variant of MMNet, a pair (layers, heads) in Table 5, or the `own_key` of another method. The table of
    all methods (number None) has a row for everything; its keys for MMNet list the changed network options.
    """
    if config.model != MMNET:
        return None if number in GRIDS else own_key(config)
    if number is None:
        return ", ".join([MMNET, *network_departures(config)])
    if number == 5:
        varied = _changed_options(config).keys() <= set(LAYERS_AND_HEADS)
        return (config.n_layers, config.n_heads) if varied else None
    variant = _variant_of(config)
    return variant if variant in ([row["variant"] for row in GRIDS[number]] if number in GRIDS else [MMNET]) else None


SOURCE = "source"  # in the key of your own method, before the first digits of the source's hash


def own_key(config: TrainConfig) -> str:
    """Return the key of a method that is not MMNet: its name; for your own also the options and the source's hash."""
    foreign = config.foreign
    if foreign is None:
        return config.model
    return ", ".join([config.model, *own_options(config), f"{SOURCE} {foreign.source_sha256[:8]}"])


@cache
def grid_keys(number: int | None) -> tuple[Hashable | None, ...]:
    """Return the keys of the rows that `mer ablate` trains for a table; none if it is not a table of ablations."""
    return tuple(row_key(number, resolve_config(**row)) for row in (GRIDS.get(number, ()) if number else ()))


def is_plain(config: TrainConfig) -> bool:
    """Return whether the network is plain MMNet, with every network option as the recipe sets it."""
    return config.model == MMNET and not _changed_options(config)


def network_departures(config: TrainConfig) -> list[str]:
    """Return how the network differs from the recipe's MMNet: the variant's name, or the changed options one by one."""
    variant = _variant_of(config)
    if variant:
        return [] if variant == MMNET else [variant]
    return [f"{name.replace('_', ' ')} {value}" for name, value in _changed_options(config).items()]


def _variant_of(config: TrainConfig) -> str | None:
    """Return the variant with the same network options, even if set one by one; None if no variant has them."""
    options, recipe = config.network_options, config.recipe
    return next((name for name in VARIANTS if standard_config(recipe, name).network_options == options), None)


def _changed_options(config: TrainConfig) -> dict[str, Any]:
    standard = standard_config(config.recipe).network_options
    return {name: value for name, value in config.network_options.items() if value != standard[name]}
