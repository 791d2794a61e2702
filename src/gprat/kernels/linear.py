"""Kernels of linear functions and of polynomials."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from gprat.kernels._base import Bounds, Float64Array, hyperparameter
from gprat.kernels._features import one_each, sum_or_stack
from gprat.kernels._leaf import LeafKernel
from gprat.kernels._reading import check_integer

__all__ = ["Linear", "Polynomial"]


class Linear(LeafKernel):
    """Kernel of linear functions that vanish at a centre.

    ::

        k(x, z) = Σ_f variance_f (x_f - centre_f)(z_f - centre_f)

    Bayesian linear regression with independent weights of these variances (R&W 2006, section 2.1).
    Add a `ConstantKernel` for an intercept.

    Parameters
    ----------
    variance : float or array-like of shape (d,), default=1.0
        Positive: the prior variance of the slope along each feature.
    centre : float or array-like of shape (d,), default=0.0
        Any finite value. Its entries in `theta` are the values themselves, not logarithms.
    variance_bounds : pair of float, array-like of shape (d, 2), or "fixed"
        Bounds for training, default (1e-5, 1e5).
    centre_bounds : pair of float, array-like of shape (d, 2), or "fixed"
        Bounds for training, of any sign, default "fixed".

    Examples
    --------
    >>> from gprat.kernels import Linear
    >>> kernel = Linear(variance=[1.0, 0.5], centre=-1.0, centre_bounds=(-5.0, 5.0))
    >>> kernel.theta.round(4) + 0.0
    array([-1.    ,  0.    , -0.6931])
    >>> kernel([[0.0, 0.0]], [[1.0, 3.0]])
    array([[4.]])
    """

    per_feature: ClassVar[tuple[str, ...]] = ("centre", "variance")
    real_valued: ClassVar[tuple[str, ...]] = ("centre",)

    def __init__(
        self,
        variance: float | npt.ArrayLike = 1.0,
        centre: float | npt.ArrayLike = 0.0,
        variance_bounds: Bounds = (1e-5, 1e5),
        centre_bounds: Bounds = "fixed",
    ) -> None:
        self.variance = variance
        self.centre = centre
        self.variance_bounds = variance_bounds
        self.centre_bounds = centre_bounds

    hyperparameter_centre = hyperparameter("centre")
    hyperparameter_variance = hyperparameter("variance")

    def diag(self, X: npt.ArrayLike) -> Float64Array:
        """Return Σ_f variance_f (x_f - centre_f)² for each row of X."""
        points = self._points(X)
        diagonal: Float64Array = self._centred(points) ** 2 @ self._variances(points)
        return diagonal

    def is_stationary(self) -> bool:
        """Return False: the variance grows away from the centre."""
        return False

    def _covariance(self, X: Float64Array, Z: Float64Array) -> Float64Array:
        product: Float64Array = self._centred(X) * self._variances(X) @ self._centred(Z).T
        return product

    def _derivative_by_centre(self, X: Float64Array, K: Float64Array) -> Float64Array:
        terms = (
            -variance * (column[:, np.newaxis] + column)
            for variance, column in zip(self._variances(X), self._centred(X).T, strict=True)
        )
        return sum_or_stack(terms, np.size(self.centre))

    def _derivative_by_variance(self, X: Float64Array, K: Float64Array) -> Float64Array:
        terms = (
            variance * np.outer(column, column)
            for variance, column in zip(self._variances(X), self._centred(X).T, strict=True)
        )
        return sum_or_stack(terms, np.size(self.variance))

    def _centred(self, X: Float64Array) -> Float64Array:
        return X - one_each(self.centre, X.shape[1])

    def _variances(self, X: Float64Array) -> Float64Array:
        return one_each(self.variance, X.shape[1])


class Polynomial(LeafKernel):
    """Kernel of polynomials of a given degree.

    ::

        k(x, z) = (Σ_f variance_f x_f z_f + offset)^degree

    R&W 2006, eq. 4.23. The features are all monomials up to this degree, or of exactly this degree
    where the offset is 0.

    Parameters
    ----------
    degree : int, default=2
        At least 1. It is not trained.
    variance : float or array-like of shape (d,), default=1.0
        Positive weights of the features.
    offset : float, default=1.0
        Positive weight of the lower degrees; may be 0 if it is fixed.
    variance_bounds : pair of float, array-like of shape (d, 2), or "fixed"
        Bounds for training, default (1e-5, 1e5).
    offset_bounds : pair of float or "fixed"
        Bounds for training, default (1e-5, 1e5).

    Examples
    --------
    >>> from gprat.kernels import Polynomial
    >>> kernel = Polynomial(degree=3, offset=1.0)
    >>> kernel([[2.0]], [[0.0], [1.0]])
    array([[ 1., 27.]])
    """

    per_feature: ClassVar[tuple[str, ...]] = ("variance",)

    def __init__(
        self,
        degree: int = 2,
        variance: float | npt.ArrayLike = 1.0,
        offset: float = 1.0,
        variance_bounds: Bounds = (1e-5, 1e5),
        offset_bounds: Bounds = (1e-5, 1e5),
    ) -> None:
        self.degree = degree
        self.variance = variance
        self.offset = offset
        self.variance_bounds = variance_bounds
        self.offset_bounds = offset_bounds

    hyperparameter_offset = hyperparameter("offset")
    hyperparameter_variance = hyperparameter("variance")

    def diag(self, X: npt.ArrayLike) -> Float64Array:
        """Return (Σ_f variance_f x_f² + offset)^degree for each row of X."""
        points = self._points(X)
        base: Float64Array = points**2 @ one_each(self.variance, points.shape[1]) + self.offset
        return base ** self._degree()

    def is_stationary(self) -> bool:
        """Return False: the variance grows away from the origin."""
        return False

    def _covariance(self, X: Float64Array, Z: Float64Array) -> Float64Array:
        return self._base(X, Z) ** self._degree()

    def _derivative_by_offset(self, X: Float64Array, K: Float64Array) -> Float64Array:
        return (self._slope(X) * self.offset)[:, :, np.newaxis]

    def _derivative_by_variance(self, X: Float64Array, K: Float64Array) -> Float64Array:
        slope, variances = self._slope(X), one_each(self.variance, X.shape[1])
        terms = (
            slope * variance * np.outer(column, column)
            for variance, column in zip(variances, X.T, strict=True)
        )
        return sum_or_stack(terms, np.size(self.variance))

    def _base(self, X: Float64Array, Z: Float64Array) -> Float64Array:
        base: Float64Array = X * one_each(self.variance, X.shape[1]) @ Z.T + self.offset
        return base

    def _slope(self, X: Float64Array) -> Float64Array:
        """Return the derivative of the kernel by what is raised to the power."""
        degree = self._degree()
        return degree * self._base(X, X) ** (degree - 1)

    def _degree(self) -> int:
        return check_integer(self.degree, "degree of Polynomial", minimum=1)

    def _repr_first(self) -> list[str]:
        return [f"degree={self.degree}"]
