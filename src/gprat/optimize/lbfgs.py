"""L-BFGS-B: quasi-Newton with limited memory and bounds (Byrd, Lu, Nocedal and Zhu 1995)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import OptimizeResult, minimize

from gprat._validation import Float64Array
from gprat.exceptions import InvalidInputError
from gprat.optimize.base import Evaluation, Search

__all__ = ["LBFGSB"]

_GRADIENT_TOLERANCE = 1e-5
# SciPy's number for a line search in vain; and how much more than the tolerance it may have
# promised where that is for rounding, which hides what is still to be gained.
_NO_LOWER_LOSS, _FLAT = 2, 10.0


@dataclass(frozen=True)
class LBFGSB:
    """SciPy's L-BFGS-B; see `gprat.optimize.base.Optimizer`.

    Parameters
    ----------
    max_iter : int, default=1000
        The most iterations, at least 1. An iteration mostly evaluates the loss once.
    tolerance : float, default=2.2e-9
        It ends where an iteration lowers the loss by less than this part of it; not negative.
    gradient_tolerance : float, default=None
        It ends where no entry of the gradient, by the scaled variables and projected to the bounds,
        is larger; not negative. None for 1e-5.
    scale : sequence of p floats, default=None
        Length of a typical step in each variable, positive. The search runs in variables that are
        divided by it, so that the first step, before anything is known of the curvature, has these
        proportions. The bounds stay where they are. None for ones.

    Examples
    --------
    >>> LBFGSB(max_iter=20, scale=[1.0, 0.1])
    LBFGSB(max_iter=20, tolerance=2.2e-09, gradient_tolerance=None, scale=(1.0, 0.1))
    """

    max_iter: int = 1000
    tolerance: float = 2.2e-9
    gradient_tolerance: float | None = None
    scale: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if self.scale is None:
            return
        scale = tuple(float(step) for step in self.scale)
        if not all(0.0 < step < np.inf for step in scale):
            raise InvalidInputError(
                f"scale must hold positive finite lengths of steps, got {scale}. Pass one for each "
                "hyperparameter, such as 1.0."
            )
        object.__setattr__(self, "scale", scale)

    def run(self, search: Search, start: Float64Array, bounds: Float64Array) -> tuple[bool, str]:
        """Minimise from `start` within `bounds`."""
        variables = _Scaled(start, bounds, self._scale_of(start.size))
        line_search = _LineSearch(search, variables)
        gradient_tolerance = self.gradient_tolerance
        result = minimize(
            line_search,
            np.zeros_like(start),
            method="L-BFGS-B",
            jac=True,
            bounds=variables.bounds,
            callback=line_search.finish,
            options={
                "maxiter": self.max_iter,
                # A line search may take up to 20 evaluations an iteration: never the limit.
                "maxfun": 21 * self.max_iter + 1,
                "ftol": self.tolerance,
                "gtol": _GRADIENT_TOLERANCE if gradient_tolerance is None else gradient_tolerance,
            },
        )
        if result.status == _NO_LOWER_LOSS and line_search.is_flat(self.tolerance):
            return True, "no lower loss was found, and next to nothing is left to be gained"
        return bool(result.success), str(result.message)

    def _scale_of(self, size: int) -> Float64Array:
        if self.scale is None:
            return np.ones(size)
        if len(self.scale) != size:
            raise InvalidInputError(
                f"scale must have one entry for each of {size} hyperparameters, got "
                f"{len(self.scale)}. Leave it out to scale none."
            )
        return np.array(self.scale)


class _Scaled:
    """Variables u with theta = start + scale u: rounding spares the start and the bounds."""

    def __init__(self, start: Float64Array, bounds: Float64Array, scale: Float64Array) -> None:
        self._start, self._lower, self._upper = start, bounds[:, 0], bounds[:, 1]
        self.scale = scale
        self.bounds: Float64Array = (bounds - start[:, None]) / scale[:, None]

    def theta(self, u: Float64Array) -> Float64Array:
        inside = np.clip(self._start + self.scale * u, self._lower, self._upper)
        above_lower = np.where(u <= self.bounds[:, 0], self._lower, inside)
        return np.where(u >= self.bounds[:, 1], self._upper, above_lower)


class _LineSearch:
    """The loss as SciPy sees it: finite everywhere, so that its line search can back off."""

    def __init__(self, search: Search, variables: _Scaled) -> None:
        self._search = search
        self._variables = variables
        self._highest_loss = -np.inf
        self._latest: Evaluation | None = None
        # Where the present line search set out, and what it has tried.
        self._accepted: Evaluation | None = None
        self._trials: list[Evaluation] = []

    def __call__(self, u: Float64Array) -> tuple[float, Float64Array]:
        evaluation = self._search.evaluate(self._variables.theta(u))
        if evaluation is None:
            # Above all that was seen, so no step there is accepted; yet of the same size, so that
            # the interpolation that follows takes a step of a sensible length.
            penalty = self._highest_loss + 1.0 + abs(self._highest_loss)
            return penalty, np.zeros_like(u)
        self._latest = evaluation
        if self._accepted is None:
            self._accepted = evaluation
        else:
            self._trials.append(evaluation)
        self._highest_loss = max(self._highest_loss, evaluation.loss)
        return evaluation.loss, self._variables.scale * evaluation.gradient

    def finish(self, intermediate_result: OptimizeResult) -> None:
        """Tell where an iteration ended: an accepted step is the latest that was evaluated."""
        assert self._latest is not None
        self._accepted, self._trials = self._latest, []
        self._search.finish_iteration(self._latest)

    def is_flat(self, tolerance: float) -> bool:
        """Whether next to nothing was to be gained along the line that was searched last.

        What a trial lets expect is the lowest point of the parabola through the loss and its slope
        at the start and the loss at the trial; or, where rounding hides the change of the loss, no
        more than that or than the slope says.
        """
        start = self._accepted
        if start is None or not self._trials:
            return False
        nothing = _FLAT * tolerance * max(1.0, abs(start.loss))
        steps = np.array([trial.theta - start.theta for trial in self._trials])
        slopes = steps @ start.gradient
        changes = np.array([trial.loss for trial in self._trials]) - start.loss
        hidden = (np.abs(changes) <= nothing) & (np.abs(slopes) <= nothing)
        with np.errstate(all="ignore"):
            gains = 0.25 * slopes**2 / (changes - slopes)
            return bool(np.all(hidden | ((changes > slopes) & (gains <= nothing))))
