"""What came out of training, and how far it can be trusted."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.optimize import OptimizeResult

from gprat._validation import Float64Array
from gprat.optimize.rendering import as_text
from gprat.optimize.task import BoolArray

__all__ = [
    "Stage",
    "Start",
    "TrainingReport",
    "at_bounds",
    "gradient_tolerance",
    "near_bound",
    "unconverged",
]

# How near to a bound is at it, in theta.
_AT_BOUND = 1e-6

Places: TypeAlias = dict[str, str]


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the start that won: training on some of the rows, or all.

    Parameters
    ----------
    rows : int
        Number of rows that the loss was computed from.
    n_evaluations, n_iterations : int
        Evaluations of the loss and iterations, in this stage alone.
    seconds : float
        How long it took.
    loss : float
        The lowest loss, on these rows.
    """

    rows: int
    n_evaluations: int
    n_iterations: int
    seconds: float
    loss: float


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """One start and how it went.

    Parameters
    ----------
    theta : ndarray of shape (p,)
        Where it started.
    loss : float or None
        The lowest loss it reached, on the rows of the last stage that all starts went through: the
        numbers of different starts compare. None if there is none.
    optimum : ndarray of shape (p,) or None
        Where that was.
    n_evaluations : int
        Evaluations of the loss, over all stages.
    failure : str or None
        Why it came to nothing, on one line.
    is_best : bool
        Whether this one won.
    """

    theta: Float64Array
    loss: float | None
    optimum: Float64Array | None
    n_evaluations: int
    failure: str | None
    is_best: bool


@dataclass(frozen=True, slots=True, eq=False)
class TrainingReport:
    """What came out of training. Prints as a table.

    Parameters
    ----------
    names : tuple of str
        Names of the p hyperparameters.
    is_log : ndarray of shape (p,), bool
        Whether theta has the logarithm of a hyperparameter, or the hyperparameter itself.
    theta : ndarray of shape (p,)
        The best that was seen on the rows of the last stage that was reached.
    initial_theta : ndarray of shape (p,)
        Where the first start began.
    loss : float
        The loss at theta.
    gradient : ndarray of shape (p,)
        Its gradient there.
    loss_history : ndarray of shape (n_iterations,)
        The loss after each iteration of the start that won, stage by stage; on fewer rows in the
        early stages of a warm start.
    gradient_history : ndarray of shape (n_iterations, p)
        Its gradients.
    n_iterations : int
        Number of iterations of the start that won, over all stages.
    n_evaluations : int
        Number of evaluations of the loss, over all starts and stages.
    seconds : float
        How long training took.
    success : bool
        Whether the start that won converged.
    message : str
        Why it ended.
    optimizer : str
        What minimised the loss.
    stages : tuple of Stage
        The stages of the start that won; the last on all rows unless training was cut short.
    starts : tuple of Start
        All starts, the model's own first.
    at_bounds : dict of str to str
        Names of hyperparameters that ended at a bound, with "lower" or "upper".
    unconverged : tuple of str
        Names of hyperparameters along which the loss still falls: those whose gradient is larger
        than 0.01 √rows and does not point out of a bound at which they lie. Below that, no
        hyperparameter that the data determine is off by more than about a hundredth of its
        standard error.
    condition : float or None, default=None
        Estimate of the condition number of the covariance matrix at theta, if known.
    advice : tuple of str, default=()
        What to look at, one line each.

    Examples
    --------
    >>> from gprat import GP
    >>> gp = GP([[0.0], [1.0], [2.0], [3.0]], [0.1, 0.9, 2.1, 2.9])
    >>> result = gp.optimize()
    >>> result.success
    True
    """

    names: tuple[str, ...]
    is_log: BoolArray
    theta: Float64Array
    initial_theta: Float64Array
    loss: float
    gradient: Float64Array
    loss_history: Float64Array
    gradient_history: Float64Array
    n_iterations: int
    n_evaluations: int
    seconds: float
    success: bool
    message: str
    optimizer: str
    stages: tuple[Stage, ...]
    starts: tuple[Start, ...]
    at_bounds: Places
    unconverged: tuple[str, ...]
    condition: float | None = None
    advice: tuple[str, ...] = ()

    @property
    def values(self) -> Float64Array:
        """The hyperparameters themselves, shape (p,): exp(theta) where theta is a logarithm."""
        return _natural(self.theta, self.is_log)

    @property
    def initial_values(self) -> Float64Array:
        """The hyperparameters at the first start, shape (p,)."""
        return _natural(self.initial_theta, self.is_log)

    def to_optimize_result(self) -> OptimizeResult:
        """Return the report as SciPy's optimisers return theirs.

        Returns
        -------
        scipy.optimize.OptimizeResult
            x (theta), fun (the loss there), jac (its gradient), nit, nfev, success, status (0 if
            success, else 1), message, loss_history.
        """
        return OptimizeResult(
            x=self.theta,
            fun=self.loss,
            jac=self.gradient,
            nit=self.n_iterations,
            nfev=self.n_evaluations,
            success=self.success,
            status=0 if self.success else 1,
            message=self.message,
            loss_history=self.loss_history,
        )

    def __str__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def gradient_tolerance(rows: int) -> float:
    """Return the size of a gradient that counts as none; see `TrainingReport`."""
    return 0.01 * float(np.sqrt(rows))


def at_bounds(names: tuple[str, ...], theta: Float64Array, bounds: Float64Array) -> Places:
    """Return which entries of theta lie at which bound; a pinned one, with equal bounds, never."""
    words = {-1: "lower", 1: "upper"}
    places = near_bound(theta, bounds).tolist()
    return {name: words[place] for name, place in zip(names, places, strict=True) if place}


def near_bound(theta: Float64Array, bounds: Float64Array) -> npt.NDArray[np.intp]:
    """Return which entries of theta, shape (..., p), lie at which bound: -1 lower, 1 upper, else 0.

    A pinned one, with equal bounds, lies at none.
    """
    margin, is_pinned = _margin(bounds), bounds[:, 0] == bounds[:, 1]
    below, above = theta - bounds[:, 0], bounds[:, 1] - theta
    places = np.where(below < above, -1, 1)
    return np.where((np.minimum(below, above) <= margin) & ~is_pinned, places, 0)


def unconverged(
    names: tuple[str, ...],
    theta: Float64Array,
    gradient: Float64Array,
    bounds: Float64Array,
    rows: int,
) -> tuple[str, ...]:
    """Return along which entries of theta the loss still falls inside the bounds."""
    room = np.where(gradient > 0.0, theta - bounds[:, 0], bounds[:, 1] - theta)
    falls = (np.abs(gradient) > gradient_tolerance(rows)) & (room > _margin(bounds))
    return tuple(name for name, does in zip(names, falls, strict=True) if does)


def _margin(bounds: Float64Array) -> Float64Array:
    """Return how near to a bound is at it."""
    margin: Float64Array = _AT_BOUND * np.minimum(1.0, bounds[:, 1] - bounds[:, 0])
    return margin


def _natural(theta: Float64Array, is_log: BoolArray) -> Float64Array:
    values: npt.NDArray[np.float64] = theta.copy()
    values[is_log] = np.exp(theta[is_log])
    return values
