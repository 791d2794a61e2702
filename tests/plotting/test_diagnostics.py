"""The picture of diagnostics shows the predictions and numbers of `gprat.diagnostics`."""

import re
import sys

import numpy as np
import pytest
from matplotlib import pyplot as plt
from sklearn.exceptions import NotFittedError

from gprat import GP, GaussianProcessRegressor, exceptions
from gprat.diagnostics import diagnose
from gprat.kernels import RBF
from gprat.plotting import plot_diagnostics


def make_gp(rng, n=60, noise=0.04, **options):
    X = rng.uniform(0.0, 6.0, size=(n, 1))
    y = np.sin(X[:, 0]) + 0.2 * rng.standard_normal(n)
    return GP(X, y, RBF(1.0), noise, **options)


def dots_of(axis):
    """Return the dots of targets that are near and of those that are off."""
    near, off = (line.get_xydata() for line in axis.get_lines() if line.get_linestyle() == "None")
    return near, off


def assert_same_points(points, expected):
    assert np.allclose(points[np.lexsort(points.T)], expected[np.lexsort(expected.T)])


def test_leave_one_out_is_drawn(rng):
    gp = make_gp(rng, noise=0.01)
    loo = gp.loo()
    fit, residuals, _ = plot_diagnostics(gp)
    is_off = np.abs(loo.standardized_residuals) > 2.0
    assert is_off.any()
    predicted_against = ((fit, gp.y, loo.mean), (residuals, loo.mean, loo.standardized_residuals))
    for axis, x, y in predicted_against:
        near, off = dots_of(axis)
        assert_same_points(near, np.column_stack([x, y])[~is_off])
        assert_same_points(off, np.column_stack([x, y])[is_off])
    bars = np.array(fit.collections[0].get_segments())
    assert_same_points(bars[:, 0, :], np.column_stack([gp.y, loo.mean - 2 * np.sqrt(loo.variance)]))
    assert_same_points(bars[:, 1, :], np.column_stack([gp.y, loo.mean + 2 * np.sqrt(loo.variance)]))
    result = diagnose(gp)
    assert "leave-one-out: 60 targets" in fit.get_title()
    assert float(fit.get_title().split()[-1]) == pytest.approx(result.rmse, rel=0.01)


def test_calibration_and_its_band(rng):
    gp = make_gp(rng, noise=0.01)
    result = diagnose(gp)
    _, _, axis = plot_diagnostics(gp)
    _, curve, off = axis.get_lines()
    assert np.array_equal(curve.get_xydata(), np.column_stack([result.levels, result.coverage]))
    assert np.array_equal(off.get_xdata(), result.levels[~result.is_calibrated])
    assert off.get_xdata().size
    band = axis.collections[0].get_paths()[0].vertices
    for level, low, high in zip(
        result.levels, result.coverage_low, result.coverage_high, strict=True
    ):
        ends = band[band[:, 0] == level, 1]
        assert (ends.min(), ends.max()) == (low, high)


@pytest.mark.parametrize("noise", [0.002, 0.5])
def test_words_do_not_hide_the_curve(rng, noise):
    _, _, axis = plot_diagnostics(make_gp(rng, noise=noise))
    axis.figure.canvas.draw()
    (words,) = axis.texts
    box = words.get_window_extent()
    curve = axis.transData.transform(axis.get_lines()[1].get_xydata())
    assert not any(box.contains(*place) for place in curve)


def test_the_largest_residuals_have_their_rows(rng):
    X = rng.uniform(0.0, 6.0, size=(80, 1))
    y = np.sin(X[:, 0])
    y[[7, 50]] += [1.5, -1.2]
    _, axis, _ = plot_diagnostics(GP(X, y, noise=0.04))
    labels = {text.get_text(): text.xy for text in axis.texts}
    assert {"row 7", "row 50"} <= set(labels)
    assert labels["row 7"][1] > 2.0
    assert labels["row 50"][1] < -2.0
    boxes = [text.get_window_extent() for text in axis.texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    # Where nothing is off, the largest is still named.
    _, axis, _ = plot_diagnostics(GP(X, np.sin(X[:, 0]), noise=1.0))
    assert len(axis.texts) == 1


def test_crowded_labels_are_left_out():
    X = np.repeat([[0.0], [50.0]], [4, 40], axis=0)
    y = np.concatenate([[3.0, 3.01, 3.02, 3.03], np.zeros(40)])
    _, axis, _ = plot_diagnostics(GP(X, y, noise=0.01), np.zeros((4, 1)), y[:4] + 5.0)
    assert len(axis.texts) == 1


def test_the_histogram_holds_all_residuals(rng):
    gp = make_gp(rng, n=300)
    _, axis, _ = plot_diagnostics(gp)
    (side,) = axis.child_axes
    area = sum(bar.get_height() * bar.get_width() for bar in side.patches)
    assert np.isclose(area, 1.0)
    counts = np.array([bar.get_width() * bar.get_height() * 300 for bar in side.patches])
    edges = [bar.get_y() for bar in side.patches] + [side.get_ylim()[1]]
    assert np.allclose(counts, np.histogram(gp.loo().standardized_residuals, edges)[0])


def test_many_targets_have_fewer_bars(rng):
    gp = make_gp(rng, n=700)
    fit, _, _ = plot_diagnostics(gp)
    assert 200 <= len(fit.collections[0].get_segments()) <= 300
    assert sum(map(len, dots_of(fit))) == 700


def test_held_out_data_of_one_output(rng):
    X = rng.uniform(0.0, 6.0, size=(40, 1))
    Y = np.column_stack([np.sin(X[:, 0]), 10.0 * np.cos(X[:, 0])])
    gp = GP(X, Y, noise=0.1)
    Xs, Ys = rng.uniform(0.0, 6.0, size=(15, 1)), rng.standard_normal((15, 2))
    Ys[4, 1] = np.nan
    fit, residuals, _ = plot_diagnostics(gp, Xs, Ys, output=1, include_noise=0.5)
    mean, variance = gp.predict_with_uncertainty(Xs)
    known = np.delete(np.arange(15), 4)
    z = ((Ys[:, 1] - mean[:, 1]) / np.sqrt(variance + 0.5))[known]
    assert_same_points(np.concatenate(dots_of(residuals)), np.column_stack([mean[known, 1], z]))
    assert "held-out data: 14 targets" in fit.get_title()
    assert f"row {known[np.abs(z).argmax()]}" in [text.get_text() for text in residuals.texts]


def test_an_estimator_is_drawn_in_the_units_of_its_targets(rng):
    X = rng.uniform(0.0, 6.0, size=(30, 1))
    y = 100.0 + 20.0 * np.sin(X[:, 0])
    model = GaussianProcessRegressor(RBF(1.0), alpha=0.01, optimizer=None, normalize_y=True)
    fit, _, _ = model.fit(X, y).plot_diagnostics()
    assert_same_points(np.concatenate(dots_of(fit)), np.column_stack([y, model.loo_.mean]))


def test_one_target_is_enough():
    fit, residuals, _ = plot_diagnostics(GP([[0.0]], [1.0]))
    fit.figure.canvas.draw()
    assert "1 target," in fit.get_title()
    assert not re.search("nan", residuals.get_title())


def test_given_axes_are_used(rng):
    _, axes = plt.subplots(1, 3)
    assert plot_diagnostics(make_gp(rng), axes=axes) == tuple(axes)
    with pytest.raises(exceptions.InvalidInputError, match="axes must be three"):
        plot_diagnostics(make_gp(rng), axes=axes[:2])


def test_bad_arguments(rng, monkeypatch):
    gp = make_gp(rng)
    with pytest.raises(exceptions.InvalidInputError, match="output must be the index"):
        plot_diagnostics(gp, output=1)
    with pytest.raises(exceptions.InvalidInputError, match="y was given without X"):
        plot_diagnostics(gp, y=[1.0])
    with pytest.raises(NotFittedError, match="not fitted"):
        plot_diagnostics(GaussianProcessRegressor())
    assert not plt.get_fignums()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'gprat\[plot\]'"):
        plot_diagnostics(gp)
