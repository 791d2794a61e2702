"""A kernel that reads some of the features only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.gaussian_process import kernels as sk

from gprat.kernels._base import Float64Array, GpratKernel
from gprat.kernels._reading import check_columns

__all__ = ["ActiveDims"]


class ActiveDims(GpratKernel):
    """A kernel that reads some of the features only.

    ::

        k(x, z) = kernel(x[dims], z[dims])

    Sums of such kernels make additive models (Duvenaud, Nickisch and Rasmussen 2011), products
    combine kernels of different kinds of features.

    Parameters
    ----------
    kernel : Kernel
        Any kernel. Its vectors of hyperparameters have one value for each of `dims`, in this order.
    dims : sequence of int, or slice
        Columns of the points, distinct, counted from 0. Inside another `ActiveDims` they count
        the columns that it leaves.

    Examples
    --------
    >>> from gprat.kernels import RBF, ActiveDims
    >>> kernel = ActiveDims(RBF(1.0), [0]) + ActiveDims(RBF([1.0, 2.0]), slice(1, 3))
    >>> kernel([[0.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]]).round(4)
    array([[1.6065]])
    """

    parts: ClassVar[tuple[str, ...]] = ("kernel",)

    def __init__(self, kernel: sk.Kernel, dims: Sequence[int] | slice) -> None:
        self.kernel = kernel
        self.dims = dims

    def __call__(
        self, X: npt.ArrayLike, Y: npt.ArrayLike | None = None, eval_gradient: bool = False
    ) -> Any:
        """Return ``kernel(X[:, dims], Y[:, dims])`` and, if asked, its gradient by `theta`.

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
            If `dims` does not fit the points.
        """
        points = (self._select(X), None if Y is None else self._select(Y))
        return self.kernel(*points, eval_gradient=True) if eval_gradient else self.kernel(*points)

    def diag(self, X: npt.ArrayLike) -> Float64Array:
        """Return ``kernel.diag(X[:, dims])``."""
        diagonal: Float64Array = self.kernel.diag(self._select(X))
        return diagonal

    def is_stationary(self) -> bool:
        """Return whether the kernel inside is stationary."""
        return bool(self.kernel.is_stationary())

    def __repr__(self) -> str:
        """Show the kernel and its columns."""
        return f"ActiveDims({self.kernel!r}, {self.dims!r})"

    def _select(self, X: npt.ArrayLike) -> Float64Array:
        points = np.atleast_2d(np.asarray(X, dtype=np.float64))
        columns = check_columns(self.dims, "dims of ActiveDims", points.shape[1])
        return points[:, list(columns)]
