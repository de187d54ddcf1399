"""Train a support-vector machine for each action unit on the vectors of a descriptor, fold by fold.

All units share the features, the scaling and C, which is chosen by the mean F1 of the units. A unit that all training
clips show, or none of them, has no machine: the answer for it is always the same.

Imported only when such a method is trained, as `classical` is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from mer_cli.datasets.unit_masks import bits_of, masks_of
from mer_cli.training.classical import ClassicalTrainer, Labels, Machine
from mer_cli.training.support_vectors import UnitVectors


class UnitTrainer(ClassicalTrainer):
    """A trainer of machines for action units; its labels are masks of `n_classes` units (`datasets.unit_masks`)."""

    def fit(self, train_rows: NDArray[np.int64], train_labels: Labels) -> UnitVectors:
        """Train the machines of `train_fold`, and return them as plain arrays, for clips that are not in the features.

        If no two training clips differ in a unit, all answers are constant.
        """
        seen, subjects = self.features[train_rows], self.subjects[train_rows]
        with threadpool_limits(1):
            best_c, _ = self._choose_c(seen, train_labels, subjects)
            machine = Machine(seen, seen[:1], self.config)
            coefficients, intercept = self._machines(machine, train_labels, best_c)
        return UnitVectors(
            mean=machine.scaler.mean_,
            scale=machine.scaler.scale_,
            support=machine.seen,
            coefficients=coefficients,
            intercept=intercept,
            gamma=np.array([machine.gamma]),
        )

    def _machines(self, machine: Machine, labels: Labels, c: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return coefficients, (units, n), and intercepts, (units,), of the machines of all units."""
        coefficients, intercept = np.zeros((self.n_classes, len(labels))), np.empty(self.n_classes)
        for unit, is_shown in enumerate(bits_of(labels, self.n_classes).T):
            if is_shown.all() or not is_shown.any():
                intercept[unit] = 1.0 if is_shown[0] else -1.0
                continue
            fitted = machine.fitted(is_shown.astype(np.int64), c)
            coefficients[unit, fitted.support_] = fitted.dual_coef_[0]
            intercept[unit] = fitted.intercept_[0]
        return coefficients, intercept

    def _logits(self, machine: Machine, labels: Labels, c: float) -> NDArray[np.float32]:
        coefficients, intercept = self._machines(machine, labels, c)
        return np.asarray(machine.of_others @ coefficients.T + intercept, dtype=np.float32)

    def _predicted(self, machine: Machine, labels: Labels, c: float) -> Labels:
        return masks_of(self._logits(machine, labels, c) > 0)

    def _uf1(self, labels: Labels, predicted: Labels) -> float:
        """Return the mean F1 of the units that some clip shows; 0 if no clip shows any."""
        shown, said = (bits_of(masks, self.n_classes) for masks in (labels, predicted))
        occurs = shown.any(axis=0)
        hits, sizes = (shown & said).sum(axis=0), shown.sum(axis=0) + said.sum(axis=0)
        return float(np.mean(2 * hits[occurs] / sizes[occurs])) if occurs.any() else 0.0
