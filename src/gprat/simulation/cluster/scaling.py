"""Strong and weak scaling: the same operation on more and more workers."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
from rich.console import Group
from rich.text import Text

from gprat._text import as_bytes, as_plain_text, make_table
from gprat.exceptions import InvalidInputError
from gprat.simulation.cluster.network import Network
from gprat.simulation.cluster.result import ClusterSimulation
from gprat.simulation.cluster.simulate import check_workers, simulate_cluster
from gprat.simulation.machine import Machine
from gprat.simulation.tasks import OperationName, check_counts, check_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ClusterScaling", "cluster_scaling"]

_WORKERS = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True, slots=True)
class ClusterScaling:
    """How the time of one operation falls with the number of workers. Prints as a table.

    Parameters
    ----------
    kind : {"strong", "weak"}
        Whether the number of training points stays, or grows with the memory of the workers.
    what : str
        The operation.
    threads : int
        Threads of a worker.
    network : Network
        How workers are joined.
    workers : tuple of int
        Numbers of workers, ascending.
    n : tuple of int
        Training points with each.
    block_sizes : tuple of int
        Rows of a block with each.
    seconds : tuple of float
        Time with each.
    efficiency : tuple of float
        The share of all threads' time that tasks take.
    traffic : tuple of float
        Bytes that travel between workers.
    peak_bytes : tuple of float
        The most that a worker holds at a time.
    limits : tuple of str
        What limits each: see `ClusterSimulation.bounds`.
    """

    kind: str
    what: str
    threads: int
    network: Network
    workers: tuple[int, ...]
    n: tuple[int, ...]
    block_sizes: tuple[int, ...]
    seconds: tuple[float, ...]
    efficiency: tuple[float, ...]
    traffic: tuple[float, ...]
    peak_bytes: tuple[float, ...]
    limits: tuple[str, ...]

    @property
    def speedup(self) -> npt.NDArray[np.float64]:
        """How many times more work is done in a second than with the fewest workers."""
        work = np.array(self.n, dtype=np.float64) ** 3
        rate = work / np.array(self.seconds)
        speedup: npt.NDArray[np.float64] = rate / rate[0]
        return speedup

    def plot(self, axes: Sequence[Axes] | None = None) -> tuple[Axes, Axes]:
        """Draw time and efficiency over the number of workers.

        Parameters
        ----------
        axes : sequence of two matplotlib.axes.Axes, default=None
            Where to draw; None for a new figure.

        Returns
        -------
        tuple of matplotlib.axes.Axes
            The two axes.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        InvalidInputError
            If `axes` are not two.

        See Also
        --------
        gprat.plotting.plot_cluster_scaling : Several curves in one picture.
        """
        from gprat.plotting.cluster import plot_cluster_scaling

        return plot_cluster_scaling([self], axes)

    def __str__(self) -> str:
        table = make_table(
            "workers", "n", "block", "seconds", "speed-up", "efficiency", "traffic", "peak", "limit"
        )
        rows = zip(
            self.workers, self.n, self.block_sizes, self.seconds, self.speedup, self.efficiency,
            self.traffic, self.peak_bytes, self.limits, strict=True,
        )  # fmt: skip
        for workers, n, block, seconds, speedup, efficiency, traffic, peak, limit in rows:
            table.add_row(
                f"{workers}",
                f"{n:,}",
                f"{block:,}",
                f"{seconds:.3g}",
                f"{speedup:.1f}",
                f"{efficiency:.0%}",
                as_bytes(int(traffic)),
                as_bytes(int(peak)),
                limit,
            )
        headline = (
            f"{self.kind.capitalize()} scaling of {self.what!r}, workers of {self.threads} "
            f"threads, {8e-9 * self.network.bandwidth:.3g} Gbit/s"
        )
        return as_plain_text(Group(Text(headline), Text(""), table))

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def cluster_scaling(
    n: int,
    d: int = 8,
    m: int = 0,
    *,
    kind: Literal["strong", "weak"] = "strong",
    what: OperationName = "fit",
    workers: Iterable[int] = _WORKERS,
    threads: int = 32,
    block_size: int | Literal["auto"] = "auto",
    tile_size: int | Literal["auto"] = "auto",
    dtype: npt.DTypeLike = "float64",
    machine: Machine | None = None,
    network: Network | None = None,
) -> ClusterScaling:
    """Simulate the same operation on several numbers of workers.

    Parameters
    ----------
    n : int
        Number of training points; where scaling is weak, that of the most workers.
    d, m, what, threads, block_size, tile_size, dtype, machine, network
        As in `gprat.simulation.simulate_cluster`.
    kind : {"strong", "weak"}, default="strong"
        "strong": n stays. "weak": n grows with the square root of the number of workers, so that
        each of them holds as many numbers as with any other.
    workers : iterable of int, default=(1, 2, 4, 8, 16, 32, 64)
        Numbers of workers, each from 1 to 4096.

    Returns
    -------
    ClusterScaling
        Time, efficiency, traffic, memory and what limits, for each number. Prints as a table.

    Raises
    ------
    InvalidInputError
        If there is no number of workers, `kind` is unknown, and where
        `gprat.simulation.simulate_cluster` raises it.
    UnsupportedTypeError
        If `workers` holds anything but whole numbers, and where
        `gprat.simulation.simulate_cluster` raises it.

    Examples
    --------
    >>> from gprat.simulation import cluster_scaling
    >>> curve = cluster_scaling(40_000, workers=(1, 4))
    >>> curve.workers, curve.n
    ((1, 4), (40000, 40000))
    >>> bool(curve.speedup[1] > 1.0)
    True
    """
    counts = check_counts(workers, "workers", check_workers)
    if kind not in ("strong", "weak"):
        raise InvalidInputError(f'kind must be "strong" or "weak", got {kind!r}.')
    largest = check_size(n, "n")
    shares = [1.0 if kind == "strong" else count / counts[-1] for count in counts]
    sizes = [max(1, round(largest * share**0.5)) for share in shares]

    def on(count: int, size: int) -> ClusterSimulation:
        return simulate_cluster(
            size,
            d,
            m,
            what=what,
            workers=count,
            threads=threads,
            block_size=block_size,
            tile_size=tile_size,
            dtype=dtype,
            machine=machine,
            network=network,
        )

    runs = [on(count, size) for count, size in zip(counts, sizes, strict=True)]
    return ClusterScaling(
        kind=kind,
        what=what,
        threads=runs[0].threads,
        network=runs[0].network,
        workers=tuple(counts),
        n=tuple(sizes),
        block_sizes=tuple(run.tasks.block_size for run in runs),
        seconds=tuple(run.makespan for run in runs),
        efficiency=tuple(run.efficiency for run in runs),
        traffic=tuple(run.traffic_bytes for run in runs),
        peak_bytes=tuple(float(run.peak_bytes.max()) for run in runs),
        limits=tuple(run.limit for run in runs),
    )
