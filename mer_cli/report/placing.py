"""Decides which runs a table of methods is about, which of its rows each belongs to, and which stand in one block.

Nothing is scored here: a run is told by its config, its clips and its labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from mer_cli.datasets.registry import LAYOUTS
from mer_cli.datasets.schemes import SCHEMES
from mer_cli.evaluation.run_text import settings
from mer_cli.report.paper import PaperBlock, paper_table
from mer_cli.report.scores import Entry
from mer_cli.training.config import TrainConfig, resolve_config
from mer_cli.training.folds import dataset_of
from mer_cli.training.grids import GRIDS
from mer_cli.training.methods import MMNET, OF_OTHERS
from mer_cli.training.mmnet_settings import NETWORK_OPTIONS
from mer_cli.training.run import Run
from mer_cli.training.run_config import RunConfig, RunStore

MACHINE = ("device", "precision", "compile", "deterministic")
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
    def dataset(self) -> str | None:
        """The one of several whose clips the scores are of; None for all."""
        return self.entries[0].dataset

    @property
    def heading(self) -> str:
        stores = self.run.config.stores
        counts, subjects = class_counts(self.run, self.dataset), n_subjects(self.run, self.dataset)
        part = f", scored on {dataset_title(self.dataset)} alone" if self.dataset else ""
        text = heading(f"{self.run.config.protocol_id}{part}", len(counts), sum(counts), subjects)
        text = ", ".join([text, *(_origin(store, named=len(stores) > 1) for store in stores)])
        if not self.generated:
            return text
        titles = ", ".join(dataset_title(store.dataset) for store in stores if self.dataset in (None, store.dataset))
        return f"Generated faces: not a result on {titles}. {text}"


def is_of(run: Run, block: PaperBlock) -> bool:
    """Whether a run is of a paper's clips, the real ones, with the paper's labels.

    As many clips are not enough: the older coding table of CASME II gives 156 as well, and calls three of them other.
    """
    return (
        _has_id_of(run, block)
        and class_counts(run) == block.class_counts
        and block.n_subjects in (None, n_subjects(run))
    )


def other_labels(number: int, run: Run) -> list[str]:
    """Say of a run that goes by the name of a paper's protocol, but is not of its clips, in what the two differ."""
    return [
        f"Not the paper's clips, though as many: clips of each class {_listed(class_counts(run))}, of "
        f"{n_subjects(run)} subjects; the published numbers are of {_listed(block.class_counts)}"
        f"{f', of {block.n_subjects} subjects' if block.n_subjects else ''}."
        for block in paper_table(number).blocks
        if _has_id_of(run, block) and not is_of(run, block)
    ]


def _listed(counts: Sequence[int]) -> str:
    return ", ".join(map(str, counts))


def _has_id_of(run: Run, block: PaperBlock) -> bool:
    here = (run.config.stores[0].dataset, run.config.scheme, run.config.protocol_id)
    return not run.config.generated and here == (block.dataset, block.scheme, block.protocol_id)


def _origin(store: RunStore, *, named: bool) -> str:
    table = f"table {store.table_version}" if store.table_version else "unknown table"
    return f"{f'{store.dataset}: ' if named else ''}{table}, store {store.content_hash[:12]}"


def class_counts(run: Run, dataset: str | None = None) -> tuple[int, ...]:
    """Give the clips of each class, in label order; of one dataset, where it is named."""
    counts = Counter(label for clip_id, label in run.labels.items() if dataset in (None, dataset_of(clip_id)))
    return tuple(counts[label] for label in range(len(run.class_names)))


def n_subjects(run: Run, dataset: str | None = None) -> int:
    """Give the subjects of a LOSO run; of one dataset, where it is named."""
    return len({fold for clip_id, fold in run.fold_of.items() if dataset in (None, dataset_of(clip_id))})


def heading(protocol_id: str, n_classes: int, n_clips: int, subjects: int | None) -> str:
    """Give "casme2-5/249, leave one subject out: 5 classes, 249 clips, 26 subjects"."""
    held_out = f", {subjects} subjects" if subjects else ""
    return f"{protocol_id}, leave one subject out: {n_classes} classes, {n_clips} clips{held_out}"


def dataset_title(dataset: str) -> str:
    """Give "CASME II"; the name itself for one's own data."""
    return LAYOUTS[dataset].title if dataset in LAYOUTS else dataset


def row_key(number: int, config: TrainConfig) -> Hashable | None:
    """Give what tells a table's rows apart, of these settings: the variant, layers and heads, another network's name.

    A network that was put together flag by flag is the variant that it equals. None where the table has no such row.
    """
    if config.model != MMNET:
        return None if number in GRIDS else config.model
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
    return config.model == MMNET and config.network_options == resolve_config(config.recipe).network_options


def family_key(config: TrainConfig) -> str:
    """Everything that no table varies in its rows: two rows compare where it is the same."""
    return as_mmnet(config).model_dump_json(exclude=_left_out("seed", "variant", *NETWORK_OPTIONS))


def settings_key(config: TrainConfig) -> str:
    """The same but for the machine, by which networks of two methods compare: each trains as fits it."""
    return as_mmnet(config).model_dump_json(exclude=_left_out("seed", "variant", *NETWORK_OPTIONS, *MACHINE))


def _left_out(*names: str) -> dict[str, Any]:
    """These settings; and the hash of whole clips, which only some methods see."""
    return {**dict.fromkeys(names, True), "stores": {"__all__": {"clips_hash": True}}}


def machine_name(config: TrainConfig) -> str:
    """Give "cpu bf16, compiled"."""
    return f"{config.device} {config.precision}{', compiled' if config.compile == 'on' else ''}"


def family_name(config: TrainConfig) -> str:
    """Give recipe and departures from it: "released recipe, epochs 10"; of another network those of its own recipe.

    What a table varies is left out, and that labels were shuffled, which a control's name says.
    """
    standard = resolve_config(config.recipe, model=config.model)
    plain = {"variant": standard.variant, "shuffle_labels": standard.shuffle_labels, **standard.network_options}
    return settings(config.model_copy(update=plain))


def is_standard(config: TrainConfig) -> bool:
    """Whether the settings, but for what tables vary, are those of the published numbers: each network's own."""
    return family_name(config) == family_name(resolve_config(model=config.model))


def as_mmnet(config: TrainConfig) -> TrainConfig:
    """The settings of MMNet that depart from its own recipe as these do from theirs, beside which the row stands.

    MMNet can't depart in what it has no use for, so there a row's departures are let be.
    """
    own, standard = resolve_config(model=config.model), resolve_config()
    return config.model_copy(
        update={
            name: getattr(standard, name)
            for name in TrainConfig.model_fields
            if name in OF_OTHERS or getattr(config, name) == getattr(own, name)
        }
    )


def datasets_of(number: int) -> set[str]:
    """Give the datasets that a table of the paper is about."""
    return {block.dataset for block in paper_table(number).blocks}


def is_composite(config: RunConfig) -> bool:
    """Whether a run is of all datasets of a composite protocol together: MEGC 2019's."""
    scheme = SCHEMES.get(config.scheme)
    if scheme is None or not scheme.composite:
        return False
    return {store.dataset for store in config.stores} == set(scheme.datasets)


def placed(number: int, runs: Sequence[Run]) -> list[Run]:
    """Give the runs that a table has a place for: its dataset, leave one subject out, a method of its rows.

    A table of methods takes the composite set as well. Where the clips are not the paper's, plain MMNet alone is no
    ablation, and is left to Tables 6 and 7.
    """
    paper_blocks = paper_table(number).blocks
    fitting = [
        run
        for run in runs
        if run.config.is_loso and _is_about(number, run.config) and row_key(number, run.config) is not None
    ]
    if number not in GRIDS:
        return fitting
    ablated = {_protocol_key(run) for run in fitting if not is_plain(run.config)}
    return [run for run in fitting if _protocol_key(run) in ablated or any(is_of(run, block) for block in paper_blocks)]


def _is_about(number: int, config: RunConfig) -> bool:
    if len(config.stores) == 1:
        return number in GRIDS or config.stores[0].dataset in datasets_of(number)
    return number not in GRIDS and is_composite(config)


def protocols(number: int, entries: Sequence[Entry]) -> list[Protocol]:
    """Put entries together that compare: the real dataset first, then the paper's schemes in its order.

    Of the composite set the table's own dataset comes before all of it; other datasets have their place elsewhere.
    """
    own = datasets_of(number)
    order = {block.scheme: index for index, block in enumerate(paper_table(number).blocks)}

    def key(entry: Entry) -> tuple[object, ...]:
        config = entry.config
        part = (entry.dataset is None, entry.dataset or "")
        return (config.generated, order.get(config.scheme, len(order)), *_protocol_key(entry.runs[0]), part)

    fitting = [entry for entry in entries if entry.dataset is None or entry.dataset in own]
    return [Protocol(tuple(same)) for _, same in groupby(sorted(fitting, key=key), key=key)]


def _protocol_key(run: Run) -> tuple[object, ...]:
    clips = tuple(sorted((clip_id, label, run.fold_of[clip_id]) for clip_id, label in run.labels.items()))
    held = tuple((store.dataset, store.table_version, store.content_hash) for store in run.config.stores)
    return (run.config.protocol_id, run.config.scheme, held, run.class_names, clips)
