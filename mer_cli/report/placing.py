"""Decides which runs a table of methods is about, which of its rows each belongs to, and which stand in one block.

Nothing is scored here: a run is told by its config, its clips and its labels.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import groupby

from mer_cli.datasets.registry import LAYOUTS
from mer_cli.evaluation.run_text import settings
from mer_cli.report.paper import PaperBlock, paper_table
from mer_cli.report.scores import Entry
from mer_cli.training.config import NETWORK_OPTIONS, TrainConfig, resolve_config
from mer_cli.training.grids import GRIDS
from mer_cli.training.run import Run

LAYERS_AND_HEADS = ("n_layers", "n_heads")  # what Table 5 varies


@dataclass(frozen=True)
class Protocol:
    """What is comparable: runs on the same store, clips, labels and folds."""

    entries: tuple[Entry, ...]

    @property
    def run(self) -> Run:
        """Any of its runs, for what they share."""
        return self.entries[0].runs[0]

    @property
    def generated(self) -> bool:
        return self.run.config.generated

    @property
    def heading(self) -> str:
        (store,) = self.run.config.stores
        table = f"table {store.table_version}" if store.table_version else "unknown table"
        n_subjects = len(set(self.run.fold_of.values()))
        text = heading(self.run.config.protocol_id, len(self.run.class_names), len(self.run.labels), n_subjects)
        text = f"{text}, {table}, store {store.content_hash[:12]}"
        if not self.generated:
            return text
        return f"Generated faces: not a result on {dataset_title(store.dataset)}. {text}"

    def is_of(self, block: PaperBlock) -> bool:
        """Whether these are a paper's clips, and the real ones."""
        config = self.run.config
        here = (config.stores[0].dataset, config.scheme, config.protocol_id)
        return not self.generated and here == (block.dataset, block.scheme, block.protocol_id)


def heading(protocol_id: str, n_classes: int, n_clips: int, n_subjects: int | None) -> str:
    """Give "casme2-5/249, leave one subject out: 5 classes, 249 clips, 26 subjects"."""
    subjects = f", {n_subjects} subjects" if n_subjects else ""
    return f"{protocol_id}, leave one subject out: {n_classes} classes, {n_clips} clips{subjects}"


def dataset_title(dataset: str) -> str:
    """Give "CASME II"; the name itself for one's own data."""
    return LAYOUTS[dataset].title if dataset in LAYOUTS else dataset


def row_key(number: int, config: TrainConfig) -> Hashable | None:
    """Give what tells a table's rows apart, of these settings: the variant, or layers and heads.

    A network that was put together flag by flag is the variant that it equals. None where the table has no such row.
    """
    options = config.network_options
    if number == 5:
        standard = resolve_config(config.recipe).network_options
        others = [name for name in NETWORK_OPTIONS if name not in LAYERS_AND_HEADS]
        is_varied_only = all(options[name] == standard[name] for name in others)
        return tuple(options[name] for name in LAYERS_AND_HEADS) if is_varied_only else None
    variants = [row["variant"] for row in GRIDS[number]] if number in GRIDS else [resolve_config().variant]
    return next((name for name in variants if resolve_config(config.recipe, name).network_options == options), None)


def is_plain(config: TrainConfig) -> bool:
    """Whether the network is MMNet itself, as its recipe has it."""
    return config.network_options == resolve_config(config.recipe).network_options


def family_key(config: TrainConfig) -> str:
    """Everything that no table varies in its rows: two rows compare where it is the same."""
    return config.model_dump_json(exclude={"seed", "variant", *NETWORK_OPTIONS})


def family_name(config: TrainConfig) -> str:
    """Give recipe and departures from it: "released recipe, epochs 10".

    What a table varies is left out, and that labels were shuffled, which a control's name says.
    """
    standard = resolve_config(config.recipe)
    plain = {"variant": standard.variant, "shuffle_labels": standard.shuffle_labels, **standard.network_options}
    return settings(config.model_copy(update=plain))


def placed(number: int, runs: Sequence[Run]) -> list[Run]:
    """Give the runs that a table has a place for: one dataset, leave one subject out, a network of its rows.

    Where the clips are not the paper's, plain MMNet alone is no ablation, and is left to Tables 6 and 7.
    """
    paper_blocks = paper_table(number).blocks
    datasets = {block.dataset for block in paper_blocks}
    fitting = [
        run
        for run in runs
        if run.config.is_loso
        and len(run.config.stores) == 1
        and (number in GRIDS or run.config.stores[0].dataset in datasets)
        and row_key(number, run.config) is not None
    ]
    if number not in GRIDS:
        return fitting
    ablated = {_protocol_key(run) for run in fitting if not is_plain(run.config)}
    of_paper = {block.protocol_id for block in paper_blocks}
    return [
        run
        for run in fitting
        if _protocol_key(run) in ablated or (not run.config.generated and run.config.protocol_id in of_paper)
    ]


def protocols(number: int, entries: Sequence[Entry]) -> list[Protocol]:
    """Put entries together that compare: the real dataset first, then the paper's schemes in its order."""
    order = {block.scheme: index for index, block in enumerate(paper_table(number).blocks)}

    def key(entry: Entry) -> tuple[object, ...]:
        config = entry.config
        return (config.generated, order.get(config.scheme, len(order)), *_protocol_key(entry.runs[0]))

    return [Protocol(tuple(same)) for _, same in groupby(sorted(entries, key=key), key=key)]


def _protocol_key(run: Run) -> tuple[object, ...]:
    (store,) = run.config.stores
    clips = tuple(sorted((clip_id, label, run.fold_of[clip_id]) for clip_id, label in run.labels.items()))
    held = (store.table_version, store.content_hash)
    return (run.config.protocol_id, store.dataset, run.config.scheme, *held, run.class_names, clips)
