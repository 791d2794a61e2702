"""How an operation would run on other machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gprat.plotting._busy import Phases, draw_busy
from gprat.plotting._style import COLOURS, INK, MUTED, given_axes, new_axes, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gprat.simulation import Scaling, Simulation

__all__ = ["plot_scaling", "plot_simulation"]

# What each kind of task serves; the other kinds are solves with vectors, and copies.
_PHASES = {
    "covariances": {"assemble", "cross_covariance"},
    "factorisation": {"potrf", "trsm", "syrk", "gemm"},
    "inverse of L": {"trtri", "inverse_trsm", "inverse_trmm", "inverse_gemm"},
    "inverse of K": {"lauum", "gram_trmm", "gram_syrk", "gram_gemm"},
    "gradient": {"contract"},
}
_OTHERS = {"fit": "solves", "predict": "prediction", "variance": "prediction"}


def plot_simulation(simulation: Simulation, axis: Axes | None = None) -> Axes:
    """Draw how many threads are busy with what, over time.

    Parameters
    ----------
    simulation : gprat.simulation.Simulation
        What `gprat.simulate` returned.
    axis : matplotlib.axes.Axes, default=None
        Where to draw; None for a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axis: threads over seconds, a colour a phase; a dashed line for all threads.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    InvalidInputError
        If `axis` is not one axis.

    Examples
    --------
    >>> import gprat
    >>> axis = gprat.plotting.plot_simulation(gprat.simulate(4096, threads=16))
    >>> axis.get_ylabel()
    'threads that are busy'
    """
    tasks = simulation.tasks
    others = _OTHERS.get(tasks.what, "prediction")
    busy = draw_busy(
        axis, "plot_simulation", simulation, Phases(_PHASES, others), simulation.threads
    )
    busy.set_title(
        f"{len(tasks):,} tasks on {simulation.threads} threads: "
        f"efficiency {simulation.efficiency:.0%}"
    )
    return busy


def plot_scaling(scaling: Scaling, axes: Sequence[Axes] | None = None) -> tuple[Axes, Axes]:
    """Draw speed-up and efficiency over the number of threads, beside the ideal.

    Parameters
    ----------
    scaling : gprat.simulation.Scaling
        What `gprat.simulation.scaling` returned.
    axes : sequence of two matplotlib.axes.Axes, default=None
        Where to draw speed-up and efficiency; None for a new figure.

    Returns
    -------
    tuple of matplotlib.axes.Axes
        The two axes. The dashed line is the ideal; the dotted one, what the longest chain of tasks
        allows.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    InvalidInputError
        If `axes` are not two.

    Examples
    --------
    >>> import gprat
    >>> curve = gprat.simulation.scaling(4096, threads=(1, 4, 16))
    >>> first, second = gprat.plotting.plot_scaling(curve)
    >>> second.get_ylabel()
    'efficiency'
    """
    if axes is None:
        speedup, efficiency = new_axes("plot_scaling", (1, 2), figsize=(9.0, 3.6))
    else:
        speedup, efficiency = given_axes(axes, 2, "for speed-up and efficiency", (1, 2))
    threads = np.array(scaling.threads)
    most = np.minimum(threads, scaling.serial_seconds / np.array(scaling.critical_path_seconds))
    _draw_curves(speedup, threads, scaling.speedup, threads, most)
    _draw_curves(efficiency, threads, scaling.efficiency, np.ones(threads.size), most / threads)
    speedup.set(ylabel="speed-up", title=f"{scaling.what}, {scaling.n:,} training points")
    speedup.set_yscale("log", base=2)
    speedup.yaxis.set_major_formatter("{x:g}")
    speedup.legend(frameon=False)
    efficiency.set(ylabel="efficiency", ylim=(0.0, 1.05))
    efficiency.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    return speedup, efficiency


def _draw_curves(
    axis: Axes,
    threads: npt.NDArray[np.int64],
    reached: npt.NDArray[np.float64],
    ideal: npt.NDArray[np.float64],
    bound: npt.NDArray[np.float64],
) -> None:
    axis.plot(threads, ideal, "--", color=MUTED, label="ideal")
    axis.plot(threads, bound, ":", color=INK, label="longest chain")
    axis.plot(threads, reached, "o-", color=COLOURS[1], label="simulated")
    axis.set_xscale("log", base=2)
    axis.set_xticks(threads, [f"{count}" for count in threads])
    axis.minorticks_off()
    axis.set_xlabel("threads")
    tidy(axis, grid="both")
