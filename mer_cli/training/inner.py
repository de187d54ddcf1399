"""Takes a fold, gives it with some training subjects set aside, to choose its epoch by (`--inner-val`). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mer_cli.errors import ConfigError
from mer_cli.records import Fold
from mer_cli.training.folds import subject_of
from mer_cli.training.streams import fold_seed

N_SETS = 1000


def set_aside(fold: Fold, labels: Mapping[str, int], n_subjects: int, seed: int) -> Fold:
    """Moves the clips of `n_subjects` training subjects from `train` to `inner`; the held-out clips play no part.

    Of 1000 sets of that many subjects, drawn from the seed and the fold's id, it takes the one that leaves the fewest
    classes without a training clip; among those, without an inner clip; among those, the one whose clips of each class
    are nearest in number (sum of absolute differences) to the same part of the training clips as of the subjects, so
    that the inner clips have about the training clips' shares of classes; and the first drawn of equals. So a class
    that only one subject shows stays in training wherever a set without that subject was drawn. The order of the clips
    makes no difference.

    Parameters
    ----------
    labels : class by clip id, of the training clips at least

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
            f"{max(len(subjects) - n_subjects, 0)} to train on — expected at least 2. Lower it, or use a store with "
            "more subjects."
        )
    counts = _count_classes(fold, labels, subjects)
    random = np.random.default_rng(fold_seed(seed, fold.id, "inner"))
    order = random.permuted(np.tile(np.arange(len(subjects)), (N_SETS, 1)), axis=1)
    is_inner = np.zeros(order.shape, dtype=np.int64)
    np.put_along_axis(is_inner, order[:, :n_subjects], 1, axis=1)
    inner = is_inner @ counts  # (sets, classes)
    everyone = counts.sum(axis=0)
    n_lost = (inner == everyone).sum(axis=1)
    distance = np.abs(len(subjects) * inner - n_subjects * everyone).sum(axis=1)  # times the subjects: whole numbers
    best = int(np.lexsort((distance, (inner == 0).sum(axis=1), n_lost))[0])  # stable: the first drawn of equals
    if len(everyone) - n_lost[best] < 2:
        raise ConfigError(
            f"--inner-val: {n_subjects} of the {len(subjects)} training subjects of fold {fold.id} leave clips of one "
            "class only — expected at least 2 classes to train on. Lower it, or use a store with more subjects."
        )
    chosen = {subject for subject, is_in in zip(subjects, is_inner[best], strict=True) if is_in}
    return replace(
        fold,
        train=tuple(clip_id for clip_id in fold.train if subject_of(clip_id) not in chosen),
        inner=tuple(clip_id for clip_id in fold.train if subject_of(clip_id) in chosen),
    )


def _count_classes(fold: Fold, labels: Mapping[str, int], subjects: list[str]) -> NDArray[np.int64]:
    """Training clips of each subject and class that has any, (subjects, classes)."""
    classes = sorted({labels[clip_id] for clip_id in fold.train})
    counts = np.zeros((len(subjects), len(classes)), dtype=np.int64)
    for clip_id in fold.train:
        counts[subjects.index(subject_of(clip_id)), classes.index(labels[clip_id])] += 1
    return counts
