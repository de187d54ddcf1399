"""Decides once, for every run, which tables have a place for it, in which row, and which runs it compares with.

Nothing is scored here: a run is told by its config, its clips and its labels. The tables only read the result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mer_cli.datasets.schemes import SCHEMES
from mer_cli.evaluation.run_text import changes, settings, standard_config
from mer_cli.records import dataset_of, subject_of
from mer_cli.report.paper import NUMBERS, PaperBlock, is_plain, paper_blocks, row_key
from mer_cli.runs.config import PARTS, TrainConfig, group_of
from mer_cli.runs.directory import Run
from mer_cli.runs.methods import METHODS, MMNET
from mer_cli.runs.run_config import RunConfig
from mer_cli.runs.variants import GRIDS

MACHINE = ("device", "precision", "compile", "deterministic")


@dataclass(frozen=True)
class Place:
    """Where a run stands in a report.

    rows : key of its row in each table that has a place for it, by the table's number; None is the table of all methods
    clips : shared by runs that compare: scheme, stores, clips, labels and folds
    class_counts, n_subjects : of all clips that it is scored on, the counts in label order
    paper : dataset and scheme of the paper's clips, if the run is of those
    namesake : dataset and scheme of the paper's clips, if the run has their protocol's name but other clips
    is_plain : whether the network is MMNet itself, as its recipe has it
    is_standard : whether the settings that no table varies are those of the published numbers, each method's own
    family : settings that no table varies: rows with the same ones compare
    settings : the same without the machine, by which networks of two methods compare
    recipe, family_name : of MMNet with the same departures from its recipe, which the row stands beside
    name : recipe and departures: "released recipe, epochs 10"
    machine : "cpu bf16, compiled"
    """

    rows: Mapping[int | None, Hashable]
    clips: tuple[object, ...]
    class_counts: tuple[int, ...]
    n_subjects: int
    paper: tuple[str, str] | None
    namesake: tuple[str, str] | None
    is_plain: bool
    is_standard: bool
    family: str
    settings: str
    recipe: str
    family_name: str
    name: str
    machine: str


Places = Mapping[Path, Place]  # by the run's directory


def place_runs(runs: Sequence[Run]) -> Places:
    """Place every run of a report.

    A table of the paper has a place for a run that is of its dataset and of one of its methods, and leaves one subject
    out. Tables of methods take the composite set as well. Plain MMNet alone, on other clips than the paper's, is not an
    ablation: only the tables of methods have a place for it.
    """
    found = {run.path: _place(run) for run in runs}
    ablated = {
        (number, place.clips) for place in found.values() if not place.is_plain for number in place.rows.keys() & GRIDS
    }
    return {path: _without_lone_mmnet(place, ablated) for path, place in found.items()}


def _without_lone_mmnet(place: Place, ablated: Collection[tuple[int | None, tuple[object, ...]]]) -> Place:
    """Take a run out of the tables of ablations that have neither the paper's row nor an ablation beside it."""
    rows = {
        number: key
        for number, key in place.rows.items()
        if number not in GRIDS
        or (number, place.clips) in ablated
        or place.paper in [block.clips for block in paper_blocks(number)]
    }
    return replace(place, rows=rows)


def _place(run: Run) -> Place:
    config = run.config
    beside = as_mmnet(config)
    counts, subjects = class_counts(run), n_subjects(run)
    named = [block for number in NUMBERS for block in paper_blocks(number) if _has_name_of(config, block)]
    of_paper = {block.clips for block in named if _is_of(counts, subjects, block)}
    tables = [None, *(number for number in NUMBERS if config.is_loso and _is_about(number, config))]
    keys = {number: row_key(number, config) for number in tables}
    return Place(
        rows={number: key for number, key in keys.items() if key is not None},
        clips=_clips(run),
        class_counts=counts,
        n_subjects=subjects,
        paper=next(iter(of_paper), None),
        namesake=next((block.clips for block in named if block.clips not in of_paper), None),
        is_plain=is_plain(config),
        is_standard=config.recipe == standard_config(model=config.model).recipe
        and not changes(_without_varied(config)),
        family=beside.model_dump_json(exclude=_left_out("seed", "variant", *PARTS)),
        settings=beside.model_dump_json(exclude=_left_out("seed", "variant", *PARTS, *MACHINE)),
        recipe=beside.recipe,
        family_name=settings_name(beside),
        name=settings_name(config),
        machine=f"{config.device} {config.precision}{', compiled' if config.compile == 'on' else ''}",
    )


def _has_name_of(config: RunConfig, block: PaperBlock) -> bool:
    here = (config.stores[0].dataset, config.scheme, config.protocol_id)
    return not config.generated and here == (*block.clips, block.protocol_id)


def _is_of(counts: tuple[int, ...], subjects: int, block: PaperBlock) -> bool:
    """Return whether clips that go by the name of the paper's are those, with its labels.

    The same number of clips is not enough: the older coding table of CASME II gives 156 as well, and calls three of
    them other.
    """
    return counts == block.class_counts and block.n_subjects in (None, subjects)


def _is_about(number: int, config: RunConfig) -> bool:
    """Return whether a table is about a run's datasets; the composite set is MEGC 2019's."""
    if len(config.stores) == 1:
        return number in GRIDS or config.stores[0].dataset in datasets_of(number)
    scheme = SCHEMES.get(config.scheme)
    is_composite = scheme and scheme.composite and {store.dataset for store in config.stores} == set(scheme.datasets)
    return number not in GRIDS and bool(is_composite)


def datasets_of(number: int) -> set[str]:
    """Return the datasets that a table of the paper is about."""
    return {block.dataset for block in paper_blocks(number)}


def _clips(run: Run) -> tuple[object, ...]:
    clips = tuple(sorted((clip_id, label, run.fold_of[clip_id]) for clip_id, label in run.labels.items()))
    held = tuple((store.dataset, store.table_version, store.content_hash) for store in run.config.stores)
    return (run.config.protocol_id, run.config.scheme, held, run.class_names, clips)


def class_counts(run: Run, dataset: str | None = None) -> tuple[int, ...]:
    """Return the number of scored clips of each class, in label order; of one dataset if it is named."""
    counts = Counter(run.labels[clip_id] for clip_id in _scored(run, dataset))
    return tuple(counts[label] for label in range(len(run.class_names)))


def n_subjects(run: Run, dataset: str | None = None) -> int:
    """Return the number of subjects that a run is scored on; of one dataset if it is named."""
    return len(set(map(subject_of, _scored(run, dataset))))


def _scored(run: Run, dataset: str | None) -> list[str]:
    """Return the clips that a fold holds out; a clip that is only trained on has no fold."""
    return [clip_id for clip_id, fold in run.fold_of.items() if fold and dataset in (None, dataset_of(clip_id))]


def as_mmnet(config: TrainConfig) -> TrainConfig:
    """Return the settings of MMNet with the same departures from its recipe as these have from theirs.

    Departures in settings that MMNet has no use for are dropped.
    """
    own, standard = standard_config(model=config.model), standard_config()
    return config.model_copy(
        update={
            name: getattr(standard, name)
            for name in TrainConfig.model_fields
            if group_of(name) not in METHODS[MMNET].groups or getattr(config, name) == getattr(own, name)
        }
    )


def _without_varied(config: TrainConfig) -> TrainConfig:
    """Return settings without what a table varies and without permuted labels, which a control's name says."""
    standard = standard_config(config.recipe, model=config.model)
    plain = {"variant": standard.variant, "shuffle_labels": standard.shuffle_labels, **standard.network_options}
    return config.model_copy(update=plain)


def settings_name(config: TrainConfig) -> str:
    """Return recipe and departures from it, without what a table varies: "released recipe, epochs 10"."""
    return settings(_without_varied(config))


def _left_out(*names: str) -> dict[str, Any]:
    """Return these settings, and the hash of whole clips, which only some methods see."""
    return {**dict.fromkeys(names, True), "stores": {"__all__": {"clips_hash": True}}}
