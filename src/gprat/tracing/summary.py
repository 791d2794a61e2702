"""A trace in numbers: where the time went, and what held the work up."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gprat._text import as_plain_text, make_table
from gprat._validation import Float64Array
from gprat.tracing.critical_path import critical_path
from gprat.tracing.kinds import Unit, unit_of

__all__ = ["IdleTime", "KindSummary", "TraceSummary", "summarise"]

# From here on, what is computed is what takes the time, and not what waits.
_BUSY = 0.9
_LONG_PATH = 0.75


@dataclass(frozen=True, slots=True)
class KindSummary:
    """All tasks of one kind.

    Parameters
    ----------
    name : str
        The operation.
    n_tasks : int
        Number of tasks.
    seconds : float
        Their time, summed over the threads.
    share : float
        Of the time of all tasks, in [0, 1].
    mean_seconds, longest_seconds : float
        Time of a task, on average and at most.
    work : float
        Number of `unit`.
    unit : {"flop", "pairs"}
        Floating-point operations, or pairs of points.

    Examples
    --------
    >>> KindSummary("gemm", 4, 2.0, 0.5, 0.5, 0.75, 8e10, "flop").rate
    40000000000.0
    """

    name: str
    n_tasks: int
    seconds: float
    share: float
    mean_seconds: float
    longest_seconds: float
    work: float
    unit: Unit

    @property
    def rate(self) -> float:
        """Work by second on one thread; NaN if no work was counted."""
        return self.work / self.seconds if self.work > 0.0 and self.seconds > 0.0 else math.nan


@dataclass(frozen=True, slots=True)
class IdleTime:
    """When threads had nothing to do, in seconds summed over the threads.

    Parameters
    ----------
    between : float
        Between calls: Python, preparation and allocation.
    start : float
        In calls, before the thread's first task.
    middle : float
        In calls, between the thread's tasks: what it could do next waited for others, or had not
        been added yet.
    end : float
        In calls, after the thread's last task.

    Examples
    --------
    >>> IdleTime(0.0, 0.25, 0.5, 0.25).seconds
    1.0
    """

    between: float
    start: float
    middle: float
    end: float

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.between + self.start + self.middle + self.end


@dataclass(frozen=True, slots=True, eq=False)
class TraceSummary:
    """A trace in numbers. Prints as a table.

    Parameters
    ----------
    n_tasks, n_lost : int
        Tasks that were recorded, and those for which there was no room.
    n_calls : int
        Graphs that the tasks belong to.
    n_threads : int
        Threads that could compute.
    wall_seconds : float
        From the start of the first task to the end of the last.
    block_seconds : float
        How long the traced block took; beyond `wall_seconds` it is Python and preparation.
    kinds : tuple of KindSummary
        What takes longest first.
    thread_shares : ndarray of shape (n_threads,)
        The part of `wall_seconds` in which each thread had a task, in [0, 1].
    idle : IdleTime
        Where the rest went.
    path_tasks : int
        Tasks on the critical path: each released the next one.
    path_seconds : float
        Their time. Less than `wall_seconds` by what they waited for a free thread.
    path_kinds : dict of str to float
        Seconds of it by operation, what takes longest first.

    Examples
    --------
    >>> import numpy as np
    >>> import gprat
    >>> X = np.linspace(0.0, 1.0, 300).reshape(-1, 1)
    >>> with gprat.trace() as t:
    ...     _ = gprat.GP(X, X[:, 0], tile_size=100).predict(X)
    >>> summary = t.summary()
    >>> summary.n_tasks == t.tasks.size, summary.path_seconds <= summary.wall_seconds
    (True, True)
    """

    n_tasks: int
    n_lost: int
    n_calls: int
    n_threads: int
    wall_seconds: float
    block_seconds: float
    kinds: tuple[KindSummary, ...]
    thread_shares: Float64Array
    idle: IdleTime
    path_tasks: int
    path_seconds: float
    path_kinds: dict[str, float]

    @property
    def busy_seconds(self) -> float:
        """Time of all tasks, summed over the threads."""
        return sum(kind.seconds for kind in self.kinds)

    @property
    def utilisation(self) -> float:
        """The part of the threads' time that was spent in tasks, in [0, 1]."""
        capacity = self.wall_seconds * self.n_threads
        return self.busy_seconds / capacity if capacity > 0.0 else 0.0

    @property
    def path_share(self) -> float:
        """The part of `wall_seconds` in which a task of the critical path ran, in [0, 1]."""
        return self.path_seconds / self.wall_seconds if self.wall_seconds > 0.0 else 0.0

    @property
    def limit(self) -> str:
        """What to change for more speed, in one sentence."""
        if self.n_tasks == 0:
            return "no task ran"
        if self.n_threads == 1:
            return "one thread does all the work"
        if self.utilisation >= _BUSY:
            return "the work: all threads are busy, and more threads would help"
        if self.path_share >= _LONG_PATH:
            slowest = next(iter(self.path_kinds))
            return f"the critical path, most of it {slowest}: smaller tiles shorten it"
        reasons = {
            "the time between calls, where nothing is computed": self.idle.between,
            "the start of calls, where there is too little to do": self.idle.start,
            "tasks that wait for others or are added too slowly": self.idle.middle,
            "the end of calls, where there is too little left to do: smaller tiles even it out": (
                self.idle.end
            ),
        }
        return max(reasons, key=lambda reason: reasons[reason])

    def __str__(self) -> str:
        if self.n_tasks == 0:
            return "No task ran."
        parts: list[RenderableType] = [
            Text(self._headline()),
            Text(""),
            self._kinds_table(),
            Text(""),
            self._facts_table(),
        ]
        return as_plain_text(Group(*parts))

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def _headline(self) -> str:
        calls = "" if self.n_calls == 1 else f" of {self.n_calls:,} calls"
        lost = f" ({self.n_lost:,} more were not recorded)" if self.n_lost else ""
        threads = "1 thread" if self.n_threads == 1 else f"{self.n_threads:,} threads"
        return (
            f"{self.n_tasks:,} task{'s' * (self.n_tasks != 1)}{calls}{lost} in "
            f"{_seconds(self.wall_seconds)} on {threads}, busy for {self.utilisation:.1%}"
        )

    def _kinds_table(self) -> Table:
        table = make_table("kind", "tasks", "total", "share", "mean", "longest", "rate")
        for kind in self.kinds:
            table.add_row(
                kind.name,
                f"{kind.n_tasks:,}",
                _seconds(kind.seconds),
                f"{kind.share:.1%}",
                _seconds(kind.mean_seconds),
                _seconds(kind.longest_seconds),
                "" if math.isnan(kind.rate) else _rate(kind),
            )
        return table

    def _facts_table(self) -> Table:
        table = make_table("", "")
        table.columns[-1].justify = "left"
        capacity = self.wall_seconds * self.n_threads or 1.0
        idle = {
            "between calls": self.idle.between,
            "at their start": self.idle.start,
            "within": self.idle.middle,
            "at their end": self.idle.end,
        }
        kinds = ", ".join(f"{name} {_seconds(s)}" for name, s in list(self.path_kinds.items())[:4])
        rows = {
            "threads busy": " ".join(f"{share:.0%}" for share in self.thread_shares),
            "idle": ", ".join(f"{part / capacity:.1%} {place}" for place, part in idle.items()),
            "critical path": f"{_seconds(self.path_seconds)}, {self.path_share:.0%} of the time, "
            f"{self.path_tasks:,} task{'s' * (self.path_tasks != 1)}: {kinds}",
            "outside tasks": _seconds(max(0.0, self.block_seconds - self.wall_seconds)),
            "limited by": self.limit,
        }
        for name, value in rows.items():
            table.add_row(name, Text(value))
        return table


def summarise(
    tasks: npt.NDArray[np.void], n_threads: int, block_seconds: float, n_lost: int
) -> TraceSummary:
    """Sum up the records of a trace.

    Parameters
    ----------
    tasks : ndarray of shape (n_tasks,)
        The records, in the order in which the tasks ended.
    n_threads : int
        Threads that could compute; all numbers of threads are below it.
    block_seconds : float
        How long the traced block took.
    n_lost : int
        Tasks that are not among the records.

    Returns
    -------
    TraceSummary
        The sums.
    """
    durations = tasks["end"] - tasks["start"]
    wall = float(tasks["end"].max() - tasks["start"].min()) if tasks.size else 0.0
    chain = critical_path(tasks)
    busy = np.zeros(n_threads)
    np.add.at(busy, tasks["thread"], durations)
    on_path = _totals(tasks["name"][chain], durations[chain])
    return TraceSummary(
        n_tasks=tasks.size,
        n_lost=n_lost,
        n_calls=np.unique(tasks["graph"]).size,
        n_threads=n_threads,
        wall_seconds=wall,
        block_seconds=block_seconds,
        kinds=_kinds(tasks, durations),
        thread_shares=busy / (wall or 1.0),
        idle=_idle_time(tasks, n_threads, wall),
        path_tasks=chain.size,
        path_seconds=float(durations[chain].sum()),
        path_kinds=on_path,
    )


def _totals(names: npt.NDArray[np.str_], values: Float64Array) -> dict[str, float]:
    unique, members = np.unique(names, return_inverse=True)
    sums = np.bincount(members, weights=values, minlength=unique.size)
    order = np.argsort(-sums, kind="stable")
    return {str(unique[i]): float(sums[i]) for i in order}


def _kinds(tasks: npt.NDArray[np.void], durations: Float64Array) -> tuple[KindSummary, ...]:
    total = float(durations.sum())
    kinds = []
    for name, seconds in _totals(tasks["name"], durations).items():
        mine = tasks["name"] == name
        kinds.append(
            KindSummary(
                name=name,
                n_tasks=int(mine.sum()),
                seconds=seconds,
                share=seconds / total if total > 0.0 else 0.0,
                mean_seconds=float(durations[mine].mean()),
                longest_seconds=float(durations[mine].max()),
                work=float(tasks["work"][mine].sum()),
                unit=unit_of(name),
            )
        )
    return tuple(kinds)


def _idle_time(tasks: npt.NDArray[np.void], n_threads: int, wall: float) -> IdleTime:
    """Part the time into the calls, those side by side taken as one, and what is between them."""
    begins, ends = _spans_of_calls(tasks)
    span = np.searchsorted(begins, tasks["start"], side="right") - 1
    # By span and thread: the first start, the last end, and the time in tasks.
    shape = (begins.size, n_threads)
    first, last = np.full(shape, np.inf), np.full(shape, -np.inf)
    busy = np.zeros(shape)
    place = (span, tasks["thread"])
    np.minimum.at(first, place, tasks["start"])
    np.maximum.at(last, place, tasks["end"])
    np.add.at(busy, place, tasks["end"] - tasks["start"])
    # A thread that had nothing to do in a call waited for its start all the time.
    first = np.minimum(first, ends[:, None])
    last = np.where(np.isinf(last), ends[:, None], last)
    return IdleTime(
        between=n_threads * max(0.0, wall - float((ends - begins).sum())),
        start=float((first - begins[:, None]).sum()),
        middle=max(0.0, float((last - first - busy).sum())),
        end=float((ends[:, None] - last).sum()),
    )


def _spans_of_calls(tasks: npt.NDArray[np.void]) -> tuple[Float64Array, Float64Array]:
    """Return when calls began and ended, as intervals that don't touch, in order."""
    graphs, members = np.unique(tasks["graph"], return_inverse=True)
    begins, ends = np.full(graphs.size, np.inf), np.full(graphs.size, -np.inf)
    np.minimum.at(begins, members, tasks["start"])
    np.maximum.at(ends, members, tasks["end"])
    order = np.argsort(begins, kind="stable")
    begins, ends = begins[order], np.maximum.accumulate(ends[order])
    is_new = np.append(True, begins[1:] > ends[:-1])[: begins.size]
    is_last = np.append(is_new[1:], True)[: begins.size]
    return begins[is_new], ends[is_last]


def _seconds(value: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-9:.3g} ns"


def _rate(kind: KindSummary) -> str:
    unit = "F/s" if kind.unit == "flop" else "pairs/s"
    for prefix, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if kind.rate >= size:
            return f"{kind.rate / size:.3g} {prefix}{unit}"
    return f"{kind.rate:.3g} {unit}"
