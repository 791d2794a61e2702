"""Derivatives by points that go through a mean function."""

from __future__ import annotations

import numpy as np

from gprat._validation import Float64Array, FloatArray
from gprat.means import Mean

__all__ = ["add_mean_adjoint"]

# Points whose derivatives of the basis functions are held at a time.
_BLOCK = 4096


def add_mean_adjoint(
    mean: Mean,
    X: FloatArray,
    by_points: Float64Array,
    by_basis: Float64Array | None,
    by_offset: FloatArray,
) -> Float64Array:
    """Add derivatives by points, through a mean function, to those that there are.

    Parameters
    ----------
    mean : Mean
        The function.
    X : ndarray of shape (m, d)
        The points.
    by_points : ndarray of shape (m, d), float64
        What to add to, in place.
    by_basis : ndarray of shape (m, q) or None
        Derivatives by the basis functions; None for zeros.
    by_offset : ndarray of shape (m, k)
        Derivatives by the part without coefficients.

    Returns
    -------
    ndarray of shape (m, d), float64
        `by_points`.

    Raises
    ------
    InvalidInputError
        If the mean has functions without a gradient.

    Examples
    --------
    >>> from gprat.means import as_mean
    >>> points = np.array([[3.0]])
    >>> trend = as_mean("quadratic")  # 1, x, x²
    >>> nothing = np.zeros((1, 1))
    >>> add_mean_adjoint(trend, points, np.zeros((1, 1)), np.array([[0.0, 1.0, 1.0]]), nothing)
    array([[7.]])
    """
    for start in range(0, len(X), _BLOCK):
        rows = slice(start, start + _BLOCK)
        if by_basis is not None and by_basis.shape[1]:
            gradient = mean.basis_gradient(X[rows])
            by_points[rows] += np.einsum("mq,mqd->md", by_basis[rows], gradient)
        offset = mean.offset_gradient(X[rows], by_offset.shape[1])
        if offset is not None:
            by_points[rows] += np.einsum("mk,mdk->md", by_offset[rows], offset)
    return by_points
