"""How training went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.isotonic import isotonic_regression

from gprat._validation import Float64Array
from gprat.exceptions import InvalidInputError
from gprat.optimize.report import TrainingReport, gradient_tolerance
from gprat.plotting._style import COLOURS, INK, MUTED, given_axes, new_axes, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_training"]

_STYLES = ("-", "--", ":")
# Gradients that are exactly zero cannot be drawn on a logarithmic axis.
_SMALLEST_GRADIENT = 1e-12


def plot_training(report: TrainingReport, axes: Sequence[Axes] | None = None) -> tuple[Axes, Axes]:
    """Draw how training went: the objective, and the gradient by each hyperparameter.

    Parameters
    ----------
    report : TrainingReport
        What training returned.
    axes : sequence of two matplotlib.axes.Axes, default=None
        Where to draw the objective and the gradients; None for a new figure.

    Returns
    -------
    tuple of matplotlib.axes.Axes
        The two axes. Each hyperparameter is a line with its name at the end, grey if it converged.
        Vertical lines part the stages of a warm start; the objective then is per row, so that the
        stages compare.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    InvalidInputError
        If training made no iteration, or `axes` are not two.

    Examples
    --------
    >>> import numpy as np
    >>> from gprat import plotting
    >>> from gprat.optimize.task import TrainingTask
    >>> from gprat.optimize.train import train
    >>> task = TrainingTask(
    ...     names=("x",),
    ...     is_log=np.array([False]),
    ...     start=np.array([1.0]),
    ...     bounds=np.array([[-5.0, 5.0]]),
    ...     n_rows=100,
    ...     make_objective=lambda rows, threads: lambda x: (float(x @ x), 2.0 * x),
    ...     draw_start=lambda rng: rng.uniform(-5.0, 5.0, size=1),
    ...     bytes_per_evaluation=lambda rows: 8 * rows**2,
    ...     threads=1,
    ...     fingerprint="a parabola",
    ... )
    >>> upper, lower = plotting.plot_training(train(task, "adam"))
    >>> upper.get_ylabel(), lower.get_ylabel()
    ('objective', '|gradient|')
    """
    if report.n_iterations == 0:
        raise InvalidInputError(
            "there is nothing to draw: training made no iteration. It started at an optimum, or "
            "all hyperparameters are fixed."
        )
    if axes is None:
        upper, lower = new_axes(
            "plot_training",
            (2, 1),
            figsize=(8.0, 6.0),
            sharex=True,
            height_ratios=(2, 3),
        )
    else:
        upper, lower = given_axes(axes, 2, "for the objective and the gradients", (2, 1))
    iterations = np.arange(1, report.n_iterations + 1)
    ends = np.cumsum([stage.n_iterations for stage in report.stages])
    _draw_objective(upper, report, iterations, ends)
    _draw_gradients(lower, report, iterations)
    for axis in (upper, lower):
        for end in ends[:-1]:
            axis.axvline(end + 0.5, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
        axis.margins(x=0.01)
        tidy(axis, grid="y")
    return upper, lower


def _draw_objective(axis: Axes, report: TrainingReport, iterations: Any, ends: Any) -> None:
    objective, label = -report.loss_history, "objective"
    if len(report.stages) > 1:
        rows = np.repeat([stage.rows for stage in report.stages], np.diff(ends, prepend=0))
        objective, label = objective / rows, "objective per row"
        begins = np.append(0, ends[:-1])
        for begin, stage in zip(begins, report.stages, strict=True):
            axis.annotate(
                f"{stage.rows} rows",
                (begin + 0.5, 1.0),
                (4, 3),
                color=INK,
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                fontsize=9,
            )
    # Stages are not joined: they are different functions.
    for begin, end in zip(np.append(0, ends[:-1]), ends, strict=True):
        part = slice(begin, end)
        axis.plot(iterations[part], objective[part], color=INK, linewidth=1.6, marker=".")
    axis.set_ylabel(label)


def _draw_gradients(axis: Axes, report: TrainingReport, iterations: Any) -> None:
    sizes = np.maximum(np.abs(report.gradient_history), _SMALLEST_GRADIENT)
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(report.unconverged)}
    styles = {
        name: _STYLES[i // len(COLOURS) % len(_STYLES)] for i, name in enumerate(report.unconverged)
    }
    axis.set_yscale("log")
    for column, name in zip(sizes.T, report.names, strict=True):
        axis.plot(
            iterations,
            column,
            color=colours.get(name, MUTED),
            linestyle=styles.get(name, "-"),
            linewidth=1.8 if name in colours else 1.0,
            alpha=1.0 if name in colours else 0.7,
            zorder=3 if name in colours else 2,
        )
    _draw_tolerance(axis, gradient_tolerance(report.stages[-1].rows))
    axis.set_xlabel("iteration")
    axis.set_ylabel("|gradient|")
    for name, at, place in zip(report.names, sizes[-1], _places(axis, sizes[-1]), strict=True):
        axis.annotate(
            f"{name} (at bound)" if name in report.at_bounds else name,
            (iterations[-1], at),
            (1.05, place),
            textcoords="axes fraction",
            color=colours.get(name, MUTED),
            va="center",
            fontsize=9,
            arrowprops={
                "arrowstyle": "-",
                "color": colours.get(name, MUTED),
                "linewidth": 0.6,
                "relpos": (0.0, 0.5),
            },
        )


def _draw_tolerance(axis: Axes, tolerance: float) -> None:
    """Draw the size below which a gradient counts as none."""
    axis.axhline(tolerance, color=INK, linewidth=0.8, linestyle=":")
    axis.annotate(
        "converged below",
        (0.0, tolerance),
        (4, -4),
        color=INK,
        va="top",
        fontsize=8,
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0},
        zorder=4,
    )


def _places(axis: Axes, values: Float64Array) -> Float64Array:
    """Return heights of labels, in parts of the axis: as near to the values as is readable."""
    low, high = np.log10(axis.get_ylim())
    wanted: Float64Array = (np.log10(values) - low) / (high - low)
    gap = min(0.065, 1.0 / max(1, values.size - 1))
    order = np.argsort(wanted, kind="stable")
    stack = gap * np.arange(values.size)
    # Least squares under a least distance is isotonic regression of what exceeds the distances.
    places = np.empty_like(wanted)
    places[order] = isotonic_regression(wanted[order] - stack, y_min=0.0, y_max=1.0 - stack[-1])
    places[order] += stack
    return places
