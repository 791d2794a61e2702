"""Arc-cosine kernels: neural networks with infinitely many units."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from numbers import Real
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from gprat.exceptions import InvalidInputError
from gprat.kernels._base import Bounds, Float64Array, hyperparameter
from gprat.kernels._features import one_each, sum_or_stack
from gprat.kernels._leaf import LeafKernel

__all__ = ["ArcCosine"]


class ArcCosine(LeafKernel):
    """Kernel of a neural network with one hidden layer of infinitely many units.

    ::

        k(x, z) = (‖x̃‖‖z̃‖)^order J(t)/π,   t the angle between x̃ and z̃
        x̃ = (√weight_variance_f x_f ..., √bias_variance)
        J = π - t                                   for order 0: units are steps
        J = sin t + (π - t) cos t                   for order 1: units are max(0, x)
        J = 3 sin t cos t + (π - t)(1 + 2 cos² t)   for order 2: units are max(0, x)²

    Cho and Saul (2009), eqs. 3 to 6. Multiply by a `ConstantKernel` for a variance. Functions of
    order 0 are rough as those of `Matern` with nu 0.5 are, and larger orders smoother; for orders 1
    and 2 they grow away from the origin.

    Parameters
    ----------
    order : {0, 1, 2}, default=1
        It is not trained.
    weight_variance : float or array-like of shape (d,), default=1.0
        Positive: the prior variance of a unit's weight of each feature.
    bias_variance : float, default=1.0
        Positive: the prior variance of a unit's bias; may be 0 if it is fixed. Without a bias,
        a point at the origin has no direction; its angle with any other point counts as π/2.
    weight_variance_bounds : pair of float, array-like of shape (d, 2), or "fixed"
        Bounds for training, default (1e-5, 1e5).
    bias_variance_bounds : pair of float or "fixed"
        Bounds for training, default (1e-5, 1e5).

    Examples
    --------
    >>> from gprat.kernels import ArcCosine
    >>> ArcCosine(order=0)([[1.0]], [[1.0], [-1.0]])
    array([[1. , 0.5]])
    """

    per_feature: ClassVar[tuple[str, ...]] = ("weight_variance",)

    def __init__(
        self,
        order: int = 1,
        weight_variance: float | npt.ArrayLike = 1.0,
        bias_variance: float = 1.0,
        weight_variance_bounds: Bounds = (1e-5, 1e5),
        bias_variance_bounds: Bounds = (1e-5, 1e5),
    ) -> None:
        self.order = order
        self.weight_variance = weight_variance
        self.bias_variance = bias_variance
        self.weight_variance_bounds = weight_variance_bounds
        self.bias_variance_bounds = bias_variance_bounds

    hyperparameter_bias_variance = hyperparameter("bias_variance")
    hyperparameter_weight_variance = hyperparameter("weight_variance")

    def diag(self, X: npt.ArrayLike) -> Float64Array:
        """Return ‖x̃‖^(2 order) J(0)/π for each row of X."""
        order = check_order(self.order, "order of ArcCosine")
        lengths = np.linalg.norm(self._with_bias(self._points(X)), axis=1)
        diagonal: Float64Array = lengths ** (2 * order) * _J(np.zeros(len(lengths)), order) / np.pi
        return diagonal

    def is_stationary(self) -> bool:
        """Return False: angles are seen from the origin."""
        return False

    def _covariance(self, X: Float64Array, Z: Float64Array) -> Float64Array:
        order = check_order(self.order, "order of ArcCosine")
        A, B = self._with_bias(X), self._with_bias(Z)
        lengths = np.outer(np.linalg.norm(A, axis=1), np.linalg.norm(B, axis=1))
        return lengths**order * _J(_angles(A, B), order) / np.pi

    def _derivative_by_bias_variance(self, X: Float64Array, K: Float64Array) -> Float64Array:
        bias = np.full(len(X), np.sqrt(self.bias_variance))
        return next(self._derivatives(X, [bias]))[:, :, np.newaxis]

    def _derivative_by_weight_variance(self, X: Float64Array, K: Float64Array) -> Float64Array:
        terms = self._derivatives(X, self._with_bias(X).T[:-1])
        return sum_or_stack(terms, np.size(self.weight_variance))

    def _derivatives(
        self, X: Float64Array, columns: Iterable[Float64Array]
    ) -> Iterator[Float64Array]:
        """Differentiate K by the logarithm of the variance behind each given column of x̃.

        With c = column/‖x̃‖, the logarithm of ‖x̃‖‖z̃‖ changes by half the sum of both c², and the
        cosine of the angle by the product of both c, less the cosine times that.
        """
        order = check_order(self.order, "order of ArcCosine")
        A = self._with_bias(X)
        norms = np.linalg.norm(A, axis=1)
        lengths = np.outer(norms, norms) ** order / np.pi
        t = _angles(A, A)
        value, slope = lengths * _J(t, order), lengths * _slope_by_cosine(t, order)
        for column in columns:
            c = np.divide(column, norms, out=np.zeros(len(norms)), where=norms > 0.0)
            growth = 0.5 * (c[:, np.newaxis] ** 2 + c**2)
            # c c' - cos t (c² + c'²)/2, without its cancellation for small angles.
            turn = 2.0 * np.sin(0.5 * t) ** 2 * growth - 0.5 * (c[:, np.newaxis] - c) ** 2
            yield order * growth * value + turn * slope

    def _with_bias(self, X: Float64Array) -> Float64Array:
        """Return x̃ for each row x of X."""
        weights = np.sqrt(one_each(self.weight_variance, X.shape[1]))
        return np.column_stack([weights * X, np.full(len(X), np.sqrt(self.bias_variance))])

    def _repr_first(self) -> list[str]:
        return [f"order={self.order}"]


def check_order(order: Any, name: str) -> int:
    """Return the order of an arc-cosine kernel, or say what it must be."""
    if not isinstance(order, Real) or isinstance(order, bool) or order not in (0, 1, 2):
        raise InvalidInputError(f"{name} must be 0, 1 or 2, got {order!r}")
    return int(float(order))


def _angles(A: Float64Array, B: Float64Array) -> Float64Array:
    """Return the angles between rows, unlike arccos to full accuracy near 0 and π (Kahan 2006)."""
    units = (_unit(A), _unit(B))
    angles: Float64Array = 2.0 * np.arctan2(cdist(*units), cdist(units[0], -units[1]))
    return angles


def _unit(A: Float64Array) -> Float64Array:
    norms = np.linalg.norm(A, axis=1, keepdims=True)
    unit: Float64Array = np.divide(A, norms, out=np.zeros(A.shape), where=norms > 0.0)
    return unit


def _J(t: Float64Array, order: int) -> Float64Array:
    if order == 0:
        return np.pi - t
    sine, cosine = np.sin(t), np.cos(t)
    if order == 1:
        return sine + (np.pi - t) * cosine
    return 3.0 * sine * cosine + (np.pi - t) * (1.0 + 2.0 * cosine**2)


def _slope_by_cosine(t: Float64Array, order: int) -> Float64Array:
    """Return dJ/d(cos t); 0 for order 0 where the angle is 0 or π, since it does not change."""
    if order == 0:
        sine = np.sin(t)
        return np.divide(1.0, sine, out=np.zeros(t.shape), where=sine > 1e-15)
    return np.pi - t if order == 1 else 4.0 * _J(t, 1)
