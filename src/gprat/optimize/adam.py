"""Adam: gradient descent with running means of the gradient and its square (Kingma and Ba 2015)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from gprat._validation import Float64Array
from gprat.exceptions import InvalidInputError
from gprat.optimize.base import Evaluation, Search

__all__ = ["Adam", "Moments", "Schedule"]

_DECAY_MEAN, _DECAY_SQUARE, _EPSILON = 0.9, 0.999, 1e-8
_SMALLEST_GRADIENT = 1e-5


@dataclass
class Moments:
    """Running means of the gradient and of its square, with the number of steps in them.

    Parameters
    ----------
    size : int
        Number of variables.

    Examples
    --------
    >>> import numpy as np
    >>> moments = Moments(size=2)
    >>> moments.step(np.array([4.0, -0.1]), learning_rate=0.5).round(6)
    array([-0.5,  0.5])
    """

    size: int
    n_steps: int = 0
    mean: Float64Array = field(init=False)
    square: Float64Array = field(init=False)

    def __post_init__(self) -> None:
        self.mean = np.zeros(self.size)
        self.square = np.zeros(self.size)

    def step(self, gradient: Float64Array, learning_rate: float) -> Float64Array:
        """Take up a gradient, shape (size,), and return the step (Kingma and Ba, algorithm 1)."""
        self.n_steps += 1
        self.mean += (1.0 - _DECAY_MEAN) * (gradient - self.mean)
        self.square += (1.0 - _DECAY_SQUARE) * (gradient**2 - self.square)
        mean = self.mean / (1.0 - _DECAY_MEAN**self.n_steps)
        square = self.square / (1.0 - _DECAY_SQUARE**self.n_steps)
        return -learning_rate * mean / (np.sqrt(square) + _EPSILON)


# (iteration from 0, max_iter) -> what the learning rate is multiplied by
Schedule: TypeAlias = Callable[[int, int], float]


def _cosine(iteration: int, max_iter: int) -> float:
    """Fall from 1 to 0 along half a wave (Loshchilov and Hutter 2017, without restarts)."""
    return 0.5 * (1.0 + math.cos(math.pi * iteration / max_iter))


_SCHEDULES: dict[str, Schedule] = {"constant": lambda iteration, max_iter: 1.0, "cosine": _cosine}


@dataclass(frozen=True)
class Adam:
    """Adam, projected to the bounds; see `gprat.optimize.base.Optimizer`.

    Parameters
    ----------
    max_iter : int, default=200
        The most iterations, at least 1; each evaluates the loss once.
    learning_rate : float, default=0.1
        Length of a first step in each log hyperparameter, positive.
    schedule : {"constant", "cosine"} or callable, default="constant"
        How the learning rate goes on. "cosine": it falls to zero at `max_iter`, which settles what
        a constant rate leaves swinging. A callable gets the number of the iteration, from 0, and
        `max_iter`, and returns the factor of `learning_rate`, finite and not negative.

    Raises
    ------
    InvalidInputError
        If there is no such schedule; when it runs, if a callable returns no such factor.
    """

    max_iter: int = 200
    learning_rate: float = 0.1
    schedule: str | Schedule = "constant"

    def __post_init__(self) -> None:
        is_name = isinstance(self.schedule, str) and self.schedule in _SCHEDULES
        if not (is_name or callable(self.schedule)):
            raise InvalidInputError(
                f"schedule must be 'constant', 'cosine' or a function of (iteration, max_iter), "
                f"got {self.schedule!r}."
            )

    def run(self, search: Search, start: Float64Array, bounds: Float64Array) -> tuple[bool, str]:
        """Minimise from `start` within `bounds`."""
        moments, learning_rate = Moments(start.size), self.learning_rate
        latest = search.evaluate(start)
        assert latest is not None, "the first evaluation succeeds or raises"
        for iteration in range(self.max_iter):
            if _is_stationary(latest, bounds):
                return True, "the projected gradient is nearly zero"
            step = moments.step(latest.gradient, learning_rate * self._factor(iteration))
            evaluation = search.evaluate(np.clip(latest.theta + step, bounds[:, 0], bounds[:, 1]))
            if evaluation is None:
                # The momentum leads to where K has no factor: start afresh, with smaller steps.
                moments, learning_rate = Moments(start.size), 0.5 * learning_rate
            else:
                latest = evaluation
            search.finish_iteration(latest)
        return False, f"reached {self.max_iter} iterations"

    def _factor(self, iteration: int) -> float:
        schedule = _SCHEDULES[self.schedule] if isinstance(self.schedule, str) else self.schedule
        factor = schedule(iteration, self.max_iter)
        if not 0.0 <= factor < math.inf:
            raise InvalidInputError(
                f"schedule must return a finite factor that is not negative, got {factor!r} in "
                f"iteration {iteration}. Return 1.0 for the learning rate as it is."
            )
        return float(factor)


def _is_stationary(evaluation: Evaluation, bounds: Float64Array) -> bool:
    """Whether no step along the gradient, projected to the bounds, changes theta much."""
    projected = np.clip(evaluation.theta - evaluation.gradient, bounds[:, 0], bounds[:, 1])
    return bool(np.abs(projected - evaluation.theta).max() < _SMALLEST_GRADIENT)
