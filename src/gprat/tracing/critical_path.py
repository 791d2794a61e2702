"""The chain of tasks that the end had to wait for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["critical_path"]


def critical_path(tasks: npt.NDArray[np.void]) -> npt.NDArray[np.intp]:
    """Follow back from the task that ended last who released whom.

    Where a task was released by none, because all that it needs was there when it was added, the
    chain goes on with the task that ended last before the call began: calls wait for each other.

    Parameters
    ----------
    tasks : ndarray of shape (n_tasks,)
        The records of a trace, in the order in which the tasks ended.

    Returns
    -------
    ndarray of shape (n,)
        Indices of records, the first of the chain first. No task starts before the one before it
        has ended. Empty if there are no tasks.

    Examples
    --------
    >>> import numpy as np
    >>> import gprat
    >>> X = np.linspace(0.0, 1.0, 300).reshape(-1, 1)
    >>> with gprat.trace() as t:
    ...     _ = gprat.GP(X, X[:, 0], tile_size=100, threads=2).predict(X)
    >>> chain = t.tasks[critical_path(t.tasks)]
    >>> bool((chain["end"][:-1] <= chain["start"][1:]).all())
    True
    """
    if tasks.size == 0:
        return np.empty(0, dtype=np.intp)
    before = _last_before_each_call(tasks)
    released_by, graphs = tasks["released_by"].tolist(), tasks["graph"].tolist()
    chain = [tasks.size - 1]
    while True:
        at = chain[-1]
        by = released_by[at]
        if by < 0:
            # At most the task before: one of no duration may start as the call begins.
            by = min(before[graphs[at]], at - 1)
        if by < 0:
            return np.array(chain[::-1], dtype=np.intp)
        chain.append(by)


def _last_before_each_call(tasks: npt.NDArray[np.void]) -> dict[int, int]:
    """Return, for each graph, the task that ended last before its first task started, or -1."""
    graphs, members = np.unique(tasks["graph"], return_inverse=True)
    begins = np.full(graphs.size, np.inf)
    np.minimum.at(begins, members, tasks["start"])
    last = np.searchsorted(tasks["end"], begins, side="right") - 1
    return dict(zip(graphs.tolist(), last.tolist(), strict=True))
