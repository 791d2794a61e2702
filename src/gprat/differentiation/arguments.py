"""Arrays as callers pass them, checked, and derivatives in the shapes that these have."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gprat import _validation as validation
from gprat._range import ensure_finite
from gprat._resources import Resources
from gprat._validation import Float64Array, FloatArray
from gprat.differentiation.gradients import Wanted
from gprat.differentiation.mean import AppliedMean
from gprat.engines.base import Problem
from gprat.exceptions import InvalidInputError, UnsupportedKernelError, UnsupportedTypeError
from gprat.kernels import KernelProgram, PythonProgram
from gprat.means import Mean

__all__ = ["Arguments", "as_float_dtype", "read_arguments"]


@dataclass(frozen=True, slots=True, eq=False)
class Arguments:
    """Arrays of a regression, all of one dtype.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Training inputs.
    Y : ndarray of shape (n, k)
        Targets as they came.
    n_outputs : int or None
        Columns of the targets; None if they came with one dimension.
    noise : ndarray of shape (1,) or (n,), float64
        Noise variances.
    noise_shape : tuple of int
        The shape they came in.
    mean : AppliedMean
        The mean function, with coefficients where they are given.
    program : KernelProgram or None
        The kernel; None as long as it is not known.
    """

    X: FloatArray
    Y: FloatArray
    n_outputs: int | None
    noise: Float64Array
    noise_shape: tuple[int, ...]
    mean: AppliedMean
    program: KernelProgram | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of all arrays."""
        return self.X.dtype

    def with_program(self, program: KernelProgram, theta: Any) -> Arguments:
        """Return the same with a kernel, at theta unless that is None."""
        if theta is not None:
            _check_same_dtype(theta, "theta", self.dtype)
            program = program.with_theta(theta)
        return replace(self, program=program)

    def problem(self, resources: Resources) -> Problem:
        """Return what an engine needs to know."""
        assert self.program is not None
        n, d = self.X.shape
        fixed = self.mean.values(self.X, self.Y.shape[1])
        targets = self.Y
        if fixed is not None:
            with np.errstate(over="ignore"):
                targets = np.ascontiguousarray(self.Y - fixed, dtype=self.dtype)
            ensure_finite("difference of y and the mean", self.dtype, targets)
        return Problem(
            self.X,
            targets,
            self.trend_basis(self.X),
            self.mean.trend_names(d),
            self.program,
            self.noise,
            resources.tile_size_for(n, self.dtype),
            resources.threads,
            resources.memory_limit,
        )

    def trend_basis(self, points: FloatArray) -> FloatArray:
        """Return the basis functions whose coefficients are integrated out, shape (m, q)."""
        return self.mean.trend_basis(points)

    def read_points(self, Xs: Any) -> tuple[FloatArray, tuple[int, ...]]:
        """Return test inputs, shape (m, d), and the shape that they came in, but for the features.

        Raises
        ------
        InvalidInputError
            If they have too few dimensions, another number of features, or are not finite.
        UnsupportedTypeError
            If they have another dtype.
        """
        _check_same_dtype(Xs, "Xs", self.dtype)
        values = validation.as_numbers(Xs, "Xs", self.dtype)
        if values.ndim < 2:
            raise InvalidInputError(
                f"Xs must have shape (m, d), or (..., q, d) for batches of q points, got shape "
                f"{values.shape}. Reshape one feature with reshape(-1, 1), one point with "
                "reshape(1, -1)."
            )
        shape = values.shape[:-1]
        # Without features there is no telling how many rows an array has.
        points = values if values.ndim == 2 else values.reshape(math.prod(shape), values.shape[-1])
        return validation.check_test_inputs(points, self.dtype, self.X.shape[1]), shape

    def finish_mean(
        self, mean: FloatArray, points: FloatArray, shape: tuple[int, ...]
    ) -> FloatArray:
        """Add what is known of the mean, and give it the shape that the points came in."""
        fixed = self.mean.values(points, mean.shape[1])
        if fixed is not None:
            with np.errstate(over="ignore"):
                mean += fixed.astype(self.dtype)
            ensure_finite("mean", self.dtype, mean)
        return mean.reshape(self._mean_shape(shape))

    def read_mean_cotangent(self, cotangent: Any, shape: tuple[int, ...]) -> FloatArray:
        """Return cotangents of the mean, shape (m, k)."""
        m, k = int(np.prod(shape)), self.Y.shape[1]
        if cotangent is None:
            return np.zeros((m, k), dtype=self.dtype)
        expected = self._mean_shape(shape)
        return self.read_cotangent(cotangent, "mean_cotangent", expected).reshape(m, k)

    def read_cotangent(self, cotangent: Any, name: str, shape: tuple[int, ...]) -> FloatArray:
        """Return a C-contiguous array of the dtype of X.

        Raises
        ------
        InvalidInputError
            If it has another shape, or is not finite.
        UnsupportedTypeError
            If it holds no real numbers.
        """
        values = validation.as_numbers(cotangent, name, self.dtype)
        if values.shape != shape:
            raise InvalidInputError(
                f"{name} must have the shape {shape} of what was predicted, got {values.shape}. "
                "Pass the derivative of a scalar by each of its entries."
            )
        if not validation.has_finite_sum(values) and not np.isfinite(values).all():
            raise InvalidInputError(
                f"{name} must be finite, got NaN or infinity. The function of the predictions has "
                "no derivative there."
            )
        return values

    def check_wanted(self, wanted: Wanted) -> None:
        """Refuse derivatives by what is not there."""
        if not isinstance(wanted, Wanted):
            raise UnsupportedTypeError(
                f"wanted must be of gprat.differentiation.Wanted, got {wanted!r}. Combine its "
                "members with |."
            )
        if Wanted.MEAN_COEFFICIENTS in wanted and self.mean.coefficients is None:
            raise InvalidInputError(
                "derivatives by mean_coefficients need mean_coefficients: they are None, and those "
                "of a trend are integrated out. Pass them, or leave Wanted.MEAN_COEFFICIENTS out."
            )

    def check_input_derivatives(self) -> None:
        """Refuse derivatives by points where kernel or mean have none."""
        if isinstance(self.program, PythonProgram):
            raise UnsupportedKernelError(
                "derivatives by the inputs need a compiled kernel; this one is evaluated in "
                f"Python, because {self.program.reason}."
            )
        point, nothing = self.X[:1], np.zeros((1, self.X.shape[1]))
        by_basis = np.zeros((1, self.trend_basis(point).shape[1]))
        by_values = np.zeros((1, self.Y.shape[1]), dtype=self.dtype)
        self.mean.pull_back(point, nothing, by_basis, by_values)

    # Derivatives as an engine gives them, in the shapes of what they are by

    def by_inputs(
        self,
        through_kernel: Float64Array | None,
        by_basis: Float64Array | None,
        by_targets: Float64Array | None,
        wanted: Wanted,
    ) -> FloatArray | None:
        """Return the derivatives by the training inputs, those through the mean included."""
        if Wanted.X not in wanted:
            return None
        assert through_kernel is not None
        assert by_targets is not None
        total = self.mean.pull_back(self.X, through_kernel, by_basis, -by_targets)
        return self._finish(total, self.X.shape)

    def by_test_inputs(
        self,
        points: FloatArray,
        through_kernel: Float64Array | None,
        by_basis: Float64Array | None,
        by_mean: FloatArray,
        wanted: Wanted,
    ) -> FloatArray | None:
        """Return the derivatives by the test inputs, shape (m, d)."""
        if Wanted.XS not in wanted:
            return None
        assert through_kernel is not None
        total = self.mean.pull_back(points, through_kernel, by_basis, by_mean)
        return self._finish(total, points.shape)

    def by_targets(self, by_targets: Float64Array | None, wanted: Wanted) -> FloatArray | None:
        """Return the derivatives by y."""
        if Wanted.Y not in wanted:
            return None
        assert by_targets is not None
        return self._finish(by_targets, self._mean_shape((len(self.X),)))

    def by_theta(self, by_parameters: Float64Array | None, wanted: Wanted) -> FloatArray | None:
        """Return the derivatives by theta."""
        if Wanted.THETA not in wanted:
            return None
        assert by_parameters is not None
        assert self.program is not None
        return self._finish(self.program.theta_gradient(by_parameters), (self.program.n_free,))

    def by_noise(self, by_row: Float64Array | None, wanted: Wanted) -> FloatArray | None:
        """Return the derivatives by the noise variances."""
        if Wanted.NOISE not in wanted:
            return None
        assert by_row is not None
        is_one_for_all = self.noise.size == 1
        return self._finish(by_row.sum() if is_one_for_all else by_row, self.noise_shape)

    def by_coefficients(
        self,
        by_training_mean: Float64Array | None,
        by_test_mean: tuple[FloatArray, FloatArray] | None,
        wanted: Wanted,
    ) -> FloatArray | None:
        """Return the derivatives by the coefficients of the mean.

        Parameters
        ----------
        by_training_mean : ndarray of shape (n, k) or None
            Derivatives by the mean at the training points.
        by_test_mean : tuple of ndarray or None
            Test points, and derivatives by the mean there, shape (m, k).
        wanted : Wanted
            What is wanted.
        """
        if Wanted.MEAN_COEFFICIENTS not in wanted:
            return None
        assert by_training_mean is not None
        total = self.mean.by_coefficients(self.X, by_training_mean)
        if by_test_mean is not None:
            total = total + self.mean.by_coefficients(*by_test_mean)
        return self._finish(total, total.shape)

    def _mean_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape if self.n_outputs is None else (*shape, self.n_outputs)

    def _finish(self, values: Any, shape: tuple[int, ...]) -> FloatArray:
        with np.errstate(over="ignore"):
            result: FloatArray = np.asarray(values, dtype=self.dtype).reshape(shape)
        ensure_finite("gradient", self.dtype, result)
        return result


def as_float_dtype(X: Any) -> np.dtype[Any]:
    """Return the dtype to compute in: float32 for such X, else float64."""
    return validation.check_dtype(None, X)


def read_arguments(
    X: Any, y: Any, noise: Any, coefficients: Any, mean: Mean, dtype: np.dtype[Any]
) -> Arguments:
    """Check arrays of a regression; the kernel is not known yet.

    Raises
    ------
    InvalidInputError
        If a shape or a value makes no sense.
    UnsupportedTypeError
        If arrays have different dtypes, or no numbers.
    """
    inputs = validation.check_training_inputs(X, dtype)
    n, d = inputs.shape
    for name, values in (("y", y), ("noise", noise), ("mean_coefficients", coefficients)):
        _check_same_dtype(values, name, dtype)
    targets = validation.check_rows(y, "y", n, dtype)
    n_outputs = None if np.ndim(y) == 1 else targets.shape[1]
    applied = AppliedMean.read(mean, coefficients, d, targets.shape[1], n, dtype)
    given = validation.as_numbers(noise, "noise", np.dtype(np.float64))
    one = given[0] if given.shape == (1,) else given
    variances, _ = validation.check_noise(one, n, is_fixed=True)
    return Arguments(inputs, targets, n_outputs, variances, given.shape, applied)


def _check_same_dtype(values: Any, name: str, dtype: np.dtype[Any]) -> None:
    """Refuse floating-point numbers of another precision than that of X; others are converted."""
    given = getattr(values, "dtype", None)
    if not isinstance(given, np.dtype) or isinstance(values, float):
        return
    if given.kind == "f" and given.newbyteorder("=") != dtype:
        raise UnsupportedTypeError(
            f"{name} has dtype {given}, and X has {dtype}: all arrays must have one dtype. Convert "
            f"one of them with astype({dtype.name!r})."
        )
