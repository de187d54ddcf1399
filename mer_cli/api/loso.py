"""The folds of leave-one-subject-out (LOSO) as a splitter of scikit-learn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import BaseCrossValidator

from mer_cli.api.store import Stores, label_clips, opened
from mer_cli.datasets.schemes import AUTO
from mer_cli.errors import ConfigError
from mer_cli.records import subject_of
from mer_cli.runs.folds import loso_folds


class Loso(BaseCrossValidator):  # type: ignore[misc]  # scikit-learn has no types
    """The folds in which `mer train --loso` holds out each subject once, for `cross_val_score(..., cv=Loso(store))`.

    Rows of X and y must be in the order of `ids`: the clips that the scheme keeps, sorted by id.

    ids : clip ids · labels : (N,) int64, y · class_names : in label order
    groups : (N,) the subject of each clip, with its dataset: "casme2/01"
    folds : the folds, with clip ids, in the order of `split`

    Parameters
    ----------
    stores : a store or several of different datasets, each as a path or opened
    scheme : label scheme; "auto" means the dataset's own

    Raises
    ------
    ConfigError
        If the scheme is unknown or doesn't cover the stores, or fewer than two subjects are left.
    """

    def __init__(self, stores: Stores, scheme: str = AUTO) -> None:
        resolved, label_of = label_clips(opened(stores), scheme)
        self.scheme, self.class_names = resolved.name, resolved.class_names
        self.ids = tuple(label_of)
        self.labels: NDArray[np.int64] = np.array(list(label_of.values()), dtype=np.int64)
        self.groups: NDArray[np.str_] = np.array(list(map(subject_of, self.ids)), dtype=np.str_)
        self.folds = tuple(loso_folds(self.ids))

    def split(
        self, X: Any = None, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Yield the rows to train on and the rows held out, for each subject.

        Parameters
        ----------
        X, y : a row for each of `ids`; they may be left out, since the folds don't depend on them
        groups : may be left out; the subject of each row is known

        Raises
        ------
        ConfigError
            If X, y or the groups have another number of rows, or name clips or subjects in another order.
        """
        for name, rows in (("X", X), ("y", y), ("groups", groups)):
            if rows is not None:
                self._require_rows(name, rows)
        if groups is not None and list(map(str, groups)) != self.groups.tolist():
            raise ConfigError(
                "Loso: groups are not the subjects of the clips. Leave them out: Loso knows the subjects."
            )
        row_of = {clip_id: row for row, clip_id in enumerate(self.ids)}
        for fold in self.folds:
            train, test = (np.array([row_of[clip] for clip in clips]) for clips in (fold.train, fold.test))
            yield train, test

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of subjects; the arguments make no difference."""
        return len(self.folds)

    def __repr__(self) -> str:
        return f"Loso({self.scheme}: {len(self.ids)} clips, {len(self.folds)} subjects)"

    def _require_rows(self, name: str, rows: Any) -> None:
        shape = getattr(rows, "shape", None)
        n_rows = int(shape[0]) if shape else len(rows)
        if n_rows != len(self.ids):
            raise ConfigError(
                f"Loso: {name} has {n_rows} rows, and the scheme {self.scheme} keeps {len(self.ids)} clips. Give a row "
                "for each clip, in the order of the splitter's ids."
            )
        index = getattr(rows, "index", None)  # of a table of pandas; a list has a method of that name
        named = None if index is None or callable(index) else list(map(str, index))
        if named is not None and named != list(self.ids) and set(named) == set(self.ids):
            raise ConfigError(f"Loso: the clips of {name} are in another order. Sort it: {name}.loc[list(loso.ids)].")
