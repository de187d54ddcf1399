"""Train a support-vector machine, or your own scikit-learn estimator, on the vectors of a descriptor, fold by fold.

A fold is a pure function of its training clips, their classes and the config; of the held-out clips only the features
are used. The features are standardised by the training clips, and C is chosen on them alone. Nothing is random, so the
seed has no effect.

Imported only when such a method is trained, because importing scikit-learn takes a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.metrics import f1_score
from sklearn.metrics.pairwise import linear_kernel, rbf_kernel
from sklearn.model_selection import PredefinedSplit
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from mer_cli.errors import ConfigError, RunError
from mer_cli.motion.inputs import DescriptorInput
from mer_cli.runs.config import TrainConfig
from mer_cli.runs.folds import fold_seed
from mer_cli.training.loop import TrainedFold
from mer_cli.training.support_vectors import SupportVectors, UnitVectors, over_all_classes

# The field's grid starts at 2^-5, which is too large for a linear machine on thousands of numbers: every fold of raw
# flow chose that first value.
C_GRID = tuple(2.0**power for power in range(-10, 6))
# With one scale for all numbers the kernel is as large as their count, and below 2^-4 the machine hardly learns:
# chosen by mistake, a small C cost .02 of UF1 on generated faces (docs/canonical.md).
C_GRID_OF_ONE_SCALE = tuple(2.0**power for power in range(-4, 5))
C_OF_ONE_SUBJECT = 1.0  # C if there is one training subject only, so that C can't be chosen on others
INNER_FOLDS = 5

Features = NDArray[np.float32]
Labels = NDArray[np.int64]


class ClassicalTrainer:
    """A trainer of support-vector machines for all folds of a run.

    Parameters
    ----------
    features : (N, D), the descriptor's vector of each clip
    subjects : the subject of each of the N clips, with the dataset in the subject's id; "" for a generated clip that
        every fold trains on
    """

    def __init__(self, features: Features, subjects: Sequence[str], n_classes: int, config: TrainConfig) -> None:
        self.features = features
        self.subjects = np.array(subjects)
        self.n_classes = n_classes
        self.config = config

    def train_fold(
        self,
        fold_id: str,
        train_rows: NDArray[np.int64],
        train_labels: Labels,
        test_rows: NDArray[np.int64],
        inner_rows: NDArray[np.int64],
        on_epoch: Callable[[int, float], None],
    ) -> TrainedFold:
        """Train a machine on one fold's training clips; return its decision values for the held-out clips as logits.

        The training subjects are dealt to five parts (fewer if there are fewer subjects), and each part is predicted
        from the others. C is the value with the best UF1 over all these predictions, the smaller of equals. Generated
        clips are in no part: each part is predicted from them as well.

        Parameters
        ----------
        train_rows, train_labels : (n,) rows of the training clips in the features, and their classes
        test_rows : (m,) rows of the held-out clips
        fold_id, inner_rows, on_epoch : without effect; other trainers use them

        Returns
        -------
        A fold of one epoch, without inner clips and weights. Its history has C, the UF1 that chose C (NaN if
        there is only one training subject, so that C was not chosen) and seconds.
        """
        started = time.monotonic()
        seen, subjects = self.features[train_rows], self.subjects[train_rows]
        with threadpool_limits(1):  # the arrays are small, and the number of cores must not change a digit
            best_c, inner_uf1 = self._choose_c(seen, train_labels, subjects)
            logits = self._logits(Machine(seen, self.features[test_rows], self.config), train_labels, best_c)
        history = [{"C": best_c, "inner_uf1": inner_uf1, "seconds": time.monotonic() - started}]
        return _trained(logits, history)

    def fit(self, train_rows: NDArray[np.int64], train_labels: Labels) -> SupportVectors | UnitVectors:
        """Train the machine of `train_fold`, and return it as plain arrays, for clips that are not in the features.

        Raises
        ------
        RunError
            If all training clips are of one class.
        """
        seen, subjects = self.features[train_rows], self.subjects[train_rows]
        if len(np.unique(train_labels)) == 1:
            raise RunError(
                f"{self.config.model}: all training clips are of one class, so there is nothing to learn. Choose "
                "another --scheme, or a store with more classes."
            )
        with threadpool_limits(1):
            best_c, _ = self._choose_c(seen, train_labels, subjects)
            return Machine(seen, seen[:1], self.config).as_arrays(train_labels, best_c)

    def _choose_c(self, features: Features, labels: Labels, subjects: NDArray[np.str_]) -> tuple[float, float]:
        """Return C and its UF1 over the inner folds, which hold back recorded clips only."""
        is_held = subjects != ""
        if len(np.unique(subjects[is_held])) == 1:
            return C_OF_ONE_SUBJECT, float("nan")
        parts = np.full(len(labels), -1)  # in no part
        parts[is_held] = deal_subjects(subjects[is_held], INNER_FOLDS)
        grid = C_GRID if self.config.scale == "each" else C_GRID_OF_ONE_SCALE
        predicted = np.empty((len(grid), len(labels)), dtype=np.int64)
        for train, test in PredefinedSplit(parts).split():
            machine = Machine(features[train], features[test], self.config)
            for row, c in enumerate(grid):
                predicted[row, test] = self._predicted(machine, labels[train], c)
        uf1 = [self._uf1(labels[is_held], row[is_held]) for row in predicted]
        best = int(np.argmax(np.round(uf1, 12)))  # the first of equals
        return grid[best], float(uf1[best])

    def _logits(self, machine: Machine, labels: Labels, c: float) -> NDArray[np.float32]:
        """Return the logits of the machine's other clips, (m, n_classes)."""
        return over_all_classes(machine.decide(labels, c), np.unique(labels), self.n_classes)

    def _predicted(self, machine: Machine, labels: Labels, c: float) -> Labels:
        """Return the labels that are predicted of the machine's other clips."""
        return np.asarray(np.unique(labels)[np.argmax(machine.decide(labels, c), axis=1)])

    def _uf1(self, labels: Labels, predicted: Labels) -> float:
        return float(f1_score(labels, predicted, labels=np.unique(labels), average="macro", zero_division=0))


class EstimatorTrainer:
    """A trainer of your own scikit-learn estimator: a fresh clone of it for every fold.

    Parameters
    ----------
    features : (N, D), the descriptor's vector of each clip
    """

    def __init__(self, features: Features, n_classes: int, config: TrainConfig) -> None:
        self.features = features
        self.n_classes = n_classes
        self.config = config

    def train_fold(
        self,
        fold_id: str,
        train_rows: NDArray[np.int64],
        train_labels: Labels,
        test_rows: NDArray[np.int64],
        inner_rows: NDArray[np.int64],
        on_epoch: Callable[[int, float], None],
    ) -> TrainedFold:
        """Fit the estimator on one fold's training clips; return its values for the held-out clips as logits.

        They are its decision values, otherwise the logarithms of its probabilities, if the highest is the class that it
        predicts; otherwise 1 for that class and 0 for the others. Every `random_state` in it is set from the run's seed
        and the fold.

        Parameters
        ----------
        fold_id : decides the random states, together with the seed
        train_rows, train_labels : (n,) rows of the training clips in the features, and their classes
        test_rows : (m,) rows of the held-out clips
        inner_rows, on_epoch : without effect; other trainers use them
        """
        started = time.monotonic()
        estimator = self._fresh(fold_id)
        with threadpool_limits(1):  # as for a descriptor: the number of cores must not change a digit
            estimator.fit(self.features[train_rows], train_labels)
            lacks = [name for name in ("classes_", "predict") if not hasattr(estimator, name)]
            if lacks:
                raise ConfigError(
                    f"{self.config.method.code}: {type(estimator).__name__} is not a classifier: it has no {lacks[0]} "
                    "after fit. Give a classifier of scikit-learn, or a pipeline that ends with one."
                )
            values = self._values(estimator, self.features[test_rows])
        history = [{"seconds": time.monotonic() - started}]
        return _trained(over_all_classes(values, np.asarray(estimator.classes_), self.n_classes), history)

    def _fresh(self, fold_id: str) -> Any:
        found = self.config.method.load()
        is_made = hasattr(found, "fit") and not isinstance(found, type)
        estimator = clone(found) if is_made else found(**self.config.network_options)
        if not hasattr(estimator, "fit") or not hasattr(estimator, "get_params"):
            kind = type(estimator).__name__
            raise ConfigError(
                f"{self.config.method.code}: gives an object of type {kind}, not a scikit-learn estimator."
            )
        seed = np.random.SeedSequence(fold_seed(self.config.seed, fold_id, "weights")).generate_state(1)[0]
        states = [name for name in estimator.get_params() if name.split("__")[-1] == "random_state"]
        return estimator.set_params(**dict.fromkeys(states, int(seed)))

    def _values(self, estimator: Any, features: Features) -> NDArray[np.float64]:
        """Return a value for each clip and each class of the estimator, (m, k); the highest is the prediction.

        Values whose highest is not what `predict` says are not used: a decision function can have a column for each
        pair of classes, and a threshold can be tuned.
        """
        classes, n_clips = np.asarray(estimator.classes_), len(features)
        predicted = np.asarray(estimator.predict(features))
        for name in ("decision_function", "predict_proba"):
            if not hasattr(estimator, name):
                continue
            values = np.asarray(getattr(estimator, name)(features), dtype=np.float64)
            if name == "predict_proba":
                values = np.log(np.maximum(values, 1e-12))  # a zero has no logarithm
            if values.shape == (n_clips,):
                values = np.stack([-values, values], axis=1)
            if values.shape == (n_clips, len(classes)) and (classes[values.argmax(axis=1)] == predicted).all():
                return values
        return np.where(predicted[:, None] == classes, 1.0, 0.0)


def _trained(logits: NDArray[np.float32], history: list[dict[str, float]]) -> TrainedFold:
    """Return a fold of one epoch from the logits of its held-out clips, (m, n_classes)."""
    return TrainedFold(logits[None], logits[None, :0], history, weights={})


def deal_subjects(subjects: NDArray[np.str_], n_parts: int) -> NDArray[np.int64]:
    """Return the number of the part, from 0, that each clip is dealt to; all clips of a subject are in one part.

    Subjects are dealt in order of their number of clips, the largest first, each to the part with the fewest clips so
    far, as in scikit-learn's GroupKFold. Of equal subjects we take the first id; scikit-learn's choice depends on the
    processor's sorting. If there are fewer subjects than parts, the last parts are empty.

    Parameters
    ----------
    subjects : (n,) the subject of each clip
    """
    ids, subject_of_clip, sizes = np.unique(subjects, return_inverse=True, return_counts=True)
    part_of_subject, part_sizes = np.empty(len(ids), dtype=np.int64), np.zeros(n_parts, dtype=np.int64)
    for subject in np.argsort(-sizes, kind="stable"):
        part_of_subject[subject] = np.argmin(part_sizes)
        part_sizes[part_of_subject[subject]] += sizes[subject]
    return part_of_subject[subject_of_clip]


class Machine:
    """The kernels of training clips and of other clips, both standardised by the training clips, for every C."""

    def __init__(self, train: Features, others: Features, config: TrainConfig) -> None:
        self.scaler = StandardScaler()
        self.scaler.fit(train.astype(np.float64))
        if config.scale == "one":  # a number that hardly varies stays small
            self.scaler.scale_ = np.full(train.shape[1], float(np.sqrt(self.scaler.var_.mean())) or 1.0)
        self.seen = seen = self.scaler.transform(train.astype(np.float64))
        unseen = self.scaler.transform(others.astype(np.float64))
        assert isinstance(config.method.sees, DescriptorInput), config.model
        self.gamma = 0.0
        if config.method.sees.kernel == "rbf":
            self.gamma = 1 / (seen.shape[1] * seen.var() or 1.0)  # scikit-learn's "scale"
        kernel = partial(rbf_kernel, gamma=self.gamma) if self.gamma else linear_kernel
        self.of_train, self.of_others = kernel(seen), kernel(unseen, seen)
        self.class_weight = None if config.class_weight == "none" else config.class_weight

    def decide(self, labels: Labels, c: float) -> NDArray[np.float64]:
        """Return the other clips' decision values for each class in `labels`, (m, k); the highest is the prediction."""
        if len(np.unique(labels)) == 1:
            return np.zeros((len(self.of_others), 1))
        values: NDArray[np.float64] = self.fitted(labels, c).decision_function(self.of_others)
        return values if values.ndim == 2 else np.stack([-values, values], axis=1)

    def as_arrays(self, labels: Labels, c: float) -> SupportVectors:
        """Return the machine that `decide` asks, as plain arrays."""
        machine = self.fitted(labels, c)
        return SupportVectors(
            mean=self.scaler.mean_,
            scale=self.scaler.scale_,
            support=self.seen[machine.support_],
            n_support=machine.n_support_.astype(np.int64),
            coefficients=np.ascontiguousarray(machine.dual_coef_),
            intercept=machine.intercept_,
            classes=machine.classes_.astype(np.int64),
            gamma=np.array([self.gamma]),
        )

    def fitted(self, labels: Labels, c: float) -> SVC:
        """Return scikit-learn's machine, fitted to the training clips' kernel."""
        machine = SVC(
            C=c,
            kernel="precomputed",
            class_weight=self.class_weight,
            decision_function_shape="ovr",
            break_ties=True,
        )
        return machine.fit(self.of_train, labels)
