"""Takes clip ids and their subjects, gives the folds of leave-one-subject-out (LOSO). Pure."""

from __future__ import annotations

from collections.abc import Iterable

from mer_cli.errors import ConfigError
from mer_cli.records import Fold


def fold_id(clip_id: str) -> str:
    """The fold that holds a clip out: "casme2/01/EP02_01f" -> "casme2-01"."""
    dataset, subject, _ = clip_id.split("/", 2)
    return f"{dataset}-{subject}"


def loso_folds(clip_ids: Iterable[str]) -> list[Fold]:
    """One fold for each subject, in the order of their ids; clip ids sorted within a fold.

    Raises
    ------
    ConfigError
        If there are fewer than two subjects.
    """
    by_fold: dict[str, list[str]] = {}
    for clip_id in sorted(clip_ids):
        by_fold.setdefault(fold_id(clip_id), []).append(clip_id)
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


def select_folds(folds: list[Fold], wanted: list[str] | None) -> list[Fold]:
    """The folds whose id or subject is named, all of them where nothing is.

    Raises
    ------
    ConfigError
        If a name fits no fold.
    """
    if not wanted:
        return folds
    known = {name: fold for fold in folds for name in (fold.id, fold.id.split("-", 1)[1])}
    wanted = [name.strip() for name in wanted]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        subjects = ", ".join(fold.id.split("-", 1)[1] for fold in folds)
        raise ConfigError(
            f"--folds: '{unknown[0]}' is no subject of this run — expected some of {subjects}. Name those."
        )
    chosen = {known[name].id for name in wanted}
    return [fold for fold in folds if fold.id in chosen]
