"""What came out of training a batch."""

from __future__ import annotations

import html
from dataclasses import dataclass

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from gprat._text import as_plain_text, make_table
from gprat._validation import Float64Array
from gprat.batch.lockstep import Status
from gprat.kernels.program import from_theta
from gprat.noise import IntArray
from gprat.optimize.task import BoolArray

__all__ = ["BatchReport"]

_MOST_NAMED = 10
_QUANTILES = (0.05, 0.5, 0.95)

_MESSAGES = {
    Status.RUNNING: "cut short",
    Status.CONVERGED: "converged",
    Status.MAX_ITER: "reached the most iterations",
    Status.STALLED: "no lower loss found along the gradient",
    Status.FAILED: "no loss at the start",
}


@dataclass(frozen=True, slots=True, eq=False)
class BatchReport:
    """What came out of training b members with p hyperparameters each. Prints as a table.

    Parameters
    ----------
    names : tuple of str
        Names of the hyperparameters.
    is_log : ndarray of shape (p,), bool
        Whether theta has the logarithm of a hyperparameter, or the hyperparameter itself.
    theta : ndarray of shape (b, p)
        The best that was seen of each member.
    initial_theta : ndarray of shape (b, p)
        Where the first start of each began.
    loss : ndarray of shape (b,)
        Negative log marginal likelihood at theta; infinite for a member that failed.
    initial_loss : ndarray of shape (b,)
        That at the first start.
    gradient : ndarray of shape (b, p)
        Gradient of the loss at theta; 0 for what was not trained, NaN for a member that failed.
    status : ndarray of shape (b,), int
        Why each ended: 0 cut short, 1 converged, 2 after the most iterations, 3 as no lower loss
        was found along the gradient, 4 without a loss at any start.
    at_bounds : ndarray of shape (b, p), int
        -1 where theta is at its lower bound, 1 where at its upper one, else 0.
    n_iterations, n_evaluations : ndarray of shape (b,), int
        Iterations of the start that won; evaluations over all starts.
    n_starts : int
        How many starts each member had.
    n_rounds : int
        How often all members still at work were evaluated together.
    seconds : float
        How long it took.

    Examples
    --------
    >>> import numpy as np
    >>> from gprat import GPBatch
    >>> X = np.linspace(0.0, 6.0, 30)[:, np.newaxis]
    >>> report = GPBatch(X, [np.sin(X[:, 0]), np.cos(X[:, 0])], noise=1e-2).optimize()
    >>> report.converged
    array([ True,  True])
    """

    names: tuple[str, ...]
    is_log: BoolArray
    theta: Float64Array
    initial_theta: Float64Array
    loss: Float64Array
    initial_loss: Float64Array
    gradient: Float64Array
    status: IntArray
    at_bounds: IntArray
    n_iterations: IntArray
    n_evaluations: IntArray
    n_starts: int
    n_rounds: int
    seconds: float

    @property
    def converged(self) -> BoolArray:
        """Which members converged, shape (b,)."""
        return np.asarray(self.status == Status.CONVERGED)

    @property
    def failed(self) -> BoolArray:
        """Which members have no loss at any start, shape (b,): they kept their hyperparameters."""
        return np.asarray(self.status == Status.FAILED)

    @property
    def messages(self) -> tuple[str, ...]:
        """Why each member ended."""
        return tuple(_MESSAGES[Status(status)] for status in self.status)

    @property
    def values(self) -> Float64Array:
        """The hyperparameters themselves, shape (b, p): exp(theta) where theta is a logarithm."""
        return from_theta(self.theta, self.is_log)

    def __str__(self) -> str:
        headline = Text(_headline(self))
        if not self.names:
            return as_plain_text(headline)
        return as_plain_text(Group(headline, Text(""), _hyperparameters(self)))

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def _headline(report: BatchReport) -> str:
    b = len(report.loss)
    starts = f", {report.n_starts} starts each" if report.n_starts > 1 else ""
    lines = [
        f"Training of {b:,} members: {int(report.converged.sum()):,} converged",
        f"{int(report.n_evaluations.sum()):,} evaluations in {report.n_rounds:,} rounds{starts}, "
        f"{report.seconds:.3g} s",
    ]
    for status in Status:
        members = np.flatnonzero(report.status == status)
        if status is not Status.CONVERGED and members.size:
            lines.append(f"! {_MESSAGES[status]}: {_name(members)}")
    return "\n".join(lines)


def _name(members: IntArray) -> str:
    named = ", ".join(map(str, members[:_MOST_NAMED]))
    more = f" and {members.size - _MOST_NAMED:,} more" if members.size > _MOST_NAMED else ""
    return f"member{'s' if members.size > 1 else ''} {named}{more}"


def _hyperparameters(report: BatchReport) -> Table:
    quantiles = (f"{100 * q:.0f} %" for q in _QUANTILES)
    table = make_table("hyperparameter", *quantiles, "at lower bound", "at upper bound")
    trained = ~report.failed
    values = report.values[trained] if trained.any() else report.values
    for i, name in enumerate(report.names):
        spread = (f"{value:.4g}" for value in np.quantile(values[:, i], _QUANTILES))
        places = (str(int((report.at_bounds[:, i] == place).sum())) for place in (-1, 1))
        table.add_row(Text(name), *spread, *places)
    return table
