"""Adam: gradient descent with running means of the gradient and its square (Kingma and Ba 2015)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from gprat._validation import Float64Array
from gprat.optimize.base import Evaluation, Search

__all__ = ["Adam", "Moments"]

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


@dataclass(frozen=True)
class Adam:
    """Adam, projected to the bounds; see `gprat.optimize.base.Optimizer`.

    Parameters
    ----------
    max_iter : int, default=200
        The most iterations, at least 1; each evaluates the loss once.
    learning_rate : float, default=0.1
        Length of a first step in each log hyperparameter, positive.
    """

    max_iter: int = 200
    learning_rate: float = 0.1

    def run(self, search: Search, start: Float64Array, bounds: Float64Array) -> tuple[bool, str]:
        """Minimise from `start` within `bounds`."""
        moments, learning_rate = Moments(start.size), self.learning_rate
        latest = search.evaluate(start)
        assert latest is not None, "the first evaluation succeeds or raises"
        for _ in range(self.max_iter):
            if _is_stationary(latest, bounds):
                return True, "the projected gradient is nearly zero"
            theta = latest.theta + moments.step(latest.gradient, learning_rate)
            evaluation = search.evaluate(np.clip(theta, bounds[:, 0], bounds[:, 1]))
            if evaluation is None:
                # The momentum leads to where K has no factor: start afresh, with smaller steps.
                moments, learning_rate = Moments(start.size), 0.5 * learning_rate
            else:
                latest = evaluation
            search.finish_iteration(latest)
        return False, f"reached {self.max_iter} iterations"


def _is_stationary(evaluation: Evaluation, bounds: Float64Array) -> bool:
    """Whether no step along the gradient, projected to the bounds, changes theta much."""
    projected = np.clip(evaluation.theta - evaluation.gradient, bounds[:, 0], bounds[:, 1])
    return bool(np.abs(projected - evaluation.theta).max() < _SMALLEST_GRADIENT)
