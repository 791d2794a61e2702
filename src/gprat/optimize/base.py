"""What an optimiser is, and the one gate through which all evaluations of a loss go."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from scipy.optimize import OptimizeResult

from gprat._validation import Float64Array
from gprat.exceptions import InvalidInputError, NotPositiveDefiniteError

__all__ = [
    "Callback",
    "Evaluation",
    "EvaluationLog",
    "Failure",
    "Iteration",
    "Objective",
    "Optimizer",
    "Search",
    "Stopped",
]

# theta -> (loss, its gradient)
Objective: TypeAlias = Callable[[Float64Array], tuple[float, Float64Array]]


@dataclass(frozen=True, slots=True, eq=False)
class Iteration:
    """What a callback is told after each iteration.

    Parameters
    ----------
    iteration : int
        Number of iterations so far, from 1; it goes on counting from stage to stage.
    loss : float
        The loss where the iteration ended.
    gradient_norm : float
        Euclidean norm of the loss's gradient there.
    theta : ndarray of shape (p,)
        The hyperparameters there, as logarithms except for those that may be negative.
    gradient : ndarray of shape (p,)
        The loss's gradient there.
    stage : int
        Number of rows that the loss is computed from: fewer than all in the early stages of a
        warm start.
    start : int
        Number of the restart, from 0: the first starts at the model's hyperparameters.
    """

    iteration: int
    loss: float
    gradient_norm: float
    theta: Float64Array
    gradient: Float64Array
    stage: int = 0
    start: int = 0

    @property
    def objective(self) -> float:
        """The negative of the loss: what training maximises."""
        return -self.loss

    @property
    def log_marginal_likelihood(self) -> float:
        """The same as `objective`, by the name that fits where nothing else is maximised."""
        return -self.loss


# Returning True, or raising StopIteration, ends the optimisation.
Callback: TypeAlias = Callable[[Iteration], object]


class Optimizer(Protocol):
    """A method of minimisation.

    Its ``repr`` names its settings: a checkpoint is resumed only by an optimiser with the same one.
    """

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


@dataclass(frozen=True, slots=True, eq=False)
class Failure:
    """A theta at which there is no loss, and why."""

    theta: Float64Array
    error: NotPositiveDefiniteError | InvalidInputError


class EvaluationLog(Protocol):
    """The evaluations of an earlier run, in order, which a search need not repeat."""

    def recall(self, theta: Float64Array) -> Evaluation | Failure | None:
        """Return what came next in that run if it was at this very theta."""

    def append(self, outcome: Evaluation | Failure) -> None:
        """Add what was computed."""

    def save(self) -> None:
        """Bring what was added into safety."""


class Stopped(Exception):  # noqa: N818 - a request, not an error
    """The callback, or whoever runs the search, asked to end it."""


class Search:
    """Evaluates a loss for an optimiser and remembers the best theta, whatever happens.

    A theta that was evaluated before is not evaluated again.

    Parameters
    ----------
    objective : callable
        Returns the loss and its gradient.
    callback : callable or None
        Told about each iteration.
    rows, start : int, default=0
        `Iteration.stage` and `Iteration.start`.
    n_earlier_iterations : int, default=0
        What `Iteration.iteration` counts on from.
    log : EvaluationLog or None
        Where evaluations are kept.
    stop : threading.Event or None
        Once it is set, the next evaluation raises `Stopped`.

    Attributes
    ----------
    best : Evaluation or None
        The lowest loss so far.
    n_evaluations : int
        How often the loss was asked for at a new theta.
    iterations : list of Evaluation
        Where each iteration ended.
    """

    def __init__(
        self,
        objective: Objective,
        callback: Callback | None = None,
        *,
        rows: int = 0,
        start: int = 0,
        n_earlier_iterations: int = 0,
        log: EvaluationLog | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self._objective = objective
        self._callback = callback
        self._rows, self._start = rows, start
        self._n_earlier_iterations = n_earlier_iterations
        self._log = log
        self._stop = stop
        self._known: dict[bytes, Evaluation | Failure] = {}
        self.best: Evaluation | None = None
        self.n_evaluations = 0
        self.iterations: list[Evaluation] = []

    def evaluate(self, theta: Float64Array) -> Evaluation | None:
        """Evaluate the loss; None where there is none.

        Raises
        ------
        NotPositiveDefiniteError
            If the covariance matrix has no factor and no theta succeeded yet: there is nothing to
            go back to.
        InvalidInputError
            If the loss is not finite and no theta succeeded yet.
        Stopped
            If the search is to end.
        """
        outcome = self.attempt(theta)
        if isinstance(outcome, Evaluation):
            return outcome
        if self.best is None:
            raise outcome.error
        return None

    def attempt(self, theta: Float64Array) -> Evaluation | Failure:
        """Evaluate the loss like `evaluate`, but return a failure also where nothing succeeded."""
        if self._stop is not None and self._stop.is_set():
            raise Stopped
        key = theta.tobytes()
        if key not in self._known:
            self._known[key] = self._recall_or_compute(theta)
        return self._known[key]

    def finish_iteration(self, evaluation: Evaluation) -> None:
        """Record where an iteration ended and tell the callback.

        Raises
        ------
        Stopped
            If the callback returned True or raised StopIteration.
        """
        self.iterations.append(evaluation)
        if self._log is not None:
            self._log.save()
        if self._callback is None:
            return
        iteration = Iteration(
            iteration=self._n_earlier_iterations + len(self.iterations),
            loss=evaluation.loss,
            gradient_norm=float(np.linalg.norm(evaluation.gradient)),
            theta=evaluation.theta.copy(),
            gradient=evaluation.gradient.copy(),
            stage=self._rows,
            start=self._start,
        )
        try:
            answer = self._callback(iteration)
        except StopIteration:
            answer = True
        if answer is True:
            raise Stopped

    def run(
        self, optimizer: Optimizer, start: Float64Array, bounds: Float64Array
    ) -> tuple[bool, str]:
        """Run an optimiser, and return whether it converged and why it ended."""
        if start.size == 0:
            self.evaluate(start)
            return True, "all hyperparameters are fixed"
        return optimizer.run(self, start, bounds)

    def minimize(
        self, optimizer: Optimizer, start: Float64Array, bounds: Float64Array
    ) -> OptimizeResult:
        """Run an optimiser until it ends or the callback ends it.

        Returns
        -------
        scipy.optimize.OptimizeResult
            x (the best theta seen), fun, jac, nit, nfev, success, status, message, loss_history.
        """
        try:
            success, message = self.run(optimizer, start, bounds)
        except Stopped:
            success, message = False, "stopped by the callback"
        assert self.best is not None, "an optimiser evaluates its start first"
        return OptimizeResult(
            x=self.best.theta,
            fun=self.best.loss,
            jac=self.best.gradient,
            nit=len(self.iterations),
            nfev=self.n_evaluations,
            success=success,
            status=0 if success else 1,
            message=message,
            loss_history=np.array([evaluation.loss for evaluation in self.iterations]),
        )

    def _recall_or_compute(self, theta: Float64Array) -> Evaluation | Failure:
        outcome = None if self._log is None else self._log.recall(theta)
        if outcome is None:
            outcome = _compute(self._objective, theta.copy())
            if self._log is not None:
                self._log.append(outcome)
        self.n_evaluations += 1
        if isinstance(outcome, Evaluation) and (self.best is None or outcome.loss < self.best.loss):
            self.best = outcome
        return outcome


def _compute(objective: Objective, theta: Float64Array) -> Evaluation | Failure:
    try:
        loss, gradient = objective(theta)
    except NotPositiveDefiniteError as error:
        return Failure(theta, error)
    if math.isfinite(loss) and np.isfinite(gradient).all():
        return Evaluation(theta, float(loss), np.array(gradient, dtype=np.float64))
    what = f"is {loss}" if not math.isfinite(loss) else "has a gradient that is not finite"
    return Failure(
        theta,
        InvalidInputError(
            f"the loss at the start {what}. Scale y to unit variance, or start from other "
            "hyperparameters, where every prior has a density."
        ),
    )
