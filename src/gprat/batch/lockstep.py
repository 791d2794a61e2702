"""Many small minimisations at once, in step: one call evaluates all that are still at work.

Each is a projected quasi-Newton method within bounds (Bertsekas 1982; the matrix by the BFGS
formula, Nocedal and Wright 2006, equation 6.19, as it stands: for a few variables). What the steps
cost is shared by all, as they are array operations on a row for each minimisation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from gprat._validation import Float64Array
from gprat.noise import IntArray
from gprat.optimize.task import BoolArray

__all__ = ["Lockstep", "Minima", "Settings", "Status"]

# rows, their points -> losses, infinite where there is none, and gradients
Evaluate: TypeAlias = Callable[[IntArray, Float64Array], tuple[Float64Array, Float64Array]]

_Array = TypeVar("_Array", bound=npt.NDArray[Any])
_Method = TypeVar("_Method", bound=Callable[..., Any])

# Part of the expected decrease that a step has to bring (Armijo), and how often it is shortened.
_SUFFICIENT, _MOST_SHORTENINGS = 1e-4, 20
# A step is shortened to a part of it within these; to this, where there is no loss.
_SHORTEST, _LONGEST, _WITHOUT_LOSS = 0.1, 0.5, 0.3
# How many iterations in a row may bring next to nothing.
_MOST_FLAT = 3
# By what the curvature is lowered where a step found none.
_FLATTER = 0.25


def _of_any_size(method: _Method) -> _Method:
    """Let losses and gradients be so large that a step overflows: it then is one that fails."""
    return np.errstate(all="ignore")(method)


class Status(IntEnum):
    """How far a minimisation has come."""

    RUNNING = 0
    """It goes on, or was cut short."""
    CONVERGED = 1
    """The gradient is small, or the loss falls no more."""
    MAX_ITER = 2
    """It took as many iterations as it may."""
    STALLED = 3
    """No lower loss was found along the gradient."""
    FAILED = 4
    """There is no loss at the start."""


@dataclass(frozen=True, slots=True)
class Settings:
    """When a minimisation ends.

    Parameters
    ----------
    max_iter : int, default=1000
        The most iterations.
    tolerance : float, default=2.2e-9
        It ends where an iteration lowers the loss by less than this part of it, and the next one
        promises no more than ten times that.
    gradient_tolerance : float, default=1e-5
        It ends where no entry of the gradient, projected to the bounds, is larger.
    longest_step : ndarray of shape (p,)
        The most that a step may change each variable by; infinite for no limit.
    """

    longest_step: Float64Array
    max_iter: int = 1000
    tolerance: float = 2.2e-9
    gradient_tolerance: float = 1e-5


@dataclass(frozen=True, slots=True, eq=False)
class Minima:
    """The lowest loss so far of each minimisation, a row each; arrays are never changed."""

    theta: Float64Array
    loss: Float64Array
    gradient: Float64Array
    status: IntArray
    n_iterations: IntArray
    n_evaluations: IntArray


class Lockstep:
    """Minimises a loss from each row of `starts`, within bounds that all share.

    Parameters
    ----------
    evaluate : callable
        ``evaluate(rows, theta)`` returns the losses, shape (a,), and gradients, (a, p), of some of
        the minimisations, at theta, (a, p). A loss that is not finite stands for none: the step is
        shortened.
    starts : ndarray of shape (r, p)
        Where they start; moved to the nearest point within the bounds.
    bounds : ndarray of shape (p, 2)
        Lower and upper bounds.
    settings : Settings
        When they end.

    Attributes
    ----------
    minima : Minima
        The state, which is replaced as a whole: whatever ends a run, it is one that was reached.

    Examples
    --------
    >>> import numpy as np
    >>> centres = np.array([[1.0], [5.0]])
    >>> def evaluate(rows, theta):
    ...     return ((theta - centres[rows]) ** 2).sum(axis=1), 2.0 * (theta - centres[rows])
    >>> bounds, settings = np.array([[0.0, 4.0]]), Settings(longest_step=np.array([np.inf]))
    >>> search = Lockstep(evaluate, np.zeros((2, 1)), bounds, settings)
    >>> search.run(lambda minima: None)
    >>> search.minima.theta
    array([[1.],
           [4.]])
    """

    def __init__(
        self, evaluate: Evaluate, starts: Float64Array, bounds: Float64Array, settings: Settings
    ) -> None:
        self._evaluate = evaluate
        self._lower, self._upper = bounds.T
        self._settings = settings
        theta = np.clip(starts, self._lower, self._upper)
        r, p = theta.shape
        loss, gradient = evaluate(np.arange(r), theta)
        fails = ~_has_loss(loss, gradient)
        self.minima = Minima(
            theta,
            np.where(fails, np.inf, loss),
            np.where(fails[:, None], np.nan, gradient),
            np.where(fails, Status.FAILED, Status.RUNNING),
            np.zeros(r, dtype=np.intp),
            np.ones(r, dtype=np.intp),
        )
        # The approximate Hessian, and whether it has seen any curvature yet.
        self._hessian = np.tile(np.eye(p), (r, 1, 1))
        self._is_new = np.ones(r, dtype=bool)
        # Where the present line search looks, and how often it was shortened.
        self._direction = np.zeros((r, p))
        self._length = np.ones(r)
        self._shortenings = np.zeros(r, dtype=np.intp)
        self._flat = np.zeros(r, dtype=np.intp)
        rows = np.flatnonzero(~fails)
        self._end(rows, self._is_stationary(rows), Status.CONVERGED)
        rows = np.flatnonzero(self.minima.status == Status.RUNNING)
        self._forget(rows)
        self._aim(rows)

    def run(self, tell: Callable[[Minima], object]) -> None:
        """Go on until all have ended, or until `tell`, called after each round, returns True."""
        while (rows := np.flatnonzero(self.minima.status == Status.RUNNING)).size:
            self._step(rows)
            if tell(self.minima) is True:
                return

    def _step(self, rows: IntArray) -> None:
        """Evaluate one point of each, and take it or look nearer."""
        minima = self.minima
        theta, loss, gradient = minima.theta[rows], minima.loss[rows], minima.gradient[rows]
        trial = theta + self._length[rows, None] * self._direction[rows]
        trial = np.clip(trial, self._lower, self._upper)
        trial_loss, trial_gradient = self._evaluate(rows, trial)
        exists = _has_loss(trial_loss, trial_gradient)
        expected = np.einsum("ri,ri->r", gradient, trial - theta)
        with np.errstate(all="ignore"):
            change = trial_loss - loss
            is_lower = exists & (expected < 0.0) & (change <= _SUFFICIENT * expected)
        n_evaluations = minima.n_evaluations.copy()
        n_evaluations[rows] += 1
        self.minima = minima = replace(minima, n_evaluations=n_evaluations)
        taken = np.flatnonzero(is_lower)
        if taken.size:
            with np.errstate(all="ignore"):
                steps = trial[taken] - theta[taken], trial_gradient[taken] - gradient[taken]
            self._accept(rows[taken], trial[taken], trial_loss[taken], trial_gradient[taken])
            self._learn(rows[taken], *steps)
            self._aim(rows[taken])
            self._end_where_done(rows[taken], -change[taken])
        refused = np.flatnonzero(~is_lower)
        if refused.size:
            self._look_nearer(
                rows[refused], expected[refused], change[refused], exists[refused], loss[refused]
            )

    def _accept(
        self, rows: IntArray, theta: Float64Array, loss: Float64Array, gradient: Float64Array
    ) -> None:
        old = self.minima
        self.minima = replace(
            old,
            theta=_with_rows(old.theta, rows, theta),
            loss=_with_rows(old.loss, rows, loss),
            gradient=_with_rows(old.gradient, rows, gradient),
            n_iterations=_with_rows(old.n_iterations, rows, old.n_iterations[rows] + 1),
        )

    @_of_any_size
    def _learn(self, rows: IntArray, step: Float64Array, change: Float64Array) -> None:
        """Update the Hessians by what the gradients changed over a step."""
        curvature = np.einsum("ri,ri->r", step, change)
        squares = np.einsum("ri,ri->r", change, change)
        lengths = np.einsum("ri,ri->r", step, step)
        is_curved = curvature > 1e-10 * np.sqrt(squares * lengths)
        straight = rows[~is_curved]
        self._hessian[straight] *= _FLATTER
        rows, step, change = rows[is_curved], step[is_curved], change[is_curved]
        if not rows.size:
            return
        curvature, squares = curvature[is_curved], squares[is_curved]
        # The first curvature that is seen gives the scale (Nocedal and Wright, equation 6.20).
        new = self._is_new[rows]
        scale = (squares / curvature)[new, None, None]
        self._hessian[rows[new]] = scale * np.eye(step.shape[1])
        self._is_new[rows] = False
        hessian = self._hessian[rows]
        product = np.einsum("rij,rj->ri", hessian, step)
        along = np.einsum("ri,ri->r", step, product)
        hessian += change[:, :, None] * (change / curvature[:, None])[:, None, :]
        hessian -= product[:, :, None] * (product / along[:, None])[:, None, :]
        self._hessian[rows] = hessian

    @_of_any_size
    def _aim(self, rows: IntArray) -> None:
        """Start new line searches, each along the quasi-Newton step of the free variables."""
        theta, gradient = self.minima.theta[rows], self.minima.gradient[rows]
        at_lower, at_upper = theta <= self._lower, theta >= self._upper
        is_free = ~((at_lower & (gradient > 0.0)) | (at_upper & (gradient < 0.0)))
        direction = _newton_step(self._hessian[rows], gradient, is_free)
        leaves = (at_lower & (direction < 0.0)) | (at_upper & (direction > 0.0))
        again = np.flatnonzero(leaves.any(axis=1))
        if again.size:
            # They stay at their bounds, too.
            still_free = is_free[again] & ~leaves[again]
            hessian = self._hessian[rows[again]]
            direction[again] = _newton_step(hessian, gradient[again], still_free)
            leaves = (at_lower & (direction < 0.0)) | (at_upper & (direction > 0.0))
            direction[leaves] = 0.0
        slope = np.einsum("ri,ri->r", gradient, direction)
        # Written so that NaN is none.
        lost = np.flatnonzero(~((slope < 0.0) & np.isfinite(direction).all(axis=1)))
        if lost.size:
            self._forget(rows[lost])
            size = self._hessian[rows[lost], 0, 0]
            direction[lost] = np.where(is_free[lost], -gradient[lost], 0.0) / size[:, None]
        excess = (np.abs(direction) / self._settings.longest_step).max(axis=1, initial=1.0)
        self._direction[rows] = direction / excess[:, None]
        self._length[rows] = 1.0
        self._shortenings[rows] = 0

    def _forget(self, rows: IntArray) -> None:
        """Begin anew with the gradient alone, whose steps are no longer than one."""
        p = self._lower.size
        # By hypotenuses, which don't overflow where squares would.
        size = np.maximum(1.0, np.hypot.reduce(self.minima.gradient[rows], axis=1))
        self._hessian[rows] = size[:, None, None] * np.eye(p)
        self._is_new[rows] = True

    @_of_any_size
    def _look_nearer(
        self,
        rows: IntArray,
        expected: Float64Array,
        change: Float64Array,
        exists: BoolArray,
        loss: Float64Array,
    ) -> None:
        """Shorten the steps, by the parabola through what is known; or give up."""
        part = -0.5 * expected / (change - expected)
        nothing = self._settings.tolerance * np.maximum(1.0, np.abs(loss))
        # Only rounding is left to be gained.
        is_flat = exists & (np.abs(change) <= nothing) & (np.abs(expected) <= nothing)
        part = np.where(exists & (part <= _LONGEST), np.maximum(part, _SHORTEST), _LONGEST)
        self._length[rows] *= np.where(exists, part, _WITHOUT_LOSS)
        self._shortenings[rows] += 1
        self._end(rows, is_flat, Status.CONVERGED)
        gives_up = (self._shortenings[rows] > _MOST_SHORTENINGS) & ~is_flat
        self._end(rows, gives_up & self._is_new[rows], Status.STALLED)
        anew = rows[gives_up & ~self._is_new[rows]]
        if anew.size:
            self._forget(anew)
            self._aim(anew)

    @_of_any_size
    def _end_where_done(self, rows: IntArray, decrease: Float64Array) -> None:
        settings, minima = self._settings, self.minima
        nothing = settings.tolerance * np.maximum(1.0, np.abs(minima.loss[rows]))
        promised = -0.5 * np.einsum("ri,ri->r", minima.gradient[rows], self._direction[rows])
        is_flat = decrease <= nothing
        self._flat[rows] = np.where(is_flat, self._flat[rows] + 1, 0)
        ends = is_flat & ((promised <= 10.0 * nothing) | (self._flat[rows] >= _MOST_FLAT))
        self._end(rows, minima.n_iterations[rows] >= settings.max_iter, Status.MAX_ITER)
        self._end(rows, ends | self._is_stationary(rows), Status.CONVERGED)

    @_of_any_size
    def _is_stationary(self, rows: IntArray) -> BoolArray:
        theta, gradient = self.minima.theta[rows], self.minima.gradient[rows]
        projected = theta - np.clip(theta - gradient, self._lower, self._upper)
        largest: Float64Array = np.abs(projected).max(axis=1, initial=0.0)
        return largest <= self._settings.gradient_tolerance

    def _end(self, rows: IntArray, which: BoolArray, status: Status) -> None:
        if which.any():
            changed = _with_rows(self.minima.status, rows[which], np.intp(status))
            self.minima = replace(self.minima, status=changed)


def _has_loss(loss: Float64Array, gradient: Float64Array) -> BoolArray:
    exists: BoolArray = np.isfinite(loss) & np.isfinite(gradient).all(axis=1)
    return exists


def _with_rows(array: _Array, rows: IntArray, values: Any) -> _Array:
    """Return a copy with other values in some rows."""
    changed = array.copy()
    changed[rows] = values
    return changed


def _newton_step(hessian: Float64Array, gradient: Float64Array, is_free: BoolArray) -> Float64Array:
    """Solve for the free variables; the others stay. NaN where there is no solution."""
    both = is_free[:, :, None] & is_free[:, None, :]
    matrices = np.where(both, hessian, np.eye(gradient.shape[1]))
    right = np.where(is_free, -gradient, 0.0)
    try:
        solution: Float64Array = np.linalg.solve(matrices, right[:, :, None])[:, :, 0]
    except np.linalg.LinAlgError:
        # One of them is singular to the last bit: nobody is told which.
        return np.full(gradient.shape, np.nan)
    return solution
