"""Results are numbers: where a computation leaves the range of its dtype, that is an error."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gprat._validation import has_finite_sum
from gprat.exceptions import ResultOverflowError

__all__ = ["ensure_finite"]


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
