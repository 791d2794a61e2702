"""Rows of many members in one array, however users pass them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from gprat import _validation as validation
from gprat._validation import FloatArray
from gprat.engines.batch import Offsets
from gprat.exceptions import InvalidInputError
from gprat.optimize.task import BoolArray

__all__ = ["ByMember", "Form", "Points", "read_points", "read_targets", "which_are_finite"]

ByMember: TypeAlias = FloatArray | list[FloatArray]
"""One array with a row a member, or a list with an array a member."""


class Form(Enum):
    """How points are passed."""

    SHARED = "shape (n, d), the same for all members"
    STACKED = "shape (b, n, d)"
    LIST = "a list of arrays of shape (n_i, d)"


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Points of all members.

    Parameters
    ----------
    values : ndarray of shape (N, d)
        Member after member; or the same for each.
    offsets : ndarray of shape (b + 1,) or (2,), int64
        Where each member's begin; (0, N) if they are shared.
    form : Form
        How they came.
    """

    values: FloatArray
    offsets: Offsets
    form: Form

    def of(self, member: int) -> FloatArray:
        """Return the points of one member: a view."""
        return self.values[self.slice_of(member)]

    def slice_of(self, member: int) -> slice:
        """Return which rows are a member's."""
        first = 0 if self.form is Form.SHARED else member
        return slice(int(self.offsets[first]), int(self.offsets[first + 1]))

    def counts(self, members: int) -> npt.NDArray[np.int64]:
        """Return how many points each member has."""
        return np.broadcast_to(np.diff(self.offsets), members)

    def by_member(self, values: FloatArray, members: int, *, pairs: bool = False) -> ByMember:
        """Give each member its part of numbers, one a point, or one a pair of points: views."""
        counts = self.counts(members)
        if self.form is not Form.LIST:
            m = int(counts[0])
            return values.reshape((members, m, m) if pairs else (members, m))
        ends = np.cumsum(counts**2 if pairs else counts)
        parts = np.split(values, ends[:-1])
        shapes = [(m, m) if pairs else (m,) for m in counts]
        return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def read_points(X: Any, dtype: np.dtype[Any], *, n_features: int | None = None) -> Points:
    """Read points in any of the forms; they need not be finite.

    Parameters
    ----------
    X : array-like of shape (n, d) or (b, n, d), or list of array-like of shape (n_i, d)
        What the user passed.
    dtype : dtype
        Of the model.
    n_features : int or None, default=None
        The number of features that test points must have; None for training points, of which each
        member has at least one.

    Raises
    ------
    InvalidInputError
        If a shape makes no sense; which member has it.
    UnsupportedTypeError
        If they are no numbers.
    """
    if _is_list_of(X, 2):
        return _read_list(X, dtype, n_features)
    array = validation.as_numbers(X, "X", dtype)
    if array.ndim not in (2, 3):
        forms = ", or ".join(form.value for form in Form)
        raise InvalidInputError(f"X must have {forms}; got shape {array.shape}.")
    d = array.shape[-1]
    _check_shape(array.shape, n_features, "X")
    if array.ndim == 2:
        return Points(array, np.array([0, array.shape[0]]), Form.SHARED)
    b, n, _ = array.shape
    return Points(array.reshape(b * n, d), np.arange(b + 1) * n, Form.STACKED)


def read_targets(y: Any, X: Points, dtype: np.dtype[Any]) -> FloatArray:
    """Return the targets of all members, one after the other, shape (N,); they may be not finite.

    Raises
    ------
    InvalidInputError
        If their numbers are not those of the points.
    UnsupportedTypeError
        If they are no numbers.
    """
    if X.form is Form.LIST:
        return _read_targets_of_list(y, X, dtype)
    n = int(X.offsets[1])
    array = validation.as_numbers(y, "y", dtype)
    if X.form is Form.STACKED:
        expected = f"({X.offsets.size - 1}, {n})"
        fits = array.shape == (X.offsets.size - 1, n)
    else:
        expected = f"(b, {n})"
        fits = array.ndim == 2 and array.shape[0] > 0 and array.shape[1] == n
    if not fits:
        raise InvalidInputError(
            f"y must have shape {expected}, one row a member and one column for each row of its X, "
            f"got shape {array.shape}. For one member use gprat.GP, or y[numpy.newaxis]."
        )
    return array.reshape(-1)


def which_are_finite(values: FloatArray, offsets: Offsets) -> BoolArray:
    """Return for each member whether all of its numbers are finite, shape (b,)."""
    if validation.has_finite_sum(values):
        return np.ones(offsets.size - 1, dtype=bool)
    rows = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    starts = offsets[:-1]
    finite: BoolArray = np.ones(starts.size, dtype=bool)
    has_rows = np.diff(offsets) > 0
    finite[has_rows] = np.logical_and.reduceat(rows, starts[has_rows])
    return finite


def _read_list(X: Sequence[Any], dtype: np.dtype[Any], n_features: int | None) -> Points:
    parts = [validation.as_numbers(part, f"member {i}: X", dtype) for i, part in enumerate(X)]
    d = parts[0].shape[-1] if n_features is None and parts[0].ndim == 2 else n_features
    for i, part in enumerate(parts):
        if part.ndim != 2:
            raise InvalidInputError(
                f"member {i}: X must have shape (n, d), got shape {part.shape}."
            )
        if part.shape[1] != d and n_features is None:
            raise InvalidInputError(
                f"member {i}: X has {part.shape[1]} features, and that of member 0 has {d}. "
                "Members share a kernel, which needs the same features of each."
            )
        _check_shape(part.shape, n_features, f"member {i}: X")
    offsets = np.zeros(len(parts) + 1, dtype=np.int64)
    np.cumsum([len(part) for part in parts], out=offsets[1:])
    return Points(np.concatenate(parts), offsets, Form.LIST)


def _read_targets_of_list(y: Any, X: Points, dtype: np.dtype[Any]) -> FloatArray:
    b = X.offsets.size - 1
    try:
        count = len(y)
    except TypeError:
        count = -1
    if count != b:
        raise InvalidInputError(
            f"y must have one array for each of the {b} members of X, got "
            f"{'none' if count < 0 else count}."
        )
    parts = [validation.as_numbers(part, f"member {i}: y", dtype) for i, part in enumerate(y)]
    for i, (part, n) in enumerate(zip(parts, np.diff(X.offsets), strict=True)):
        if part.shape != (n,):
            raise InvalidInputError(
                f"member {i}: y must have shape ({n},), one value for each row of its X, got shape "
                f"{part.shape}."
            )
    return np.concatenate(parts)


def _check_shape(shape: tuple[int, ...], n_features: int | None, name: str) -> None:
    if n_features is None and 0 in shape:
        raise InvalidInputError(
            f"{name} must have at least one row and one column for each member, got shape {shape}. "
            "Leave out members without data."
        )
    if n_features is not None and shape[-1] != n_features:
        raise InvalidInputError(
            f"{name} must have the {n_features} features of the training data, got shape {shape}. "
            "Pass the same columns in the same order as in training."
        )


def _is_list_of(values: Any, ndim: int) -> bool:
    """Whether it is a list of arrays of that many dimensions."""
    if not isinstance(values, list | tuple) or len(values) == 0:
        return False
    try:
        return np.ndim(values[0]) == ndim
    except (TypeError, ValueError, RuntimeError):
        # What is no array is refused where arrays are made.
        return False
