"""Decide the protocol of a run from its stores and its config: scheme, clips, classes and folds. Reads no image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from mer_cli.datasets.dataset import Scheme
from mer_cli.datasets.scheme_file import check_clips
from mer_cli.datasets.schemes import check_counts, protocol_id, resolve_scheme
from mer_cli.datasets.spelling import first_alike, spelt
from mer_cli.errors import ConfigError, StoreError
from mer_cli.records import Fold, is_added, parts_of
from mer_cli.runs.config import TrainConfig
from mer_cli.runs.fold_lists import FoldLists, read_fold_lists
from mer_cli.runs.folds import (
    added_to,
    cross_folds,
    dataset_folds,
    list_folds,
    loso_folds,
    select_folds,
    set_aside,
)
from mer_cli.runs.frame_draw import cut_draw_warning
from mer_cli.runs.plan import PlannedStore, RunPlan
from mer_cli.runs.run_config import TRAINED_ON, AddedStore, OwnScheme, Role, RunConfig, RunStore
from mer_cli.store.added import RELEASE, SEED, read_added, share_out
from mer_cli.store.hdf5 import StoreInfo, read_store
from mer_cli.store.labels import label_clips
from mer_cli.store.same_pictures import shared_faces
from mer_cli.store.whole_clips import clips_hash


def plan_protocol(
    stores: Sequence[Path],
    config: TrainConfig,
    *,
    test_stores: Sequence[Path] = (),
    folds_file: Path | None = None,
    leave_dataset_out: bool = False,
    wanted: Sequence[str] | None = None,
) -> RunPlan:
    """Plan a run as far as it doesn't depend on the machine: read the stores' tables, decide scheme, clips and folds.

    Device, precision and compilation in the plan's config are as asked for; `training.plan.plan_run` settles them.

    Parameters
    ----------
    stores : paths of stores of different datasets, in any order; under LOSO, the default protocol, each of their
        subjects is held out once
    test_stores : if given, the protocol is cross-dataset: one fold for each test store, trained on all `stores`
    folds_file : if given, each fold holds out the subjects of one of its lists (`read_fold_lists`)
    leave_dataset_out : whether each fold holds out the whole of one store
    wanted : subjects or fold ids to train; None trains all

    Raises
    ------
    MerError
        If a store can't be read, two stores are of one dataset, the scheme does not fit them, two protocols are asked
        for, the lists don't fit the stores, a fold is unknown, or too many subjects are to be set aside.
    """
    _check_method(config)
    infos = _read_all(stores, test_stores, _role(test_stores, folds_file, leave_dataset_out))
    scheme = resolve_scheme(config.scheme, {info.dataset: set(info.clips["emotion"]) for info, _ in infos})
    planned = tuple(PlannedStore(info, role, label_clips(info, scheme)) for info, role in infos)
    (_check_units if scheme.of_units else _check_classes)(planned, scheme)
    added = _added(planned, config, scheme)
    lists = read_fold_lists(folds_file, planned, scheme.name) if folds_file else None
    folds = _folds(planned, lists)
    if config.inner_val:
        labels = {clip_id: label for store in planned for clip_id, (_, label) in store.clips.items()}
        n_units = len(scheme.class_names) if scheme.of_units else 0
        folds = [set_aside(fold, labels, config.inner_val, config.seed, n_units) for fold in folds]
    more = [clip_id for store in added for clip_id in store.clips]  # never held back
    folds = [replace(fold, train=fold.train + added_to(fold, more)) for fold in folds]
    run_config = RunConfig(
        **config.model_copy(update={"scheme": scheme.name}).model_dump(),
        stores=tuple(_record(store, config) for store in planned),
        protocol_id=_protocol_id(scheme, planned),
        class_names=scheme.class_names,
        added=tuple(_record_added(store) for store in added),
        own_scheme=OwnScheme.of(scheme),
        fold_lists=lists,
        revision=config.method.revision,
    )
    counts = (_count_warning(scheme, store) for store in planned)
    every = tuple(sorted((*planned, *added), key=lambda store: f"{store.info.dataset}/"))
    return RunPlan(
        stores=every,
        config=run_config,
        folds=tuple(folds),
        wanted=tuple(select_folds(folds, wanted)),
        warnings=tuple(filter(None, (*counts, *_leaks(every), cut_draw_warning(run_config, every)))),
    )


def _role(test_stores: Sequence[Path], folds_file: Path | None, leave_dataset_out: bool) -> Role:
    """Return the role of the stores that are not test stores; raise a ConfigError if two protocols are asked for."""
    asked: dict[Role, bool] = {
        "train": bool(test_stores),
        "list": folds_file is not None,
        "dataset": leave_dataset_out,
    }
    given = [role for role, is_asked in asked.items() if is_asked]
    if len(given) > 1:
        flags = {"train": "test stores", "list": "a file of folds", "dataset": "leave_dataset_out"}
        raise ConfigError(
            f"{' and '.join(flags[role] for role in given)} are different protocols. Expected one of them. Leave out "
            "the others."
        )
    return given[0] if given else "loso"


def _folds(planned: Sequence[PlannedStore], lists: FoldLists | None) -> list[Fold]:
    ids = {role: [clip for store in planned if store.role == role for clip in store.clips] for role in get_args(Role)}
    if ids["test"]:
        return cross_folds(ids["train"], ids["test"])
    if lists:
        return list_folds(ids["list"], lists)
    return dataset_folds(ids["dataset"]) if ids["dataset"] else loso_folds(ids["loso"])


def _read_all(stores: Sequence[Path], test_stores: Sequence[Path], role: Role) -> list[tuple[StoreInfo, Role]]:
    """Read the stores, with their roles (`role`, or "test"), sorted by dataset."""
    infos = [(read_store(path), role) for path in stores]
    infos += [(read_store(path), "test") for path in test_stores]
    require_one_each(info for info, _ in infos)
    return sorted(infos, key=lambda given: f"{given[0].dataset}/")


def require_one_each(infos: Iterable[StoreInfo]) -> None:
    """Raise a ConfigError if two stores are of one dataset, or one holds clips that were generated to be added."""
    path_of: dict[str, Path] = {}
    for info in infos:
        if is_added(f"{info.dataset}/"):
            raise ConfigError(
                f"{info.path}: holds clips that were generated to be trained on beside recorded ones. Give the store "
                "of the recorded clips, and --pretrain."
            )
        if info.dataset in path_of:
            raise ConfigError(
                f"{info.path}: holds {info.dataset}, as does {path_of[info.dataset]}. Expected one store for each "
                "dataset, so that no subject is on both sides. Leave one of them out."
            )
        path_of[info.dataset] = info.path


def _check_method(config: TrainConfig) -> None:
    """Refuse your own method for action units, unless mer gives its loss: what it is taught is one class of a clip."""
    foreign = config.foreign
    if config.predicts_units and foreign and foreign.door != "network":
        raise ConfigError(
            f"--scheme {config.scheme}: {foreign.code} answers with one class for each clip, and a clip may show "
            "several action units. Expected a network, or a built-in method. Choose another --scheme or --model."
        )


def _check_units(planned: Sequence[PlannedStore], scheme: Scheme) -> None:
    """Refuse a store that shows none of the units: it would have no score."""
    for store in planned:
        if not any(mask for _, mask in store.clips.values()):
            raise ConfigError(
                f"{store.info.path}: no clip shows any of {', '.join(scheme.class_names)}. Leave this store out, or "
                "name units that it has, as in --scheme units-1-4-12."
            )


def _added(planned: Sequence[PlannedStore], config: TrainConfig, scheme: Scheme) -> tuple[PlannedStore, ...]:
    """Return the stores of generated clips that folds train on, those that have a clip; none without --pretrain.

    Their emotions make the classes that they make in the dataset in whose layout they are drawn; a clip whose emotion
    is in no class is left out.
    """
    if not config.pretrain:
        return ()
    require_addable(config)
    trained_on = [store.info for store in planned if store.role in TRAINED_ON]
    added = []
    for info in trained_on:
        store = read_added(info, share_out(trained_on, config.n_drawn)[info.dataset])
        # An emotion that the dataset's clips don't have, and so the user's own scheme may not name, is in no class.
        class_of = {**dict.fromkeys(store.clips["emotion"].astype(str)), **scheme.class_of[info.dataset]}
        labelled = label_clips(store, replace(scheme, class_of={store.dataset: class_of}))
        added.append(PlannedStore(store, "added", labelled))
    kept = tuple(store for store in added if store.clips)
    if not kept:
        raise ConfigError(
            f"--pretrain {config.pretrain}: none of the generated clips is of a class of scheme '{scheme.name}'. Give "
            "a higher number, or leave it out."
        )
    return kept


def require_addable(config: TrainConfig) -> None:
    """Raise a StoreError if the run's method sees whole clips, which no added clip has."""
    if config.method.sees.needs_clips(config.span):
        raise StoreError(
            f"--pretrain: {config.model} sees whole clips, and of generated ones only the frames near onset and apex "
            "are drawn. Leave --pretrain out, or choose another --model."
        )


def _record_added(store: PlannedStore) -> AddedStore:
    info = store.info
    return AddedStore(
        dataset=info.dataset,
        content_hash=info.content_hash,
        n_clips=len(store.clips),
        release=RELEASE,
        seed=SEED,
    )


def _check_classes(planned: Sequence[PlannedStore], scheme: Scheme) -> None:
    for store in planned:
        if not store.clips:
            class_of = scheme.class_of[store.info.dataset]
            emotions = ", ".join(emotion for emotion, class_name in class_of.items() if class_name is not None)
            raise ConfigError(
                f"{store.info.path}: has no clip of scheme '{scheme.name}'. Expected emotions: {emotions}. Choose "
                "another --scheme."
            )
    if len(scheme.class_names) < 2:
        raise ConfigError(
            f"--scheme {scheme.name}: all clips have the label '{scheme.class_names[0]}'. Expected at least 2 labels. "
            "Give the clips different labels in the table, and build the store again."
        )
    failed = (str(entry["clip_id"]) for store in planned for entry in store.info.attributes["failed"])
    clip_ids = {*failed, *(str(clip_id) for store in planned for clip_id in store.info.clips.index)}
    check_clips(scheme, clip_ids, {clip_id: label for store in planned for clip_id, (_, label) in store.clips.items()})


def _record(store: PlannedStore, config: TrainConfig) -> RunStore:
    info = store.info
    assert store.role != "added", info.path
    return RunStore(
        dataset=info.dataset,
        role=store.role,
        content_hash=info.content_hash,
        table_sha256=info.table_sha256,
        table_version=info.table_version,
        generated=info.generated,
        clips_hash=clips_hash(info.path) if config.method.sees.needs_clips(config.span) else "",
    )


def _leaks(planned: Sequence[PlannedStore]) -> Iterator[str]:
    """Yield warnings about one person under two ids, or one face under two subjects, in stores that exist."""
    for store in planned:
        alike = first_alike(parts_of(clip_id)[1] for clip_id in store.clips)
        if alike and store.role in ("loso", "list"):
            first, second = map(spelt, alike)
            yield (
                f"{store.info.path}: subjects '{first}' and '{second}' seem to be one person, who is trained on and "
                "tested on. Give both one name in the table and build the store again, or give them names that differ "
                "in more than their spelling."
            )
    yield shared_faces({store.info.path: list(store.clips) for store in planned})


def _protocol_id(scheme: Scheme, planned: Sequence[PlannedStore]) -> str:
    """Return the scheme's own id; across datasets, for example, "casme2-to-samm-megc3/145-to-133".

    The name of a composite set, such as MEGC 2019's, is kept for leave one subject out, which is part of what it means.
    """
    n_clips = {role: sum(len(store.clips) for store in planned if store.role == role) for role in ("train", "test")}
    if not n_clips["test"]:
        scheme = scheme if planned[0].role == "loso" else replace(scheme, composite="")
        return protocol_id(scheme, [store.info.dataset for store in planned], sum(len(s.clips) for s in planned))
    sides = ("+".join(store.info.dataset for store in planned if store.role == role) for role in ("train", "test"))
    return f"{'-to-'.join(sides)}-{scheme.name}/{n_clips['train']}-to-{n_clips['test']}"


def _count_warning(scheme: Scheme, store: PlannedStore) -> str | None:
    labels = {clip_id: label for clip_id, (_, label) in store.clips.items()}
    return check_counts(scheme, store.info.dataset, store.info.table_version, labels)
