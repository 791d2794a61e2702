"""Strong scaling: the same operation on more and more threads."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
from rich.console import Group
from rich.text import Text

from gprat._text import as_plain_text, make_table
from gprat.simulation.machine import Machine
from gprat.simulation.simulate import Simulation, simulate
from gprat.simulation.tasks import OperationName, check_counts, check_threads

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Scaling", "scaling"]

_THREADS = (1, 2, 4, 8, 16, 32, 64, 128)


@dataclass(frozen=True, slots=True)
class Scaling:
    """How the time of one operation falls with the number of threads. Prints as a table.

    Parameters
    ----------
    n : int
        Training points.
    what : str
        The operation.
    threads : tuple of int
        Numbers of threads, ascending.
    tile_sizes : tuple of int
        Side of the tiles with each.
    seconds : tuple of float
        Time with each.
    critical_path_seconds : tuple of float
        Time of the longest chain of tasks with each.
    serial_seconds : float
        Time of one thread, with tiles of the size that suits it.
    """

    n: int
    what: str
    threads: tuple[int, ...]
    tile_sizes: tuple[int, ...]
    seconds: tuple[float, ...]
    critical_path_seconds: tuple[float, ...]
    serial_seconds: float

    @property
    def speedup(self) -> npt.NDArray[np.float64]:
        """How many times faster than one thread, for each number of threads."""
        return self.serial_seconds / np.array(self.seconds)

    @property
    def efficiency(self) -> npt.NDArray[np.float64]:
        """The speed-up as a share of the number of threads."""
        efficiency: npt.NDArray[np.float64] = self.speedup / np.array(self.threads)
        return efficiency

    def plot(self, axes: Sequence[Axes] | None = None) -> tuple[Axes, Axes]:
        """Draw speed-up and efficiency over the number of threads, beside the ideal.

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
        """
        from gprat.plotting.simulation import plot_scaling

        return plot_scaling(self, axes)

    def __str__(self) -> str:
        table = make_table("threads", "tile size", "seconds", "speed-up", "efficiency")
        rows = zip(
            self.threads, self.tile_sizes, self.seconds, self.speedup, self.efficiency, strict=True
        )
        for threads, tile_size, seconds, speedup, efficiency in rows:
            table.add_row(
                f"{threads}",
                f"{tile_size}",
                f"{seconds:.3g}",
                f"{speedup:.1f}",
                f"{efficiency:.0%}",
            )
        headline = f"Strong scaling of {self.what!r}, {self.n:,} training points"
        return as_plain_text(Group(Text(headline), Text(""), table))

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def scaling(
    n: int,
    d: int = 8,
    m: int = 0,
    *,
    what: OperationName = "fit",
    threads: Iterable[int] = _THREADS,
    tile_size: int | Literal["auto"] = "auto",
    dtype: npt.DTypeLike = "float64",
    machine: Machine | None = None,
    bandwidth: float | None = None,
) -> Scaling:
    """Simulate the same operation with several numbers of threads.

    Parameters
    ----------
    n, d, m, what, dtype, machine, bandwidth
        As in `gprat.simulate`.
    threads : iterable of int, default=(1, 2, 4, 8, 16, 32, 64, 128)
        Numbers of threads, each from 1 to 4096.
    tile_size : int or "auto", default="auto"
        Side of the tiles; "auto" for what a model would choose on a machine with so many
        processors, for each number anew. One thread, which the others are compared with, has its
        own choice too.

    Returns
    -------
    Scaling
        Time, speed-up and efficiency for each number of threads. Prints as a table.

    Raises
    ------
    InvalidInputError
        If there is no number of threads, and where `gprat.simulate` raises it.
    UnsupportedTypeError
        If `threads` holds anything but whole numbers, and where `gprat.simulate` raises it.

    Examples
    --------
    >>> from gprat.simulation import scaling
    >>> curve = scaling(4096, threads=(1, 8, 64))
    >>> curve.threads
    (1, 8, 64)
    >>> bool(curve.speedup[0] == 1.0)
    True
    >>> bool(curve.efficiency[2] < curve.efficiency[1])
    True
    """
    counts = check_counts(threads, "threads", check_threads)

    def on(count: int) -> Simulation:
        return simulate(
            n,
            d,
            m,
            what=what,
            threads=count,
            tile_size=tile_size,
            dtype=dtype,
            machine=machine,
            bandwidth=bandwidth,
        )

    simulations = [on(count) for count in counts]
    alone = simulations[0] if counts[0] == 1 else on(1)
    return Scaling(
        n=n,
        what=what,
        threads=tuple(counts),
        tile_sizes=tuple(simulation.tasks.tile_size for simulation in simulations),
        seconds=tuple(simulation.makespan for simulation in simulations),
        critical_path_seconds=tuple(simulation.critical_path_seconds for simulation in simulations),
        serial_seconds=alone.makespan,
    )
