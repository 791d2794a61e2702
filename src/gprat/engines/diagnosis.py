"""Why a covariance matrix has no Cholesky factor, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from gprat._validation import Float64Array, FloatArray
from gprat.engines.base import Problem
from gprat.exceptions import NotPositiveDefiniteError

__all__ = ["explain_failure"]

# covariance(A, B): the kernel between the rows of A and those of B, as float64.
Covariance: TypeAlias = Callable[[FloatArray, FloatArray], Float64Array]

_BLOCK = 64
_MOST_ROWS_NAMED = 5
_NO_JITTER = "gprat never adds jitter by itself."


def explain_failure(
    problem: Problem, row: int, is_finite: bool, covariance: Covariance
) -> NotPositiveDefiniteError:
    """Find the cause of a failed factorisation in O(n·d).

    Parameters
    ----------
    problem : Problem
        What was to be factorised.
    row : int
        Row whose pivot is not a positive number, in [0, n).
    is_finite : bool
        Whether the pivot is a finite number.
    covariance : callable
        ``covariance(A, B)`` evaluates the kernel between two sets of points.

    Returns
    -------
    NotPositiveDefiniteError
        To be raised by the caller.
    """
    if not is_finite:
        return NotPositiveDefiniteError(_explain_nonfinite(problem, row), row)
    variance, duplicates = _near_duplicates(problem.X, row, covariance)
    message = _explain_singular(problem, row, variance, duplicates)
    return NotPositiveDefiniteError(message, row, duplicates)


def _near_duplicates(
    X: FloatArray, row: int, covariance: Covariance
) -> tuple[float, tuple[int, ...]]:
    """Return k(x, x) and the earlier rows whose correlation with x = X[row] is nearly 1."""
    x = X[row : row + 1]
    variance = float(covariance(x, x)[0, 0])
    # A correlation of 1 − δ leaves a relative pivot of about 2δ, of which rounding takes ε.
    threshold = 1.0 - max(1e-8, 16.0 * float(np.finfo(X.dtype).eps))
    found: list[int] = []
    for start in range(0, row, _BLOCK):
        block = X[start : min(row, start + _BLOCK)]
        # A product of variances might overflow.
        scale = np.sqrt(np.diagonal(covariance(block, block))) * np.sqrt(variance)
        is_near = covariance(block, x)[:, 0] > threshold * scale
        found.extend(start + int(i) for i in np.flatnonzero(is_near))
    return variance, tuple(found)


def _explain_nonfinite(problem: Problem, row: int) -> str:
    program = problem.program
    values = ", ".join(
        f"{name} = {value:.3g}"
        for name, value in zip(program.names, program.parameters, strict=True)
    )
    return (
        f"the covariance matrix has no Cholesky factor: at row {row} of X the kernel gives NaN or "
        f"infinity in {problem.X.dtype}. Its hyperparameters are {values}; scale X, or "
        "bring the hyperparameters nearer to the scale of the data."
    )


def _explain_singular(
    problem: Problem, row: int, variance: float, duplicates: tuple[int, ...]
) -> str:
    noise = float(problem.noise[row if problem.noise.size > 1 else 0])
    n, dtype = problem.X.shape[0], problem.X.dtype
    # Rounding may change the pivots by about n·ε·k(x, x) (Higham 2002, theorem 10.7).
    enough = max(10.0 * n * float(np.finfo(dtype).eps) * variance, 10.0 * noise)
    remedies = [f"a larger noise, for example {enough:.0e}"]
    if duplicates:
        cause = f"the kernel cannot tell row {row} from {_name_rows(duplicates)}, and"
        remedies.append("one row with the mean of their targets in place of the near-duplicates")
    else:
        cause = "the rows before it determine this row almost exactly, and"
        remedies.append("shorter length scales")
    if dtype == np.float32:
        remedies.append("dtype=numpy.float64")
    return (
        f"the covariance matrix is not positive definite: its Cholesky factorisation fails at row "
        f"{row} of X. There {cause} the noise variance {noise:.3g} is too small beside the "
        f"kernel's variance {variance:.3g} in {dtype}. Use {', or '.join(remedies)}. {_NO_JITTER}"
    )


def _name_rows(rows: tuple[int, ...]) -> str:
    named = ", ".join(str(row) for row in rows[:_MOST_ROWS_NAMED])
    if len(rows) > _MOST_ROWS_NAMED:
        return f"rows {named} and {len(rows) - _MOST_ROWS_NAMED} more"
    return f"row {named}" if len(rows) == 1 else f"rows {named}"
