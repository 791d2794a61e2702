"""How good predictions are, and how honest about their uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from gprat._fitted import IncludeNoise, as_fitted
from gprat._validation import Float64Array
from gprat.diagnostics.measures import Predictions, measure, predictions_of
from gprat.diagnostics.report import Diagnostics
from gprat.noise import IntArray
from gprat.plotting._slices import check_output
from gprat.plotting._style import (
    COLOURS,
    INK,
    MUTED,
    given_axes,
    new_axes,
    point_style,
    require_matplotlib,
    tidy,
    tint,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_diagnostics"]

# Residuals beyond so many standard deviations stand out.
_LIMIT = 2.0
_MOST_BARS = 300
_MOST_LABELS = 3
_MOST_BINS = 400
# In parts of the axes.
_HISTOGRAM_WIDTH = 0.18
# Labels nearer to each other than this, in parts of the axes, would overlap.
_LABEL_WIDTH, _LABEL_HEIGHT = 0.12, 0.06


def plot_diagnostics(
    model: Any,
    X: Any = None,
    y: npt.ArrayLike | None = None,
    axes: Sequence[Axes] | None = None,
    *,
    include_noise: IncludeNoise = True,
    output: int = 0,
) -> tuple[Axes, Axes, Axes]:
    """Draw predictions, residuals and calibration, of leave-one-out or held-out data.

    Parameters
    ----------
    model : gprat.GP or gprat.GaussianProcessRegressor
        The model, fitted.
    X, y : array-like, default=None
        Held-out inputs and targets, as in `gprat.diagnostics.diagnose`; None to predict each
        training target from the others.
    axes : sequence of three matplotlib.axes.Axes, default=None
        Where to draw; None for a new figure.
    include_noise : bool, float or array-like of shape (m,), default=True
        Only with `X`: the noise variance of the targets.
    output : int, default=0
        Column of the targets.

    Returns
    -------
    tuple of matplotlib.axes.Axes
        1. Predicted against observed, with bars of two standard deviations to either side. Of more
           than 300 targets some 300 have bars.
        2. Standardised residuals against the predicted values, the largest with the number of their
           row; at the right their histogram, and the standard normal density.
        3. Calibration: the share of targets in central intervals against the intervals'
           probability. The band holds 95 % of honest models at each level; above it intervals are
           too wide, below it too narrow.

        Targets off by more than two standard deviations, and levels outside the band, stand out.
        The numbers are those of `gprat.diagnostics.diagnose`.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    NotFittedError
        If the model is an estimator that has not been fitted.
    InvalidInputError
        If only one of X and y is given, or an argument makes no sense.
    UnsupportedTypeError
        If `model` is no model of gprat.

    Examples
    --------
    >>> import numpy as np
    >>> from gprat import GP, plotting
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(0.0, 6.0, size=(100, 1))
    >>> gp = GP(X, np.sin(X[:, 0]) + 0.1 * rng.standard_normal(100), noise=0.1**2)
    >>> fit, residuals, calibration = plotting.plot_diagnostics(gp)
    >>> calibration.get_ylabel()
    'share of targets inside'
    """
    require_matplotlib("plot_diagnostics")
    predictions = predictions_of(as_fitted(model), X, y, include_noise)
    shown = _Shown(predictions, check_output(output, predictions.y.shape[1]))
    panels = (
        new_axes("plot_diagnostics", (1, 3), figsize=(13.0, 4.3), width_ratios=(1.0, 1.25, 1.0))
        if axes is None
        else given_axes(axes, 3, "for predictions, residuals and calibration", (1, 3))
    )
    fit, residuals, calibration = panels
    _draw_fit(fit, shown)
    _draw_residuals(residuals, shown)
    _draw_calibration(calibration, shown.diagnostics)
    for axis in panels:
        tidy(axis, grid="both")
        axis.title.set_fontsize(10)
    return fit, residuals, calibration


class _Shown:
    """The known targets of one output, in the order of their rows."""

    def __init__(self, predictions: Predictions, output: int) -> None:
        of_output = predictions.select(output)
        is_known = ~np.isnan(of_output.y[:, 0])
        self.rows: IntArray = np.flatnonzero(is_known)
        self.observed: Float64Array = of_output.y[is_known, 0]
        self.predicted: Float64Array = of_output.mean[is_known, 0]
        self.std: Float64Array = of_output.std[is_known, 0]
        self.residual: Float64Array = of_output.residuals[is_known, 0]
        self.diagnostics: Diagnostics = measure(of_output, None)

    def draw(self, axis: Axes, x: Float64Array, y: Float64Array) -> None:
        """Draw a dot a target; what is off stands out."""
        diameter, opacity = point_style(self.rows.size)
        is_off = np.abs(self.residual) > _LIMIT
        for part, colour, alpha in (
            (~is_off, INK, opacity),
            (is_off, COLOURS[0], max(0.7, opacity)),
        ):
            axis.plot(
                x[part],
                y[part],
                linestyle="",
                marker="o",
                markersize=diameter,
                markeredgewidth=0.0,
                color=colour,
                alpha=alpha,
                zorder=3,
            )


def _draw_fit(axis: Axes, shown: _Shown) -> None:
    both = np.concatenate((shown.observed, shown.predicted))
    axis.plot([both.min(), both.max()], [both.min(), both.max()], color=MUTED, linestyle="--")
    n = shown.rows.size
    # Some of the bars, evenly over the range of the targets.
    some = np.argsort(shown.observed)[:: max(1, -(-n // _MOST_BARS))]
    middle, half = shown.predicted[some], _LIMIT * shown.std[some]
    axis.vlines(
        shown.observed[some],
        middle - half,
        middle + half,
        colors=[tint(COLOURS[1], 0.45)],
        linewidth=0.9,
        zorder=2,
    )
    shown.draw(axis, shown.observed, shown.predicted)
    axis.set(xlabel="observed", ylabel="predicted ± 2 std")
    targets = "target" if n == 1 else "targets"
    axis.set_title(f"{shown.diagnostics.source}: {n} {targets}, RMSE {shown.diagnostics.rmse:.3g}")


def _draw_residuals(axis: Axes, shown: _Shown) -> None:
    axis.axhline(0.0, color=MUTED, linewidth=1.0)
    for limit in (-_LIMIT, _LIMIT):
        axis.axhline(limit, color=MUTED, linewidth=1.0, linestyle="--")
    shown.draw(axis, shown.predicted, shown.residual)
    top = max(3.2, 1.12 * float(np.abs(shown.residual).max()))
    axis.set(xlabel="predicted", ylabel="residual / std", ylim=(-top, top))
    # Adding 0 makes a rounded -0 a 0.
    mean, std = np.round(shown.diagnostics.residual_mean, 2) + 0.0, shown.diagnostics.residual_std
    spread = f", deviation {std:.2f}" if shown.rows.size > 1 else ""
    axis.set_title(f"residuals / std: mean {mean:.2f}{spread}")
    axis.locator_params(axis="x", nbins=6)
    # Room for the histogram inside the axes, so that it fits whatever the layout of the figure.
    left, right = axis.get_xlim()
    axis.set_xlim(left, left + (right - left) / (1.0 - _HISTOGRAM_WIDTH))
    _label_largest(axis, shown)
    _draw_histogram(axis, shown.residual)


def _label_largest(axis: Axes, shown: _Shown) -> None:
    """Write row numbers beside the largest residuals, but for labels that would overlap."""
    order = np.argsort(-np.abs(shown.residual), kind="stable")[:_MOST_LABELS]
    to_axes = axis.transData + axis.transAxes.inverted()
    places: list[npt.NDArray[np.float64]] = []
    for i in order:
        at = (shown.predicted[i], shown.residual[i])
        place = np.asarray(to_axes.transform(at))
        near = [np.abs(place - other) < (_LABEL_WIDTH, _LABEL_HEIGHT) for other in places]
        if places and (abs(shown.residual[i]) <= _LIMIT or any(pair.all() for pair in near)):
            continue
        places.append(place)
        side = -1.0 if place[0] > 0.5 else 1.0
        axis.annotate(
            f"row {shown.rows[i]}",
            at,
            (6.0 * side, 0.0),
            textcoords="offset points",
            ha="right" if side < 0.0 else "left",
            va="center",
            color=COLOURS[0] if abs(shown.residual[i]) > _LIMIT else INK,
            fontsize=8,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.8},
            zorder=4,
        )


def _draw_histogram(axis: Axes, residual: Float64Array) -> None:
    """Draw how residuals are distributed beside them, and how they should be."""
    side = axis.inset_axes((1.0 - _HISTOGRAM_WIDTH, 0.0, _HISTOGRAM_WIDTH, 1.0), sharey=axis)
    top = axis.get_ylim()[1]
    # Scott's rule for standard normal numbers.
    width = np.clip(3.5 * residual.size ** (-1.0 / 3.0), 0.15, 1.0)
    n_bins = int(min(2.0 * top / width, _MOST_BINS)) + 1
    side.hist(
        residual,
        bins=np.linspace(-top, top, n_bins + 1).tolist(),
        density=True,
        orientation="horizontal",
        color=tint(COLOURS[1], 0.45),
    )
    values = np.linspace(-top, top, 200)
    side.plot(norm.pdf(values), values, color=INK, linewidth=1.3)
    side.axis("off")


def _draw_calibration(axis: Axes, diagnostics: Diagnostics) -> None:
    levels, coverage = diagnostics.levels, diagnostics.coverage
    axis.fill_between(
        levels,
        diagnostics.coverage_low,
        diagnostics.coverage_high,
        color=tint(COLOURS[1], 0.22),
        linewidth=0.0,
    )
    axis.plot([0.0, 1.0], [0.0, 1.0], color=MUTED, linestyle="--")
    axis.plot(levels, coverage, color=COLOURS[1], linewidth=1.8, marker=".", markersize=6)
    is_off = ~diagnostics.is_calibrated
    axis.plot(levels[is_off], coverage[is_off], "o", color=COLOURS[0], markersize=5, zorder=4)
    # Words go where the curve is not.
    is_above = coverage.mean() > levels.mean()
    corner: dict[str, Any] = (
        {"x": 0.96, "y": 0.05, "ha": "right"} if is_above else {"x": 0.04, "y": 0.95}
    )
    axis.text(
        s="above the band: intervals too wide\nbelow: too narrow",
        va="bottom" if is_above else "top",
        transform=axis.transAxes,
        color=MUTED,
        fontsize=8,
        **corner,
    )
    axis.set(xlabel="probability of the central interval", ylabel="share of targets inside")
    axis.set(xlim=(0.0, 1.0), ylim=(0.0, 1.02))
    axis.set_title(f"calibration, with the {100.0 * diagnostics.confidence:g} % band")
