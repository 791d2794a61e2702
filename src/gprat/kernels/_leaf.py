"""Kernels of gprat with no kernel inside, called as scikit-learn calls them."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from gprat.exceptions import InvalidInputError
from gprat.kernels._base import Float64Array, GpratKernel

__all__ = ["LeafKernel"]


class LeafKernel(GpratKernel):
    """A kernel of gprat with no kernel inside.

    A subclass computes the matrix in ``_covariance`` and, for each hyperparameter, its derivative
    in ``_derivative_by_<name>(X, K)``: shape (n, n, number of values), by the logarithm unless the
    hyperparameter is real-valued.
    """

    per_feature: ClassVar[tuple[str, ...]] = ()
    """Hyperparameters that have one value for all features, or one a feature."""

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
            If a vector of hyperparameters does not fit the features, or `eval_gradient` is asked
            for with Y.
        """
        A = self._points(X)
        B = A if Y is None else self._points(Y)
        if eval_gradient and Y is not None:
            raise InvalidInputError("the gradient can only be evaluated when Y is None")
        K = self._covariance(A, B)
        if not eval_gradient:
            return K
        derivatives = [getattr(self, f"_derivative_by_{h.name}")(A, K) for h in self._own_free()]
        return K, np.concatenate([np.empty((*K.shape, 0)), *derivatives], axis=2)

    def _points(self, X: npt.ArrayLike) -> Float64Array:
        """Return X as a float64 matrix whose columns fit the hyperparameters."""
        points = np.atleast_2d(np.asarray(X, dtype=np.float64))
        for name in self.per_feature:
            count = np.size(getattr(self, name))
            if count not in (1, points.shape[1]):
                raise InvalidInputError(
                    f"{name} of {type(self).__name__} has {count} values but the points have "
                    f"{points.shape[1]} features; give one value for all features, or one each"
                )
        return points

    @abstractmethod
    def _covariance(self, X: Float64Array, Z: Float64Array) -> Float64Array:
        """Return the matrix between the rows of X and of Z, which may be the same array."""
