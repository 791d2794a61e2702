"""Which thread did what, and when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gprat._validation import Float64Array
from gprat.exceptions import InvalidInputError
from gprat.plotting._style import INK, MUTED, given_axes, new_axes, tidy
from gprat.tracing.critical_path import critical_path
from gprat.tracing.kinds import FAMILIES, family_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gprat.tracing import trace

__all__ = ["plot_trace"]

# Okabe and Ito's colours, which the colour-blind tell apart; what must not wait is the strongest.
_COLOURS = {
    "covariances": "#56b4e9",
    "panel": "#d55e00",
    "update": "#0072b2",
    "solves": "#e69f00",
    "inverse": "#009e73",
    "gradient": "#cc79a7",
    "prediction": "#f0e442",
    "other": MUTED,
}
_LEGEND = {
    "covariances": "covariances",
    "panel": "panel (potrf, trsm)",
    "update": "update (gemm, syrk)",
    "solves": "solves",
    "inverse": "inverse",
    "gradient": "gradient",
    "prediction": "prediction",
    "other": "other",
}
_BAR = 0.8
# Transfers are strips along the lower edge of the lane that they come to.
_STRIP = 0.14
# With more tasks in a lane, gaps between them would take the colour out of narrow ones.
_FEW_IN_A_LANE = 250
_STEPS = 400


def plot_trace(trace: trace, axes: Sequence[Axes] | None = None) -> tuple[Axes, Axes]:
    """Draw which thread did what, and when, and how many threads were busy.

    Parameters
    ----------
    trace : gprat.trace
        What was recorded.
    axes : sequence of two matplotlib.axes.Axes, default=None
        Where to draw how many threads were busy, and the tasks; None for a new figure.

    Returns
    -------
    tuple of matplotlib.axes.Axes
        The two axes. Each thread is a lane and each task a bar, coloured by its family; the black
        line marks the critical path of more than one thread, dashed where its next task waited for
        a free thread. Time starts with the first task. On a cluster, strips below the first
        thread of a worker are what came to it from others.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    InvalidInputError
        If no task was recorded, or `axes` are not two.

    Examples
    --------
    >>> import numpy as np
    >>> import gprat
    >>> from gprat import plotting
    >>> X = np.linspace(0.0, 1.0, 300).reshape(-1, 1)
    >>> with gprat.trace() as t:
    ...     _ = gprat.GP(X, X[:, 0], tile_size=100).predict(X)
    >>> upper, lower = plotting.plot_trace(t)
    >>> upper.get_ylabel(), lower.get_ylabel()
    ('busy', 'thread')
    """
    tasks = trace.tasks
    if tasks.size == 0:
        raise InvalidInputError(
            "there is nothing to draw: no task was recorded. Compute something inside the block, "
            "such as gp.predict(X)."
        )
    threads = trace.n_threads
    if axes is None:
        lanes = min(max(0.55 * threads, 1.1), 8.0)
        upper, lower = new_axes(
            "plot_trace",
            (2, 1),
            figsize=(10.0, 2.2 + lanes),
            sharex=True,
            height_ratios=(0.9, lanes),
        )
    else:
        upper, lower = given_axes(axes, 2, "for the busy threads and the tasks", (2, 1))
    origin, end = float(tasks["start"].min()), float(tasks["end"].max())
    unit, scale = _time_unit(end - origin)
    starts, ends = scale * (tasks["start"] - origin), scale * (tasks["end"] - origin)
    _draw_busy(upper, starts, ends, threads)
    if threads > 1:
        _draw_critical_path(lower, tasks, starts, ends)
    _draw_tasks(lower, tasks, starts, ends)
    _draw_transfers(lower, trace.transfers, origin, scale)
    _add_legend(lower)
    lower.set(xlabel=f"time ({unit})", ylabel="thread", ylim=(threads - 0.5, -0.5))
    shown = np.unique(np.linspace(0, threads - 1, min(threads, 16)).astype(int))
    lower.set_yticks(shown, [trace.lanes[lane].removeprefix("worker ") for lane in shown])
    for axis in (upper, lower):
        axis.set_xlim(0.0, float(ends.max()) or 1.0)
        tidy(axis)
    return upper, lower


def _time_unit(seconds: float) -> tuple[str, float]:
    if seconds >= 2.0:
        return "s", 1.0
    return ("ms", 1e3) if seconds >= 2e-3 else ("µs", 1e6)


def _draw_busy(axis: Axes, starts: Float64Array, ends: Float64Array, threads: int) -> None:
    """Draw the share of the threads that had a task, averaged over short intervals."""
    edges = np.linspace(0.0, float(ends.max()) or 1.0, _STEPS + 1)
    # The time in tasks up to t is the sum of what has begun less what has ended.
    busy = _time_since(starts, edges) - _time_since(ends, edges)
    shares = np.clip(np.diff(busy) / (threads * np.diff(edges)), 0.0, 1.0)
    axis.stairs(shares, edges, fill=True, color=INK, alpha=0.25)
    axis.stairs(shares, edges, color=INK, linewidth=0.8)
    axis.set(ylabel="busy", ylim=(0.0, 1.02), yticks=(0.0, 0.5, 1.0))
    axis.set_yticklabels(("0", "", "100 %"))
    mean = float((ends - starts).sum() / (threads * edges[-1]))
    axis.set_title(f"{mean:.0%} of the threads' time in tasks", loc="left", color=INK, fontsize=10)


def _time_since(events: Float64Array, edges: Float64Array) -> Float64Array:
    """Return the sum over the events before each edge of the time that has passed since."""
    order = np.sort(events)
    sums = np.append(0.0, np.cumsum(order))
    before = np.searchsorted(order, edges, side="right")
    since: Float64Array = before * edges - sums[before]
    return since


def _draw_tasks(
    axis: Axes, tasks: npt.NDArray[np.void], starts: Float64Array, ends: Float64Array
) -> None:
    """Draw all bars of a family as one artist."""
    from matplotlib.collections import PolyCollection

    names, members = np.unique(tasks["name"], return_inverse=True)
    family = np.array([FAMILIES.index(family_of(str(name))) for name in names])[members]
    few = np.bincount(tasks["thread"]).max() <= _FEW_IN_A_LANE
    for number, name in enumerate(FAMILIES):
        mine = family == number
        if not mine.any():
            continue
        left, right, lane = starts[mine], ends[mine], tasks["thread"][mine]
        top, bottom = lane - 0.5 * _BAR, lane + 0.5 * _BAR
        corners = ((left, bottom), (left, top), (right, top), (right, bottom))
        bars = PolyCollection(
            list(np.stack([np.stack(corner, axis=-1) for corner in corners], axis=1)),
            facecolor=_COLOURS[name],
            edgecolor="white" if few else "none",
            linewidth=0.25 if few else 0.0,
            label=_LEGEND[name],
            zorder=2,
        )
        axis.add_collection(bars, autolim=False)


def _draw_transfers(
    axis: Axes, transfers: npt.NDArray[np.void], origin: float, scale: float
) -> None:
    from matplotlib.collections import LineCollection

    if not transfers.size:
        return
    lane = transfers["thread"] + 0.5 * _BAR + 0.5 * _STRIP
    left, right = (scale * (transfers[side] - origin) for side in ("start", "end"))
    strips = np.stack([np.stack([left, lane], axis=-1), np.stack([right, lane], axis=-1)], axis=1)
    axis.add_collection(
        LineCollection(list(strips), colors=INK, linewidth=2.5, label="transfers", zorder=2),
        autolim=False,
    )


def _add_legend(axis: Axes) -> None:
    axis.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.32),
        ncols=4,
        frameon=False,
        fontsize=9,
    )


def _draw_critical_path(
    axis: Axes, tasks: npt.NDArray[np.void], starts: Float64Array, ends: Float64Array
) -> None:
    """Draw it through its tasks, and thin from the end of one to the start of the next."""
    chain = critical_path(tasks)
    lanes = tasks["thread"][chain]
    parts = _segments(starts[chain], ends[chain], lanes, lanes)
    waits = _segments(ends[chain[:-1]], starts[chain[1:]], lanes[:-1], lanes[1:])
    axis.plot(*waits, color="white", linewidth=1.8, alpha=0.7, zorder=3)
    axis.plot(*waits, color="black", linewidth=0.8, linestyle=(0, (3, 2)), zorder=3)
    axis.plot(*parts, color="white", linewidth=4.5, alpha=0.8, zorder=4, solid_capstyle="butt")
    axis.plot(
        *parts,
        color="black",
        linewidth=2.5,
        zorder=4,
        solid_capstyle="butt",
        label="critical path",
    )


def _segments(
    left: Float64Array,
    right: Float64Array,
    from_lane: npt.NDArray[np.int64],
    to_lane: npt.NDArray[np.int64],
) -> tuple[Float64Array, Float64Array]:
    """Return the points of separate segments, parted by NaN: one line draws them all."""
    gap = np.full(left.size, np.nan)
    times = np.stack([left, right, gap], axis=1).ravel()
    return times, np.stack([from_lane, to_lane, gap], axis=1).ravel()
