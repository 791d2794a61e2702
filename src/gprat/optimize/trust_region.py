"""Quasi-Newton from a known Hessian, within bounds and a trust region: what later stages run.

L-BFGS-B starts from a diagonal. Here the whole matrix of second derivatives is known from fewer
rows, and p is small, so that each step solves the quadratic model exactly.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import lsq_linear

from gprat._validation import Float64Array
from gprat.optimize.base import Evaluation, Search

__all__ = ["TrustRegionBFGS"]

# In typical steps: beyond that, a likelihood has little in common with its quadratic model.
_FIRST_RADIUS, _LARGEST_RADIUS = 2.0, 4.0
# By typical steps: what is flatter takes long steps, but not longer than the radius.
_LEAST_CURVATURE = 1e-2
# Of the gain that the model promised.
_ACCEPTABLE, _POOR, _GOOD = 1e-4, 0.1, 0.75
# Gains, in the units of the loss: what rounding in single precision may hide from one step, and
# what it may hide altogether.
_HIDDEN, _DOUBTFUL = 1e-4, 0.1


class TrustRegionBFGS:
    """BFGS in a trust region within bounds; see `gprat.optimize.base.Optimizer`.

    Each step minimises the quadratic model over the part of a box around theta that lies within the
    bounds, a bounded least squares problem (Stark and Parker 1995). Each evaluation, whether the
    step is taken or not, updates the Hessian by Powell's damped formula, which keeps it positive
    definite (Nocedal and Wright 2006, procedure 18.2), and the size of the box by how well the
    model foretold the loss (algorithm 4.1 there).

    Parameters
    ----------
    hessian : ndarray of shape (p, p)
        Estimate at the start, symmetric. Directions along which it falls are taken to rise as much.
    typical : ndarray of shape (p,)
        Length of a long step along each hyperparameter, positive.
    max_iter : int, default=1000
        The most iterations, at least 1.
    tolerance : float, default=2.2e-9
        It ends where the model promises to lower the loss by less than this part of it,
    negligible : float, default=1e-6
        or by less than this, in the units of the loss.

    Attributes
    ----------
    hessian : ndarray of shape (p, p)
        The estimate so far.

    Examples
    --------
    >>> import numpy as np
    >>> from gprat.optimize.base import Search
    >>> hessian = np.array([[2.0, 1.0], [1.0, 3.0]])
    >>> search = Search(lambda theta: (0.5 * theta @ hessian @ theta, hessian @ theta))
    >>> optimizer = TrustRegionBFGS(hessian, np.ones(2))
    >>> optimizer.run(search, np.ones(2), np.array([[-5.0, 5.0], [0.5, 5.0]]))[0]
    True
    >>> search.best.theta, search.n_evaluations
    (array([-0.25,  0.5 ]), 2)
    """

    def __init__(
        self,
        hessian: Float64Array,
        typical: Float64Array,
        *,
        max_iter: int = 1000,
        tolerance: float = 2.2e-9,
        negligible: float = 1e-6,
    ) -> None:
        self._typical = typical
        self._max_iter = max_iter
        self._tolerance = tolerance
        self._negligible = negligible
        # By steps of typical length.
        self._B = _make_positive(hessian * np.outer(typical, typical))

    @property
    def hessian(self) -> Float64Array:
        """The estimate so far."""
        return self._B / np.outer(self._typical, self._typical)

    def run(self, search: Search, start: Float64Array, bounds: Float64Array) -> tuple[bool, str]:
        """Minimise from `start` within `bounds`."""
        here = search.evaluate(start)
        assert here is not None, "the first evaluation succeeds or raises"
        radius, n_iterations, n_rejected = _FIRST_RADIUS, 0, 0
        while n_iterations < self._max_iter:
            step, theta = self._propose(here, bounds, radius)
            promised = self._promise(here, step)
            # In a small box a small gain does not mean that the optimum is near.
            is_limited = radius < 0.1 and bool(np.abs(step).max() > 0.9 * radius)
            if promised <= (0.0 if is_limited else self._least_gain(here)):
                return True, "the quadratic model promises no gain that matters"
            if n_rejected > 1 and promised < _HIDDEN:
                return self._give_up(here, bounds)
            there = search.evaluate(theta)
            gain = -np.inf if there is None else here.loss - there.loss
            radius = _next_radius(radius, float(np.abs(step).max()), gain / promised)
            if there is not None:
                self._update(here, there)
            if there is not None and gain > _ACCEPTABLE * promised:
                here, n_rejected, n_iterations = there, 0, n_iterations + 1
                search.finish_iteration(here)
            else:
                n_rejected += 1
        return False, f"reached {self._max_iter} iterations"

    def _propose(
        self, here: Evaluation, bounds: Float64Array, radius: float
    ) -> tuple[Float64Array, Float64Array]:
        """Minimise the model; return the step, by typical steps, and where it leads."""
        room = (bounds - here.theta[:, None]) / self._typical[:, None]
        # The solver asks for room on both sides; so little is lost in rounding.
        tiny = np.finfo(np.float64).tiny
        box = np.clip(room, -radius, radius)
        box = np.array([np.minimum(box[:, 0], -tiny), np.maximum(box[:, 1], tiny)])
        curvatures, axes = np.linalg.eigh(self._B)
        curvatures = np.maximum(curvatures, np.finfo(np.float64).eps * curvatures[-1])
        root = np.sqrt(curvatures)
        gradient = axes.T @ (self._typical * here.gradient)
        step: Float64Array = lsq_linear(
            root[:, None] * axes.T,
            -gradient / root,
            box,
            method="bvls",
            max_iter=10 * here.theta.size,
        ).x
        # Exactly onto a bound, whatever the rounding.
        theta = np.clip(here.theta + self._typical * step, bounds[:, 0], bounds[:, 1])
        theta = np.where(step <= room[:, 0], bounds[:, 0], theta)
        return step, np.where(step >= room[:, 1], bounds[:, 1], theta)

    def _promise(self, here: Evaluation, step: Float64Array) -> float:
        """Return by how much the model says that a step lowers the loss."""
        return -float((self._typical * here.gradient) @ step + 0.5 * step @ self._B @ step)

    def _give_up(self, here: Evaluation, bounds: Float64Array) -> tuple[bool, str]:
        """Say why short steps do not lower the loss either."""
        step, _ = self._propose(here, bounds, _FIRST_RADIUS)
        if self._promise(here, step) < _DOUBTFUL:
            return True, "what is left to gain is lost in rounding"
        return False, "no step lowers the loss as its gradient promises"

    def _least_gain(self, here: Evaluation) -> float:
        return max(self._negligible, self._tolerance * abs(here.loss))

    def _update(self, here: Evaluation, there: Evaluation) -> None:
        """Let the Hessian explain how the gradient changed, as far as it stays positive."""
        step = (there.theta - here.theta) / self._typical
        change = self._typical * (there.gradient - here.gradient)
        expected = self._B @ step
        curvature = float(step @ expected)
        if not curvature > 0.0:
            return
        if step @ change < 0.2 * curvature:
            damping = 0.8 * curvature / (curvature - step @ change)
            change = damping * change + (1.0 - damping) * expected
        self._B = (
            self._B
            - np.outer(expected, expected) / curvature
            + np.outer(change, change) / (step @ change)
        )


def _make_positive(B: Float64Array) -> Float64Array:
    """Return |B|, its curvatures no less than the least."""
    curvatures, axes = np.linalg.eigh(B)
    positive: Float64Array = (axes * np.maximum(np.abs(curvatures), _LEAST_CURVATURE)) @ axes.T
    return positive


def _next_radius(radius: float, length: float, quality: float) -> float:
    """Return the size of the next box from the gain of this step over what was promised."""
    if quality < 0.0:
        return length / 4.0
    if quality < _POOR:
        return length / 2.0
    if quality > _GOOD and length > 0.9 * radius:
        return min(2.0 * radius, _LARGEST_RADIUS)
    return radius
