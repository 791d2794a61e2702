"""What came of a simulation of a cluster."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from rich.console import Group
from rich.table import Table
from rich.text import Text

from gprat._text import as_bytes, as_plain_text, make_table
from gprat.engines.cluster.recording import BlockTasks
from gprat.simulation.cluster.network import Network

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ClusterSimulation"]

_TITLES = {
    "fit": "Likelihood and gradient",
    "predict": "Means",
    "variance": "Means and variances",
    "covariance": "Means and their covariance",
}


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
            "tasks": f"{len(self.tasks):,} on blocks of {self.tasks.block_size:,} rows, in tiles "
            f"of side {self.tasks.tile_size}",
        }
        if self.written.any():
            rows["disk"] = (
                f"{as_bytes(int(self.written.sum()))} written, "
                f"{as_bytes(int(self.read.sum()))} read"
            )
        for name, value in rows.items():
            table.add_row(name, Text(value))
        return table
