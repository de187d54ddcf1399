"""Takes clip ids, gives a protocol's folds: leave-one-subject-out (LOSO), or one for each test dataset. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from mer_cli.errors import ConfigError
from mer_cli.records import Fold


def dataset_of(clip_id: str) -> str:
    """The dataset of a clip: "casme2/01/EP02_01f" -> "casme2"."""
    return clip_id.partition("/")[0]


def subject_of(clip_id: str) -> str:
    """The subject of a clip, with its dataset: "casme2/01/EP02_01f" -> "casme2/01"."""
    return "/".join(clip_id.split("/", 2)[:2])


def fold_id(clip_id: str) -> str:
    """The fold of LOSO that holds a clip out: "casme2/01/EP02_01f" -> "casme2-01"; no dataset's name holds a "-"."""
    dataset, subject, _ = clip_id.split("/", 2)
    return f"{dataset}-{subject}"


def loso_folds(clip_ids: Iterable[str]) -> list[Fold]:
    """One fold for each subject of each dataset, in the order of their ids; clip ids sorted within a fold.

    Raises
    ------
    ConfigError
        If there are fewer than two subjects.
    """
    by_fold = _grouped(clip_ids, fold_id)
    if len(by_fold) < 2:
        raise ConfigError(
            f"LOSO needs at least 2 subjects; the store has {len(by_fold)} ({', '.join(by_fold) or 'none'}) "
            "under this scheme — expected one to hold out and one to train on. "
            "Preprocess more subjects, or choose another --scheme."
        )
    folds = []
    for held_out in sorted(by_fold):
        train = tuple(clip for other in sorted(by_fold) if other != held_out for clip in by_fold[other])
        folds.append(Fold(id=held_out, train=train, inner=(), test=tuple(by_fold[held_out])))
    return folds


def cross_folds(train_ids: Iterable[str], test_ids: Iterable[str]) -> list[Fold]:
    """One fold for each test dataset, with its name as id, trained on all training clips and on nothing else."""
    train = tuple(sorted(train_ids))
    by_dataset = _grouped(test_ids, dataset_of)
    return [Fold(dataset, train, inner=(), test=tuple(by_dataset[dataset])) for dataset in sorted(by_dataset)]


def select_folds(folds: Sequence[Fold], wanted: Sequence[str] | None) -> list[Fold]:
    """The folds whose id or subject is named, all of them where nothing is.

    Raises
    ------
    ConfigError
        If a name fits no fold, or is a subject of several datasets.
    """
    if not wanted:
        return list(folds)
    known: dict[str, list[str]] = {fold.id: [fold.id] for fold in folds}
    short_names = [fold.id.removeprefix(f"{dataset_of(fold.test[0])}-") for fold in folds]
    for name, fold in zip(short_names, folds, strict=True):
        if name != fold.id:
            known.setdefault(name, []).append(fold.id)
    chosen = set()
    for name in (name.strip() for name in wanted):
        if name not in known:
            # A subject's id alone says enough where all are of one dataset.
            names = short_names if len({dataset_of(fold.test[0]) for fold in folds}) == 1 else [f.id for f in folds]
            raise ConfigError(
                f"--folds: '{name}' is no fold of this run — expected some of {', '.join(names)}. Name those."
            )
        if len(known[name]) > 1:
            raise ConfigError(
                f"--folds: subject '{name}' is in {len(known[name])} datasets — expected one fold. "
                f"Name {' or '.join(known[name])}."
            )
        chosen |= set(known[name])
    return [fold for fold in folds if fold.id in chosen]


def _grouped(clip_ids: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for clip_id in sorted(clip_ids):
        groups.setdefault(key(clip_id), []).append(clip_id)
    return groups
