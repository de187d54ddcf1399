"""Make the folds of a protocol: by subject (LOSO), by list of subjects, or by dataset; with inner clips.

A fold's random streams are seeded by the run's seed and the fold's name, never by data. So a fold is the same whichever
folds are trained beside it, and drawing more from one stream changes no other. Under `--shuffle-labels`, the null
control, only the labels of training and inner clips change: weights, batch order and augmentation are the same as in
the ordinary run of that seed. Held-out labels stay as they are; no label is stored with a prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mer_cli.datasets.unit_masks import bits_of
from mer_cli.errors import ConfigError
from mer_cli.records import ADDED, Fold, dataset_of, fold_id, parts_of, subject_of
from mer_cli.runs.config import TrainConfig


def loso_folds(clip_ids: Iterable[str]) -> list[Fold]:
    """Return one fold for each subject of each dataset, in the order of their ids; clip ids are sorted within a fold.

    Raises
    ------
    ConfigError
        If there are fewer than two subjects.
    """
    by_fold = _grouped(clip_ids, fold_id)
    if len(by_fold) < 2:
        raise ConfigError(
            f"LOSO needs at least 2 subjects, and the store has {len(by_fold)} ({', '.join(by_fold) or 'none'}) "
            "under this scheme. Preprocess more subjects, or choose another --scheme."
        )
    return _each_held_out(by_fold)


def list_folds(clip_ids: Iterable[str], lists: Mapping[str, Sequence[str]]) -> list[Fold]:
    """Return one fold for each list of subjects, in the order of their names; it trains on all other lists.

    Parameters
    ----------
    lists : "dataset/subject" by fold; each subject of the clips is in one list
    """
    fold_of = {subject: fold for fold, subjects in lists.items() for subject in subjects}
    return _each_held_out(_grouped(clip_ids, lambda clip_id: fold_of[subject_of(clip_id)]))


def dataset_folds(clip_ids: Iterable[str]) -> list[Fold]:
    """Return one fold for each dataset, named after it, that trains on all other datasets.

    Raises
    ------
    ConfigError
        If there are clips of fewer than two datasets.
    """
    by_dataset = _grouped(clip_ids, dataset_of)
    if len(by_dataset) < 2:
        raise ConfigError(
            f"--leave-dataset-out: there is only {', '.join(by_dataset) or 'no dataset'}. Expected at least 2 "
            "datasets, because a fold trains on the others. Name the stores of more, or give --loso."
        )
    return _each_held_out(by_dataset)


def recorded_folds(fold_of: Mapping[str, str]) -> list[Fold]:
    """Return the folds of a run whose clips are each held out once, as they were made, without inner clips.

    Parameters
    ----------
    fold_of : fold by clip id
    """
    return _each_held_out(_grouped(fold_of, lambda clip_id: fold_of[clip_id]))


def _each_held_out(by_fold: Mapping[str, Sequence[str]]) -> list[Fold]:
    """Return a fold for each group of clips, sorted by name, that trains on the others, one group after the other."""
    folds = []
    for held_out in sorted(by_fold):
        train = tuple(clip for other in sorted(by_fold) if other != held_out for clip in by_fold[other])
        folds.append(Fold(id=held_out, train=train, inner=(), test=tuple(by_fold[held_out])))
    return folds


def cross_folds(train_ids: Iterable[str], test_ids: Iterable[str]) -> list[Fold]:
    """Return one fold for each test dataset: its id is the dataset's name, and it trains on all of `train_ids`."""
    train = tuple(sorted(train_ids))
    by_dataset = _grouped(test_ids, dataset_of)
    return [Fold(dataset, train, inner=(), test=tuple(by_dataset[dataset])) for dataset in sorted(by_dataset)]


def added_to(fold: Fold, added: Iterable[str]) -> tuple[str, ...]:
    """Return the generated clips that a fold trains on, beside its own training clips.

    A fold that holds out a whole dataset gets none in its layout: their classes and action units are as frequent as in
    its coding table.
    """
    learnt = set(map(dataset_of, (*fold.train, *fold.inner)))
    whole = {f"{ADDED}{dataset}" for dataset in map(dataset_of, fold.test) if dataset not in learnt}
    return tuple(clip_id for clip_id in added if dataset_of(clip_id) not in whole)


def select_folds(folds: Sequence[Fold], wanted: Sequence[str] | None) -> list[Fold]:
    """Return the folds whose id is in `wanted`, or whose subject under LOSO; all folds if `wanted` is empty or None.

    Raises
    ------
    ConfigError
        If a name fits no fold, or is a subject of several datasets.
    """
    if not wanted:
        return list(folds)
    known: dict[str, list[str]] = {fold.id: [fold.id] for fold in folds}
    short_names = [parts_of(fold.test[0])[1] if fold.id == fold_id(fold.test[0]) else fold.id for fold in folds]
    for name, fold in zip(short_names, folds, strict=True):
        if name != fold.id:
            known.setdefault(name, []).append(fold.id)
    chosen = set()
    for name in (name.strip() for name in wanted):
        if name not in known:
            # A subject's id is enough if all are of one dataset.
            names = short_names if len({dataset_of(fold.test[0]) for fold in folds}) == 1 else [f.id for f in folds]
            raise ConfigError(f"--folds: this run has no fold '{name}'. Available folds: {', '.join(names)}.")
        if len(known[name]) > 1:
            raise ConfigError(
                f"--folds: subject '{name}' is in {len(known[name])} datasets. Name {' or '.join(known[name])}."
            )
        chosen |= set(known[name])
    return [fold for fold in folds if fold.id in chosen]


def _grouped(clip_ids: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for clip_id in sorted(clip_ids):
        groups.setdefault(key(clip_id), []).append(clip_id)
    return groups


Stream = Literal["weights", "draws", "inner", "shuffle", "shuffle-inner", "dropout"]

_NUMBERS: dict[Stream, int] = {"weights": 0, "draws": 1, "inner": 2, "shuffle": 3, "shuffle-inner": 4, "dropout": 5}


def fold_seed(seed: int, fold_id: str, stream: Stream) -> list[int]:
    """Return the seed of a fold's random stream for numpy's generators; "draws": batch order and augmentation."""
    return [seed, *fold_id.encode(), _NUMBERS[stream]]


N_SETS = 1000


def set_aside(fold: Fold, labels: Mapping[str, int], n_subjects: int, seed: int, n_units: int = 0) -> Fold:
    """Return the fold with the clips of `n_subjects` training subjects moved from `train` to `inner`.

    1000 sets of that many subjects are drawn from the seed and the fold's id. The set is chosen that leaves the fewest
    classes without a training clip; among equals, the fewest without an inner clip; then the one whose clips have most
    nearly the training clips' shares of classes (sum of absolute differences); then the first drawn. So a class that
    only one subject shows stays in training if a set without that subject was drawn. The held-out clips
    and the order of the clips make no difference.

    Parameters
    ----------
    labels : class by clip id, of the training clips at least
    n_units : number of action units if the labels are masks of them, which then stand in place of the classes

    Raises
    ------
    ConfigError
        If fewer than two training subjects, or clips of one class only, would be left.

    Source
    ------
    ours
    """
    subjects = sorted({subject_of(clip_id) for clip_id in fold.train})
    if len(subjects) - n_subjects < 2:
        raise ConfigError(
            f"--inner-val: {n_subjects} of the {len(subjects)} training subjects of fold {fold.id} leave "
            f"{max(len(subjects) - n_subjects, 0)} to train on, and at least 2 are needed. Lower it, or use a store "
            "with more subjects."
        )
    counts = _count_classes(fold, labels, subjects, n_units)
    random = np.random.default_rng(fold_seed(seed, fold.id, "inner"))
    order = random.permuted(np.tile(np.arange(len(subjects)), (N_SETS, 1)), axis=1)
    is_inner = np.zeros(order.shape, dtype=np.int64)
    np.put_along_axis(is_inner, order[:, :n_subjects], 1, axis=1)
    inner = is_inner @ counts  # (sets, classes)
    everyone = counts.sum(axis=0)
    n_lost = (inner == everyone).sum(axis=1)
    distance = np.abs(len(subjects) * inner - n_subjects * everyone).sum(axis=1)  # times the subjects: whole numbers
    best = int(np.lexsort((distance, (inner == 0).sum(axis=1), n_lost))[0])  # stable: the first drawn of equals
    if len(everyone) - n_lost[best] < 2 and not n_units:
        raise ConfigError(
            f"--inner-val: {n_subjects} of the {len(subjects)} training subjects of fold {fold.id} leave clips of one "
            "class only to train on. Lower it, or use a store with more subjects."
        )
    chosen = {subject for subject, is_in in zip(subjects, is_inner[best], strict=True) if is_in}
    return replace(
        fold,
        train=tuple(clip_id for clip_id in fold.train if subject_of(clip_id) not in chosen),
        inner=tuple(clip_id for clip_id in fold.train if subject_of(clip_id) in chosen),
    )


def _count_classes(fold: Fold, labels: Mapping[str, int], subjects: list[str], n_units: int) -> NDArray[np.int64]:
    """Count the training clips of each subject and class, (subjects, classes); or of each action unit that occurs."""
    masks = np.array([labels[clip_id] for clip_id in fold.train], dtype=np.int64)
    shows = bits_of(masks, n_units) if n_units else masks[:, None] == np.unique(masks)
    counts = np.zeros((len(subjects), shows.shape[1]), dtype=np.int64)
    np.add.at(counts, [subjects.index(subject_of(clip_id)) for clip_id in fold.train], shows)
    return counts[:, counts.any(axis=0)]


def training_labels(
    fold_id: str, clip_ids: Sequence[str], labels: Mapping[str, int], config: TrainConfig
) -> dict[str, int]:
    """Return the labels of a fold's training clips by clip id, permuted among the clips under `shuffle_labels`."""
    return _labels(fold_id, clip_ids, labels, config, "shuffle")


def inner_labels(
    fold_id: str, clip_ids: Sequence[str], labels: Mapping[str, int], config: TrainConfig
) -> dict[str, int]:
    """Return the labels of a fold's inner clips by clip id, permuted among the clips under `shuffle_labels`.

    The rule `inner-val` chooses the epoch by them, and true labels must not choose the epoch of a null control.
    """
    return _labels(fold_id, clip_ids, labels, config, "shuffle-inner")


def _labels(
    fold_id: str, clip_ids: Sequence[str], labels: Mapping[str, int], config: TrainConfig, stream: Stream
) -> dict[str, int]:
    ordered = sorted(clip_ids)
    classes = np.array([labels[clip_id] for clip_id in ordered], dtype=np.int64)
    if config.shuffle_labels:
        classes = np.random.default_rng(fold_seed(config.seed, fold_id, stream)).permutation(classes)
    return dict(zip(ordered, classes.tolist(), strict=True))
