"""L-BFGS-B: quasi-Newton with limited memory and bounds (Byrd, Lu, Nocedal and Zhu 1995)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import OptimizeResult, minimize

from gprat._validation import Float64Array
from gprat.optimize.base import Evaluation, Search

__all__ = ["LBFGSB"]


@dataclass(frozen=True)
class LBFGSB:
    """SciPy's L-BFGS-B; see `gprat.optimize.base.Optimizer`.

    Parameters
    ----------
    max_iter : int, default=1000
        The most iterations, at least 1. An iteration mostly evaluates the loss once.
    """

    max_iter: int = 1000

    def run(self, search: Search, start: Float64Array, bounds: Float64Array) -> tuple[bool, str]:
        """Minimise from `start` within `bounds`."""
        line_search = _LineSearch(search)
        result = minimize(
            line_search,
            start,
            method="L-BFGS-B",
            jac=True,
            bounds=bounds,
            callback=line_search.finish,
            # A line search may take up to 20 evaluations an iteration: never the limit.
            options={"maxiter": self.max_iter, "maxfun": 21 * self.max_iter + 1},
        )
        return bool(result.success), str(result.message)


class _LineSearch:
    """The loss as SciPy sees it: finite everywhere, so that its line search can back off."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self._highest_loss = -np.inf
        self._latest: Evaluation | None = None

    def __call__(self, theta: Float64Array) -> tuple[float, Float64Array]:
        evaluation = self._search.evaluate(theta)
        if evaluation is None:
            # Above all that was seen, so no step there is accepted; yet of the same size, so that
            # the interpolation that follows takes a step of a sensible length.
            penalty = self._highest_loss + 1.0 + abs(self._highest_loss)
            return penalty, np.zeros_like(theta)
        self._latest = evaluation
        self._highest_loss = max(self._highest_loss, evaluation.loss)
        return evaluation.loss, evaluation.gradient

    def finish(self, intermediate_result: OptimizeResult) -> None:
        """Tell where an iteration ended: an accepted step is the latest that was evaluated."""
        assert self._latest is not None
        self._search.finish_iteration(self._latest)
