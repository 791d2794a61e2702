"""The minimisations that one training of a batch consists of, and what becomes of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt

from gprat._validation import Float64Array
from gprat.batch.hyperparameters import BatchHyperparameters
from gprat.batch.lockstep import Lockstep, Minima, Settings, Status
from gprat.batch.progress import BatchProgress
from gprat.batch.report import BatchReport
from gprat.noise import IntArray
from gprat.optimize.report import near_bound

__all__ = ["BatchCallback", "BatchIteration", "Fit"]

_Array = TypeVar("_Array", bound=npt.NDArray[Any])

# Hyperparameters change by no more than a factor of exp(4) a step: farther away the parabola that
# is known here says nothing.
_LONGEST_STEP = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class BatchIteration:
    """What a callback is told after each round.

    Parameters
    ----------
    n_rounds : int
        Number of rounds so far, from 1.
    n_running : int
        How many minimisations go on.
    loss : ndarray of shape (b,)
        The lowest loss of each member so far.
    theta : ndarray of shape (b, p)
        Where that was.
    """

    n_rounds: int
    n_running: int
    loss: Float64Array
    theta: Float64Array


# Returning True, or raising StopIteration, ends the training.
BatchCallback: TypeAlias = Callable[[BatchIteration], object]


# hyperparameters, members and their theta -> losses, infinite where there is none, and gradients
Losses: TypeAlias = Callable[
    [BatchHyperparameters, IntArray, Float64Array], tuple[Float64Array, Float64Array]
]


class Fit:
    """One training of a batch: so many minimisations for each member as it has starts.

    Parameters
    ----------
    start : BatchHyperparameters
        Where the first start of each member is.
    members : ndarray of shape (r,), int
        Those that are trained; their minimisations follow each other, start after start.
    losses : callable
        What is minimised.
    active : ndarray of int
        The columns of theta that are trained.
    max_iter : int
        The most iterations of each.
    """

    def __init__(
        self,
        start: BatchHyperparameters,
        members: IntArray,
        losses: Losses,
        active: IntArray,
        max_iter: int,
    ) -> None:
        self._began = time.perf_counter()
        self._start, self._members, self._losses, self._active = start, members, losses, active
        self._theta = start.theta
        self._bounds = start.finite_bounds[active]
        longest = np.where(start.is_log, _LONGEST_STEP, np.inf)[active]
        self._settings = Settings(longest_step=longest, max_iter=max_iter)
        self._n_rounds = 0

    def begin(self, others: Float64Array) -> None:
        """Evaluate all starts: the members' own, and others, shape (r · n_others, p)."""
        starts = np.concatenate([self._theta[self._members], others])[:, self._active]
        self._n_starts = 1 + len(others) // max(1, self._members.size)
        self._search = Lockstep(self._evaluate, starts, self._bounds, self._settings)
        self._initial_loss = self._search.minima.loss[: self._members.size]

    def failed(self) -> IntArray:
        """Return the members that have no loss at any start."""
        fails = self._search.minima.status == Status.FAILED
        failed: IntArray = self._members[fails.reshape(self._n_starts, -1).all(axis=0)]
        return failed

    def run(self, display: BatchProgress, callback: BatchCallback | None) -> None:
        """Go on until all have ended, or the callback ends them."""
        self._search.run(lambda minima: self._tell(minima, display, callback))

    def report(self) -> BatchReport:
        """Return what was reached so far."""
        minima = self._search.minima
        best, theta = self._best(minima), self._full_theta(minima, self._best(minima))
        gradient = np.zeros_like(theta)
        gradient[:, self._active] = self._of_all(minima.gradient[best], np.nan)
        evaluations = minima.n_evaluations.reshape(self._n_starts, -1).sum(axis=0)
        places = np.zeros(theta.shape, dtype=np.intp)
        places[:, self._active] = near_bound(theta[:, self._active], self._bounds)
        return BatchReport(
            names=self._start.names,
            is_log=self._start.is_log,
            theta=theta,
            initial_theta=self._theta,
            loss=self._of_all(minima.loss[best], np.inf),
            initial_loss=self._of_all(self._initial_loss, np.inf),
            gradient=gradient,
            status=self._of_all(minima.status[best], Status.FAILED),
            at_bounds=places,
            n_iterations=self._of_all(minima.n_iterations[best], 0),
            n_evaluations=self._of_all(evaluations, 0),
            n_starts=self._n_starts,
            n_rounds=self._n_rounds,
            seconds=time.perf_counter() - self._began,
        )

    def _evaluate(self, rows: IntArray, theta: Float64Array) -> tuple[Float64Array, Float64Array]:
        members = self._members[rows % max(1, self._members.size)]
        full = self._theta[members]
        full[:, self._active] = theta
        loss, gradient = self._losses(self._start, members, full)
        return loss, gradient[:, self._active]

    def _tell(
        self, minima: Minima, display: BatchProgress, callback: BatchCallback | None
    ) -> object:
        self._n_rounds += 1
        n_running = int((minima.status == Status.RUNNING).sum())
        display.show(minima.status.size - n_running, self._n_rounds)
        if callback is None:
            return None
        best = self._best(minima)
        loss, theta = self._of_all(minima.loss[best], np.inf), self._full_theta(minima, best)
        try:
            return callback(BatchIteration(self._n_rounds, n_running, loss, theta))
        except StopIteration:
            return True

    def _best(self, minima: Minima) -> IntArray:
        """Return for each member which minimisation is the best."""
        losses = minima.loss.reshape(self._n_starts, -1)
        best: IntArray = losses.argmin(axis=0) * losses.shape[1] + np.arange(losses.shape[1])
        return best

    def _full_theta(self, minima: Minima, best: IntArray) -> Float64Array:
        theta = self._theta.copy()
        members = self._members[np.isfinite(minima.loss[best])]
        found = minima.theta[best[np.isfinite(minima.loss[best])]]
        theta[np.ix_(members, self._active)] = found
        return theta

    def _of_all(self, values: _Array, others: float) -> _Array:
        """Return an array over all members, also over those whose data cannot be used."""
        result = np.full_like(values, others, shape=(len(self._theta), *values.shape[1:]))
        result[self._members] = values
        return cast("_Array", result)
