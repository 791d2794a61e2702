"""Many small Gaussian processes at once on the processors of this machine: arrays for the core.

The members of a batch share the structure of a kernel, and each has data and hyperparameters of its
own. Their rows follow each other in one array, `offsets` saying where each begins; or all members
have the same rows, and `offsets` is (0, number of rows).
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from gprat import _core, _progress, runtime
from gprat._validation import Float64Array, FloatArray
from gprat.engines.calls import ensure_fits, is_long
from gprat.engines.core_kernels import compiled_program
from gprat.kernels import Program
from gprat.noise import IntArray

__all__ = [
    "Batch",
    "BatchPosterior",
    "Cause",
    "Likelihoods",
    "Offsets",
    "Prediction",
    "Predictions",
    "Settings",
]

Offsets: TypeAlias = npt.NDArray[np.int64]

# Bytes beside its matrix that a member takes, per row; and whatever its size.
_PER_ROW, _PER_MEMBER = 128, 4096

_TYPES: dict[Any, Any] = {
    np.dtype(np.float64): _core.BatchFloat64,
    np.dtype(np.float32): _core.BatchFloat32,
}


class Prediction(IntEnum):
    """What is predicted; the numbers are shared with the core."""

    MEAN = 0
    VARIANCE = 1
    COVARIANCE = 2


class Cause(IntEnum):
    """Why a member has no result; the numbers are shared with the core."""

    NONE = 0
    NOT_POSITIVE_DEFINITE = 1
    """K has no Cholesky factor at a row."""
    NOT_FINITE = 2
    """The same, as the pivot is no number."""
    RANK_DEFICIENT = 3
    """A column of the basis depends on those before it."""


@dataclass(frozen=True, slots=True, eq=False)
class Settings:
    """Which members a call is for, and their hyperparameters.

    Parameters
    ----------
    members : ndarray of shape (r,), int64
        Their numbers; one may come again with other hyperparameters.
    parameters : ndarray of shape (r, n_parameters), float64
        All hyperparameters of the kernel.
    noise : ndarray of shape (r,), float64
        Noise variances.
    """

    members: npt.NDArray[np.int64]
    parameters: Float64Array
    noise: Float64Array


@dataclass(frozen=True, slots=True, eq=False)
class Likelihoods:
    """Log marginal likelihoods, shape (r,), and on request their derivatives.

    Parameters
    ----------
    values : ndarray of shape (r,)
        What stands where there is a failure means nothing.
    parameters : ndarray of shape (r, n_parameters) or None
        Derivatives as in `gprat.engines.base.Adjoint`.
    noise : ndarray of shape (r,) or None
        By the noise variance.
    failures : ndarray of shape (r, 2), int64
        A `Cause`, and the row or column.
    """

    values: Float64Array
    parameters: Float64Array | None
    noise: Float64Array | None
    failures: npt.NDArray[np.int64]

    @property
    def have_failed(self) -> npt.NDArray[np.bool_]:
        """Which have no likelihood: also for lack of range, where it is NaN, shape (r,)."""
        failed: npt.NDArray[np.bool_] = (self.failures[:, 0] != 0) | np.isnan(self.values)
        return failed


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Predictions of all members, one after the other, whether or not they were conditioned.

    Parameters
    ----------
    mean : ndarray of shape (M,)
        Means at the test points.
    spread : ndarray
        Variances, shape (M,); covariances, each member's m × m numbers; or empty.
    clipped : ndarray of shape (r,), int64
        How many variances of each were set to zero, because rounding made them negative.
    worst : ndarray of shape (r,)
        The worst of them, as a part of its prior variance.
    failures : ndarray of shape (r, 2), int64
        As in `Likelihoods`.
    """

    mean: FloatArray
    spread: FloatArray
    clipped: npt.NDArray[np.int64]
    worst: Float64Array
    failures: npt.NDArray[np.int64]

    @property
    def have_failed(self) -> npt.NDArray[np.bool_]:
        """Which have no prediction, shape (r,)."""
        failed: npt.NDArray[np.bool_] = self.failures[:, 0] != 0
        return failed


class Batch:
    """The data of a batch, and what is computed with them.

    Parameters
    ----------
    X : ndarray of shape (N, d)
        Inputs of all members, or the same for each; C-contiguous, as all arrays.
    y : ndarray of shape (N,) or (b·N,)
        Targets, member after member.
    basis : ndarray of shape (N, q)
        Basis functions of the trend at X.
    offsets : ndarray of shape (b + 1,) or (2,), int64
        See the module.
    program : Program
        The kernel; its values do not matter.
    threads, memory_limit : int or None
        As in `gprat.engines.base.Problem`.
    """

    def __init__(
        self,
        X: FloatArray,
        y: FloatArray,
        basis: FloatArray,
        offsets: Offsets,
        program: Program,
        threads: int | None,
        memory_limit: int | None,
    ) -> None:
        self._rows = np.diff(offsets)
        self._itemsize, self._q = X.dtype.itemsize, basis.shape[1]
        self._threads, self._memory_limit = threads, memory_limit
        self._core = _TYPES[X.dtype](
            compiled_program(program, X.shape[1]),
            program.is_free.view(np.uint8),
            X,
            y,
            basis,
            offsets,
        )

    def evaluate(self, settings: Settings, *, gradient: bool) -> Likelihoods:
        """Return the log marginal likelihoods (R&W 2.30, 2.45), and their derivatives (R&W 5.9)."""
        rows = _counts_of(settings.members, self._rows)
        threads = runtime.threads_for_call(self._threads)
        largest = int(rows.max(initial=0))
        needed = min(threads, rows.size) * self._member_bytes(largest)
        remedy = "fewer threads, or gprat.GP for a member of many rows"
        ensure_fits("likelihoods of a batch", needed, 0, self._memory_limit, remedy)
        flops = float((rows.astype(np.float64) ** 3).sum()) * (1.0 if gradient else 1.0 / 3.0)
        with _bar("likelihoods", rows.size, flops):
            results = self._core.evaluate(
                settings.members, settings.parameters, settings.noise, gradient, threads
            )
        return Likelihoods(*results)

    def condition(self, settings: Settings) -> BatchPosterior:
        """Return the posteriors of the members, whose factors the first prediction computes."""
        rows = _counts_of(settings.members, self._rows)
        threads = runtime.threads_for_call(self._threads)
        return BatchPosterior(
            self._core.condition(settings.members, settings.parameters, settings.noise, threads),
            settings.members,
            rows,
            sum(map(self._member_bytes, rows.tolist())),
            self._threads,
            self._memory_limit,
        )

    def _member_bytes(self, rows: int) -> int:
        vectors = _PER_ROW + 2 * self._itemsize * (1 + self._q)
        return int(self._itemsize * rows**2 + vectors * rows + _PER_MEMBER)


class BatchPosterior:
    """Members given their data; made by `Batch.condition`."""

    def __init__(
        self,
        core: Any,  # for either dtype
        members: npt.NDArray[np.int64],
        rows: IntArray,
        factor_bytes: int,
        threads: int | None,
        memory_limit: int | None,
    ) -> None:
        self._core, self._members, self._rows = core, members, rows
        self._factor_bytes, self._has_factors = factor_bytes, False
        self._threads, self._memory_limit = threads, memory_limit

    def predict(
        self, what: Prediction, X: FloatArray, basis: FloatArray, offsets: Offsets
    ) -> Predictions:
        """Predict at each member's test points, or at the same for all (R&W 2.25, 2.26, 2.24).

        Parameters
        ----------
        what : Prediction
            Means alone, or with variances or covariances.
        X : ndarray of shape (M, d)
            Test points.
        basis : ndarray of shape (M, q)
            Basis functions there.
        offsets : ndarray of shape (b + 1,) or (2,), int64
            As in `Batch`, of all members.
        """
        points = _counts_of(self._members, np.diff(offsets))
        n, m = self._rows.astype(np.float64), points.astype(np.float64)
        flops = float((n**3 / 3.0 + 10.0 * n * m).sum())
        if what is not Prediction.MEAN:
            flops += float((n**2 * m).sum())
        if what is Prediction.COVARIANCE:
            flops += float((n * m**2).sum())
        threads = runtime.threads_for_call(self._threads)
        self._ensure_fits(what, points, threads * X.dtype.itemsize, X.dtype.itemsize)
        with _bar("predictions", self._members.size, flops):
            results = self._core.predict(int(what), X, basis, offsets, threads)
        self._has_factors = True
        return Predictions(*results)

    def _ensure_fits(
        self, what: Prediction, points: IntArray, bytes_of_columns: int, itemsize: int
    ) -> None:
        m = int(points.sum())
        results = m * (1 if what is Prediction.MEAN else 2)
        if what is Prediction.COVARIANCE:
            results = m + int((points.astype(np.float64) ** 2).sum())
        columns = 0 if what is Prediction.MEAN else int((self._rows * points).max(initial=0))
        needed = itemsize * results + bytes_of_columns * columns + self._factor_bytes
        known = self._factor_bytes if self._has_factors else 0
        remedy = "some of the members, or fewer test points, at a time"
        ensure_fits("predictions of a batch", needed, known, self._memory_limit, remedy)


def _counts_of(members: npt.NDArray[np.int64], counts: IntArray) -> IntArray:
    """Return how many rows each of some members has, where one number is that of all."""
    return np.broadcast_to(counts, members.size) if counts.size == 1 else counts[members]


def _bar(what: str, members: int, flops: float) -> AbstractContextManager[object]:
    if not is_long(flops):
        return nullcontext()
    return _progress.bar(f"{what} of {members:,} members", flops, 1.0)
