"""Points along some features while the others are held, and how near the data are to them."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from gprat._fitted import FittedModel
from gprat._validation import Float64Array
from gprat.exceptions import InvalidInputError

__all__ = ["At", "Feature", "Slice", "check_output", "make_slice"]

Feature: TypeAlias = int | str
At: TypeAlias = npt.ArrayLike | Mapping[Feature, float] | None

# Part of the range of the data that is drawn beyond it, on either side.
_MARGIN = 0.08
# Rows of the training data whose covariances with their projections are held at a time.
_BLOCK = 64
# Names and values of held features are written out up to so many.
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """Inputs in which some features vary and the others are held.

    Parameters
    ----------
    model : FittedModel
        The model that is looked at.
    features : tuple of int
        Features that vary.
    at : ndarray of shape (d,)
        Values of the others; entries of features that vary are not used.
    """

    model: FittedModel
    features: tuple[int, ...]
    at: Float64Array

    def grid(self, position: int, n_points: int) -> Float64Array:
        """Return values of one of the features that vary, from below the data to above."""
        column = self.model.X[:, self.features[position]]
        low, high = float(column.min()), float(column.max())
        margin = _MARGIN * (high - low) or 0.5
        return np.linspace(low - margin, high + margin, n_points)

    def points(self, *values: Float64Array) -> Float64Array:
        """Return inputs, shape (m, d), for m values of each feature that varies."""
        points = np.tile(self.at, (values[0].size, 1))
        for feature, column in zip(self.features, values, strict=True):
            points[:, feature] = column
        return points

    def nearness(self) -> Float64Array:
        """Return how much each training point tells of the slice, shape (n,), from 0 to 1.

        The prior correlation of the function at the point and at its projection onto the slice.
        """
        X, kernel = self.model.X, self.model.kernel
        if len(self.features) == X.shape[1]:
            return np.ones(len(X))
        nearness = np.empty(len(X))
        for start in range(0, len(X), _BLOCK):
            block = slice(start, start + _BLOCK)
            there = X[block]
            here = self.points(*there[:, self.features].T)
            # With a second argument a WhiteKernel, which is no part of the function, is zero.
            covariance, *variances = (
                np.diagonal(kernel(a, b)) for a, b in ((there, here), (there, there), (here, here))
            )
            scale = np.sqrt(variances[0] * variances[1])
            nearness[block] = np.divide(
                covariance, scale, out=np.zeros(len(there)), where=scale > 0
            )
        return np.clip(nearness, 0.0, 1.0)

    def label(self, position: int) -> str:
        """Return the name of one of the features that vary."""
        return self.model.feature_names[self.features[position]]

    def held(self) -> str:
        """Say where the other features are held; nothing if there are none."""
        names = self.model.feature_names
        others = [i for i in range(len(names)) if i not in self.features]
        if len(others) > _MOST_NAMED:
            return f"{len(others)} other features held"
        return ", ".join(f"{names[i]} = {self.at[i]:.3g}" for i in others)


def make_slice(model: FittedModel, features: Sequence[Feature], at: At) -> Slice:
    """Return the slice along features, given by index or by name.

    Raises
    ------
    InvalidInputError
        If there is no such feature, one is named twice, or `at` does not fit.
    """
    indices = tuple(_index(model, feature) for feature in features)
    if len(set(indices)) < len(indices):
        raise InvalidInputError(f"features must differ from each other, got {tuple(features)!r}.")
    return Slice(model, indices, _held_values(model, at))


def check_output(output: Any, n_outputs: int) -> int:
    """Return the index of an output."""
    return _column(output, "output", "y", n_outputs)


def _held_values(model: FittedModel, at: At) -> Float64Array:
    values = np.median(model.X, axis=0)
    try:
        if isinstance(at, Mapping):
            for feature, value in at.items():
                values[_index(model, feature)] = value
        elif at is not None:
            values = np.array(at, dtype=np.float64)
    except (TypeError, ValueError) as error:
        if isinstance(error, InvalidInputError):
            raise
        values = np.empty(0)
    d = model.X.shape[1]
    if values.shape != (d,) or not np.isfinite(values).all():
        raise InvalidInputError(
            f"at must be {d} finite values, one a feature, or a mapping from features to values, "
            f"got {at!r}."
        )
    return values


def _index(model: FittedModel, feature: Feature) -> int:
    names = model.feature_names
    if isinstance(feature, str):
        if feature not in names:
            raise InvalidInputError(f"there is no feature {feature!r}; there are {_some(names)}.")
        return names.index(feature)
    return _column(feature, "feature", "X", len(names))


def _column(value: Any, name: str, of: str, n_columns: int) -> int:
    try:
        index = -1 if isinstance(value, bool | np.bool_) else operator.index(value)
    except TypeError:
        index = -1
    if not 0 <= index < n_columns:
        raise InvalidInputError(
            f"{name} must be the index of a column of {of}, from 0 to {n_columns - 1}, got "
            f"{value!r}."
        )
    return index


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (" and others" if len(names) > 8 else "")
