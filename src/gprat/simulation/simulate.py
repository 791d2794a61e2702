"""When and where each task would run."""

from __future__ import annotations

import dataclasses
import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from rich.console import Group
from rich.table import Table
from rich.text import Text

from gprat import _core
from gprat._text import as_plain_text, make_table
from gprat.exceptions import InvalidInputError, UnsupportedTypeError
from gprat.simulation.machine import Machine, ModelMachine
from gprat.simulation.tasks import OperationName, TaskList, check_size, check_threads, record_tasks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Simulation", "choose_bandwidth", "run", "simulate"]

_TITLES = {
    "fit": "Likelihood and gradient",
    "predict": "Means",
    "variance": "Means and variances",
    "covariance": "Means and their covariance",
}


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """When and where each task of an operation would run. Prints as a table.

    Parameters
    ----------
    tasks : TaskList
        The tasks.
    threads : int
        Threads that compute.
    start, end : ndarray of float64, shape (n_tasks,)
        Seconds since the first task was added.
    thread : ndarray of int32, shape (n_tasks,)
        Index of the thread that runs each task.
    serial_seconds : float
        What one thread of the same machine takes for the same tasks.
    critical_path_seconds : float
        What the longest chain of tasks takes that wait for each other: no number of threads can be
        quicker.

    Examples
    --------
    >>> import gprat
    >>> simulation = gprat.simulate(2048, threads=8)
    >>> 1.0 < simulation.speedup <= simulation.speedup_bound <= 8.0
    True
    """

    tasks: TaskList
    threads: int
    start: npt.NDArray[np.float64]
    end: npt.NDArray[np.float64]
    thread: npt.NDArray[np.int32]
    serial_seconds: float
    critical_path_seconds: float

    @property
    def makespan(self) -> float:
        """Seconds from the first task that is added to the last that ends."""
        return float(self.end.max(initial=0.0))

    @property
    def speedup(self) -> float:
        """How many times faster than one thread of the same machine with the same tasks."""
        return self.serial_seconds / self.makespan

    @property
    def efficiency(self) -> float:
        """The speed-up as a share of the number of threads."""
        return self.speedup / self.threads

    @property
    def speedup_bound(self) -> float:
        """The most speed-up that the longest chain of tasks allows with so many threads."""
        return min(float(self.threads), self.serial_seconds / self.critical_path_seconds)

    @property
    def busy_seconds(self) -> dict[str, float]:
        """Seconds of all threads together, by kind of task."""
        return self.tasks.sum_by_kind(self.end - self.start)

    def utilisation(self, intervals: int = 200) -> npt.NDArray[np.float64]:
        """Return the share of the threads that is busy, over time.

        Parameters
        ----------
        intervals : int, default=200
            Number of equal parts that the makespan is cut into, at least 1.

        Returns
        -------
        ndarray of float64, shape (intervals,)
            The mean share in each part, from 0 to 1.

        Examples
        --------
        >>> import gprat
        >>> gprat.simulate(1000, threads=1).utilisation(4).round(6).tolist()
        [1.0, 1.0, 1.0, 1.0]
        """
        edges = np.linspace(0.0, self.makespan, intervals + 1)
        return busy_time(self.start, self.end, edges) / (np.diff(edges) * self.threads)

    def plot(self, axis: Axes | None = None) -> Axes:
        """Draw how many threads are busy with what, over time.

        Parameters
        ----------
        axis : matplotlib.axes.Axes, default=None
            Where to draw; None for a new figure.

        Returns
        -------
        matplotlib.axes.Axes
            The axis.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        """
        from gprat.plotting.simulation import plot_simulation

        return plot_simulation(self, axis)

    def __str__(self) -> str:
        return as_plain_text(
            Group(Text(self._headline()), Text(""), self._figures(), Text(""), self._kinds())
        )

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def _headline(self) -> str:
        tests = f", {self.tasks.m:,} test points" if self.tasks.m else ""
        return (
            f"{_TITLES[self.tasks.what]}, {self.tasks.n:,} training points{tests}, on "
            f"{self.threads:,} thread{'s' if self.threads > 1 else ''}"
        )

    def _figures(self) -> Table:
        table = make_table("", "")
        table.columns[-1].justify = "left"
        rows = {
            "time": f"{self.makespan:.3g} s, one thread {self.serial_seconds:.3g} s",
            "speed-up": f"{self.speedup:.1f}, efficiency {self.efficiency:.0%}",
            "critical path": f"{self.critical_path_seconds:.3g} s, speed-up at most "
            f"{self.speedup_bound:.1f}",
            "tasks": f"{len(self.tasks):,} on tiles of side {self.tasks.tile_size}",
        }
        for name, value in rows.items():
            table.add_row(name, Text(value))
        return table

    def _kinds(self) -> Table:
        table = make_table("kind", "tasks", "seconds", "share")
        counts = np.bincount(self.tasks.kind, minlength=len(self.tasks.names)).tolist()
        busy = self.busy_seconds
        total = sum(busy.values())
        for name, count in sorted(
            zip(self.tasks.names, counts, strict=True), key=lambda entry: -busy[entry[0]]
        ):
            table.add_row(name, f"{count:,}", f"{busy[name]:.3g}", f"{busy[name] / total:.1%}")
        return table


def run(tasks: TaskList, machine: Machine, threads: int) -> Simulation:
    """Simulate the scheduler on a list of tasks.

    One thread adds the tasks in their order, one each ``machine.submission`` seconds and no more
    than 65,536 that wait at a time; the others take the most urgent of those that are ready. One
    thread alone runs each as it is added.

    Parameters
    ----------
    tasks : TaskList
        The tasks, recorded for so many threads.
    machine : Machine
        Says how long each takes.
    threads : int
        Threads that compute, from 1 to 4096.

    Returns
    -------
    Simulation
        Start, end and thread of each task.

    Raises
    ------
    InvalidInputError
        If `threads` is out of its range, or the machine says that a task takes a time that is
        negative or not finite.
    UnsupportedTypeError
        If `threads` is not a whole number.

    Examples
    --------
    >>> from gprat.simulation import ModelMachine, record_tasks, run
    >>> tasks = record_tasks("fit", 1000, tile_size=200, threads=4)
    >>> run(tasks, ModelMachine(), threads=4).makespan < run(tasks, ModelMachine(), 1).makespan
    True
    """
    workers = check_threads(threads)
    seconds = _check_seconds(machine.seconds(tasks, workers), len(tasks))
    start, end, thread = _schedule(tasks, machine, workers, seconds)
    if workers == 1:
        serial = end
    else:
        alone = _check_seconds(machine.seconds(tasks, 1), len(tasks))
        serial = _schedule(tasks, machine, 1, alone)[1]
    longest = _core.earliest_ends(tasks.predecessors, tasks.offsets, seconds)
    return Simulation(
        tasks,
        workers,
        start,
        end,
        thread,
        serial_seconds=float(serial.max(initial=0.0)),
        critical_path_seconds=float(longest.max(initial=0.0)),
    )


def simulate(
    n: int,
    d: int = 8,
    m: int = 0,
    *,
    what: OperationName = "fit",
    threads: int = 64,
    tile_size: int | Literal["auto"] = "auto",
    dtype: npt.DTypeLike = "float64",
    machine: Machine | None = None,
    bandwidth: float | None = None,
) -> Simulation:
    """Say how an operation would run on a machine with more processors, or fewer.

    The tasks and what they wait for are those of the operation itself, written down by the same
    loops; nothing is computed and no memory is taken for matrices.

    Parameters
    ----------
    n : int
        Number of training points, at most 1,000,000.
    d : int, default=8
        Number of features; the kernel has d + 2 hyperparameters.
    m : int, default=0
        Number of test points; at least 1 unless `what` is "fit".
    what : {"fit", "predict", "variance", "covariance"}, default="fit"
        "fit": one evaluation of the log marginal likelihood and its gradient. The others: the
        first prediction of a model, which computes the factor too.
    threads : int, default=64
        Processors of the machine, all of which compute, from 1 to 4096.
    tile_size : int or "auto", default="auto"
        Side of the tiles; "auto" for what a model would choose on a machine with so many
        processors.
    dtype : {"float64", "float32"}, default="float64"
        Precision.
    machine : Machine, default=None
        Says how long each task takes; None for a `gprat.simulation.ModelMachine` with its default
        figures.
    bandwidth : float, default=None
        Bytes a second that the memory gives to all processors together; None for what the machine
        says.

    Returns
    -------
    Simulation
        When and where each task runs; speed-up, efficiency, utilisation. Prints as a table.

    Raises
    ------
    InvalidInputError
        If a number is out of its range, `what` is unknown, test points are missing, or there would
        be more than 4,000,000 tasks.
    UnsupportedTypeError
        If a number is not a whole number, or the dtype is none of the two.

    Examples
    --------
    >>> import gprat
    >>> print(gprat.simulate(8192, threads=64))
    Likelihood and gradient, 8,192 training points, on 64 threads
    <BLANKLINE>
    time ...
    """
    size, features, workers = check_size(n, "n"), check_size(d, "d"), check_threads(threads)
    tasks = record_tasks(
        what,
        size,
        features,
        m,
        n_hyperparameters=features + 2,
        tile_size=_tile_size(tile_size, size, workers),
        dtype=dtype,
        threads=workers,
    )
    return run(tasks, choose_bandwidth(machine or ModelMachine(), bandwidth), workers)


def busy_time(
    start: npt.NDArray[np.float64],
    end: npt.NDArray[np.float64],
    edges: npt.NDArray[np.float64],
    threads: npt.NDArray[np.float64] | None = None,
) -> npt.NDArray[np.float64]:
    """Return how long tasks run between each two edges, all of them together.

    Each counts as often as it has threads, if these are given.
    """
    times = np.concatenate([start, end])
    order = np.argsort(times, kind="stable")
    each = np.ones(start.size) if threads is None else threads
    running = np.cumsum(np.concatenate([each, -each])[order])
    times = times[order]
    until = np.concatenate([[0.0], np.cumsum(running[:-1] * np.diff(times))])
    return np.diff(np.interp(edges, times, until))


@dataclass(frozen=True, slots=True)
class _WithBandwidth:
    """A machine with another memory."""

    machine: Machine
    bandwidth: float

    @property
    def threads(self) -> int:
        return self.machine.threads

    @property
    def submission(self) -> float:
        return self.machine.submission

    @property
    def overhead(self) -> float:
        return self.machine.overhead

    def seconds(self, tasks: TaskList, threads: int) -> npt.NDArray[np.float64]:
        return self.machine.seconds(tasks, threads)


def choose_bandwidth(machine: Machine, bandwidth: Any) -> Machine:
    """Return the machine, with that bandwidth where it is not None."""
    if bandwidth is None:
        return machine
    try:
        value = float(bandwidth)
    except OverflowError:
        value = float("inf")
    except (TypeError, ValueError):
        raise UnsupportedTypeError(
            f"bandwidth must be a number of bytes a second, got {bandwidth!r}. Pass one such as "
            "200e9, or None."
        ) from None
    if not 1.0 <= value < float("inf"):
        raise InvalidInputError(
            f"bandwidth must be finite and at least 1 byte a second, got {bandwidth!r}. Pass bytes "
            "a second, such as 200e9, or None."
        )
    if isinstance(machine, ModelMachine):
        return dataclasses.replace(machine, bandwidth=value)
    return _WithBandwidth(machine, value)


def _tile_size(tile_size: int | Literal["auto"], n: int, processors: int) -> int:
    if not (isinstance(tile_size, str) and tile_size == "auto"):
        return tile_size
    # Imported here, as the planner may ask for simulations.
    from gprat.planning import auto_tile_size

    return auto_tile_size(n, processors)


def _schedule(
    tasks: TaskList, machine: Machine, threads: int, seconds: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int32]]:
    return _core.simulate(
        tasks.rank,
        tasks.predecessors,
        tasks.offsets,
        seconds,
        tasks.bytes,
        threads,
        machine.submission,
        machine.overhead,
        machine.bandwidth or 0.0,
    )


def _check_seconds(seconds: Any, n_tasks: int) -> npt.NDArray[np.float64]:
    values = np.ascontiguousarray(seconds, dtype=np.float64)
    if values.shape != (n_tasks,) or not (np.isfinite(values) & (values >= 0.0)).all():
        raise InvalidInputError(
            f"the machine must tell at least 0 seconds for each of {n_tasks:,} tasks, got "
            f"shape {values.shape}, from {values.min(initial=0.0):.3g} to "
            f"{values.max(initial=0.0):.3g}. Mend its method seconds()."
        )
    return values
