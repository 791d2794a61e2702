"""A record of every task that ran: what, on which tile, on which thread, from when to when."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gprat import _core
from gprat import _validation as validation
from gprat.exceptions import InvalidInputError, TraceWarning
from gprat.tracing.chrome import save_chrome_trace
from gprat.tracing.lanes import separate_threads
from gprat.tracing.remote import TASK, RemoteTasks, merge_tasks, merge_transfers
from gprat.tracing.summary import TraceSummary, summarise

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["add_remote", "open_trace", "trace"]

# What the core hands over.
_RECORD = np.dtype(
    [
        *((name, np.int64) for name in ("kind", "row", "column", "thread", "graph", "released_by")),
        *((name, np.float64) for name in ("work", "start", "end")),
    ]
)

_MOST_TASKS = 10**9

# The blocks that are open, in the order in which they were entered: the last one records.
_open: list[trace] = []
_lock = threading.Lock()


class trace:  # noqa: N801 - reads as a verb in `with gprat.trace() as t`
    """Record the tasks of all calls made inside a ``with`` block, by whichever Python thread.

    Parameters
    ----------
    max_tasks : int, default=1_000_000
        The most tasks to record, from 1 to 10⁹, at 72 bytes each. Beyond that the work goes on
        unrecorded, and a `TraceWarning` says so at the end of the block.

    Attributes
    ----------
    tasks : numpy.ndarray of shape (n_tasks,)
        Structured array with the fields ``name`` (the operation), ``row`` and ``column`` (the tile
        that it writes), ``thread`` (its number; tasks of one thread don't overlap), ``start`` and
        ``end`` (seconds since the block was entered), ``work`` (floating-point operations; of
        tasks that evaluate or differentiate covariances, pairs of points), ``graph`` (the number
        of the call) and ``released_by`` (index of the task that it waited for longest, -1 if all
        that it needs was there when it was added; on one thread the task before), in the order in
        which the tasks ended. Read-only.
    transfers : numpy.ndarray of shape (n_transfers,)
        What came to workers of a cluster, with the fields ``name`` ("transfer", or "disk-read" for
        what had been spilled), ``source`` (the address that it came from), ``thread`` (the first
        thread of the worker that it came to), ``start`` and ``end``. Read-only; empty without a
        cluster.
    n_threads : int
        Threads that could compute: the most that a call could use; more if calls of several Python
        threads ran side by side. 0 if nothing ran. Threads of this process come first, then those
        of a cluster's workers.
    lanes : tuple of str
        What the threads are called.
    seconds : float
        How long the block took, or has taken so far.
    n_lost : int
        Tasks that were not recorded because there were too many.
    is_truncated : bool
        Whether there are such tasks.

    Notes
    -----
    In nested blocks the inner one records, until it ends. A computation is recorded by the block
    that is open when it begins. One on a cluster shows the tasks of Dask, each a block of many
    tiles, with times of the scheduler's clock.

    Examples
    --------
    >>> import numpy as np
    >>> import gprat
    >>> X = np.linspace(0.0, 1.0, 300).reshape(-1, 1)
    >>> gp = gprat.GP(X, X[:, 0], tile_size=100)
    >>> with gprat.trace() as t:
    ...     _ = gp.predict(X)
    >>> int(np.sum(t.tasks["name"] == "potrf"))
    3
    >>> print(t.summary())
    38 tasks in ...
    """

    def __init__(self, *, max_tasks: int = 1_000_000) -> None:
        remedy = f"Pass the most tasks to record, up to {_MOST_TASKS:,}."
        self._max_tasks = validation.check_positive_integer(max_tasks, "max_tasks", remedy)
        if self._max_tasks > _MOST_TASKS:
            raise InvalidInputError(
                f"max_tasks must be at most {_MOST_TASKS:,}, got {self._max_tasks:,}. {remedy}"
            )
        self._begin()

    def _begin(self) -> None:
        self._recorder = _core.Recorder(self._max_tasks)
        self._seconds: float | None = None
        self._tasks: npt.NDArray[np.void] | None = None
        self._process = os.getpid()
        self._began = time.time()
        self._remote: list[RemoteTasks] = []
        self._n_remote_lost = 0

    def __enter__(self) -> trace:
        with _lock:
            if self in _open:
                raise InvalidInputError(
                    "this trace is recording already. Use one gprat.trace() for each block."
                )
            self._begin()
            _open.append(self)
            _core.set_recorder(self._recorder)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with _lock:
            self._seconds = self._recorder.now()
            _open.remove(self)
            _core.set_recorder(_open[-1]._recorder if _open else None)
        # Where warnings are errors, this one must not take the place of the user's own.
        if self.is_truncated and error is None:
            warnings.warn(
                f"the trace has the first {self._max_tasks:,} tasks; {self.n_lost:,} more were not "
                "recorded. Trace a shorter part, or pass a larger max_tasks.",
                TraceWarning,
                stacklevel=2,
            )

    @property
    def tasks(self) -> npt.NDArray[np.void]:
        """The tasks that have ended so far."""
        local = self._local_tasks()
        if not self._remote:
            return local
        merged = merge_tasks(local, self._n_local_threads(), self._remote, self._remote_lanes())
        return validation.read_only(merged)

    @property
    def transfers(self) -> npt.NDArray[np.void]:
        """What came to workers of a cluster."""
        lanes = self._remote_lanes()
        return validation.read_only(merge_transfers(self._n_local_threads(), self._remote, lanes))

    @property
    def lanes(self) -> tuple[str, ...]:
        """What the threads are called."""
        local = (f"worker {thread}" for thread in range(self._n_local_threads()))
        return (*local, *self._remote_lanes())

    @property
    def n_threads(self) -> int:
        """Threads that could compute."""
        return len(self.lanes)

    @property
    def seconds(self) -> float:
        """How long the block took, or has taken so far."""
        return self._recorder.now() if self._seconds is None else self._seconds

    @property
    def n_lost(self) -> int:
        """Tasks that were not recorded because there were too many."""
        return self._recorder.lost + self._n_remote_lost

    @property
    def is_truncated(self) -> bool:
        """Whether there were more tasks than could be recorded."""
        return self.n_lost > 0

    def summary(self) -> TraceSummary:
        """Sum up: time and rate of each kind of task, use of the threads, and what held it up.

        Returns
        -------
        TraceSummary
            Prints as a table.

        Examples
        --------
        >>> import numpy as np
        >>> import gprat
        >>> X = np.linspace(0.0, 1.0, 300).reshape(-1, 1)
        >>> with gprat.trace() as t:
        ...     _ = gprat.GP(X, X[:, 0], tile_size=100).log_marginal_likelihood()
        >>> summary = t.summary()
        >>> {kind.name: kind.n_tasks for kind in summary.kinds}["trsm"]
        3
        >>> 0.0 < summary.utilisation <= 1.0
        True
        """
        return summarise(self.tasks, self.n_threads, self.seconds, self.n_lost)

    def plot(self, axes: Sequence[Axes] | None = None) -> tuple[Axes, Axes]:
        """Draw which thread did what, and when; see `gprat.plotting.plot_trace`.

        Parameters
        ----------
        axes : sequence of two matplotlib.axes.Axes, default=None
            Where to draw how many threads were busy, and the tasks; None for a new figure.

        Returns
        -------
        tuple of matplotlib.axes.Axes
            The two axes.

        Raises
        ------
        ImportError
            If matplotlib is missing; it comes with the extra ``plot``.
        InvalidInputError
            If no task was recorded, or `axes` are not two.

        Examples
        --------
        >>> import numpy as np
        >>> import gprat
        >>> X = np.linspace(0.0, 1.0, 300).reshape(-1, 1)
        >>> with gprat.trace() as t:
        ...     _ = gprat.GP(X, X[:, 0], tile_size=100).predict(X)
        >>> upper, lower = t.plot()
        >>> upper.get_ylabel(), lower.get_ylabel()
        ('busy', 'thread')
        """
        from gprat.plotting import plot_trace

        return plot_trace(self, axes)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file that Perfetto (https://ui.perfetto.dev) and chrome://tracing open.

        Each task is a slice on the track of its thread, with its tile, work and call; arrows
        follow the critical path. What is at `path` is replaced as a whole.

        Parameters
        ----------
        path : path
            A name that ends in ".json" or ".json.gz", in a folder that exists.

        Raises
        ------
        InvalidInputError
            If the name ends differently.
        OSError
            If the file cannot be written. What was there stays.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> import gprat
        >>> gp = gprat.GP([[0.0], [1.0]], [1.0, 2.0])
        >>> with gprat.trace() as t:
        ...     _ = gp.predict([[0.5]])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     t.save(Path(folder) / "trace.json")
        """
        save_chrome_trace(
            path,
            self.tasks,
            transfers=self.transfers,
            lanes=self.lanes,
            n_lost=self.n_lost,
            process=self._process,
        )

    def _local_tasks(self) -> npt.NDArray[np.void]:
        """Return the tasks of this process."""
        recorder = self._recorder
        ended = recorder.ended
        if self._tasks is None or self._tasks.size + recorder.lost != ended:
            names, records = recorder.records()
            self._tasks = validation.read_only(_unpack(names, np.frombuffer(records, _RECORD)))
        return self._tasks

    def _n_local_threads(self) -> int:
        last = int(self._local_tasks()["thread"].max(initial=-1))
        return max(self._recorder.threads, last + 1)

    def _remote_lanes(self) -> tuple[str, ...]:
        """Return the threads of other processes, in the order in which they were met."""
        return tuple(dict.fromkeys(lane for other in self._remote for lane in other.lanes))


def open_trace() -> trace | None:
    """Return the trace that records now."""
    with _lock:
        return _open[-1] if _open else None


def add_remote(to: trace, began: float, seen: RemoteTasks, n_lost: int) -> None:
    """Add what other processes did to a trace.

    Parameters
    ----------
    to : trace
        The trace.
    began : float
        When the times of the records are zero, as this process's `time.time` tells it.
    seen : RemoteTasks
        What they did.
    n_lost : int
        Tasks that are not among the records.
    """
    room = to._max_tasks - sum(other.tasks.size for other in to._remote)
    tasks, transfers = seen.tasks[: max(room, 0)].copy(), seen.transfers.copy()
    for records in (tasks, transfers):
        records["start"] += began - to._began
        records["end"] += began - to._began
    with _lock:
        to._n_remote_lost += n_lost + seen.tasks.size - tasks.size
        to._remote.append(RemoteTasks(tasks, transfers, seen.lanes))


def _unpack(names: list[str], records: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    tasks = np.empty(records.size, dtype=TASK)
    tasks["name"] = np.array(names, dtype=TASK["name"])[records["kind"]]
    for field in TASK.names or ():
        if field != "name":
            tasks[field] = records[field]
    tasks["thread"] = separate_threads(tasks)
    return tasks
