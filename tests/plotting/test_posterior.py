"""Pictures of predictions show means, intervals and data as the model has them."""

import sys

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgba
from scipy.stats import norm
from sklearn.exceptions import NotFittedError
from sklearn.gaussian_process.kernels import GenericKernelMixin, Kernel

from gprat import GP, GaussianProcessRegressor, exceptions
from gprat.kernels import RBF, DotProduct, WhiteKernel
from gprat.plotting import plot_1d, plot_2d


def make_gp(rng, n=25, d=1, k=None, **options):
    X = rng.uniform(-2.0, 2.0, size=(n, d))
    Y = np.sin(X.sum(axis=1)).reshape(-1, 1) * np.arange(1, (k or 1) + 1)
    Y += 0.1 * rng.standard_normal(Y.shape)
    return GP(X, Y if k else Y[:, 0], **{"kernel": RBF(1.0), "noise": 0.01, **options})


def line_of(axis, label):
    (line,) = (line for line in axis.get_lines() if line.get_label() == label)
    return line


def bands_of(axis):
    """Return lower and upper ends of the bands, by label."""
    bands = {}
    for band in axis.collections:
        if "%" in str(band.get_label()):
            outline = band.get_paths()[0].vertices
            ends = [outline[outline[:, 0] == x, 1] for x in np.unique(outline[:, 0])]
            bands[band.get_label()] = np.array([[e.min(), e.max()] for e in ends]).T
    return bands


def dots_of(axis):
    """Return places, opacities and target colours of the training points that are drawn."""
    dots = max(axis.collections, key=lambda c: len(c.get_offsets()))
    return dots.get_offsets().data, dots.get_alpha(), dots.get_array()


@pytest.mark.parametrize(("include_noise", "noise"), [(False, 0.0), (True, 0.01), (0.3, 0.3)])
def test_mean_bands_and_data(rng, include_noise, noise):
    gp = make_gp(rng)
    X = rng.uniform(-3.0, 3.0, size=40)
    levels = (0.9, 0.3, 0.6)
    axis = plot_1d(gp, X=X, levels=levels, include_noise=include_noise)
    points = np.sort(X)
    mean, variance = gp.predict_with_uncertainty(points.reshape(-1, 1))
    assert np.array_equal(line_of(axis, "mean").get_xydata(), np.column_stack([points, mean]))
    bands = bands_of(axis)
    assert len(bands) == 3
    for level in levels:
        half = norm.ppf(0.5 + level / 2.0) * np.sqrt(variance + noise)
        of = " of observations" if noise else ""
        assert np.allclose(bands[f"{100 * level:g} %{of}"], [mean - half, mean + half])
    places, opacities, _ = dots_of(axis)
    assert np.array_equal(places, np.column_stack([gp.X[:, 0], gp.y]))
    assert np.ptp(opacities) == 0.0
    assert {text.get_text() for text in axis.get_legend().get_texts()} == {"mean", "data", *bands}


def test_the_grid_goes_beyond_the_data(rng):
    gp = make_gp(rng)
    x = line_of(plot_1d(gp, n_points=50), "mean").get_xdata()
    assert x.size == 50
    assert x[0] < gp.X.min() < gp.X.max() < x[-1]
    assert np.allclose(np.diff(x, 2), 0.0)
    alone = line_of(plot_1d(GP([[3.0]], [1.0])), "mean").get_xdata()
    assert alone[0] < 3.0 < alone[-1]


def test_samples_are_the_models(rng):
    gp = make_gp(rng, k=2)
    X = np.linspace(-2.0, 2.0, 12)
    axis = plot_1d(gp, X=X, show_samples=3, output=1, random_state=5)
    expected = gp.sample(X.reshape(-1, 1), 3, random_state=5)[:, 1]
    drawn = [line.get_ydata() for line in axis.get_lines() if line.get_label() != "mean"]
    assert np.allclose(drawn, expected.T)
    assert axis.get_ylabel() == "output 1"
    assert np.allclose(line_of(axis, "mean").get_ydata(), gp.predict(X.reshape(-1, 1))[:, 1])
    # Smooth functions at many points need jitter, of which a picture is silent.
    plot_1d(gp, show_samples=2)


def test_other_features_are_held(rng):
    gp = make_gp(rng, d=3)
    X = np.linspace(-1.0, 1.0, 7)
    median = np.median(gp.X, axis=0)
    for at, held in (
        (None, median),
        ([0.1, 9.0, 0.3], [0.1, 9.0, 0.3]),
        ({2: -0.5}, [median[0], 0.0, -0.5]),
        ({"feature 0": 1.5}, [1.5, 0.0, median[2]]),
    ):
        points = np.tile(held, (7, 1))
        points[:, 1] = X
        axis = plot_1d(gp, X=X.reshape(-1, 1), feature=1, at=at)
        assert np.allclose(line_of(axis, "mean").get_ydata(), gp.predict(points))
        expected = f"feature 1\n(feature 0 = {held[0]:.3g}, feature 2 = {held[2]:.3g})"
        assert axis.get_xlabel() == expected
    assert plot_1d(make_gp(rng, d=6)).get_xlabel() == "feature 0\n(5 other features held)"


@pytest.mark.parametrize("kernel", [RBF([1.5, 0.5]) + WhiteKernel(0.5), DotProduct(0.3)], ids=str)
def test_points_are_as_faint_as_they_are_far(rng, kernel):
    gp = make_gp(rng, n=150, d=2, kernel=kernel)
    at = 0.4
    nearness = np.empty(150)
    for row, x in enumerate(gp.X):
        a, b = x.reshape(1, -1), np.array([[x[0], at]])
        variances = kernel(a, np.array(a)), kernel(b, np.array(b))
        nearness[row] = (kernel(a, b) / np.sqrt(variances[0] * variances[1])).item()
    is_drawn = nearness >= 0.02
    assert not is_drawn.all()
    places, opacities, _ = dots_of(plot_1d(gp, at={1: at}))
    assert np.allclose(places, np.column_stack([gp.X[:, 0], gp.y])[is_drawn])
    scale = opacities[0] / nearness[is_drawn][0]
    assert 0.0 < scale <= 1.0
    assert np.allclose(opacities, scale * nearness[is_drawn])


def test_maps_show_mean_deviation_and_targets(rng):
    gp = make_gp(rng, n=30, d=3)
    left, right = plot_2d(gp, features=(2, 0), at={1: 0.3}, n_points=41, include_noise=0.02)
    bounds = np.array([left.get_xlim(), left.get_ylim()])
    points = rng.uniform(*bounds.T, size=(60, 2))
    inputs = np.column_stack([points[:, 1], np.full(60, 0.3), points[:, 0]])
    mean, variance = gp.predict_with_uncertainty(inputs, np.full(60, 0.02))
    for axis, values in ((left, mean), (right, np.sqrt(variance))):
        contours = axis.collections[0]
        levels, layers = contours.levels, contours.get_paths()
        # Near the edge of a layer, interpolation between the points of the grid decides.
        is_clear = np.abs(values[:, np.newaxis] - levels).min(axis=1) > 0.01 * np.ptp(levels)
        assert is_clear.sum() > 30
        for place, value in zip(points[is_clear], values[is_clear], strict=True):
            assert layers[np.searchsorted(levels, value) - 1].contains_point(place)
        places, _, colours = dots_of(axis)
        rows = [int(np.abs(gp.X[:, [2, 0]] - place).sum(axis=1).argmin()) for place in places]
        assert np.allclose(gp.X[rows][:, [2, 0]], places)
        if axis is left:
            assert np.array_equal(colours, gp.y[rows])
    assert left.get_xlabel() == f"feature 2\n(feature 1 = {0.3:.3g})"
    assert left.get_ylabel() == "feature 0"


def test_constant_maps_are_drawn():
    left, right = plot_2d(GP([[0.0, 0.0], [1.0, 1.0]], [0.0, 0.0]), n_points=5)
    left.figure.canvas.draw()
    assert right.get_title() == "standard deviation"


def test_an_estimator_is_drawn_in_the_units_and_names_of_its_data(rng):
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(rng.uniform(0.0, 3.0, size=(30, 2)), columns=["depth", "porosity"])
    y = 100.0 + 20.0 * np.sin(X["depth"].to_numpy())
    model = GaussianProcessRegressor(RBF(1.0), alpha=0.01, optimizer=None, normalize_y=True)
    model.fit(X, y)
    axis = plot_1d(model, feature="depth", at={"porosity": 1.0}, n_points=20, show_samples=2)
    mean = line_of(axis, "mean")
    points = pandas.DataFrame({"depth": mean.get_xdata(), "porosity": 1.0})
    assert np.allclose(mean.get_ydata(), model.predict(points))
    assert axis.get_xlabel() == "depth\n(porosity = 1)"
    assert np.isin(dots_of(axis)[0][:, 1].round(9), y.round(9)).all()
    left, _ = model.plot_2d(features=("porosity", "depth"), n_points=5)
    assert (left.get_xlabel(), left.get_ylabel()) == ("porosity", "depth")


def test_missing_targets_are_not_drawn(rng):
    X, Y = rng.uniform(0.0, 6.0, size=(20, 2)), rng.standard_normal((20, 2))
    Y[[3, 8], 1] = np.nan
    model = GaussianProcessRegressor(DotProduct(3.0), alpha=0.5, optimizer=None, nan_policy="omit")
    with pytest.warns(exceptions.DataWarning):
        model.fit(X, Y)
    known = np.delete(np.arange(20), [3, 8])
    assert np.allclose(dots_of(plot_1d(model, output=1))[0][:, 1], Y[known, 1])
    assert len(dots_of(plot_1d(model, output=0))[0]) == 20
    for axis in plot_2d(model, output=1, n_points=3):
        assert np.allclose(dots_of(axis)[0], X[known])


def test_given_axes_are_used(rng):
    gp = make_gp(rng, d=2)
    _, axes = plt.subplots(1, 2)
    n_figures = len(plt.get_fignums())
    assert plot_1d(gp, axes[0]) is axes[0]
    assert plot_2d(gp, axes, n_points=4) == tuple(axes)
    assert len(plt.get_fignums()) == n_figures
    for draw, bad in ((plot_1d, axes), (plot_2d, axes[0]), (plot_1d, "axes"), (plot_2d, [1, 2])):
        with pytest.raises(exceptions.InvalidInputError, match="axes must be"):
            draw(gp, bad)


def test_what_the_model_says_and_what_was_measured_differ_in_colour(rng):
    axis = plot_1d(make_gp(rng))
    dots = max(axis.collections, key=lambda c: len(c.get_offsets()))
    assert to_rgba(line_of(axis, "mean").get_color())[:3] != tuple(dots.get_facecolor()[0][:3])


@pytest.mark.parametrize(
    ("draw", "options", "message"),
    [
        (plot_1d, {"feature": 2}, "feature must be the index of a column of X, from 0 to 1, got"),
        (plot_1d, {"feature": "depth"}, "no feature 'depth'; there are feature 0, feature 1"),
        (plot_1d, {"feature": -1}, "feature must be the index"),
        (plot_1d, {"feature": 0.5}, "feature must be the index"),
        (plot_1d, {"at": [1.0]}, "at must be 2 finite values"),
        (plot_1d, {"at": {1: np.nan}}, "at must be 2 finite values"),
        (plot_1d, {"at": {5: 1.0}}, "feature must be the index of a column of X, from 0 to 1, got"),
        (plot_1d, {"at": {1: "high"}}, "at must be 2 finite values"),
        (plot_1d, {"at": "middle"}, "at must be 2 finite values"),
        (plot_1d, {"levels": [95]}, "levels must be probabilities"),
        (plot_1d, {"show_samples": -1}, "show_samples must be at least"),
        (plot_1d, {"n_points": 0}, "n_points must be at least 1"),
        (plot_1d, {"output": 1}, "output must be the index of a column of y"),
        (plot_1d, {"X": np.ones((3, 2))}, "X must be values of the feature"),
        (plot_1d, {"X": []}, "X must be values of the feature"),
        (plot_1d, {"X": [np.nan]}, "X must be finite"),
        (plot_2d, {"features": (1, 1)}, "features must differ"),
        (plot_2d, {"features": (0, 1, 2)}, "features must be two"),
        (plot_2d, {"features": "ab"}, "features must be two"),
        (plot_2d, {"include_noise": np.ones(3)}, "include_noise"),
    ],
)
def test_bad_arguments(rng, draw, options, message):
    with pytest.raises(exceptions.GpratError, match=message):
        draw(make_gp(rng, d=2), **options)
    assert not plt.get_fignums()


class SharedLetters(GenericKernelMixin, Kernel):
    """A kernel of words."""

    def __init__(self, offset=1.0):
        self.offset = offset

    def __call__(self, X, Y=None, eval_gradient=False):
        return np.array(
            [[self.offset + len({*a} & {*b}) for b in (X if Y is None else Y)] for a in X]
        )

    def diag(self, X):
        return np.diag(self(X)).copy()

    def is_stationary(self):
        return False


def test_models_of_words_have_diagnostics_only():
    words, y = ["abc", "abd", "xyz", "xyq"], [1.0, 1.1, -1.0, -0.8]
    model = GaussianProcessRegressor(SharedLetters(), alpha=0.1, optimizer=None).fit(words, y)
    fit, _, _ = model.plot_diagnostics()
    assert "4 targets" in fit.get_title()
    for draw in (plot_1d, plot_2d):
        with pytest.raises(exceptions.UnsupportedTypeError, match="Use plot_diagnostics"):
            draw(model)


def test_models_that_cannot_be_drawn(rng):
    with pytest.raises(exceptions.InvalidInputError, match="Use plot_1d"):
        plot_2d(make_gp(rng))
    for draw in (plot_1d, plot_2d):
        with pytest.raises(NotFittedError, match="not fitted"):
            draw(GaussianProcessRegressor())
        with pytest.raises(exceptions.UnsupportedTypeError, match=r"must be a gprat\.GP"):
            draw("a model")
    different = GP([[0.0], [1.0]], [1.0, 2.0], noise=[0.1, 0.2])
    with pytest.raises(exceptions.InvalidInputError, match="one noise variance"):
        plot_1d(different, include_noise=True)


@pytest.mark.parametrize("draw", [plot_1d, plot_2d])
def test_a_missing_matplotlib_names_the_extra(rng, monkeypatch, draw):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'gprat\[plot\]'"):
        draw(make_gp(rng, d=2))
