"""Arrays that users pass in.

Those that are already C-contiguous and of the model's dtype pass through as they are; all others
are copied once. A check of a small array costs a few microseconds.
"""

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from gprat._validation.types import FloatArray
from gprat.exceptions import InvalidInputError, UnsupportedTypeError

__all__ = [
    "as_array",
    "as_numbers",
    "as_numeric",
    "check_dtype",
    "check_indices",
    "check_rows",
    "check_test_inputs",
    "check_training_inputs",
    "has_finite_sum",
    "read_only",
]

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
    array = as_numeric(values, name)
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


def as_numbers(values: Any, name: str, dtype: np.dtype[Any]) -> FloatArray:
    """Return real numbers of any shape, C-contiguous and of `dtype`; NaN and infinity may pass."""
    return _as_contiguous(as_numeric(values, name), dtype)


def has_finite_sum(array: npt.NDArray[Any]) -> bool:
    """Whether all values are finite, in one pass without a temporary; large ones may look not."""
    with np.errstate(over="ignore", invalid="ignore"):
        return math.isfinite(np.add.reduce(array, axis=None))


def _as_matrix(X: Any, name: str, dtype: np.dtype[Any]) -> FloatArray:
    array = as_numeric(X, name)
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


def as_numeric(values: Any, name: str) -> npt.NDArray[Any]:
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
