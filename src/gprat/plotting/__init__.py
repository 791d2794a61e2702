"""Pictures of what gprat computes; they need the extra ``plot``.

All return the axes, draw on given ones, and leave matplotlib's settings alone. What the model says
is teal, what was measured is dark blue, and what calls for attention is rust.
"""

from gprat.plotting.cluster import plot_cluster_scaling, plot_cluster_simulation
from gprat.plotting.diagnostics import plot_diagnostics
from gprat.plotting.posterior import plot_1d, plot_2d
from gprat.plotting.simulation import plot_scaling, plot_simulation
from gprat.plotting.trace import plot_trace
from gprat.plotting.training import plot_training

__all__ = [
    "plot_1d",
    "plot_2d",
    "plot_cluster_scaling",
    "plot_cluster_simulation",
    "plot_diagnostics",
    "plot_scaling",
    "plot_simulation",
    "plot_trace",
    "plot_training",
]
