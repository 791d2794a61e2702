"""Noise and hyperparameters that users pass in."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from gprat._validation.arrays import as_array, as_numeric
from gprat._validation.numbers import as_float
from gprat._validation.types import Float64Array
from gprat.exceptions import InvalidInputError, UnsupportedTypeError

__all__ = [
    "LARGEST_LOG",
    "check_known_noise",
    "check_noise",
    "check_noise_bounds",
    "check_noise_groups",
    "check_test_noise",
    "check_theta",
]

# exp() of a log hyperparameter within these bounds neither overflows nor underflows.
LARGEST_LOG = 700.0


def check_noise(
    noise: Any, n: int, name: str = "noise", *, is_fixed: bool = False
) -> tuple[Float64Array, bool]:
    """Return noise variances of shape (1,) or (n,), and whether one value is for all rows.

    They may be zero only where they are fixed: what is learned has a logarithm.
    """
    array = as_numeric(noise, name)
    if array.ndim > 1 or (array.ndim == 1 and array.shape[0] != n):
        raise InvalidInputError(
            f"{name} must be one positive number or one for each of {n} rows, got shape "
            f"{array.shape}. Pass a scalar or an array of shape ({n},)."
        )
    # A copy, so that changing the caller's array later does not change the model.
    variances = np.array(array, dtype=np.float64, ndmin=1)
    good = np.isfinite(variances) & ((variances >= 0.0) if is_fixed else (variances > 0.0))
    if not good.all():
        row = int(np.argmin(good))
        where = "" if array.ndim == 0 else f" at row {row}"
        sign = "not negative" if is_fixed else "positive"
        raise InvalidInputError(
            f"{name} is a variance and must be {sign} and finite, got {variances[row]}{where}. "
            "For data without noise use a small value such as 1e-8 times the variance of y."
        )
    variances.flags.writeable = False
    return variances, array.ndim == 0


def check_known_noise(variances: Any, n: int) -> Float64Array | None:
    """Return known noise variances of shape (1,) or (n,), zeros allowed, or None."""
    if variances is None:
        return None
    array = as_numeric(variances, "known_noise")
    if array.shape not in ((), (n,)):
        raise InvalidInputError(
            f"known_noise must be one variance, or one for each of the {n} rows of X, shape "
            f"({n},), got shape {array.shape}. For a variance to be learned use noise."
        )
    known = np.array(array, dtype=np.float64, ndmin=1)
    good = np.isfinite(known) & (known >= 0.0)
    if not good.all():
        row = int(np.argmin(good))
        where = "" if array.ndim == 0 else f" at row {row}"
        raise InvalidInputError(
            "known_noise holds variances, which are finite and not negative, got "
            f"{known[row]}{where}. Square standard deviations first."
        )
    known.flags.writeable = False
    return known


def check_noise_groups(groups: Any, n: int) -> tuple[tuple[object, ...], npt.NDArray[np.intp]]:
    """Return the sorted labels of the groups and the index of each row's group, shape (n,)."""
    array = as_array(groups, "noise_groups")
    if array.shape != (n,) or array.dtype.kind not in "biufUSO":
        raise InvalidInputError(
            f"noise_groups must have one label for each of the {n} rows of X, got shape "
            f"{array.shape} and dtype {array.dtype}. Pass integers or strings, such as the name of "
            "the instrument."
        )
    try:
        labels, index = np.unique(array, return_inverse=True)
    except TypeError as error:
        raise UnsupportedTypeError(
            f"noise_groups mixes labels that cannot be sorted: {error}. Pass integers or strings."
        ) from error
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise InvalidInputError(
            f"noise_groups is NaN at row {int(np.isnan(array).argmax())}. Give every row a label."
        )
    return tuple(labels.tolist()), index.reshape(n)


def check_noise_bounds(bounds: Any) -> tuple[float, float] | None:
    """Return the logarithms of the bounds of the noise variance, or None if it is fixed."""
    if isinstance(bounds, str) and bounds == "fixed":
        return None
    try:
        lower, upper = map(as_float, bounds)
    except (TypeError, ValueError, LookupError):
        lower = upper = math.nan
    if not 0.0 < lower <= upper:
        raise InvalidInputError(
            'noise_bounds must be "fixed" or a pair of variances (lower, upper) with '
            f"0 < lower <= upper, got {bounds!r}. The default is (1e-10, 1e5)."
        )
    return math.log(lower), math.log(upper)


def check_test_noise(
    include_noise: Any, noise: float | None, m: int
) -> float | Float64Array | None:
    """Return what to add to the variances of the latent function at m points, or None.

    `noise` is that of the training data; None where it differs from row to row.
    """
    if isinstance(include_noise, bool | np.bool_):
        if not include_noise:
            return None
        if noise is None:
            raise InvalidInputError(
                "include_noise=True needs one noise variance for all points, and that of this "
                f"model differs between training rows. Pass those of the test points, an array of "
                f"shape ({m},)."
            )
        return float(noise)
    if as_array(include_noise, "include_noise").ndim == 0:
        raise UnsupportedTypeError(
            f"include_noise must be True, False, or an array of shape ({m},) with the noise "
            f"variance at each test point, got {include_noise!r}. For one value at all points "
            "use numpy.full(m, value)."
        )
    return check_noise(include_noise, m, "include_noise", is_fixed=True)[0]


def check_theta(theta: Any, names: tuple[str, ...], is_log: npt.NDArray[np.bool_]) -> Float64Array:
    """Return hyperparameters on the scale of training as a new float64 array of shape (p,)."""
    array = as_numeric(theta, "theta")
    if array.shape != (len(names),):
        raise InvalidInputError(
            f"theta must have shape ({len(names)},), the logarithms of {', '.join(names)}; got "
            f"shape {array.shape}. See the properties theta and parameter_names."
        )
    array = np.array(array, dtype=np.float64)
    # Written so that NaN fails the comparison.
    good = np.abs(array) <= np.where(is_log, LARGEST_LOG, np.finfo(np.float64).max)
    if not good.all():
        position = int(np.argmin(good))
        what, limit = "the logarithm of ", f"between -{LARGEST_LOG:g} and {LARGEST_LOG:g}"
        if not is_log[position]:
            what, limit = "", "that are finite"
        raise InvalidInputError(
            f"theta must hold numbers {limit}, got {array[position]} for {what}{names[position]}. "
            "Pass logarithms of positive hyperparameters."
        )
    return array
