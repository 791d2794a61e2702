"""How an operation would run on a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gprat.exceptions import InvalidInputError
from gprat.plotting._busy import Phases, draw_busy
from gprat.plotting._style import COLOURS, INK, given_axes, new_axes, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gprat.simulation import ClusterScaling, ClusterSimulation

__all__ = ["plot_cluster_scaling", "plot_cluster_simulation"]

# What each kind of task serves; the other kinds are solves with vectors, and sums.
_PHASES = {
    "factorisation": {"cholesky", "panel", "update_cholesky", "update_panel"},
    "inverse of L": {"identity", "invert", "update_invert"},
    "gradient": {"gradient", "update_gradient"},
    "prediction": {"whiten", "update_whiten", "explain", "covariance", "update_covariance", "mean"},
}
_OTHERS = "solves"
_LIMIT_MARKS = {"compute": "o", "network": "s", "critical path": "^", "scheduler": "D"}


def plot_cluster_simulation(simulation: ClusterSimulation, axis: Axes | None = None) -> Axes:
    """Draw how many threads of a cluster are busy with what, over time.

    Parameters
    ----------
    simulation : gprat.simulation.ClusterSimulation
        What `gprat.simulation.simulate_cluster` returned.
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
    >>> simulation = gprat.simulation.simulate_cluster(8192, workers=2)
    >>> gprat.plotting.plot_cluster_simulation(simulation).get_ylabel()
    'threads that are busy'
    """
    # A task of a block takes its worker for a while, but not all of its threads all the time.
    lasted = simulation.end - simulation.start
    threads = np.divide(simulation.work, lasted, out=np.zeros_like(lasted), where=lasted > 0.0)
    total = simulation.workers * simulation.threads
    busy = draw_busy(
        axis, "plot_cluster_simulation", simulation, Phases(_PHASES, _OTHERS), total, threads
    )
    busy.set_title(
        f"{len(simulation.tasks):,} tasks on {simulation.workers} × {simulation.threads} threads: "
        f"efficiency {simulation.efficiency:.0%}, limit: {simulation.limit}"
    )
    return busy


def plot_cluster_scaling(
    curves: Sequence[ClusterScaling], axes: Sequence[Axes] | None = None
) -> tuple[Axes, Axes]:
    """Draw time and efficiency over the number of workers, one curve for each simulation.

    Parameters
    ----------
    curves : sequence of gprat.simulation.ClusterScaling
        What `gprat.simulation.cluster_scaling` returned.
    axes : sequence of two matplotlib.axes.Axes, default=None
        Where to draw time and efficiency; None for a new figure.

    Returns
    -------
    tuple of matplotlib.axes.Axes
        The two axes. Marks tell what limits: a circle the threads, a square the network, a triangle
        the longest chain of tasks, a diamond the scheduler. Dashed lines are ideal times.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    InvalidInputError
        If there is no curve, or `axes` are not two.

    Examples
    --------
    >>> import gprat
    >>> curve = gprat.simulation.cluster_scaling(8192, workers=(1, 2, 4))
    >>> time, efficiency = gprat.plotting.plot_cluster_scaling([curve])
    >>> efficiency.get_ylabel()
    'efficiency'
    """
    if not curves:
        raise InvalidInputError(
            "there is no curve to draw. Pass at least one, from gprat.simulation.cluster_scaling."
        )
    if axes is None:
        time, efficiency = new_axes("plot_cluster_scaling", (1, 2), figsize=(10.0, 3.8))
    else:
        time, efficiency = given_axes(axes, 2, "for time and efficiency", (1, 2))
    for index, curve in enumerate(curves):
        colour = COLOURS[(index + 1) % len(COLOURS)]
        # More curves than colours are told apart by their lines.
        line = "-" if index < len(COLOURS) else "-."
        _draw(time, curve, curve.seconds, (colour, line))
        _draw(efficiency, curve, curve.efficiency, (colour, line))
        # With work that grows as n³, an ideal cluster keeps the rate of each of its threads.
        work = np.array(curve.n, dtype=np.float64) ** 3 / np.array(curve.workers)
        ideal = curve.seconds[0] * work / work[0]
        time.plot(curve.workers, ideal, "--", color=colour, linewidth=0.8, alpha=0.6)
    time.set_yscale("log")
    time.set_ylabel("seconds")
    efficiency.set(ylabel="efficiency", ylim=(0.0, 1.05))
    efficiency.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    _explain_marks(time, {limit for curve in curves for limit in curve.limits})
    efficiency.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    return time, efficiency


def _draw(
    axis: Axes, curve: ClusterScaling, values: Sequence[float], style: tuple[str, str]
) -> None:
    colour, line = style
    bandwidth = 8e-9 * curve.network.bandwidth
    label = f"{curve.kind}, n = {max(curve.n):,}, {bandwidth:.3g} Gbit/s"
    axis.plot(curve.workers, values, line, color=colour, label=label)
    for workers, value, limit in zip(curve.workers, values, curve.limits, strict=True):
        axis.plot(workers, value, _LIMIT_MARKS[limit], color=colour, markersize=5.0)
    axis.set_xscale("log", base=2)
    axis.set_xticks(curve.workers, [f"{count}" for count in curve.workers])
    axis.minorticks_off()
    axis.set_xlabel(f"workers of {curve.threads} threads")
    tidy(axis, grid="both")


def _explain_marks(axis: Axes, limits: set[str]) -> None:
    from matplotlib.lines import Line2D

    marks = [
        Line2D([], [], color=INK, marker=mark, linestyle="none", label=f"limit: {limit}")
        for limit, mark in _LIMIT_MARKS.items()
        if limit in limits
    ]
    axis.legend(handles=marks, frameon=False)
