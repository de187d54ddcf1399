"""Decide which runs a table of methods is about, which row each belongs to, and what the row is called.

Nothing is scored here: a run is told by its config, its clips and its labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from mer_cli.datasets.registry import DATASETS
from mer_cli.datasets.schemes import SCHEMES
from mer_cli.evaluation.run_text import settings
from mer_cli.records import dataset_of, subject_of
from mer_cli.report.collect import Entry
from mer_cli.report.paper import PaperBlock, PaperRow, paper_table
from mer_cli.runs.catalogue_shim import METHODS, Method, method_of
from mer_cli.runs.config import GRIDS, NETWORK_OPTIONS, VARIANTS, TrainConfig, resolve_config
from mer_cli.runs.directory import Run
from mer_cli.runs.methods import MMNET, OF_OTHERS
from mer_cli.runs.run_config import RunConfig, RunStore

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
    def name(self) -> str:
        """Return "casme2-5/249, leave one subject out"; across datasets, which were trained and which tested on."""
        config, part = self.run.config, ""
        if config.is_loso and self.dataset:
            part = f", scored on {dataset_title(self.dataset)} alone"
        return f"{config.protocol_id}{part}, {config.protocol([self.dataset] if self.dataset else None)}"

    @property
    def heading(self) -> str:
        text = heading(self.name, class_counts(self.run, self.dataset), n_subjects(self.run, self.dataset))
        if not self.generated:
            return text
        stores = self.run.config.stores
        titles = ", ".join(dataset_title(store.dataset) for store in stores if self.dataset in (None, store.dataset))
        return f"Generated faces: not a result on {titles}. {text}"

    @property
    def origin(self) -> str:
        """Return "table 20190701, store 0123456789ab", of each dataset."""
        stores = self.run.config.stores
        return ", ".join(_origin(store, named=len(stores) > 1) for store in stores)


def is_of(run: Run, block: PaperBlock) -> bool:
    """Whether a run is of a paper's clips, the real ones, with the paper's labels.

    As many clips are not enough: the older coding table of CASME II gives 156 as well, and calls three of them other.
    """
    return (
        _has_id_of(run, block)
        and class_counts(run) == block.class_counts
        and block.n_subjects in (None, n_subjects(run))
    )


def other_labels(number: int | None, run: Run) -> list[str]:
    """Say of a run that goes by the name of a paper's protocol, but is not of its clips, in what the two differ."""
    return [
        f"Not the paper's clips, though as many: clips of each class {_listed(class_counts(run))}, of "
        f"{n_subjects(run)} subjects; the published numbers are of {_listed(block.class_counts)}"
        f"{f', of {block.n_subjects} subjects' if block.n_subjects else ''}."
        for block in paper_blocks(number)
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
    """Return the number of scored clips of each class, in label order; of one dataset if it is named."""
    counts = Counter(run.labels[clip_id] for clip_id in _scored(run, dataset))
    return tuple(counts[label] for label in range(len(run.class_names)))


def n_subjects(run: Run, dataset: str | None = None) -> int:
    """Return the number of subjects that a run is scored on; of one dataset if it is named."""
    return len(set(map(subject_of, _scored(run, dataset))))


def _scored(run: Run, dataset: str | None) -> list[str]:
    """Return the clips that a fold holds out; those that are only trained on have none."""
    return [clip_id for clip_id, fold in run.fold_of.items() if fold and dataset in (None, dataset_of(clip_id))]


def heading(protocol: str, counts: Sequence[int], subjects: int | None) -> str:
    """Return "casme2-5/249, leave one subject out: 5 classes, 249 clips, 26 subjects"."""
    held_out = f", {subjects} subjects" if subjects else ""
    return f"{protocol}: {len(counts)} classes, {sum(counts)} clips{held_out}"


def dataset_title(dataset: str) -> str:
    """Give "CASME II"; the name itself for one's own data."""
    return DATASETS[dataset].title if dataset in DATASETS else dataset


def row_key(number: int | None, config: TrainConfig) -> Hashable | None:
    """Return what tells a table's rows apart, of these settings: the variant, layers and heads, another network's name.

    A network that was put together flag by flag is the variant that it equals. None if the table has no such row;
    the table of all methods, whose number is None, has one for everything: of MMNet the departures from it.
    """
    if config.model != MMNET:
        return None if number in GRIDS else config.model
    options = config.network_options
    if number is None:
        return ", ".join([MMNET, *network_departures(config)])
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


def network_departures(config: TrainConfig) -> list[str]:
    """Return in what the network is not its recipe's MMNet: a variant that it equals, or option by option."""
    standard, options = resolve_config(config.recipe).network_options, config.network_options
    for variant in VARIANTS:
        if resolve_config(config.recipe, variant).network_options == options:
            return [] if variant == MMNET else [variant]
    changed = {name.replace("_", " "): value for name, value in options.items() if value != standard[name]}
    return [f"{name} {value}" for name, value in changed.items()]


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


def paper_blocks(number: int | None) -> tuple[PaperBlock, ...]:
    """Return what the paper has of a table; the table of all methods is not the paper's."""
    return () if number is None else paper_table(number).blocks


def datasets_of(number: int | None) -> set[str]:
    """Return the datasets that a table of the paper is about."""
    return {block.dataset for block in paper_blocks(number)}


def is_composite(config: RunConfig) -> bool:
    """Whether a run is of all datasets of a composite protocol together: MEGC 2019's."""
    scheme = SCHEMES.get(config.scheme)
    if scheme is None or not scheme.composite:
        return False
    return {store.dataset for store in config.stores} == set(scheme.datasets)


def placed(number: int, runs: Sequence[Run]) -> list[Run]:
    """Return the runs that a table of the paper has a place for: its dataset, leave one subject out, a method of it.

    A table of methods takes the composite set as well. Where the clips are not the paper's, plain MMNet alone is not an
    ablation, and is left to the tables of methods.
    """
    fitting = [
        run
        for run in runs
        if run.config.is_loso and _is_about(number, run.config) and row_key(number, run.config) is not None
    ]
    if number not in GRIDS:
        return fitting
    blocks = paper_blocks(number)
    ablated = {_protocol_key(run) for run in fitting if not is_plain(run.config)}
    return [run for run in fitting if _protocol_key(run) in ablated or any(is_of(run, block) for block in blocks)]


def _is_about(number: int, config: RunConfig) -> bool:
    if len(config.stores) == 1:
        return number in GRIDS or config.stores[0].dataset in datasets_of(number)
    return number not in GRIDS and is_composite(config)


def is_part_of(number: int | None, entry: Entry) -> bool:
    """Return whether a table has the clips that an entry is scored on: all of a run's, or those of its own dataset."""
    return number is None or entry.dataset is None or entry.dataset in datasets_of(number)


def protocols(number: int | None, entries: Sequence[Entry]) -> list[Protocol]:
    """Put entries together that compare: the real dataset first, then the paper's schemes in its order.

    Of the composite set the table's own dataset comes before all of it; other datasets have their place elsewhere.
    """
    order = {block.scheme: index for index, block in enumerate(paper_blocks(number))}

    def key(entry: Entry) -> tuple[object, ...]:
        config = entry.config
        return (config.generated, order.get(config.scheme, len(order)), *protocol_key(entry))

    fitting = [entry for entry in entries if is_part_of(number, entry)]
    return [Protocol(tuple(same)) for _, same in groupby(sorted(fitting, key=key), key=key)]


def protocol_key(entry: Entry) -> tuple[object, ...]:
    """Return what two entries share that compare: stores, clips, labels, folds, and the dataset that is scored."""
    return (*_protocol_key(entry.runs[0]), entry.dataset is None, entry.dataset or "")


def _protocol_key(run: Run) -> tuple[object, ...]:
    clips = tuple(sorted((clip_id, label, run.fold_of[clip_id]) for clip_id, label in run.labels.items()))
    held = tuple((store.dataset, store.table_version, store.content_hash) for store in run.config.stores)
    return (run.config.protocol_id, run.config.scheme, held, run.class_names, clips)


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
