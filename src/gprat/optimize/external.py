"""Any function with the signature of scikit-learn's optimisers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gprat._validation import Float64Array
from gprat.exceptions import InvalidInputError
from gprat.optimize.base import Search, Stopped

__all__ = ["External"]

# Some methods leave their bounds by a rounding error, which is mended; more than that is refused.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class External:
    """An optimiser as scikit-learn's `GaussianProcessRegressor` takes it.

    Parameters
    ----------
    optimizer : callable
        ``optimizer(obj_func, initial_theta, bounds=bounds)`` returns ``(theta_opt, func_min)``.
        ``obj_func(theta, eval_gradient=True)`` returns the loss and its gradient, or the loss alone
        if not `eval_gradient`; infinity and zeros where there is none and outside the bounds.

    Notes
    -----
    An evaluation that lowers the loss counts as an iteration. The lowest loss that was seen wins,
    whatever the function returns.

    Examples
    --------
    >>> from scipy.optimize import minimize
    >>> def newton(obj_func, initial_theta, bounds):
    ...     result = minimize(obj_func, initial_theta, jac=True, method="TNC", bounds=bounds)
    ...     return result.x, result.fun
    >>> optimizer = External(newton)
    """

    optimizer: Callable[..., Any]

    def run(self, search: Search, start: Float64Array, bounds: Float64Array) -> tuple[bool, str]:
        """Minimise from `start` within `bounds`."""
        objective = _ObjFunc(search, bounds)
        objective(start)
        answer = self.optimizer(objective, start.copy(), bounds=bounds.copy())
        if objective.is_stopped:
            # The function took the request for an error of its own.
            raise Stopped
        objective(_optimum(answer, start.size))
        return True, "the optimizer returned"


class _ObjFunc:
    """The loss as scikit-learn's optimisers see it."""

    def __init__(self, search: Search, bounds: Float64Array) -> None:
        self._search = search
        self._bounds = bounds
        self.is_stopped = False

    def __call__(
        self, theta: Any, eval_gradient: bool = True
    ) -> tuple[float, Float64Array] | float:
        loss, gradient = self._evaluate(_as_theta(theta, self._bounds.shape[0]))
        return (loss, gradient) if eval_gradient else loss

    def _evaluate(self, theta: Float64Array) -> tuple[float, Float64Array]:
        inside = np.clip(theta, self._bounds[:, 0], self._bounds[:, 1])
        nowhere = np.inf, np.zeros_like(theta)
        # Not close either: NaN, which some methods try after an infinite loss.
        if not np.allclose(theta, inside, rtol=_ROUNDING, atol=_ROUNDING):
            return nowhere
        best = self._search.best
        try:
            evaluation = self._search.evaluate(inside)
            if evaluation is None:
                return nowhere
            if self._search.best is not best:
                self._search.finish_iteration(evaluation)
        except Stopped:
            self.is_stopped = True
            raise
        return evaluation.loss, evaluation.gradient.copy()


def _as_theta(theta: Any, size: int) -> Float64Array:
    try:
        array = np.array(theta, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.shape != (size,):
        raise InvalidInputError(
            f"the optimizer must work with arrays of {size} log hyperparameters, got {theta!r}. "
            "See the signature of gprat.optimize.external.External."
        )
    return array


def _optimum(answer: Any, size: int) -> Float64Array:
    try:
        theta, _ = answer
    except (TypeError, ValueError):
        raise InvalidInputError(
            f"the optimizer must return (theta_opt, func_min), got {answer!r}."
        ) from None
    return _as_theta(theta, size)
