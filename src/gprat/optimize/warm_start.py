"""Warm starts: train on some of the rows first, where an evaluation costs next to nothing.

An evaluation costs n³: sixty on a quarter of the rows cost as much as one on all of them. What they
teach about where the optimum lies, and how the loss curves there in all directions, mostly saves
more than half of the evaluations on all rows. Where the loss has several optima, training may end
in another one.
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
from gprat.optimize.trust_region import TrustRegionBFGS

__all__ = [
    "Curvature",
    "check_schedule",
    "default_schedule",
    "first_point",
    "for_stage",
    "measure_curvature",
    "nested_subsets",
    "uses_curvature",
]

_FEWEST_ROWS = 2000
_ROWS_PER_PARAMETER = 20
# Below the noise that comes from which rows were drawn.
_COARSE_TOLERANCE = 1e-6
# What the last stage, and what an early one, may leave to be gained, in the units of the loss: a
# thousandth and a seventh of a standard error.
_GAIN, _COARSE_GAIN = 1e-6, 1e-2
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
        A quarter of the rows, then half of them; empty below 2000 rows, where an evaluation on all
        of them is cheap, and where a quarter is fewer than 20 rows a hyperparameter.

    Notes
    -----
    Fewer rows are cheaper still, but end in poor optima more often. The optimum moves with the
    number of rows, and the curvature with it: a few steps on half of the rows, an eighth of the
    cost each, correct both.

    Examples
    --------
    >>> default_schedule(n_rows=1000, p=5), default_schedule(n_rows=16_000, p=5)
    ((), (4000, 8000))
    """
    coarse = n_rows // 4
    if n_rows < _FEWEST_ROWS or p == 0 or coarse < _ROWS_PER_PARAMETER * p:
        return ()
    return (coarse, n_rows // 2)


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


def first_point(
    search: Search, start: Float64Array, optimum: Float64Array | None, highest_loss: float
) -> Evaluation | Failure:
    """Evaluate the loss where a stage may begin, and return the lower one, or the last failure.

    Parameters
    ----------
    search : Search
        Evaluates the stage's loss.
    start : ndarray of shape (p,)
        Where training started.
    optimum : ndarray of shape (p,) or None
        Of the stage before.
    highest_loss : float
        The start is evaluated too only where the loss at the optimum is above: a bad optimum.
    """
    candidate = search.attempt(start if optimum is None else optimum)
    if optimum is None or (isinstance(candidate, Evaluation) and candidate.loss <= highest_loss):
        return candidate
    other = search.attempt(start)
    if isinstance(other, Failure):
        return candidate if isinstance(candidate, Evaluation) else other
    is_lower = isinstance(candidate, Failure) or other.loss < candidate.loss
    return other if is_lower else candidate


@dataclass(frozen=True, eq=False)
class Curvature:
    """Second derivatives of the loss on some rows.

    Parameters
    ----------
    hessian : ndarray of shape (p, p)
        Estimate, symmetric; where nothing is known of a hyperparameter, a long step along it raises
        the loss by a half.
    typical : ndarray of shape (p,)
        Length of a long step.
    rows : int
        Number of rows; the loss and its curvature grow in proportion to them.
    """

    hessian: Float64Array
    typical: Float64Array
    rows: int

    def at(self, rows: int) -> Float64Array:
        """Return what it makes of the Hessian on `rows` rows."""
        scaled: Float64Array = self.hessian * (rows / self.rows)
        return scaled


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
    columns = np.full((theta.size, theta.size), np.nan)
    for entry, step in enumerate(_DIFFERENCE * typical):
        has_room = theta[entry] + step <= bounds[entry, 1]
        moved = theta.copy()
        moved[entry] += step if has_room else -step
        if moved[entry] < bounds[entry, 0]:
            continue
        there = search.attempt(moved)
        if isinstance(there, Evaluation):
            change = there.gradient - here.gradient
            columns[:, entry] = change / (moved[entry] - theta[entry])
    hessian = 0.5 * (columns + columns.T)
    unknown = np.isnan(columns).any(axis=0)
    hessian[unknown | unknown[:, None]] = 0.0
    hessian[unknown, unknown] = typical[unknown] ** -2.0
    return Curvature(hessian, typical, rows)


def uses_curvature(optimizer: Optimizer) -> bool:
    """Return whether an optimiser gives way to one that knows the curvature.

    That is L-BFGS-B, unless it was told a scale or a gradient tolerance, which mean something for
    its own variables only.
    """
    if not isinstance(optimizer, LBFGSB):
        return False
    return optimizer.scale is None and optimizer.gradient_tolerance is None


def for_stage(
    optimizer: Optimizer, rows: int, curvature: Curvature | None, is_last: bool
) -> Optimizer:
    """Return the optimiser for one stage.

    Where the curvature is known, `TrustRegionBFGS` takes the place of L-BFGS-B, with its limits;
    it ends where no more than a millionth is to be gained. Both are loose before the last stage.
    Other optimisers are returned as they are.
    """
    if not isinstance(optimizer, LBFGSB):
        return optimizer
    if curvature is not None:
        return TrustRegionBFGS(
            curvature.at(rows),
            curvature.typical,
            max_iter=optimizer.max_iter,
            tolerance=optimizer.tolerance,
            negligible=_GAIN if is_last else _COARSE_GAIN,
        )
    if not is_last:
        optimizer = replace(optimizer, tolerance=max(optimizer.tolerance, _COARSE_TOLERANCE))
    return optimizer
