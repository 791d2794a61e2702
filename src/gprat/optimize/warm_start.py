"""Warm starts: train on some of the rows first, where an evaluation costs next to nothing.

An evaluation costs n³: sixty on a quarter of the rows cost as much as one on all of them. What they
teach about where the optimum lies, and how sharply the loss curves there, saves more than half of
the evaluations on all rows. Where the loss has several optima, training may end in another one.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gprat._validation import Float64Array
from gprat.exceptions import InvalidInputError
from gprat.optimize.base import Evaluation, Failure, Optimizer, Search
from gprat.optimize.lbfgs import LBFGSB
from gprat.optimize.task import BoolArray, IntArray

__all__ = [
    "Curvature",
    "check_schedule",
    "default_schedule",
    "first_point",
    "for_stage",
    "is_scalable",
    "measure_curvature",
    "nested_subsets",
]

_FEWEST_ROWS = 2000
_ROWS_PER_PARAMETER = 20
# Below the noise that comes from which rows were drawn.
_COARSE_TOLERANCE = 1e-6
# Of a gradient by variables that are scaled by the curvature: a hundredth of a standard error.
_SCALED_GRADIENT_TOLERANCE = 0.01
# Of a typical step: long enough for the differences of a gradient in single precision.
_DIFFERENCE = 1e-2


def default_schedule(n_rows: int, p: int) -> tuple[int, ...]:
    """Return the rows of the early stages that suit a problem.

    Parameters
    ----------
    n_rows : int
        Number of training rows.
    p : int
        Number of hyperparameters.

    Returns
    -------
    tuple of int
        A quarter of the rows; empty below 2000 rows, where an evaluation on all of them is cheap,
        and where a quarter is fewer than 20 rows a hyperparameter.

    Notes
    -----
    Fewer rows are cheaper still, but end in poor optima more often. A second early stage, on half
    of the rows, costs as much as it saves.

    Examples
    --------
    >>> default_schedule(n_rows=1000, p=5), default_schedule(n_rows=16_000, p=5)
    ((), (4000,))
    """
    coarse = n_rows // 4
    if n_rows < _FEWEST_ROWS or p == 0 or coarse < _ROWS_PER_PARAMETER * p:
        return ()
    return (coarse,)


def check_schedule(sizes: Any, n_rows: int, p: int) -> tuple[int, ...]:
    """Return the rows of the early stages: none for None, the default for "auto"."""
    if sizes is None:
        return ()
    if isinstance(sizes, str) and sizes == "auto":
        return default_schedule(n_rows, p)
    try:
        schedule = tuple(operator.index(size) for size in sizes)
    except TypeError:
        schedule = (0,)
    ascending = all(small < large for small, large in itertools.pairwise(schedule))
    if schedule and not (schedule[0] > 0 and ascending and schedule[-1] < n_rows):
        raise InvalidInputError(
            f"warm_start must be None, 'auto' or numbers of rows that ascend and are below the "
            f"{n_rows} rows of X, got {sizes!r}. Pass for example ({n_rows // 4},)."
        )
    return schedule


def nested_subsets(n_rows: int, sizes: Sequence[int], seed: int) -> tuple[IntArray, ...]:
    """Return ascending indices of random rows, each set a part of the next.

    Parameters
    ----------
    n_rows : int
        Number of rows to choose from.
    sizes : sequence of int
        How many to choose, ascending.
    seed : int
        Of the permutation whose beginnings they are.

    Examples
    --------
    >>> small, large = nested_subsets(10, (2, 5), seed=0)
    >>> small.size, large.size, set(small) <= set(large)
    (2, 5, True)
    """
    if not sizes:
        return ()
    order = np.random.default_rng(seed).permutation(n_rows)
    return tuple(np.sort(order[:size]).astype(np.intp) for size in sizes)


def first_point(search: Search, candidates: Sequence[Float64Array]) -> Evaluation | Failure:
    """Evaluate the loss at all candidates; return the lowest, or the failure of the last."""
    outcomes = [search.attempt(theta) for theta in candidates]
    evaluations = [outcome for outcome in outcomes if isinstance(outcome, Evaluation)]
    return min(evaluations, key=lambda outcome: outcome.loss, default=outcomes[-1])


@dataclass(frozen=True, eq=False)
class Curvature:
    """Second derivatives of the loss on some rows along each hyperparameter.

    Parameters
    ----------
    diagonal : ndarray of shape (p,)
        Estimates; NaN where unknown.
    typical : ndarray of shape (p,)
        Length of a long step.
    rows : int
        Number of rows; the loss and its curvature grow in proportion to them.
    """

    diagonal: Float64Array
    typical: Float64Array
    rows: int

    def scale(self, rows: int) -> tuple[float, ...]:
        """Return steps along each hyperparameter that raise a loss of `rows` rows by a half."""
        diagonal = self.diagonal * (rows / self.rows)
        # Flat, or unknown, or even falling: no more than a long step.
        shortest_curvature = self.typical**-2.0
        safe = np.where(diagonal > shortest_curvature, diagonal, shortest_curvature)
        return tuple((safe**-0.5).tolist())


def measure_curvature(
    search: Search, theta: Float64Array, bounds: Float64Array, is_log: BoolArray, rows: int
) -> Curvature:
    """Difference the gradient once along each hyperparameter: p evaluations.

    Parameters
    ----------
    search : Search
        Has evaluated `theta`.
    theta : ndarray of shape (p,)
        Where, within the bounds.
    bounds : ndarray of shape (p, 2)
        Not left: near an upper bound the step goes down.
    is_log : ndarray of shape (p,), bool
        A long step is 1 in a logarithm; in the hyperparameter itself its own size, at least 1.
    rows : int
        Number of rows that the search's loss is computed from.
    """
    typical = np.where(is_log, 1.0, np.maximum(1.0, np.abs(theta)))
    here = search.attempt(theta)
    assert isinstance(here, Evaluation)
    diagonal = np.full(theta.size, np.nan)
    for entry, step in enumerate(_DIFFERENCE * typical):
        has_room = theta[entry] + step <= bounds[entry, 1]
        moved = theta.copy()
        moved[entry] += step if has_room else -step
        if moved[entry] < bounds[entry, 0]:
            continue
        there = search.attempt(moved)
        if isinstance(there, Evaluation):
            change = there.gradient[entry] - here.gradient[entry]
            diagonal[entry] = change / (moved[entry] - theta[entry])
    return Curvature(diagonal, typical, rows)


def is_scalable(optimizer: Optimizer) -> bool:
    """Return whether an optimiser makes use of curvature."""
    return isinstance(optimizer, LBFGSB) and optimizer.scale is None


def for_stage(
    optimizer: Optimizer, rows: int, curvature: Curvature | None, is_last: bool
) -> Optimizer:
    """Return the optimiser for one stage.

    L-BFGS-B is loose before the last one. Where the curvature is known, it is scaled by that and,
    unless told otherwise, ends a hundredth of a standard error off the optimum: what is gained
    beyond that, mostly along hyperparameters that hardly matter, costs most of the evaluations.
    Other optimisers are returned as they are.
    """
    if not isinstance(optimizer, LBFGSB):
        return optimizer
    if curvature is not None:
        gradient_tolerance = optimizer.gradient_tolerance
        if gradient_tolerance is None:
            gradient_tolerance = _SCALED_GRADIENT_TOLERANCE
        optimizer = replace(
            optimizer, scale=curvature.scale(rows), gradient_tolerance=gradient_tolerance
        )
    if not is_last:
        optimizer = replace(optimizer, tolerance=max(optimizer.tolerance, _COARSE_TOLERANCE))
    return optimizer
