"""A kernel that passes from one kernel to another along a feature."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from sklearn.gaussian_process import kernels as sk

from gprat.exceptions import InvalidInputError
from gprat.kernels._base import Bounds, Float64Array, GpratKernel, format_values, hyperparameter
from gprat.kernels._reading import check_columns

__all__ = ["ChangePoint"]


class ChangePoint(GpratKernel):
    """Kernel of functions that change their nature at some place of one feature.

    ::

        k(x, z) = (1 - s(x)) k1(x, z) (1 - s(z)) + s(x) k2(x, z) s(z)
        s(x) = 1/(1 + exp(-(x_feature - location)/width))

    The function is drawn from k1 far below the location and from k2 far above it, and from their
    mixture within a few widths (Lloyd et al. 2014, section 2).

    Parameters
    ----------
    k1, k2 : Kernel
        Any kernels.
    location : float, default=0.0
        Any finite value, in the unit of the feature. Its entry in `theta` is the value itself.
    width : float, default=1.0
        Positive, in the unit of the feature.
    feature : int, default=0
        Column of the points, counted from 0. It is not trained.
    location_bounds : pair of float or "fixed"
        Bounds for training, of any sign, default (-1e5, 1e5).
    width_bounds : pair of float or "fixed"
        Bounds for training, default (1e-5, 1e5).

    Examples
    --------
    >>> from gprat.kernels import RBF, ChangePoint
    >>> kernel = ChangePoint(RBF(0.1), RBF(1.0), location=-2.0, width=0.5)
    >>> kernel.theta.round(4)
    array([-2.3026,  0.    , -2.    , -0.6931])
    >>> kernel([[-20.0], [20.0]], [[-19.0], [19.0]]).round(4)
    array([[0.    , 0.    ],
           [0.    , 0.6065]])
    """

    parts: ClassVar[tuple[str, ...]] = ("k1", "k2")
    real_valued: ClassVar[tuple[str, ...]] = ("location",)

    def __init__(
        self,
        k1: sk.Kernel,
        k2: sk.Kernel,
        location: float = 0.0,
        width: float = 1.0,
        feature: int = 0,
        location_bounds: Bounds = (-1e5, 1e5),
        width_bounds: Bounds = (1e-5, 1e5),
    ) -> None:
        self.k1 = k1
        self.k2 = k2
        self.location = location
        self.width = width
        self.feature = feature
        self.location_bounds = location_bounds
        self.width_bounds = width_bounds

    hyperparameter_location = hyperparameter("location")
    hyperparameter_width = hyperparameter("width")

    def __call__(
        self, X: npt.ArrayLike, Y: npt.ArrayLike | None = None, eval_gradient: bool = False
    ) -> Any:
        """Return k(X, Y) and, if asked, its gradient by `theta`.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Left argument.
        Y : array-like of shape (m, d), optional
            Right argument; X if omitted.
        eval_gradient : bool, default=False
            Whether to return the gradient too, for which Y must be omitted.

        Returns
        -------
        K : ndarray of shape (n, m)
            The covariance matrix.
        gradient : ndarray of shape (n, n, n_dims)
            Only if `eval_gradient`: its derivative by each entry of `theta`.

        Raises
        ------
        InvalidInputError
            If `feature` is no column of the points, or `eval_gradient` is asked for with Y.
        """
        if eval_gradient and Y is not None:
            raise InvalidInputError("the gradient can only be evaluated when Y is None")
        if eval_gradient:
            return self._with_gradient(X)
        left, right = self._steps(X), self._steps(X if Y is None else Y)
        K1, K2 = self.k1(X, Y), self.k2(X, Y)
        return np.outer(expit(-left), expit(-right)) * K1 + np.outer(expit(left), expit(right)) * K2

    def diag(self, X: npt.ArrayLike) -> Float64Array:
        """Return (1 - s)² k1 + s² k2 for each row of X."""
        u = self._steps(X)
        diagonal: Float64Array = expit(-u) ** 2 * self.k1.diag(X) + expit(u) ** 2 * self.k2.diag(X)
        return diagonal

    def is_stationary(self) -> bool:
        """Return False: the kernel knows a place."""
        return False

    def _with_gradient(self, X: npt.ArrayLike) -> tuple[Float64Array, Float64Array]:
        u = self._steps(X)
        before, after = expit(-u), expit(u)
        K1, gradient1 = self.k1(X, eval_gradient=True)
        K2, gradient2 = self.k2(X, eval_gradient=True)
        weight1, weight2 = np.outer(before, before), np.outer(after, after)
        # With respect to u, s has the slope s (1 - s) and 1 - s its negative.
        slope = before * after
        blocks = [
            weight1[:, :, np.newaxis] * gradient1,
            weight2[:, :, np.newaxis] * gradient2,
        ]
        for own in self._own_free():
            change = slope * (-1.0 / self.width if own.name == "location" else -u)
            derivative = K2 * _outer_sum(change, after) - K1 * _outer_sum(change, before)
            blocks.append(derivative[:, :, np.newaxis])
        return weight1 * K1 + weight2 * K2, np.concatenate(blocks, axis=2)

    def _steps(self, X: npt.ArrayLike) -> Float64Array:
        """Return (x_feature - location)/width for each row of X, within ±1000."""
        points = np.atleast_2d(np.asarray(X, dtype=np.float64))
        (column,) = check_columns([self.feature], "feature of ChangePoint", points.shape[1])
        with np.errstate(over="ignore"):
            steps = (points[:, column] - self.location) / self.width
        # The step is 0 or 1 to the last bit out there, and infinity times its slope would be NaN.
        return np.clip(steps, -1e3, 1e3)

    def __repr__(self) -> str:
        """Show the kernels and the place of the change, to three digits."""
        return (
            f"ChangePoint({self.k1!r}, {self.k2!r}, location={format_values(self.location)}, "
            f"width={format_values(self.width)}, feature={self.feature})"
        )


def _outer_sum(a: Float64Array, b: Float64Array) -> Float64Array:
    """Return a_i b_j + b_i a_j."""
    product: Float64Array = np.outer(a, b)
    return product + product.T
