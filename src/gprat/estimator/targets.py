"""Targets as a model sees them: scaled, and with missing values sorted out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gprat._validation import Float64Array, has_finite_sum
from gprat.exceptions import InvalidInputError, ResultOverflowError
from gprat.noise import IntArray

__all__ = ["Pattern", "TargetScale", "find_patterns"]


@dataclass(frozen=True, eq=False)
class TargetScale:
    """What was subtracted from each output, and what it was divided by.

    Parameters
    ----------
    mean, std : ndarray of shape (k,), or of shape () for targets of shape (n,)
        In the units of the targets; 0 and 1 where they are left as they are.
    """

    mean: Float64Array
    std: Float64Array

    @classmethod
    def of(cls, y: Float64Array, normalize: bool) -> TargetScale:
        """Return the scale of targets of shape (n,) or (n, k); missing ones are NaN."""
        if not normalize:
            return cls(np.zeros(y.shape[1:]), np.ones(y.shape[1:]))
        with np.errstate(over="ignore", invalid="ignore"):
            std = np.asarray(np.nanstd(y, axis=0))
        if not np.isfinite(std).all():
            raise ResultOverflowError(
                "the standard deviation of y leaves the range of float64. Scale y, or use "
                "normalize_y=False."
            )
        # A constant output is only shifted: rounding may leave its deviation a little above 0.
        scale = np.abs(np.nanmean(y, axis=0))
        is_constant = std <= 10.0 * np.finfo(np.float64).eps * scale
        return cls(np.asarray(np.nanmean(y, axis=0)), np.where(is_constant, 1.0, std))

    def normalize(self, y: Float64Array) -> Float64Array:
        """Return targets without the scale: a copy."""
        return np.asarray((y - self.mean) / self.std)

    def restore(self, mean: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return predicted means, shape (m,) or (m, k), in the units of the targets."""
        return mean * self.std + self.mean

    def spread(self, values: npt.NDArray[Any], power: int) -> npt.NDArray[Any]:
        """Return what is the same for all outputs in the units of the targets to a power.

        Of shape (…) for targets of shape (n,), else (…, k).
        """
        factor = self.std**power
        return values * factor if factor.ndim == 0 else values[..., np.newaxis] * factor


@dataclass(frozen=True, eq=False)
class Pattern:
    """Outputs with targets at the same rows: one factor serves them all.

    Parameters
    ----------
    columns : ndarray of int
        The outputs.
    rows : ndarray of int, or None
        Rows at which they have targets, ascending; None for all.
    """

    columns: IntArray
    rows: IntArray | None


def find_patterns(y: Float64Array) -> list[Pattern]:
    """Group the outputs of targets of shape (n, k) by where they are missing (NaN).

    Raises
    ------
    InvalidInputError
        If an output has no target at all.
    """
    if has_finite_sum(y):
        return [Pattern(np.arange(y.shape[1]), None)]
    is_known = ~np.isnan(y)
    empty = ~is_known.any(axis=0)
    if empty.any():
        raise InvalidInputError(
            f"output {int(empty.argmax())} of y has no target that is not NaN. Leave that column "
            "out."
        )
    distinct, group = np.unique(is_known, axis=1, return_inverse=True)
    group = group.reshape(-1)
    return [
        Pattern(np.flatnonzero(group == g), None if known.all() else np.flatnonzero(known))
        for g, known in enumerate(distinct.T)
    ]
