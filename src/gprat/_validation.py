"""Checks of everything that users pass in: what was expected, what came, and the remedy.

Arrays that are already C-contiguous and of the model's dtype pass through as they are; all
others are copied once. A check of a small array costs a few microseconds.
"""

from __future__ import annotations

import contextlib
import math
import operator
from numbers import Number
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse

from gprat.exceptions import InvalidInputError, UnsupportedTypeError

FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]
Float64Array: TypeAlias = npt.NDArray[np.float64]

# exp() of a log hyperparameter within these bounds neither overflows nor underflows.
LARGEST_LOG = 700.0

_SUPPORTED_DTYPES = (np.dtype(np.float64), np.dtype(np.float32))
_NUMBER_KINDS = "fiub"
_BLOCK_ENTRIES = 1 << 20


def check_dtype(dtype: Any, X: Any) -> np.dtype[Any]:
    """Return the dtype that a model computes in: `dtype`, or that of X where it is None."""
    if dtype is None:
        given = getattr(X, "dtype", None)
        is_single = isinstance(given, np.dtype) and given.newbyteorder("=") == np.float32
        return np.dtype(np.float32 if is_single else np.float64)
    resolved: np.dtype[Any] | None = None
    with contextlib.suppress(TypeError, ValueError):
        resolved = np.dtype(dtype)
    if resolved is None or resolved not in _SUPPORTED_DTYPES:
        raise UnsupportedTypeError(
            f"dtype must be numpy.float64 or numpy.float32, got {dtype!r}. Use float64 unless "
            "memory is short."
        )
    return resolved


def check_training_inputs(X: Any, dtype: np.dtype[Any]) -> FloatArray:
    """Return the training inputs as a C-contiguous array of shape (n, d), n and d at least 1."""
    inputs = _as_matrix(X, "X", dtype)
    if 0 in inputs.shape:
        raise InvalidInputError(
            f"X must have at least one row and one column, got shape {inputs.shape}. Pass one row "
            "a training point and one column a feature."
        )
    return inputs


def check_test_inputs(X: Any, dtype: np.dtype[Any], n_features: int) -> FloatArray:
    """Return the test inputs as a C-contiguous array of shape (m, d); m may be 0."""
    inputs = _as_matrix(X, "X", dtype)
    if inputs.shape[1] != n_features:
        raise InvalidInputError(
            f"X must have the {n_features} features of the training data, got shape {inputs.shape} "
            f"with {inputs.shape[1]}. Pass the same columns in the same order as in training."
        )
    return inputs


def check_rows(values: Any, name: str, n: int, dtype: np.dtype[Any]) -> FloatArray:
    """Return `values`, of shape (n,) or (n, k), as a C-contiguous array of shape (n, k)."""
    array = _as_numbers(values, name)
    if array.ndim not in (1, 2):
        raise InvalidInputError(
            f"{name} must have shape (n,) or (n, k) with n = {n}, got shape {array.shape}. Pass "
            "one value, or one row of values, for each row of X."
        )
    if array.shape[0] != n:
        raise InvalidInputError(
            f"{name} must have one row for each of the {n} rows of X, got {array.shape[0]} "
            f"(shape {array.shape}). Check that X and {name} come from the same records."
        )
    if array.ndim == 2 and array.shape[1] == 0:
        raise InvalidInputError(
            f"{name} must have at least one column, got shape {array.shape}. Pass one column an "
            "output."
        )
    array = _as_finite(array, name, dtype)
    return array.reshape(n, -1)


def check_noise(
    noise: Any, n: int, name: str = "noise", *, is_fixed: bool = False
) -> tuple[Float64Array, bool]:
    """Return noise variances of shape (1,) or (n,), and whether one value is for all rows.

    They may be zero only where they are fixed: what is learned has a logarithm.
    """
    array = _as_numbers(noise, name)
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
    array = _as_numbers(variances, "known_noise")
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
        lower, upper = map(_as_float, bounds)
    except (TypeError, ValueError, LookupError):
        lower = upper = math.nan
    if not 0.0 < lower <= upper:
        raise InvalidInputError(
            'noise_bounds must be "fixed" or a pair of variances (lower, upper) with '
            f"0 < lower <= upper, got {bounds!r}. The default is (1e-10, 1e5)."
        )
    return math.log(lower), math.log(upper)


def check_positive_integer(value: Any, name: str, remedy: str) -> int:
    """Return `value` as an int of at least 1; booleans and floats are refused."""
    try:
        number = None if isinstance(value, bool | np.bool_) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise UnsupportedTypeError(
            f"{name} must be a positive whole number, got {value!r} of type "
            f"{type(value).__name__}. {remedy}"
        )
    if number < 1:
        raise InvalidInputError(f"{name} must be at least 1, got {number}. {remedy}")
    return number


def check_positive_number(value: Any, name: str, remedy: str) -> float:
    """Return `value` as a positive finite float."""
    try:
        number = None if isinstance(value, str | bytes | bool) else _as_float(value)
    except (TypeError, ValueError):
        number = None
    if number is None:
        raise UnsupportedTypeError(f"{name} must be a positive number, got {value!r}. {remedy}")
    if not 0.0 < number < math.inf:
        raise InvalidInputError(f"{name} must be positive and finite, got {number}. {remedy}")
    return number


def _as_float(value: Any) -> float:
    """Return a number as a float: infinity where it is too large, NaN where it is masked."""
    if np.ma.is_masked(value):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf


def check_learning_rate(value: Any) -> float:
    """Return the length of a step of gradient descent."""
    remedy = "Pass a step in log hyperparameters, such as 0.1."
    return check_positive_number(value, "learning_rate", remedy)


def check_training_options(max_iter: Any, learning_rate: Any) -> dict[str, int | float]:
    """Return the options that are given, that is, not None."""
    options: dict[str, int | float] = {}
    if max_iter is not None:
        remedy = "Pass the most iterations, such as 100, or None."
        options["max_iter"] = check_positive_integer(max_iter, "max_iter", remedy)
    if learning_rate is not None:
        options["learning_rate"] = check_learning_rate(learning_rate)
    return options


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
    array = _as_numbers(theta, "theta")
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


def check_count(value: Any, name: str, remedy: str) -> int:
    """Return `value` as an int of at least 0."""
    return 0 if is_zero(value) else check_positive_integer(value, name, remedy)


def is_zero(value: Any) -> bool:
    """Whether `value` is a number, and that number is 0."""
    return isinstance(value, Number) and not value


def check_indices(indices: Any, n: int) -> npt.NDArray[np.intp]:
    """Return the rows that `indices` name as NumPy has it, ascending, each once."""
    if isinstance(indices, slice):
        try:
            return np.unique(np.arange(n)[indices])
        except (TypeError, ValueError) as error:
            raise InvalidInputError(
                f"indices is {indices!r}, which selects no rows: {error}. Pass a slice of whole "
                "numbers."
            ) from None
    chosen = as_array(indices, "indices", "whole numbers, a slice or a boolean array")
    if chosen.size == 0 and chosen.dtype.kind == "f":
        chosen = chosen.astype(np.intp)  # an empty list
    if chosen.dtype.kind not in "iub":
        raise UnsupportedTypeError(
            f"indices must be whole numbers, a slice or a boolean array, got dtype {chosen.dtype}. "
            "Convert them with astype(int)."
        )
    if chosen.dtype.kind == "b" and chosen.shape != (n,):
        raise InvalidInputError(
            f"a boolean array of indices must have shape ({n},), one value a row, got shape "
            f"{chosen.shape}. Pass numpy.flatnonzero(indices) for the numbers of rows."
        )
    try:
        return np.unique(np.arange(n)[chosen])
    except (IndexError, OverflowError):
        bad = next(int(i) for i in np.ravel(chosen) if not -n <= i < n)
    raise InvalidInputError(
        f"indices has {bad}, and there are {n} rows. Pass numbers from {-n} to {n - 1}."
    )


def check_random_state(random_state: Any) -> np.random.Generator:
    """Return a generator from None, a seed, a Generator or a RandomState, which moves on."""
    if isinstance(random_state, np.random.Generator):
        return random_state
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**32, size=4, dtype=np.uint32))
    try:
        return np.random.default_rng(random_state)
    except (TypeError, ValueError):
        raise UnsupportedTypeError(
            "random_state must be None, a whole number that is not negative, a "
            f"numpy.random.Generator or a RandomState, got {random_state!r}."
        ) from None


def read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a view that cannot be written to."""
    view = array.view()
    view.flags.writeable = False
    return view


def as_array(
    values: Any, name: str, expected: str = "convertible to an array of numbers"
) -> npt.NDArray[Any]:
    """Return `values` as an array of whatever dtype, or say what `name` must be."""
    if np.ma.is_masked(values):
        raise InvalidInputError(
            f"{name} has masked entries; every value must be known. Drop the rows with "
            "missing values, or fill them."
        )
    try:
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInputError(
            f"{name} must be {expected}, got {type(values).__name__}: {error}. Give every row the "
            "same number of values."
        ) from error


def as_choice(value: Any) -> str:
    """Return `value` if it is text, as it is in a choice by name; else text that names nothing."""
    return value if isinstance(value, str) else ""


def _as_matrix(X: Any, name: str, dtype: np.dtype[Any]) -> FloatArray:
    array = _as_numbers(X, name)
    if array.ndim != 2:
        hint = ""
        if array.ndim == 1:
            hint = (
                f" Use {name}.reshape(-1, 1) for many points with one feature, or "
                f"{name}.reshape(1, -1) for one point."
            )
        raise InvalidInputError(
            f"{name} must be two-dimensional, one row a point and one column a feature, got "
            f"shape {array.shape}.{hint}"
        )
    return _as_finite(array, name, dtype)


def _as_numbers(values: Any, name: str) -> npt.NDArray[Any]:
    """Return `values` as an array of real numbers, without a copy where it already is one."""
    if type(values) is np.ndarray and values.dtype.kind in _NUMBER_KINDS:
        return values
    if sparse.issparse(values):
        raise UnsupportedTypeError(
            f"{name} is a sparse {type(values).__name__}; gprat computes with dense arrays. Pass "
            f"{name}.toarray()."
        )
    array = as_array(values, name)
    if array.dtype.kind == "O":
        return _objects_to_numbers(array, name)
    if array.dtype.kind not in _NUMBER_KINDS:
        raise UnsupportedTypeError(
            f"{name} must hold real numbers, got dtype {array.dtype}. {_remedy(array.dtype)}"
        )
    return array


def _remedy(dtype: np.dtype[Any]) -> str:
    """Say how data of a dtype without real numbers can be turned into real numbers."""
    if dtype.kind == "c":
        return "Pass the real and the imaginary part as separate columns."
    if dtype.kind in "mM":
        return "Convert times to numbers first, for example to days since the first reading."
    return "Convert it with astype(float), or encode categories as numbers."


def _objects_to_numbers(array: npt.NDArray[Any], name: str) -> npt.NDArray[np.float64]:
    """Convert an object array such as a DataFrame with columns of several types gives."""
    numbers = np.empty(array.shape, dtype=np.float64)
    for index, value in np.ndenumerate(array):
        try:
            # float("1.5") would succeed: text that looks like a number is still text.
            numbers[index] = math.nan if isinstance(value, str | bytes) else float(value)
            is_number = not isinstance(value, str | bytes)
        except OverflowError:
            raise InvalidInputError(
                f"{name} has a value {_place(index)} that is too large for a floating-point "
                "number. Scale the data."
            ) from None
        except (TypeError, ValueError):
            is_number = False
        if not is_number:
            raise UnsupportedTypeError(
                f"{name} must hold real numbers, got {value!r} of type {type(value).__name__} "
                f"{_place(index)}. Convert it to a number, or drop it."
            )
    return numbers


def as_numbers(values: Any, name: str, dtype: np.dtype[Any]) -> FloatArray:
    """Return real numbers of any shape, C-contiguous and of `dtype`; NaN and infinity may pass."""
    return _as_contiguous(_as_numbers(values, name), dtype)


def _as_contiguous(array: npt.NDArray[Any], dtype: np.dtype[Any]) -> FloatArray:
    """Return `array` C-contiguous, aligned and of `dtype`."""
    flags = array.flags
    if array.dtype == dtype and flags.c_contiguous and flags.aligned:
        return array
    with np.errstate(over="ignore"):
        return np.require(array, dtype=dtype, requirements=["C", "A"])


def _as_finite(array: npt.NDArray[Any], name: str, dtype: np.dtype[Any]) -> FloatArray:
    """Return `array` C-contiguous, aligned and of `dtype`; refuse NaN and infinity."""
    converted = _as_contiguous(array, dtype)
    if not has_finite_sum(converted):
        _refuse_nonfinite(array, converted, name)
    return converted


def has_finite_sum(array: npt.NDArray[Any]) -> bool:
    """Whether all values are finite, in one pass without a temporary; large ones may look not."""
    with np.errstate(over="ignore", invalid="ignore"):
        return math.isfinite(np.add.reduce(array, axis=None))


def _refuse_nonfinite(array: npt.NDArray[Any], converted: FloatArray, name: str) -> None:
    """Raise for the first NaN or infinity, if there is one; look at blocks of rows only."""
    entries_per_row = max(1, converted[:1].size)
    rows = max(1, _BLOCK_ENTRIES // entries_per_row)
    for start in range(0, converted.shape[0], rows):
        finite = np.isfinite(converted[start : start + rows])
        if finite.all():
            continue
        position = np.unravel_index(int(np.argmin(finite)), finite.shape)
        index = (start + int(position[0]), *(int(p) for p in position[1:]))
        value = array[index]
        if np.isfinite(value):
            raise InvalidInputError(
                f"{name} has the value {value} {_place(index)}, too large for dtype "
                f"{converted.dtype}. Use dtype=numpy.float64 or scale the data."
            )
        shown = "NaN" if np.isnan(value) else value
        raise InvalidInputError(
            f"{name} must be finite, got {shown} {_place(index)}. Drop that row or fill in a value."
        )


def _place(index: tuple[int, ...]) -> str:
    return " ".join(
        f"{word} {i}" for word, i in zip(("at row", "column", "index"), index, strict=False)
    )
