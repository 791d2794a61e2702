"""What an optimiser is, and the record of what it tries."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from scipy.optimize import OptimizeResult

from gprat._validation import Float64Array
from gprat.exceptions import InvalidInputError, NotPositiveDefiniteError

__all__ = ["Callback", "Evaluation", "Iteration", "Objective", "Optimizer", "Search", "Stopped"]

# theta -> (loss, its gradient)
Objective: TypeAlias = Callable[[Float64Array], tuple[float, Float64Array]]


@dataclass(frozen=True, slots=True, eq=False)
class Iteration:
    """What a callback is told after each iteration.

    Parameters
    ----------
    iteration : int
        Number of iterations so far, from 1.
    loss : float
        The negative log marginal likelihood where the iteration ended.
    gradient_norm : float
        Euclidean norm of the loss's gradient there.
    theta : ndarray of shape (p,)
        Logarithms of the hyperparameters there.
    """

    iteration: int
    loss: float
    gradient_norm: float
    theta: Float64Array

    @property
    def log_marginal_likelihood(self) -> float:
        """The negative of the loss."""
        return -self.loss


# Returning True, or raising StopIteration, ends the optimisation.
Callback: TypeAlias = Callable[[Iteration], object]


class Optimizer(Protocol):
    """A method of minimisation."""

    def run(self, search: Search, start: Float64Array, bounds: Float64Array) -> tuple[bool, str]:
        """Minimise ``search.evaluate`` from `start` within `bounds`, shapes (p,) and (p, 2).

        Calls ``search.finish_iteration`` after each iteration. Returns whether it converged, and
        why it ended.
        """


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """The loss and its gradient at one theta."""

    theta: Float64Array
    loss: float
    gradient: Float64Array


class Stopped(Exception):  # noqa: N818 - a request, not an error
    """The callback asked to end the optimisation."""


class Search:
    """Evaluates a loss for an optimiser and remembers the best theta, whatever happens.

    Parameters
    ----------
    objective : callable
        Returns the loss and its gradient.
    callback : callable or None
        Told about each iteration.
    """

    def __init__(self, objective: Objective, callback: Callback | None = None) -> None:
        self._objective = objective
        self._callback = callback
        self.best: Evaluation | None = None
        self.n_evaluations = 0
        self.loss_history: list[float] = []

    def evaluate(self, theta: Float64Array) -> Evaluation | None:
        """Evaluate the loss; None where the covariance matrix is not positive definite.

        Raises
        ------
        NotPositiveDefiniteError
            If that happens at the very first theta: there is nothing to go back to.
        InvalidInputError
            If the loss is not finite at the very first theta.
        """
        self.n_evaluations += 1
        try:
            loss, gradient = self._objective(theta)
        except NotPositiveDefiniteError:
            if self.best is None:
                raise
            return None
        if not (math.isfinite(loss) and np.isfinite(gradient).all()):
            if self.best is None:
                raise InvalidInputError(
                    f"the loss at the start is {loss} or its gradient is not finite. Scale y to "
                    "unit variance, or start from other hyperparameters."
                )
            return None
        evaluation = Evaluation(theta.copy(), loss, gradient)
        if self.best is None or loss < self.best.loss:
            self.best = evaluation
        return evaluation

    def finish_iteration(self, evaluation: Evaluation) -> None:
        """Record where an iteration ended and tell the callback.

        Raises
        ------
        Stopped
            If the callback returned True or raised StopIteration.
        """
        self.loss_history.append(evaluation.loss)
        if self._callback is None:
            return
        iteration = Iteration(
            iteration=len(self.loss_history),
            loss=evaluation.loss,
            gradient_norm=float(np.linalg.norm(evaluation.gradient)),
            theta=evaluation.theta.copy(),
        )
        try:
            answer = self._callback(iteration)
        except StopIteration:
            answer = True
        if answer is True:
            raise Stopped

    def minimize(
        self, optimizer: Optimizer, start: Float64Array, bounds: Float64Array
    ) -> OptimizeResult:
        """Run an optimiser.

        Returns
        -------
        scipy.optimize.OptimizeResult
            x (the best theta seen), fun, jac, nit, nfev, success, status, message, loss_history.
        """
        if start.size == 0:
            self.evaluate(start)
            success, message = True, "all hyperparameters are fixed"
        else:
            success, message = self._run(optimizer, start, bounds)
        assert self.best is not None, "an optimiser evaluates its start first"
        return OptimizeResult(
            x=self.best.theta,
            fun=self.best.loss,
            jac=self.best.gradient,
            nit=len(self.loss_history),
            nfev=self.n_evaluations,
            success=success,
            status=0 if success else 1,
            message=message,
            loss_history=np.array(self.loss_history),
        )

    def _run(
        self, optimizer: Optimizer, start: Float64Array, bounds: Float64Array
    ) -> tuple[bool, str]:
        try:
            return optimizer.run(self, start, bounds)
        except Stopped:
            return False, "stopped by the callback"
