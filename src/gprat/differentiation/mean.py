"""The mean function as a regression applies it: with coefficients, or with a trend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gprat._mean_adjoint import add_mean_adjoint
from gprat._range import ensure_finite
from gprat._validation import Float64Array, FloatArray
from gprat.exceptions import InvalidInputError
from gprat.kernels.program import as_real_array
from gprat.means import Mean

__all__ = ["AppliedMean"]


@dataclass(frozen=True, slots=True, eq=False)
class AppliedMean:
    """A mean function and the coefficients of its basis functions.

    Parameters
    ----------
    mean : Mean
        The function.
    coefficients : ndarray of shape (q, k), float64, or None
        Its coefficients; None if they are integrated out.
    is_shared : bool
        Whether the coefficients came as one column for all outputs.
    dtype : dtype
        That of points and basis functions.
    """

    mean: Mean
    coefficients: Float64Array | None
    is_shared: bool
    dtype: np.dtype[Any]

    @classmethod
    def read(
        cls, mean: Mean, coefficients: Any, d: int, k: int, n: int, dtype: np.dtype[Any]
    ) -> AppliedMean:
        """Check the coefficients of a mean of d features and k outputs.

        Raises
        ------
        InvalidInputError
            If they are not one number, or k, for each basis function, or not finite; or if there
            are none, and more basis functions than the n rows of X can tell apart.
        UnsupportedTypeError
            If they are no numbers.
        """
        names = mean.names(d)
        q = len(names)
        if coefficients is None:
            if q > n:
                raise InvalidInputError(
                    f"the mean has {q} coefficients, more than the {n} rows of X. Use a simpler "
                    "mean, or pass mean_coefficients."
                )
            return cls(mean, None, False, dtype)
        values = as_real_array(coefficients, "mean_coefficients")
        if q == 0 or values.shape not in ((q,), (q, k)):
            expected = (
                f"shape ({q},) or ({q}, {k}), for {', '.join(names)}"
                if q
                else "None: this mean has no coefficients"
            )
            raise InvalidInputError(
                f"mean_coefficients must be {expected}; got shape {values.shape}."
            )
        if not np.isfinite(values).all():
            raise InvalidInputError("mean_coefficients must be finite, got NaN or infinity.")
        is_shared = values.ndim == 1
        columns = np.broadcast_to(values[:, np.newaxis], (q, k)) if is_shared else values
        return cls(mean, columns, is_shared, dtype)

    def trend_names(self, d: int) -> tuple[str, ...]:
        """Return the names of the basis functions whose coefficients are integrated out."""
        return self.mean.names(d) if self.coefficients is None else ()

    def trend_basis(self, points: FloatArray) -> FloatArray:
        """Return these basis functions, shape (m, q), in the dtype of the points."""
        if self.coefficients is not None:
            return np.empty((len(points), 0), dtype=self.dtype)
        return self._basis(points)

    def values(self, points: FloatArray, n_outputs: int) -> Float64Array | None:
        """Return what is known of the mean, shape (m, k); None where that is zero."""
        if self.coefficients is not None:
            return self._basis(points).astype(np.float64) @ self.coefficients
        return self.mean.offset(points, n_outputs)

    def by_coefficients(self, points: FloatArray, by_values: FloatArray) -> Float64Array:
        """Turn derivatives by the mean, (m, k), into those by its coefficients, (q,) or (q, k)."""
        total: Float64Array = self._basis(points).astype(np.float64).T @ by_values
        return total.sum(axis=1) if self.is_shared else total

    def pull_back(
        self,
        points: FloatArray,
        through_kernel: Float64Array,
        by_basis: Float64Array | None,
        by_values: FloatArray,
    ) -> Float64Array:
        """Add derivatives by the points, through the mean, to those through the kernel.

        Parameters
        ----------
        points : ndarray of shape (m, d)
            Where the mean is evaluated.
        through_kernel : ndarray of shape (m, d), float64
            Derivatives that there are; overwritten.
        by_basis : ndarray of shape (m, q) or None
            Derivatives by the basis functions, where their coefficients are integrated out.
        by_values : ndarray of shape (m, k)
            Derivatives by the known part of the mean.

        Returns
        -------
        ndarray of shape (m, d), float64
        """
        if self.coefficients is not None:
            by_basis = np.asarray(by_values @ self.coefficients.T, dtype=np.float64)
        return add_mean_adjoint(self.mean, points, through_kernel, by_basis, by_values)

    def _basis(self, points: FloatArray) -> FloatArray:
        with np.errstate(over="ignore"):
            basis: FloatArray = np.ascontiguousarray(self.mean.basis(points), dtype=self.dtype)
        ensure_finite("values of the mean's basis functions", self.dtype, basis)
        return basis
