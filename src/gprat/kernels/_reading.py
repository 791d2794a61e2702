"""Read the hyperparameters and other arguments of a kernel object, and refuse bad ones."""

from __future__ import annotations

import contextlib
import math
import operator
from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gprat.exceptions import InvalidInputError, UnsupportedTypeError
from gprat.kernels.program import as_real_array, to_theta

__all__ = [
    "ReadHyperparameter",
    "check_columns",
    "check_integer",
    "check_number",
    "element_names",
    "is_list",
    "is_real_valued",
    "read_hyperparameter",
]

_ZERO_IF_FIXED = ("constant_value", "noise_level", "sigma_0", "offset", "bias_variance")


class ReadHyperparameter(NamedTuple):
    """A hyperparameter as a kernel object holds it, checked.

    Parameters
    ----------
    name : str
        Its name in scikit-learn's ``get_params``.
    values : ndarray of any shape, float64
        On the natural scale.
    is_log : bool
        Whether theta holds logarithms of it.
    theta_bounds : ndarray of shape (values.size, 2), float64, or None
        Bounds of its entries in theta; None if it is fixed.
    """

    name: str
    values: npt.NDArray[np.float64]
    is_log: bool
    theta_bounds: npt.NDArray[np.float64] | None

    @property
    def is_free(self) -> bool:
        """Whether it is trainable."""
        return self.theta_bounds is not None

    def element_names(self) -> list[str]:
        """One name a value."""
        return element_names(self.name, self.values.shape)


def element_names(name: str, shape: tuple[int, ...]) -> list[str]:
    """Name each element of an array: an index is added where there are several.

    Examples
    --------
    >>> element_names("alpha", ()), element_names("means", (2, 1))
    (['alpha'], ['means[0,0]', 'means[1,0]'])
    """
    if math.prod(shape) == 1:
        return [name]
    indices = product(*(range(count) for count in shape))
    return [f"{name}[{','.join(map(str, index))}]" for index in indices]


def is_real_valued(kernel: Any, attribute: str) -> bool:
    """Whether a hyperparameter may have any sign, so that theta holds the value itself."""
    return attribute in getattr(kernel, "real_valued", ())


def read_hyperparameter(
    kernel: Any, attribute: str, path: str, *, max_ndim: int = 1
) -> ReadHyperparameter:
    """Read and check one hyperparameter of a kernel.

    Parameters
    ----------
    kernel : Kernel
        Has the attribute, and its bounds under the same name with ``_bounds``.
    attribute : str
        Name of the hyperparameter.
    path : str
        What precedes that name in the names of the whole kernel.
    max_ndim : int, default=1
        Largest number of dimensions that the value may have.

    Returns
    -------
    ReadHyperparameter

    Raises
    ------
    InvalidInputError
        If the value or the bounds have a wrong shape or are out of range.
    UnsupportedTypeError
        If they are not numeric.

    Examples
    --------
    >>> from gprat.kernels import RBF
    >>> read_hyperparameter(RBF([1.0, 2.0]), "length_scale", "k1__").element_names()
    ['k1__length_scale[0]', 'k1__length_scale[1]']
    """
    name = f"{path}{attribute}"
    values = as_real_array(getattr(kernel, attribute), name)
    if values.ndim > max_ndim or values.size == 0:
        kinds = "a number or a vector" if max_ndim == 1 else "a number, a vector or a matrix"
        raise InvalidInputError(f"{name} must be {kinds}, got an array of shape {values.shape}")
    bounds = getattr(kernel, f"{attribute}_bounds")
    is_fixed = isinstance(bounds, str) and bounds == "fixed"
    is_log = not is_real_valued(kernel, attribute)
    hyperparameter = ReadHyperparameter(
        name,
        np.atleast_1d(values),
        is_log,
        None if is_fixed else _theta_bounds(bounds, values.size, name, is_log),
    )
    _check_values(hyperparameter, may_be_zero=is_fixed and attribute in _ZERO_IF_FIXED)
    return hyperparameter


def _check_values(hyperparameter: ReadHyperparameter, may_be_zero: bool) -> None:
    values = hyperparameter.values.ravel().tolist()
    if hyperparameter.is_log and all(0.0 < value < math.inf for value in values):
        return
    for name, value in zip(hyperparameter.element_names(), values, strict=True):
        if not hyperparameter.is_log:
            if not math.isfinite(value):
                raise InvalidInputError(f"{name} must be finite, got {value}")
        elif not (0.0 < value < math.inf or (value == 0.0 and may_be_zero)):
            remedy = ""
            if value == 0.0 and name.endswith(_ZERO_IF_FIXED):
                remedy = f'; only {name}_bounds="fixed" lets it be 0, since theta is its logarithm'
            raise InvalidInputError(f"{name} must be positive and finite, got {value}{remedy}")


def _theta_bounds(bounds: Any, count: int, name: str, is_log: bool) -> npt.NDArray[np.float64]:
    """Bounds on the scale of theta, one row a value; a lower bound of 0 becomes -inf."""
    if is_log and _is_plain_pair(bounds):
        # The usual case, in a fraction of the time.
        return np.full((count, 2), np.log(bounds))
    limits = np.atleast_2d(as_real_array(bounds, f'{name}_bounds, unless "fixed",'))
    if limits.shape not in {(1, 2), (count, 2)}:
        raise InvalidInputError(
            f'{name}_bounds must be "fixed", a pair (low, high), or one pair for each of the '
            f"{count} values, got an array of shape {limits.shape}"
        )
    low, high = limits.T
    if not is_log and not np.all((low <= high) & (low < np.inf) & (high > -np.inf)):
        raise InvalidInputError(f"{name}_bounds must satisfy low <= high, got {bounds}")
    if is_log and not np.all((low >= 0.0) & (low < np.inf) & (low <= high) & (high > 0.0)):
        raise InvalidInputError(
            f"{name}_bounds must satisfy 0 <= low <= high, with low finite and high above 0, "
            f"got {bounds}"
        )
    every = np.broadcast_to(limits, (count, 2)).copy()
    with np.errstate(divide="ignore"):
        return to_theta(every, np.full(every.shape, is_log))


def _is_plain_pair(bounds: Any) -> bool:
    """Whether bounds are two positive floats in order."""
    if type(bounds) is not tuple or [type(bound) for bound in bounds] != [float, float]:
        return False
    low, high = bounds
    return bool(0.0 < low <= high < math.inf)


def check_integer(value: Any, name: str, *, minimum: int) -> int:
    """Return `value` as an int of at least `minimum`, or say what `name` must be.

    Examples
    --------
    >>> import numpy as np
    >>> check_integer(np.int64(3), "n_features", minimum=1)
    3
    """
    number: int | None = None
    # True and False count as 1 and 0 elsewhere, but a mask is no list of columns.
    if not isinstance(value, bool | np.bool_):
        with contextlib.suppress(TypeError):
            number = operator.index(value)
    if number is None:
        raise UnsupportedTypeError(f"{name} must be an integer, got {value!r}")
    if number < minimum:
        raise InvalidInputError(f"{name} must be at least {minimum}, got {number}")
    return number


def check_number(value: Any, name: str) -> float:
    """Return `value` as a finite float, or say that `name` must be one.

    Examples
    --------
    >>> check_number(2, "exponent")
    2.0
    """
    number = as_real_array(value, name)
    if number.ndim != 0 or not np.isfinite(number):
        raise InvalidInputError(f"{name} must be one finite number, got {value!r}")
    return float(number)


def is_list(values: Any) -> bool:
    """Whether `values` is a sequence of anything but characters, or an array with an axis.

    Examples
    --------
    >>> import numpy as np
    >>> is_list((1, 2)), is_list(np.array(3)), is_list("text")
    (True, False, False)
    """
    if isinstance(values, np.ndarray):
        return values.ndim > 0
    return isinstance(values, Sequence) and not isinstance(values, str | bytes)


def check_columns(dims: Any, name: str, n_columns: int | None) -> tuple[int, ...]:
    """Return the columns that `dims` selects, or say what `name` must be.

    Parameters
    ----------
    dims : slice or sequence of int
        Columns, distinct, counted from 0; a slice as NumPy takes it.
    name : str
        What to call it in errors.
    n_columns : int or None
        Out of how many; None if that isn't known.

    Returns
    -------
    tuple of int
        At least one.

    Raises
    ------
    InvalidInputError
        If no column is selected, one is selected twice or does not exist, or `dims` is a slice
        and the number of columns isn't known.
    UnsupportedTypeError
        If `dims` is neither a slice nor a sequence of integers.

    Examples
    --------
    >>> check_columns([2, 0], "dims", 3), check_columns(slice(1, None), "dims", 3)
    ((2, 0), (1, 2))
    """
    if isinstance(dims, slice):
        if n_columns is None:
            raise InvalidInputError(
                f"{name} is {dims!r}, which needs the number of features: pass n_features"
            )
        columns = tuple(range(n_columns)[dims])
    elif is_list(dims):
        columns = tuple(check_integer(dim, f"each of {name}", minimum=0) for dim in dims)
    else:
        raise UnsupportedTypeError(
            f"{name} must be a slice or a sequence of integers, such as [0, 2], got {dims!r}"
        )
    if not columns:
        raise InvalidInputError(f"{name} must select at least one feature, got {dims!r}")
    if len(set(columns)) < len(columns):
        raise InvalidInputError(f"{name} must be distinct, got {dims!r}")
    if n_columns is not None and max(columns) >= n_columns:
        raise InvalidInputError(
            f"{name} must be columns from 0 to {n_columns - 1}, for {n_columns} features; got "
            f"{dims!r}"
        )
    return columns
