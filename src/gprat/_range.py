"""Results are numbers: where a computation leaves the range of its dtype, that is an error."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from gprat._validation import has_finite_sum
from gprat.exceptions import ResultOverflowError, RoundingWarning

__all__ = ["ensure_finite", "warn_of_clipping"]


def ensure_finite(what: str, dtype: np.dtype[Any], *results: Any) -> None:
    """Refuse results that hold NaN or infinity.

    Parameters
    ----------
    what : str
        What was computed, for the message.
    dtype : dtype
        In which it was.
    *results : float or ndarray
        Arrays are read once, at the speed of memory. A float may be infinite: that is what the
        sum of many squares rounds to.

    Raises
    ------
    ResultOverflowError
        If there is such a value.
    """
    for values in results:
        if isinstance(values, float) and math.isinf(values):
            continue
        if not has_finite_sum(values) and not np.isfinite(values).all():
            remedy = " or use dtype=numpy.float64," if dtype == np.float32 else ""
            raise ResultOverflowError(
                f"the {what} cannot be computed: numbers left the range of {dtype}, "
                f"which ends at {np.finfo(dtype).max:.1e}. Scale X and y to the order of one,"
                f"{remedy} and bring the hyperparameters nearer to the scale of the data."
            )


def warn_of_clipping(
    count: int, worst: float, m: int, n: int, dtype: np.dtype[Any], stacklevel: int = 3
) -> None:
    """Warn of variances that are farther below zero than a sum of n terms is wrong by.

    Parameters
    ----------
    count, worst : int, float
        How many were clipped, and how far below zero the worst was, as a part of its prior.
    m, n : int
        Predicted variances, and training points.
    dtype : dtype
        In which was computed.
    stacklevel : int, default=3
        As `warnings.warn` has it: 3 for the caller of a function that calls this one.
    """
    if worst <= n * float(np.finfo(dtype).eps):
        return
    warnings.warn(
        f"rounding made {count} of {m} predicted variances negative, the worst by {worst:.1e} of "
        "its prior variance; they were set to zero, and others of that size mean as little. Use a "
        "larger noise, or dtype float64; certificate() tells how exact the model is.",
        RoundingWarning,
        stacklevel=stacklevel,
    )
