"""How many threads are busy with what, over time: what pictures of simulations share."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gprat.plotting._style import COLOURS, MUTED, given_axes, new_axes, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gprat.simulation import ClusterSimulation, Simulation

__all__ = ["Phases", "draw_busy"]

_INTERVALS = 300


@dataclass(frozen=True, slots=True)
class Phases:
    """What kinds of tasks serve.

    Parameters
    ----------
    kinds : mapping of str to set of str
        The kinds of tasks of each phase, from the bottom of the picture upwards.
    others : str
        What all other kinds serve, at the top.
    """

    kinds: Mapping[str, Set[str]]
    others: str

    def of(self, names: tuple[str, ...]) -> npt.NDArray[np.str_]:
        """Return the phase of each kind of task."""
        phase_of = {name: phase for phase, kinds in self.kinds.items() for name in kinds}
        return np.array([phase_of.get(name, self.others) for name in names])


def draw_busy(
    axis: Axes | None,
    caller: str,
    simulation: Simulation | ClusterSimulation,
    phases: Phases,
    total: int,
    threads: npt.NDArray[np.float64] | None = None,
) -> Axes:
    """Draw how many threads are busy in each phase, and a dashed line for all threads.

    Parameters
    ----------
    axis : matplotlib.axes.Axes or None
        Where to draw; None for a new figure.
    caller : str
        Who draws.
    simulation : gprat.simulation.Simulation or gprat.simulation.ClusterSimulation
        When each task begins and ends.
    phases : Phases
        What tasks serve.
    total : int
        How many threads there are.
    threads : numpy.ndarray or None, default=None
        How many threads each task takes; None: one.
    """
    if axis is None:
        (axis,) = new_axes(caller, (1, 1), figsize=(8.0, 3.4))
    else:
        (axis,) = given_axes(axis, 1, "for the threads that are busy", (1, 1))
    # Imported here: simulations import this module to be drawn.
    from gprat.simulation.simulate import busy_time

    edges = np.linspace(0.0, simulation.makespan, _INTERVALS + 1)
    phase = phases.of(simulation.tasks.names)[simulation.tasks.kind]
    busy = {}
    for name in (*phases.kinds, phases.others):
        members = phase == name
        if members.any():
            weights = None if threads is None else threads[members]
            start, end = simulation.start[members], simulation.end[members]
            busy[name] = busy_time(start, end, edges, weights) / np.diff(edges)
    axis.stackplot(edges[:-1], list(busy.values()), labels=list(busy), colors=COLOURS, step="post")
    axis.axhline(total, color=MUTED, linestyle="--", linewidth=1.0)
    axis.set(
        xlabel="seconds",
        ylabel="threads that are busy",
        xlim=(0.0, simulation.makespan),
        ylim=(0.0, 1.08 * total),
    )
    axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    tidy(axis)
    return axis
