"""Decides for every run which tables show it, in which row, and which other runs it is comparable with.

Nothing is scored here: the config, the clips and the labels of a run decide. The tables only read the result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mer_cli.evaluation.run_text import changes, method_default, own_classes, recipe_and_changes, standard_config
from mer_cli.records import dataset_of, subject_of
from mer_cli.report.model import NUMBERS
from mer_cli.report.paper import PaperBlock, is_plain, paper_blocks, row_key
from mer_cli.runs.config import PARTS, TrainConfig, group_of
from mer_cli.runs.directory import Run
from mer_cli.runs.methods import METHODS, MMNET
from mer_cli.runs.run_config import RunConfig
from mer_cli.runs.variants import GRIDS

MACHINE = ("device", "precision", "compile", "deterministic")


@dataclass(frozen=True)
class Place:
    """Where a run is shown in a report, and what it is comparable with.

    rows : key of the run's row by number of the table, for the tables that show it; None is the table of all methods
    clips : scheme, stores, clips, labels and folds; equal for comparable runs
    class_counts : number of scored clips of each class, in label order · n_subjects : number of scored subjects
    paper : dataset and scheme, if the run is on exactly the paper's clips
    namesake : dataset and scheme, if the protocol has the same name as one in the paper but the clips differ
    is_plain : whether the network is plain MMNet, as the recipe sets it
    is_standard : whether the method has its default recipe, and no setting changed but those that tables vary
    family : the settings that no table varies, as text; equal for rows that can be compared
    settings : `family` without the machine, to match another method with MMNet
    recipe, family_name : of the MMNet run with the same changed settings, which the row is shown beside
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
    machine: str


Places = Mapping[Path, Place]  # by the run's directory


def place_runs(runs: Sequence[Run]) -> Places:
    """Return the place of every run in a report, by the run's directory.

    A table of the paper shows a run if it leaves one subject out and the table has its dataset and method. Tables of
    methods show runs on the composite set as well. Plain MMNet on other clips than the paper's is not an ablation if no
    ablation was run on the same clips: then only the tables of methods show it.
    """
    found = {run.path: _place(run) for run in runs}
    ablated = {
        (number, place.clips) for place in found.values() if not place.is_plain for number in place.rows.keys() & GRIDS
    }
    return {path: _without_lone_mmnet(place, ablated) for path, place in found.items()}


def _without_lone_mmnet(place: Place, ablated: Collection[tuple[int | None, tuple[object, ...]]]) -> Place:
    """Return the place without the tables of ablations that have nothing to compare the run with on the same clips."""
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
        is_standard=config.recipe == method_default(config).recipe and not changes(_without_varied(config)),
        family=beside.model_dump_json(exclude=_left_out("seed", "variant", *PARTS)),
        settings=beside.model_dump_json(exclude=_left_out("seed", "variant", *PARTS, *MACHINE)),
        recipe=beside.recipe,
        family_name=settings_name(beside),
        machine=f"{config.device} {config.precision}{', compiled' if config.compile == 'on' else ''}",
    )


def _has_name_of(config: RunConfig, block: PaperBlock) -> bool:
    here = (config.stores[0].dataset, config.scheme, config.protocol_id)
    is_ours = config.generated or config.own_scheme or not config.is_loso
    return not is_ours and here == (*block.clips, block.protocol_id)


def _is_of(counts: tuple[int, ...], subjects: int, block: PaperBlock) -> bool:
    """Return whether clips under the same protocol name are the paper's: by clips of each class and number of subjects.

    The same number of clips is not enough: the older coding table of CASME II gives 156 as well, but labels three of
    them differently.
    """
    return counts == block.class_counts and block.n_subjects in (None, subjects)


def _is_about(number: int, config: RunConfig) -> bool:
    """Return whether a table of the paper can show a run on these datasets; not if the label scheme is the user's own.

    Several datasets must be the composite set of MEGC 2019.
    """
    if config.own_scheme:
        return False
    if len(config.stores) == 1:
        return number in GRIDS or config.stores[0].dataset in datasets_of(number)
    scheme = config.label_scheme
    is_composite = scheme and scheme.composite and {store.dataset for store in config.stores} == set(scheme.datasets)
    return number not in GRIDS and bool(is_composite)


def datasets_of(number: int) -> set[str]:
    """Return the datasets that a table of the paper is about."""
    return {block.dataset for block in paper_blocks(number)}


def _clips(run: Run) -> tuple[object, ...]:
    clips = tuple(sorted((clip_id, label, run.fold_of[clip_id]) for clip_id, label in run.labels.items()))
    held = tuple((store.dataset, store.table_version, store.content_hash) for store in run.config.stores)
    named = (run.config.protocol_id, run.config.protocol(), run.config.scheme, own_classes(run.config))
    return (*named, held, run.class_names, clips)


def class_counts(run: Run, dataset: str | None = None) -> tuple[int, ...]:
    """Return the number of scored clips of each class, in label order; only of `dataset` if given."""
    counts = Counter(run.labels[clip_id] for clip_id in _scored(run, dataset))
    return tuple(counts[label] for label in range(len(run.class_names)))


def n_subjects(run: Run, dataset: str | None = None) -> int:
    """Return the number of subjects that a run is scored on; only of `dataset` if given."""
    return len(set(map(subject_of, _scored(run, dataset))))


def _scored(run: Run, dataset: str | None) -> list[str]:
    """Return the ids of the clips that are held out in some fold (only of `dataset` if given)."""
    return [clip_id for clip_id, fold in run.fold_of.items() if fold and dataset in (None, dataset_of(clip_id))]


def as_mmnet(config: TrainConfig) -> TrainConfig:
    """Return MMNet's settings with the same changes from its defaults as `config` has from its method's defaults.

    Changes of settings that MMNet doesn't have are dropped.
    """
    own, standard = method_default(config), standard_config()
    return config.model_copy(
        update={
            name: getattr(standard, name)
            for name in TrainConfig.model_fields
            if group_of(name) not in METHODS[MMNET].groups or getattr(config, name) == getattr(own, name)
        }
    )


def _without_varied(config: TrainConfig) -> TrainConfig:
    """Return the settings with the options that tables vary reset to the recipe's, and without permuted labels."""
    standard = method_default(config, config.recipe)
    plain = {"variant": standard.variant, "shuffle_labels": standard.shuffle_labels, **standard.network_options}
    return config.model_copy(update=plain)


def settings_name(config: TrainConfig, dataset: str | None = None) -> str:
    """Return recipe and changed settings, except those that tables vary: "released recipe, epochs 10".

    Parameters
    ----------
    dataset : the test dataset that is scored; all if left out
    """
    return recipe_and_changes(_without_varied(config), dataset)


def _left_out(*names: str) -> dict[str, Any]:
    """Return an `exclude` for pydantic with `names`, and the hash of whole clips, which only some methods see."""
    return {**dict.fromkeys(names, True), "stores": {"__all__": {"clips_hash": True}}}
