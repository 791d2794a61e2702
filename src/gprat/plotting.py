"""Pictures of what gprat computes; they need the extra ``plot``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.isotonic import isotonic_regression

from gprat._validation import Float64Array
from gprat.exceptions import InvalidInputError
from gprat.optimize.report import TrainingReport, gradient_tolerance

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_training"]

_INK, _MUTED, _FAINT = "#1f3a5f", "#808b96", "#e3e6ea"
# For what has not converged: distinct, and readable as text on white.
_STYLES = ("-", "--", ":")
_COLOURS = ("#b3401e", "#1f6f8b", "#7a4fa3", "#2f7d32", "#a1660b", "#a02a5c")
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
    upper, lower = _new_axes() if axes is None else _two(axes)
    iterations = np.arange(1, report.n_iterations + 1)
    ends = np.cumsum([stage.n_iterations for stage in report.stages])
    _draw_objective(upper, report, iterations, ends)
    _draw_gradients(lower, report, iterations)
    for axis in (upper, lower):
        for end in ends[:-1]:
            axis.axvline(end + 0.5, color=_MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
        axis.margins(x=0.01)
        axis.grid(axis="y", color=_FAINT, linewidth=0.8)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    return upper, lower


def _new_axes() -> tuple[Axes, Axes]:
    try:
        from matplotlib import pyplot as plt
    except ImportError as error:
        raise ImportError(
            "plot_training needs matplotlib. Install it with: pip install 'gprat[plot]'"
        ) from error
    _, (upper, lower) = plt.subplots(
        2, 1, figsize=(8.0, 6.0), sharex=True, layout="constrained", height_ratios=(2, 3)
    )
    return upper, lower


def _two(axes: Sequence[Axes]) -> tuple[Axes, Axes]:
    if np.size(np.asarray(axes, dtype=object)) != 2:
        raise InvalidInputError(
            "axes must be two, for the objective and the gradients, got "
            f"{axes!r}. Make them with matplotlib.pyplot.subplots(2, 1)."
        )
    upper, lower = np.asarray(axes, dtype=object).ravel()
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
                color=_INK,
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                fontsize=9,
            )
    # Stages are not joined: they are different functions.
    for begin, end in zip(np.append(0, ends[:-1]), ends, strict=True):
        part = slice(begin, end)
        axis.plot(iterations[part], objective[part], color=_INK, linewidth=1.6, marker=".")
    axis.set_ylabel(label)


def _draw_gradients(axis: Axes, report: TrainingReport, iterations: Any) -> None:
    sizes = np.maximum(np.abs(report.gradient_history), _SMALLEST_GRADIENT)
    colours = {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(report.unconverged)}
    styles = {
        name: _STYLES[i // len(_COLOURS) % len(_STYLES)]
        for i, name in enumerate(report.unconverged)
    }
    axis.set_yscale("log")
    for column, name in zip(sizes.T, report.names, strict=True):
        axis.plot(
            iterations,
            column,
            color=colours.get(name, _MUTED),
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
            color=colours.get(name, _MUTED),
            va="center",
            fontsize=9,
            arrowprops={
                "arrowstyle": "-",
                "color": colours.get(name, _MUTED),
                "linewidth": 0.6,
                "relpos": (0.0, 0.5),
            },
        )


def _draw_tolerance(axis: Axes, tolerance: float) -> None:
    """Draw the size below which a gradient counts as none."""
    axis.axhline(tolerance, color=_INK, linewidth=0.8, linestyle=":")
    axis.annotate(
        "converged below",
        (0.0, tolerance),
        (4, -4),
        color=_INK,
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
