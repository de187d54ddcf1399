"""A trained support-vector machine as plain arrays, which decides as scikit-learn's does, without scikit-learn.

A file of arrays can be read by anybody and runs no code, which a pickle does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SupportVectors:
    """A scaler, and a machine with a linear or an RBF kernel on what it scales, for D numbers and k classes.

    mean, scale : (D,), what is taken from each number, and what the rest is divided by
    support : (n, D), the support vectors, scaled, in the order of the classes
    n_support : (k,) int64, number of support vectors of each class
    coefficients : (k - 1, n); row r of a vector of class i is for the pair of i with the r-th of the other classes
    intercept : (k (k - 1) / 2,), of the pairs 0-1, 0-2, ..., 1-2, ...
    classes : (k,) int64, labels of the classes that had a training clip
    gamma : (1,), of the RBF kernel; 0 stands for the linear kernel
    """

    mean: Array
    scale: Array
    support: Array = field(repr=False)
    n_support: NDArray[np.int64]
    coefficients: Array = field(repr=False)
    intercept: Array
    classes: NDArray[np.int64]
    gamma: Array

    def decide(self, features: NDArray[np.floating[Any]]) -> Array:
        """Return the decision values of clips for each class in `classes`, (m, k); the highest is the answer.

        Parameters
        ----------
        features : (m, D), not scaled

        Source
        ------
        scikit-learn, `SVC.decision_function` with `decision_function_shape="ovr"`; Chang and Lin, LIBSVM, 2011
        """
        kernel = _kernel((features.astype(np.float64) - self.mean) / self.scale, self.support, float(self.gamma[0]))
        if len(self.classes) == 2:
            values = kernel @ self.coefficients[0] + self.intercept[0]
            return np.stack([-values, values], axis=1)
        votes, sums = np.zeros((2, len(features), len(self.classes)))
        ends = np.concatenate([[0], np.cumsum(self.n_support)])
        for pair, (one, other) in enumerate(combinations(range(len(self.classes)), 2)):
            of_one, of_other = (slice(*ends[place : place + 2]) for place in (one, other))
            value = self.intercept[pair] + kernel[:, of_one] @ self.coefficients[other - 1, of_one]
            value += kernel[:, of_other] @ self.coefficients[one, of_other]
            sums[:, one] += value
            sums[:, other] -= value
            votes[:, one] += value >= 0
            votes[:, other] += value < 0
        # The sums only decide between classes with as many votes.
        return np.asarray(votes + sums / (3 * (np.abs(sums) + 1)))

    def logits(self, features: NDArray[np.floating[Any]], n_classes: int) -> NDArray[np.float32]:
        """Return logits of clips for all classes, (m, n_classes), from what `decide` returns."""
        return over_all_classes(self.decide(features), self.classes, n_classes)


@dataclass(frozen=True)
class UnitVectors:
    """A scaler, and a machine for each of K action units on what it scales, all on the same n clips of D numbers.

    mean, scale : (D,), as of `SupportVectors`
    support : (n, D), the training clips, scaled
    coefficients : (K, n), 0 where a clip is not a support vector of the unit's machine
    intercept : (K,); of a unit that all or none of the training clips show it is the whole answer
    gamma : (1,), of the RBF kernel; 0 stands for the linear kernel
    """

    mean: Array
    scale: Array
    support: Array = field(repr=False)
    coefficients: Array = field(repr=False)
    intercept: Array
    gamma: Array

    def logits(self, features: NDArray[np.floating[Any]], n_units: int) -> NDArray[np.float32]:
        """Return the decision values of clips for each unit, (m, n_units); above 0 the unit is shown.

        Parameters
        ----------
        features : (m, D), not scaled
        """
        assert len(self.intercept) == n_units
        kernel = _kernel((features.astype(np.float64) - self.mean) / self.scale, self.support, float(self.gamma[0]))
        return (kernel @ self.coefficients.T + self.intercept).astype(np.float32)


def _kernel(scaled: Array, support: Array, gamma: float) -> Array:
    """Return the kernel of clips with all support vectors, (m, n); 0 for `gamma` means the linear one."""
    products: Array = scaled @ support.T
    if not gamma:
        return products
    squares = (scaled**2).sum(axis=1)[:, None] - 2 * products + (support**2).sum(axis=1)[None]
    return np.asarray(np.exp(-gamma * np.maximum(squares, 0)))


def over_all_classes(values: Array, classes: NDArray[Any], n_classes: int) -> NDArray[np.float32]:
    """Return logits of clips for all classes; a class without a training clip gets less than every other class.

    Parameters
    ----------
    values : (m, k), for the k classes in `classes`

    Returns
    -------
    (m, n_classes) float32
    """
    below = values.min(axis=1, keepdims=True) - 1
    logits = np.tile(below, (1, n_classes)).astype(np.float32)
    logits[:, classes] = values
    return logits
