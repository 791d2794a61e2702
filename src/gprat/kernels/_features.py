"""Pairs of points, one feature at a time: no array of pairs times features."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from gprat.kernels._base import Float64Array

__all__ = ["differences", "one_each", "squared_distance", "sum_or_stack"]


def squared_distance(X: Float64Array, Z: Float64Array, length_scale: Any) -> Float64Array:
    """Return Σ_f ((x_f - z_f)/length_scale_f)² for the rows of X (n, d) and Z (m, d): (n, m)."""
    scale = one_each(length_scale, X.shape[1])
    distance: Float64Array = cdist(X / scale, Z / scale, metric="sqeuclidean")
    return distance


def differences(X: Float64Array, Z: Float64Array, scale: Any) -> Iterator[Float64Array]:
    """Yield (x_f - z_f)/scale_f for each feature f: arrays of shape (n, m)."""
    values = one_each(scale, X.shape[1])
    return ((X[:, f, None] - Z[:, f]) / values[f] for f in range(X.shape[1]))


def one_each(values: Any, n_features: int) -> Float64Array:
    """Return one value a feature: a single value serves all of them."""
    return np.broadcast_to(np.ravel(np.asarray(values, dtype=np.float64)), (n_features,))


def sum_or_stack(terms: Iterable[Float64Array], count: int) -> Float64Array:
    """Return the derivative by a hyperparameter from those by its value at each feature.

    Parameters
    ----------
    terms : iterable of ndarray of shape (n, n)
        One a feature.
    count : int
        Number of values that the hyperparameter has: 1, which sums the terms, or one a feature.

    Returns
    -------
    ndarray of shape (n, n, count)
    """
    if count > 1:
        return np.stack(list(terms), axis=2)
    remaining = iter(terms)
    total = next(remaining)
    for term in remaining:
        total = total + term
    return total[:, :, np.newaxis]
