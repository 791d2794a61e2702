"""How an operation would run on a cluster."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from rich.console import Group
from rich.table import Table
from rich.text import Text

from gprat import _validation as validation
from gprat._costs import Operation
from gprat._text import as_bytes, as_plain_text, make_table
from gprat.engines.cluster.layout import Cuts, Grid, auto_block_size, auto_block_tile_size
from gprat.engines.cluster.recording import BlockTasks, Sizes, record_operation
from gprat.exceptions import InvalidInputError
from gprat.simulation.cluster.events import Events
from gprat.simulation.cluster.network import Network
from gprat.simulation.cluster.rates import block_seconds
from gprat.simulation.machine import Machine, ModelMachine
from gprat.simulation.tasks import (
    OperationName,
    check_operation,
    check_points,
    check_size,
    check_threads,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ClusterSimulation", "check_workers", "record_blocks", "run_blocks", "simulate_cluster"]

_TITLES = {
    "fit": "Likelihood and gradient",
    "predict": "Means",
    "variance": "Means and variances",
    "covariance": "Means and their covariance",
}
MOST_WORKERS = 4096
# Blocks a side whose tasks are simulated in a minute or so.
_MOST_BLOCKS = 200


@dataclass(frozen=True, slots=True, eq=False)
class ClusterSimulation:
    """When and where each block of an operation would be computed. Prints as a table.

    Parameters
    ----------
    tasks : gprat.engines.cluster.recording.BlockTasks
        The tasks: how many of each name, which worker owns which, and what each costs.
    threads : int
        Threads of a worker.
    network : Network
        How workers are joined.
    start, end : ndarray of float64, shape (n_tasks,)
        Seconds since the client added the first task.
    work : ndarray of float64, shape (n_tasks,)
        Seconds that each task takes with one thread.
    received, sent : ndarray of float64, shape (n_workers,)
        Bytes that each worker has from others, and they from it.
    peak_bytes : ndarray of float64, shape (n_workers,)
        The most that each worker holds in memory at a time: blocks, and what tasks take that run.
    written, read : ndarray of float64, shape (n_workers,)
        Bytes that each worker writes to its disk, and reads from it.
    critical_path_seconds : float
        What the longest chain of tasks takes that wait for each other, with blocks on their way:
        no number of workers makes it quicker.

    Examples
    --------
    >>> from gprat.simulation import simulate_cluster
    >>> simulation = simulate_cluster(4000, workers=4, threads=2)
    >>> 0.0 < simulation.efficiency < 1.0
    True
    """

    tasks: BlockTasks
    threads: int
    network: Network
    start: npt.NDArray[np.float64]
    end: npt.NDArray[np.float64]
    work: npt.NDArray[np.float64]
    received: npt.NDArray[np.float64]
    sent: npt.NDArray[np.float64]
    peak_bytes: npt.NDArray[np.float64]
    written: npt.NDArray[np.float64]
    read: npt.NDArray[np.float64]
    critical_path_seconds: float

    @property
    def workers(self) -> int:
        """How many workers there are."""
        return self.tasks.workers

    @property
    def makespan(self) -> float:
        """Seconds from the first task that is added to the last that ends."""
        return float(self.end.max(initial=0.0))

    @property
    def serial_seconds(self) -> float:
        """What one thread takes for the same tasks, if nothing has to travel."""
        return float(self.work.sum())

    @property
    def efficiency(self) -> float:
        """The share of all threads' time that tasks take."""
        return self.serial_seconds / (self.makespan * self.workers * self.threads)

    @property
    def traffic_bytes(self) -> float:
        """Bytes that travel between workers."""
        return float(self.received.sum())

    @property
    def bounds(self) -> dict[str, float]:
        """Seconds that each of four things takes alone, without which it can't be done.

        "compute": the tasks of the worker that has most to do. "network": the bytes of the link
        that carries most. "critical path": the longest chain of tasks. "scheduler": to add all
        tasks, and to keep account of them.
        """
        by_worker = np.bincount(self.tasks.owner, weights=self.work, minlength=self.workers)
        busiest = max(self.received.max(initial=0.0), self.sent.max(initial=0.0))
        each = max(self.network.submission, self.network.scheduling)
        return {
            "compute": float(by_worker.max(initial=0.0)) / self.threads,
            "network": float(busiest) / self.network.bandwidth,
            "critical path": self.critical_path_seconds,
            "scheduler": len(self.tasks) * each,
        }

    @property
    def limit(self) -> str:
        """Which of the `bounds` is the largest: what has to be better to be quicker."""
        bounds = self.bounds
        return max(bounds, key=bounds.__getitem__)

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
        from gprat.plotting.cluster import plot_cluster_simulation

        return plot_cluster_simulation(self, axis)

    def __str__(self) -> str:
        return as_plain_text(Group(Text(self._headline()), Text(""), self._figures()))

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def _headline(self) -> str:
        sizes = self.tasks.sizes
        tests = f", {sizes.m:,} test points" if sizes.m else ""
        return (
            f"{_TITLES[sizes.operation.value]}, {sizes.n:,} training points{tests}, on "
            f"{self.workers:,} worker{'s' if self.workers > 1 else ''} of {self.threads:,} "
            f"thread{'s' if self.threads > 1 else ''}"
        )

    def _figures(self) -> Table:
        table = make_table("", "")
        table.columns[-1].justify = "left"
        bounds = ", ".join(f"{name} {seconds:.3g} s" for name, seconds in self.bounds.items())
        rows = {
            "time": f"{self.makespan:.3g} s, efficiency {self.efficiency:.0%}",
            "limit": f"{self.limit} ({bounds})",
            "traffic": f"{as_bytes(int(self.traffic_bytes))}, a worker receives at most "
            f"{as_bytes(int(self.received.max(initial=0.0)))}",
            "memory": f"at most {as_bytes(int(self.peak_bytes.max(initial=0.0)))} on a worker",
            "tasks": f"{len(self.tasks):,} on blocks of {self.tasks.block_size:,} rows, in tiles of "
            f"side {self.tasks.tile_size}",
        }
        if self.written.any():
            rows["disk"] = (
                f"{as_bytes(int(self.written.sum()))} written, "
                f"{as_bytes(int(self.read.sum()))} read"
            )
        for name, value in rows.items():
            table.add_row(name, Text(value))
        return table


def simulate_cluster(
    n: int,
    d: int = 8,
    m: int = 0,
    *,
    what: OperationName = "fit",
    workers: int = 64,
    threads: int = 32,
    block_size: int | Literal["auto"] = "auto",
    tile_size: int | Literal["auto"] = "auto",
    dtype: npt.DTypeLike = "float64",
    machine: Machine | None = None,
    network: Network | None = None,
) -> ClusterSimulation:
    """Say how an operation would run on a cluster of workers.

    The tasks, what they wait for, and which worker has which, are those of ``engine="cluster"``,
    written down by the functions that would give them to Dask; nothing is computed, and neither a
    cluster nor memory for matrices are needed.

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
    workers : int, default=64
        Workers of the cluster, from 1 to 4096.
    threads : int, default=32
        Threads of each, all of which compute, from 1 to 4096.
    block_size : int or "auto", default="auto"
        Rows of a block; "auto" for what the engine would choose.
    tile_size : int or "auto", default="auto"
        Side of the tiles that a worker cuts a block into; "auto" for what the engine would choose.
    dtype : {"float64", "float32"}, default="float64"
        Precision.
    machine : Machine, default=None
        Says how long tiles take on a worker; None for a `gprat.simulation.ModelMachine` with its
        default figures.
    network : Network, default=None
        How workers are joined; None for a `Network` with its default figures, 10 Gbit/s.

    Returns
    -------
    ClusterSimulation
        Time, efficiency, traffic and memory, and what limits them. Prints as a table.

    Raises
    ------
    InvalidInputError
        If a number is out of its range, `what` is unknown, test points are missing, or blocks are
        so small that there are more than 200 a side.
    UnsupportedTypeError
        If a number is not a whole number, or the dtype is none of the two.

    Examples
    --------
    >>> from gprat.simulation import simulate_cluster
    >>> print(simulate_cluster(20_000, workers=4))
    Likelihood and gradient, 20,000 training points, on 4 workers of 32 threads
    <BLANKLINE>
    time ...
    """
    operation, features = check_operation(what), check_size(d, "d")
    sizes = Sizes(
        operation,
        check_size(n, "n"),
        features,
        0 if operation is Operation.FIT else check_points(m, operation),
        n_hyperparameters=features + 2,
        dtype=str(validation.check_dtype(dtype, None)),
    )
    count, width = check_workers(workers), check_threads(threads)
    tasks = record_blocks(sizes, count, width, block_size, tile_size)
    return run_blocks(tasks, width, machine or ModelMachine(), network or Network())


def record_blocks(
    sizes: Sizes,
    workers: int,
    threads: int,
    block_size: int | Literal["auto"] = "auto",
    tile_size: int | Literal["auto"] = "auto",
) -> BlockTasks:
    """Return the tasks of an operation as the engine would cut it."""
    grid = Grid.of([f"worker {index:04d}" for index in range(workers)])

    def cuts(points: int) -> Cuts:
        chosen = auto_block_size(points, grid) if block_size == "auto" else block_size
        return Cuts.even(points, check_size(chosen, "block_size"))

    rows, test_rows = cuts(sizes.n), cuts(sizes.m) if sizes.m else Cuts.even(0, 1)
    if max(len(rows), len(test_rows)) > _MOST_BLOCKS:
        raise InvalidInputError(
            f"blocks of {rows.size(0):,} rows are {len(rows):,} a side; at most {_MOST_BLOCKS} are "
            "simulated, and Dask's scheduler would be busy for long with more. Pass larger ones, "
            f"such as block_size={2 * -(-max(sizes.n, sizes.m) // _MOST_BLOCKS)}."
        )
    if tile_size == "auto":
        side = auto_block_tile_size(rows.size(0), threads)
    else:
        side = min(check_size(tile_size, "tile_size"), sizes.n)
    return record_operation(sizes, grid, rows, test_rows, side)


def run_blocks(
    tasks: BlockTasks, threads: int, machine: Machine, network: Network
) -> ClusterSimulation:
    """Simulate a cluster on a list of tasks."""
    work, span = block_seconds(tasks, machine, threads, network.overhead)
    events = Events(tasks, work, span, threads, network)
    events.run()
    memory = events.memory
    return ClusterSimulation(
        tasks,
        threads,
        network,
        events.start,
        events.end,
        work,
        np.array(events.links.received),
        np.array(events.links.sent),
        np.array([each.peak for each in memory]),
        np.array([each.written for each in memory]),
        np.array([each.read for each in memory]),
        _critical_path(tasks, np.maximum(span, work / threads), network),
    )


def check_workers(workers: Any) -> int:
    """Return a number of workers that a cluster may have, from 1 to 4096."""
    remedy = "Pass how many workers compute, such as workers=8."
    count = validation.check_positive_integer(workers, "workers", remedy)
    if count > MOST_WORKERS:
        raise InvalidInputError(
            f"workers must be at most {MOST_WORKERS:,}, got {count:,}: that is more than one "
            f"scheduler of Dask serves. {remedy}"
        )
    return count


def _critical_path(
    tasks: BlockTasks, least: npt.NDArray[np.float64], network: Network
) -> float:
    """Return the length of the longest chain, with blocks that travel and what tells of tasks."""
    owner, sizes, seconds = tasks.owner.tolist(), tasks.bytes.tolist(), least.tolist()
    offsets, flat = tasks.offsets.tolist(), tasks.predecessors.tolist()
    told = 2.0 * network.latency + network.scheduling
    end: list[float] = []
    for task, duration in enumerate(seconds):
        begin = network.latency
        for before in flat[offsets[task] : offsets[task + 1]]:
            arrival = end[before] + told
            if owner[before] != owner[task]:
                arrival += network.seconds(sizes[before])
            begin = max(begin, arrival)
        end.append(begin + duration)
    return max(end, default=0.0)
