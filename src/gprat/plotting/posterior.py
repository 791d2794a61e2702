"""What a model says along one feature, and over two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from gprat import _validation as validation
from gprat._fitted import FittedModel, IncludeNoise, as_fitted
from gprat._validation import Float64Array
from gprat.diagnostics.measures import check_levels
from gprat.exceptions import InvalidInputError
from gprat.plotting._slices import At, Feature, Slice, check_output, make_slice
from gprat.plotting._style import (
    COLOURS,
    INK,
    deviation_map,
    given_axes,
    mean_map,
    new_axes,
    point_style,
    require_matplotlib,
    tidy,
    tint,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_1d", "plot_2d"]

_POINTS_REMEDY = "Pass how many points to predict at along a feature, such as 200."
_SAMPLES_REMEDY = "Pass how many functions to draw, such as 5, or 0."
# Training points that tell less of the slice than this are left out.
_FAINTEST = 0.02
_N_CONTOURS = 14


def plot_1d(
    model: Any,
    axes: Axes | None = None,
    *,
    X: npt.ArrayLike | None = None,
    n_points: int = 300,
    feature: Feature = 0,
    at: At = None,
    levels: npt.ArrayLike = (0.5, 0.95),
    show_samples: int = 0,
    include_noise: IncludeNoise = False,
    output: int = 0,
    random_state: int | np.random.Generator | np.random.RandomState | None = 0,
) -> Axes:
    """Draw mean, central intervals and data along one feature.

    Parameters
    ----------
    model : gprat.GP or gprat.GaussianProcessRegressor
        The model, fitted.
    axes : matplotlib.axes.Axes, default=None
        Where to draw; None for a new figure.
    X : array-like of shape (m,) or (m, 1), default=None
        Values of the feature to predict at, in any order; None for `n_points` from a little below
        the training data to a little above.
    n_points : int, default=300
        Number of points to predict at, without `X`.
    feature : int or str, default=0
        Column of the inputs, or its name.
    at : array-like of shape (d,) or mapping, default=None
        Values of the other features, or of some of them by index or name; else they are held at
        the median of the training data.
    levels : array-like of shape (q,), default=(0.5, 0.95)
        Probabilities of the central intervals, between 0 and 1.
    show_samples : int, default=0
        Number of functions to draw from the posterior, without noise. If the covariance needs
        jitter to be sampled from, it is added without a warning.
    include_noise : bool, float or array-like of shape (m,), default=False
        False for intervals of the function; True for those of observations; or the noise variance
        at the points, as the model's prediction takes it.
    output : int, default=0
        Column of the targets.
    random_state : int, Generator, RandomState or None, default=0
        Seed of the samples.

    Returns
    -------
    matplotlib.axes.Axes
        The axes. Training points whose target is missing are not drawn. With several features a
        training point is the fainter the less it tells of the slice: its opacity is the prior
        correlation of the function at the point and at its projection onto the slice, and below
        0.02 it is left out.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    NotFittedError
        If the model is an estimator that has not been fitted.
    InvalidInputError
        If an argument makes no sense, or `include_noise` is True for a model whose noise differs
        from row to row.
    UnsupportedTypeError
        If `model` is no model of gprat, or its inputs are no vectors.

    Examples
    --------
    >>> import numpy as np
    >>> from gprat import GP, plotting
    >>> X = np.linspace(0.0, 6.0, 20).reshape(-1, 1)
    >>> axes = plotting.plot_1d(GP(X, np.sin(X[:, 0]), noise=0.01), show_samples=3)
    >>> axes.get_xlabel(), axes.get_ylabel()
    ('x', 'y')
    """
    require_matplotlib("plot_1d")
    fitted = as_fitted(model)
    output = check_output(output, fitted.Y.shape[1])
    where = make_slice(fitted, (feature,), at)
    probabilities = np.sort(check_levels(levels))
    n_samples = validation.check_count(show_samples, "show_samples", _SAMPLES_REMEDY)
    values = _values(where, X, n_points)
    points = where.points(values)
    mean, std = (columns[:, output] for columns in fitted.predict(points, include_noise))
    (axis,) = (
        new_axes("plot_1d", (1, 1), figsize=(8.0, 4.5))
        if axes is None
        else given_axes(axes, 1, "for the predictions", (1, 1))
    )
    of = "" if include_noise is False else " of observations"
    _draw_bands(axis, values, mean, std, probabilities, of)
    if n_samples:
        samples = fitted.sample(points, n_samples, random_state)[:, output]
        lines = axis.plot(values, samples, color=COLOURS[4], linewidth=0.9, alpha=0.8, zorder=2.5)
        lines[0].set_label("sample" if n_samples == 1 else "samples")
    _draw_points(axis, where, output)
    axis.plot(values, mean, color=COLOURS[1], linewidth=2.0, label="mean", zorder=4)
    _name_slice(axis, where)
    axis.set_ylabel(_target_name(fitted, output))
    axis.margins(x=0.0)
    tidy(axis, grid="y")
    _draw_legend(axis)
    return axis


def plot_2d(
    model: Any,
    axes: Sequence[Axes] | None = None,
    *,
    features: tuple[Feature, Feature] = (0, 1),
    at: At = None,
    n_points: int = 60,
    include_noise: bool | float = False,
    output: int = 0,
) -> tuple[Axes, Axes]:
    """Draw mean and standard deviation over two features, as maps.

    Parameters
    ----------
    model : gprat.GP or gprat.GaussianProcessRegressor
        The model, fitted.
    axes : sequence of two matplotlib.axes.Axes, default=None
        Where to draw mean and standard deviation; None for a new figure.
    features : tuple of two int or str, default=(0, 1)
        Columns of the inputs, or their names, along the horizontal and the vertical axis.
    at : array-like of shape (d,) or mapping, default=None
        Values of the other features, as in `plot_1d`.
    n_points : int, default=60
        Number of points to predict at along each feature.
    include_noise : bool or float, default=False
        Whether the standard deviation is that of observations; or the noise variance.
    output : int, default=0
        Column of the targets.

    Returns
    -------
    tuple of matplotlib.axes.Axes
        The two axes. Training points are drawn on both, on the mean's map in the colour of their
        target: one that differs from what surrounds it is an outlier, or noisy. Targets beyond the
        range of the mean have the colour at its end. With more features points are fainter the less
        they tell of the slice, as in `plot_1d`.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    NotFittedError
        If the model is an estimator that has not been fitted.
    InvalidInputError
        If an argument makes no sense, or the model has one feature only.
    UnsupportedTypeError
        If `model` is no model of gprat, or its inputs are no vectors.

    Examples
    --------
    >>> import numpy as np
    >>> from gprat import GP, plotting
    >>> X = np.random.default_rng(0).uniform(-2.0, 2.0, size=(50, 2))
    >>> left, right = plotting.plot_2d(GP(X, X[:, 0] * X[:, 1], noise=0.01), n_points=20)
    >>> left.get_title(), right.get_title()
    ('mean of y', 'standard deviation')
    """
    require_matplotlib("plot_2d")
    fitted = as_fitted(model)
    output = check_output(output, fitted.Y.shape[1])
    _check_two(features, fitted)
    where = make_slice(fitted, features, at)
    n_points = validation.check_positive_integer(n_points, "n_points", _POINTS_REMEDY)
    first, second = (where.grid(i, max(2, n_points)) for i in (0, 1))
    mesh = np.meshgrid(first, second)
    points = where.points(*(side.ravel() for side in mesh))
    mean, std = (
        columns[:, output].reshape(mesh[0].shape)
        for columns in fitted.predict(points, include_noise)
    )
    left, right = (
        new_axes("plot_2d", (1, 2), figsize=(11.0, 4.5), sharex=True, sharey=True)
        if axes is None
        else given_axes(axes, 2, "for mean and standard deviation", (1, 2))
    )
    of = "" if include_noise is False else " of observations"
    drawn = _draw_map(left, first, second, mean, mean_map())
    _draw_map(right, first, second, std, deviation_map(), low=0.0)
    left.set_title(f"mean of {_target_name(fitted, output)}", fontsize=10)
    right.set_title(f"standard deviation{of}", fontsize=10)
    _draw_places(left, where, output, cmap=drawn.cmap, norm=drawn.norm)
    _draw_places(right, where, output)
    for axis in (left, right):
        _name_slice(axis, where)
        axis.set_ylabel(where.label(1))
        axis.set(xlim=first[[0, -1]], ylim=second[[0, -1]])
    return left, right


def _values(where: Slice, X: npt.ArrayLike | None, n_points: int) -> Float64Array:
    """Return ascending values of the feature to predict at."""
    if X is None:
        n_points = validation.check_positive_integer(n_points, "n_points", _POINTS_REMEDY)
        return where.grid(0, max(2, n_points))
    array = np.asarray(X)
    if array.ndim not in (1, 2) or array.shape[1:] not in ((), (1,)) or not array.size:
        raise InvalidInputError(
            f"X must be values of the feature that is drawn, shape (m,), got shape {array.shape}. "
            "Values of other features go into at."
        )
    column = validation.check_test_inputs(array.reshape(-1, 1), np.dtype(np.float64), 1)
    return np.sort(column[:, 0])


def _check_two(features: Any, model: FittedModel) -> None:
    if isinstance(features, str) or np.size(features) != 2:
        raise InvalidInputError(f"features must be two, such as (0, 1), got {features!r}.")
    if model.X.shape[1] < 2:
        raise InvalidInputError("plot_2d needs two features, and the model has one. Use plot_1d.")


def _draw_bands(
    axis: Axes,
    values: Float64Array,
    mean: Float64Array,
    std: Float64Array,
    levels: Float64Array,
    of: str,
) -> None:
    """Draw central intervals, the widest first and palest."""
    strengths = np.linspace(0.45, 0.18, levels.size) if levels.size > 1 else (0.25,)
    for level, strength in zip(levels[::-1], strengths[::-1], strict=True):
        half = norm.ppf(0.5 + 0.5 * level) * std
        axis.fill_between(
            values,
            mean - half,
            mean + half,
            color=tint(COLOURS[1], strength),
            linewidth=0.0,
            label=f"{100.0 * level:g} %{of}",
        )


def _draw_points(axis: Axes, where: Slice, output: int) -> None:
    """Draw the training data, what is far from the slice fainter."""
    x, y, style = _visible(where, output)
    axis.scatter(x[:, 0], y, c=INK, linewidths=0.0, zorder=3, **style)


def _draw_legend(axis: Axes) -> None:
    """Draw the legend above the axes, where it hides nothing."""
    # A dot of its own: the data may be very faint.
    axis.scatter([], [], s=20.0, c=INK, linewidths=0.0, label="data")
    axis.legend(
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=5,
        frameon=False,
        fontsize=9,
        handlelength=1.4,
        columnspacing=1.2,
        borderaxespad=0.2,
    )


def _draw_map(
    axis: Axes,
    first: Float64Array,
    second: Float64Array,
    values: Float64Array,
    cmap: Any,
    low: float | None = None,
) -> Any:
    """Draw a filled contour map with its colour bar."""
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    bottom, top = values.min() if low is None else low, values.max()
    if not top - bottom > 1e-9 * max(abs(top), abs(bottom)):
        bottom, top = bottom - 0.5, top + 0.5
    levels = MaxNLocator(_N_CONTOURS).tick_values(bottom, top)
    contours = axis.contourf(first, second, values, levels=levels, cmap=cmap)
    numbers = ScalarFormatter()
    numbers.set_powerlimits((-3, 4))
    bar = axis.figure.colorbar(contours, ax=axis, format=numbers)
    bar.outline.set_visible(False)
    return contours


def _draw_places(axis: Axes, where: Slice, output: int, **colours: Any) -> None:
    """Draw where the training data lie, in the colours of their targets if there are any."""
    x, y, style = _visible(where, output)
    if colours:
        rim = style["s"] ** 0.5 / 6.0
        style |= {"c": y, "s": 2.5 * style["s"], "edgecolors": "white", "linewidths": rim}
    else:
        style |= {"c": INK, "s": 0.5 * style["s"], "linewidths": 0.0}
    axis.scatter(x[:, 0], x[:, 1], zorder=3, **style, **colours)


def _visible(where: Slice, output: int) -> tuple[Float64Array, Float64Array, dict[str, Any]]:
    """Return features and targets of what is to be drawn, and with which area and opacity."""
    y, nearness = where.model.Y[:, output], where.nearness()
    is_visible = ~np.isnan(y) & (nearness >= _FAINTEST)
    diameter, opacity = point_style(max(1, int(is_visible.sum())))
    style = {"s": diameter**2, "alpha": opacity * nearness[is_visible]}
    return where.model.X[is_visible][:, where.features], y[is_visible], style


def _name_slice(axis: Axes, where: Slice) -> None:
    held = where.held()
    axis.set_xlabel(where.label(0) + (f"\n({held})" if held else ""))


def _target_name(model: FittedModel, output: int) -> str:
    return "y" if model.Y.shape[1] == 1 else f"output {output}"
