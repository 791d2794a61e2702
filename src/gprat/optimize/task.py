"""What a model hands over to be trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from gprat._validation import Float64Array
from gprat.optimize.base import Objective

__all__ = ["BoolArray", "IntArray", "TrainingTask", "add_tasks"]

BoolArray: TypeAlias = npt.NDArray[np.bool_]
IntArray: TypeAlias = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class TrainingTask:
    """A loss over hyperparameters, and all that training asks about it.

    Parameters
    ----------
    names : tuple of str
        Names of the entries of theta; p of them.
    is_log : ndarray of shape (p,), bool
        Whether an entry is the logarithm of the hyperparameter, or the hyperparameter itself.
    start : ndarray of shape (p,)
        Where training starts; outside the bounds it is moved to the nearest point inside.
    bounds : ndarray of shape (p, 2)
        Lowest and highest theta, finite.
    n_rows : int
        Number of training rows.
    make_objective : callable
        ``make_objective(rows, threads)`` returns the function theta -> (loss, gradient) for the
        rows of an ascending index array, or for all rows if `rows` is None, computed by that many
        threads, or by the model's own if None. It raises `NotPositiveDefiniteError` where the
        covariance matrix has no factor, and may return infinity where a prior has no density. For
        one set of rows its results are bitwise the same for any number of threads. Each start gets
        a function of its own; different ones may be called at the same time.
    draw_start : callable
        ``draw_start(rng)`` returns a random start, from priors or bounds.
    bytes_per_evaluation : callable
        Memory that one evaluation takes, from the number of rows.
    threads : int
        Processors that the model may use.
    fingerprint : str
        A hash of all that determines the loss as a function of theta: data, structure of the
        kernel with its fixed hyperparameters, noise, objective, priors. Not of `start`: training
        that was interrupted moves the model, which must not keep it from being resumed.
    """

    names: tuple[str, ...]
    is_log: BoolArray
    start: Float64Array
    bounds: Float64Array
    n_rows: int
    make_objective: Callable[[IntArray | None, int | None], Objective]
    draw_start: Callable[[np.random.Generator], Float64Array]
    bytes_per_evaluation: Callable[[int], int]
    threads: int
    fingerprint: str


def add_tasks(tasks: Sequence[TrainingTask]) -> TrainingTask:
    """Return the task whose loss is the sum of the losses of several, on all their rows.

    Parameters
    ----------
    tasks : sequence of TrainingTask
        At least one, with the same names. Start, bounds and random starts are the first one's. They
        have no rows in common, so that early stages on some of the rows are not possible.
    """
    first = tasks[0]
    if len(tasks) == 1:
        return first

    def make_objective(rows: IntArray | None, threads: int | None) -> Objective:
        assert rows is None, "there are no rows in common"
        objectives = [task.make_objective(None, threads) for task in tasks]

        def objective(theta: Float64Array) -> tuple[float, Float64Array]:
            losses, gradients = zip(*(part(theta) for part in objectives), strict=True)
            return sum(losses), np.sum(gradients, axis=0)

        return objective

    return replace(
        first,
        n_rows=sum(task.n_rows for task in tasks),
        make_objective=make_objective,
        # One after the other.
        bytes_per_evaluation=lambda _: max(t.bytes_per_evaluation(t.n_rows) for t in tasks),
        fingerprint=" ".join(task.fingerprint for task in tasks),
    )
