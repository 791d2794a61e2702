"""The noise of the targets: one variance to learn, known ones by row, both, or one a group."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from gprat import _validation as validation
from gprat._validation import Float64Array
from gprat.exceptions import InvalidInputError

__all__ = ["IntArray", "Noise", "make_noise"]

IntArray: TypeAlias = npt.NDArray[np.intp]

_NAME = "noise_variance"

# What to do where rows are appended with too little or too much about their noise.
_NEEDED = {
    "noise": "Pass the noise variance of the new rows, one number or one a row.",
    "known_noise": "Pass the known variance of the new rows, one number or one a row.",
    "noise_groups": "Pass the label of each new row.",
}
_REFUSED = {
    "noise": "It has a noise variance that new rows share: leave noise out.",
    "known_noise": "It was made without known_noise: make a new model with it, and all rows.",
    "noise_groups": "It was made without noise_groups: make a new model with them, and all rows.",
}


@dataclass(frozen=True, slots=True, eq=False)
class Noise:
    """Noise variances: those to be learned, and known ones that are added to them.

    Parameters
    ----------
    learned : ndarray of shape (g,), float64
        One variance for all rows (g = 1), one a group of rows, or none (g = 0).
    known : ndarray of shape (1,) or (n,), float64, or None
        Known variance of all rows, or of each row.
    groups : ndarray of shape (n,), int, or None
        Group of each row, in [0, g); None if all rows are one group.
    labels : tuple
        The users' names of the groups.
    log_bounds : tuple of float or None
        Bounds of the logarithms of the learned variances; None if they are fixed.
    """

    learned: Float64Array
    known: Float64Array | None = None
    groups: IntArray | None = None
    labels: tuple[object, ...] = ()
    log_bounds: tuple[float, float] | None = None

    @property
    def variances(self) -> Float64Array:
        """What is added to the diagonal: shape (1,) for all rows, or (n,)."""
        learned = self.learned if self.groups is None else self.learned[self.groups]
        if self.known is None:
            return learned
        if not learned.size:
            return self.known
        # Infinity has no Cholesky factor, which is when it is explained.
        with np.errstate(over="ignore"):
            return learned + self.known

    @property
    def is_one_for_all(self) -> bool:
        """Whether every row has the same noise, so that new points have it too."""
        return self.groups is None and self.variances.size == 1

    @property
    def is_free(self) -> bool:
        """Whether there is something to learn."""
        return self.log_bounds is not None and self.learned.size > 0

    @property
    def theta(self) -> Float64Array:
        """Logarithms of the variances to learn."""
        return np.log(self.learned) if self.is_free else np.empty(0)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the entries of theta."""
        if not self.is_free:
            return ()
        if self.groups is None:
            return (_NAME,)
        return tuple(f"{_NAME}[{label}]" for label in self.labels)

    @property
    def bounds(self) -> Float64Array:
        """Lower and upper bounds of theta, shape (g, 2)."""
        if self.log_bounds is None or not self.is_free:
            return np.empty((0, 2))
        return np.tile(self.log_bounds, (self.learned.size, 1))

    def with_theta(self, theta: Float64Array) -> Noise:
        """Return the same noise at another theta."""
        return replace(self, learned=np.exp(theta)) if self.is_free else self

    def theta_gradient(self, by_row: Float64Array) -> Float64Array:
        """Turn derivatives by the noise variance of each row, shape (n,), into those by theta."""
        if not self.is_free:
            return np.empty(0)
        if self.groups is None:
            return np.asarray(self.learned * by_row.sum())
        return self.learned * np.bincount(self.groups, by_row, minlength=self.learned.size)

    def with_group_variances(self, variances: Any, name: str) -> Noise:
        """Return the same groups with other variances: one for all of them, or one each."""
        learned, _ = validation.check_noise(
            variances, len(self.labels), name, is_fixed=self.log_bounds is None
        )
        return replace(self, learned=np.broadcast_to(learned, len(self.labels)))

    def append(self, n: int, m: int, noise: Any, known: Any, groups: Any) -> Noise:
        """Return the noise of the n rows that there are and of m more; see `GP.append`.

        Raises
        ------
        InvalidInputError
            If what the new rows need is missing, or what they cannot have is given.
        """
        is_by_row = self.learned.size == 0 and self.groups is None
        _check_given("noise", noise, needed=is_by_row, allowed=is_by_row)
        has_known = self.known is not None and not is_by_row
        needs_known = has_known and self.known is not None and self.known.size != 1
        _check_given("known_noise", known, needed=needs_known, allowed=has_known)
        has_groups = self.groups is not None
        _check_given("noise_groups", groups, needed=has_groups, allowed=has_groups)
        new = self.known
        if is_by_row:
            new = validation.check_noise(noise, m, is_fixed=True)[0]
        elif known is not None:
            new = validation.check_known_noise(known, m)
        if self.known is not None and new is not None and new is not self.known:
            new = np.concatenate([np.broadcast_to(self.known, n), np.broadcast_to(new, m)])
        if self.groups is None:
            return replace(self, known=new)
        positions = self._positions(*validation.check_noise_groups(groups, m))
        return replace(self, known=new, groups=np.concatenate([self.groups, positions]))

    def _positions(self, labels: tuple[object, ...], index: IntArray) -> IntArray:
        """Turn the groups of new rows into groups of this noise."""
        unknown = [label for label in labels if label not in self.labels]
        if unknown:
            raise InvalidInputError(
                f"noise_groups has the label {unknown[0]!r}, of which no variance is known; the "
                f"model's labels are {', '.join(map(repr, self.labels))}. Make a new model with "
                "all rows to add a group."
            )
        return np.array([self.labels.index(label) for label in labels], dtype=np.intp)[index]

    def select(self, rows: IntArray) -> Noise:
        """Return the noise of some of the rows."""
        return replace(
            self,
            known=None if self.known is None else _of_rows(self.known, rows),
            groups=None if self.groups is None else self.groups[rows],
        )


def make_noise(
    noise: Any,
    known: Any,
    groups: Any,
    n: int,
    log_bounds: tuple[float, float] | None,
    name: str = "noise",
) -> Noise:
    """Build the noise from what users pass; see `gprat.GP`.

    Raises
    ------
    InvalidInputError
        If the arguments contradict each other, or a value or a shape makes no sense.
    """
    variances = validation.check_known_noise(known, n)
    if groups is None:
        is_fixed = log_bounds is None or validation.as_array(noise, name).ndim > 0
        learned, is_one_for_all = validation.check_noise(noise, n, name, is_fixed=is_fixed)
        if is_one_for_all:
            return Noise(learned, variances, log_bounds=log_bounds)
        if variances is not None:
            raise InvalidInputError(
                f"{name} has one variance for each row, and known_noise too. Pass one of them, or "
                f"one number to learn as {name}."
            )
        return Noise(np.empty(0), learned)
    labels, index = validation.check_noise_groups(groups, n)
    learned, _ = validation.check_noise(noise, len(labels), name, is_fixed=log_bounds is None)
    learned = np.broadcast_to(learned, len(labels))
    return Noise(learned, variances, index, labels, log_bounds)


def _check_given(name: str, value: Any, *, needed: bool, allowed: bool) -> None:
    """Refuse an argument of `GP.append` that is missing, or has no place in the model."""
    if value is None and needed:
        raise InvalidInputError(f"{name} differs between rows in this model. {_NEEDED[name]}")
    if value is not None and not allowed:
        raise InvalidInputError(f"{name} has no place in this model. {_REFUSED[name]}")


def _of_rows(known: Float64Array, rows: IntArray) -> Float64Array:
    return known if known.size == 1 else known[rows]
