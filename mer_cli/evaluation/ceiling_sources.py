"""Finds the coded action units that a ceiling is computed from: in stores, in coding tables, or behind a run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mer_cli.datasets.dataset import Scheme
from mer_cli.datasets.scheme_file import check_clips
from mer_cli.datasets.schemes import OWN_LABELS, check_counts, protocol_id, resolve_scheme
from mer_cli.datasets.table_alone import is_table, read_table_alone
from mer_cli.errors import ConfigError, DatasetError, StoreError
from mer_cli.evaluation.ceiling import Ceiling, ceiling_of, uncoded_datasets
from mer_cli.records import FailedClip, Fold, dataset_of, subject_of
from mer_cli.runs.directory import Run
from mer_cli.runs.folds import loso_folds
from mer_cli.store.counts import labels_of, schemes_of, store_table, store_table_notes, table_fact
from mer_cli.store.hdf5 import StoreInfo, read_store


@dataclass(frozen=True)
class Coded:
    """What a store or a coding table says of its clips.

    table : the coding table in words · version : its published version, or ""
    emotions, cells : emotion and action units by clip id · failed : rows that are not among the clips
    notes : a sentence for each thing to know about how the table was read
    """

    path: Path
    dataset: str
    table: str
    version: str
    emotions: Mapping[str, str]
    cells: Mapping[str, str]
    failed: tuple[FailedClip, ...]
    generated: bool
    notes: tuple[str, ...]


@dataclass(frozen=True)
class SchemeCeiling:
    """The ceiling of one store or table under one label scheme, each subject held out once.

    protocol : "casme2-5/249" · class_counts : number of clips of each class, in label order
    warning : says how the counts differ from the published ones; "" if they do not
    """

    source: Coded
    scheme: Scheme
    protocol: str
    class_counts: tuple[int, ...]
    warning: str
    found: Ceiling


def read_coded_clips(path: Path, dataset: str | None = None, *, join_spellings: bool = False) -> Coded:
    """Read emotions and action units of a store, or of a coding table.

    Parameters
    ----------
    dataset, join_spellings : as in `read_table_alone`; only for a table

    Raises
    ------
    MerError
        If the file can't be read, it can't be told whose table it is, or none of its clips has a coded unit.
    """
    coded = _read(path, dataset, join_spellings=join_spellings)
    if uncoded_datasets(coded.cells):
        raise (DatasetError if is_table(path) else StoreError)(
            f"{path}: none of its {len(coded.cells)} clips has a coded action unit (SMIC's table has none), so they "
            "can't say what the labels allow. Leave it out, or give a store or a coding table with action units."
        )
    return coded


def read_coded_stores(paths: Sequence[Path]) -> tuple[list[Coded], list[Path]]:
    """Read the stores among some that have coded action units, and return them and the paths of the others.

    Raises
    ------
    StoreError
        If a store can't be read, or none of the stores has a coded action unit.
    """
    every = [_read(path) for path in paths]
    coded = [each for each in every if not uncoded_datasets(each.cells)]
    if not coded:
        raise StoreError(
            f"{', '.join(map(str, paths))}: no clip has a coded action unit, so they can't say what the labels allow. "
            "Give a store or a coding table with action units."
        )
    return coded, [each.path for each in every if each not in coded]


def _read(path: Path, dataset: str | None = None, *, join_spellings: bool = False) -> Coded:
    if is_table(path):
        table = read_table_alone(path, dataset, join_spellings=join_spellings)
        return Coded(
            path,
            table.dataset,
            table_fact(table.dataset, path.name, table.version, table.sha256),
            table.version,
            {clip_id: entry.emotion for clip_id, entry in table.entries.items()},
            {clip_id: entry.action_units for clip_id, entry in table.entries.items()},
            table.failed,
            table.generated,
            table.notes,
        )
    info = read_store(path)
    return Coded(
        path,
        info.dataset,
        store_table(info.attributes),
        info.table_version,
        _column(info, "emotion"),
        _column(info, "action_units"),
        tuple(FailedClip(**entry) for entry in info.attributes["failed"]),
        info.generated,
        store_table_notes(info.attributes),
    )


def scheme_ceilings(source: Coded, scheme: str | None) -> tuple[SchemeCeiling, ...]:
    """Return the ceiling of a store or table under a scheme, or under each scheme of its dataset if that is None.

    Schemes that are used on request only need to be asked for. In a dataset of your own every label is a class.

    Raises
    ------
    ConfigError
        If the scheme is unknown, is not made for the dataset, or keeps clips of fewer than two subjects or none with a
        coded action unit.
    """
    usual = [each.name for each in schemes_of(source.dataset) if not each.on_request]
    names = [scheme] if scheme else usual or [OWN_LABELS]
    emotions = {source.dataset: set(source.emotions.values())}
    return tuple(_under(source, resolve_scheme(name, emotions)) for name in names)


def _under(source: Coded, scheme: Scheme) -> SchemeCeiling:
    if scheme.of_units:
        raise ConfigError(
            f"--scheme {scheme.name}: a ceiling is what action units allow to tell of classes. Name one of classes."
        )
    labels = labels_of(scheme, source.emotions)
    check_clips(scheme, [*source.emotions, *(clip.clip_id for clip in source.failed)], labels)
    subjects = sorted(set(map(subject_of, labels)))
    if len(subjects) < 2:
        raise ConfigError(
            f"{source.path}: scheme {scheme.name} keeps clips of {len(subjects)} of its subjects "
            f"({', '.join(subjects) or 'none'}). Expected at least 2, to leave one out. Choose another --scheme, or "
            "give a file with more subjects."
        )
    if uncoded_datasets({clip_id: source.cells[clip_id] for clip_id in labels}):
        raise ConfigError(
            f"{source.path}: none of the {len(labels)} clips that scheme {scheme.name} keeps has a coded action unit, "
            "so they can't say what its labels allow. Choose another --scheme."
        )
    # A table's rows that failed are told one by one.
    warning = (
        None
        if is_table(source.path) and source.failed
        else check_counts(scheme, source.dataset, source.version, labels)
    )
    counts = tuple(sum(label == wanted for label in labels.values()) for wanted in range(len(scheme.class_names)))
    found = ceiling_of(source.cells, labels, loso_folds(labels), len(scheme.class_names))
    return SchemeCeiling(
        source, scheme, protocol_id(scheme, [source.dataset], len(labels)), counts, warning or "", found
    )


@dataclass(frozen=True)
class RunCeiling:
    """The ceiling of a run's held-out clips, or in `missing` why it can't be known, as a phrase."""

    found: Ceiling | None
    missing: str = ""


def run_ceiling(run: Run, dataset: str | None = None) -> RunCeiling:
    """Return what the labels of a run's held-out clips (of `dataset` if given) allow, in the run's own folds.

    The run doesn't record action units. They are read from its stores, where its last session found them, if these are
    still there and have the content that the run was trained on.
    """
    if run.config.predicts_units:
        return RunCeiling(None, "it is what action units allow to tell of classes, and this run predicts the units")
    if run.config.averages_datasets and dataset is None:
        return RunCeiling(None, "the scores are means over datasets, each of which has a ceiling of its own")
    last = run.sessions[-1]
    tested = [store for store in run.config.stores if store.role == "test"]
    others = [store for store in run.config.stores if store.role != "test"]
    paths = dict(zip((store.dataset for store in (*others, *tested)), (*last.stores, *last.test_stores), strict=True))
    cells: dict[str, str] = {}
    for store in run.config.stores:
        try:
            cells |= _cells_of(paths[store.dataset], store.content_hash)
        except (StoreError, OSError):
            return RunCeiling(
                None,
                f"the {store.dataset} store with the action units (content hash {store.content_hash[:12]}) is not "
                "where the run was trained from",
            )
    unknown = sorted(run.labels.keys() - cells.keys())
    if unknown:
        return RunCeiling(None, f"its stores lack {len(unknown)} of the run's clips, {unknown[0]} among them")
    uncoded = uncoded_datasets({clip_id: cells[clip_id] for clip_id in run.labels})
    if uncoded:
        return RunCeiling(None, f"no action units are coded for {' and '.join(uncoded)}")
    return RunCeiling(ceiling_of(cells, run.labels, _folds(run, dataset), len(run.class_names)))


@lru_cache(maxsize=32)
def _cells_of(path: str, content_hash: str) -> Mapping[str, str]:
    """Return the action units of a store's clips, by clip id; raise StoreError if it is absent or has other content."""
    info = read_store(Path(path))
    if info.content_hash != content_hash:
        raise StoreError(f"{path}: has other content than the store that the run was trained on. Name that store.")
    return _column(info, "action_units")


def _column(info: StoreInfo, name: str) -> dict[str, str]:
    return {str(clip_id): str(text) for clip_id, text in info.clips[name].items()}


def _folds(run: Run, dataset: str | None) -> Sequence[Fold]:
    """Return the folds that hold out clips of `dataset`, or all; nothing is held back, as no epoch is chosen."""
    held_out: dict[str, list[str]] = {}
    for clip_id, fold in run.fold_of.items():
        held_out.setdefault(fold, []).append(clip_id)
    only_trained = held_out.pop("", [])
    everyone: Collection[str] = only_trained or run.labels
    folds = []
    for fold, test in sorted(held_out.items()):
        scored = tuple(clip_id for clip_id in test if dataset in (None, dataset_of(clip_id)))
        if scored:  # a list of subjects may hold out clips of several datasets
            train = tuple(clip_id for clip_id in everyone if run.fold_of[clip_id] != fold)
            folds.append(Fold(fold, train, (), scored))
    return folds
