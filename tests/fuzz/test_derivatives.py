"""Functions to differentiate: values are those of models, derivatives are numbers, or errors."""

import warnings

import numpy as np
import pytest
from hypothesis import assume
from hypothesis import strategies as st

from fuzz.journal import documented, fuzzed
from fuzz.strategies_arrays import disguised, nasty, tables
from fuzz.strategies_kernels import absurd_values
from fuzz.strategies_models import recipes
from fuzz.test_extremes import absurd_numbers
from gprat import GP
from gprat.differentiation import Conditioned, Regression, Wanted
from gprat.exceptions import RoundingWarning, UnsupportedKernelError
from gprat.kernels import RBF, DotProduct

EVERYTHING = ~Wanted.MEAN_COEFFICIENTS
ONE_NOISE = ("scalar",)


def _numbers(gradients):
    """Yield all derivatives that there are, by name."""
    for name in ("X", "y", "theta", "noise", "mean_coefficients", "Xs"):
        values = getattr(gradients, name)
        if values is not None:
            yield name, np.asarray(values)


def _everything(recipe, wanted=EVERYTHING):
    """Evaluate all functions of a recipe and return all that comes out."""
    arguments = dict(recipe.arguments)
    dtype, noise = np.dtype(arguments.pop("dtype")), arguments.pop("noise")
    arguments.pop("noise_bounds", None)
    with np.errstate(over="ignore"):
        X, y, points = (values.astype(dtype) for values in (recipe.X, recipe.y, recipe.points))
    regression = Regression(**arguments)
    value, by = regression.log_marginal_likelihood(X, y, noise=noise, wanted=wanted & ~Wanted.XS)
    results = {"value": value, **dict(_numbers(by))}
    conditioned = regression.condition(X, y, noise=noise)
    for joint in (False, True):
        mean, spread = conditioned.predict(points, joint=joint)
        by = conditioned.pull_back(points, np.ones_like(mean), spread, wanted, joint=joint)
        results |= {f"mean {joint}": mean, f"spread {joint}": spread}
        results |= {f"{name} {joint}": values for name, values in _numbers(by)}
    return results


@fuzzed(recipe=recipes(kinds=ONE_NOISE))
def test_values_are_those_of_models(recipe):
    with documented():
        try:
            results = _everything(recipe)
        except UnsupportedKernelError:
            results = _everything(recipe, EVERYTHING & ~(Wanted.X | Wanted.XS))
        gp = recipe.model()
        mean, variance = gp.predict_with_uncertainty(recipe.points)
        unit = 1e4 * np.finfo(gp.dtype).eps
        value = gp.log_marginal_likelihood()
        assert abs(results["value"] - value) <= unit * max(1.0, abs(value))
        # Means and variances come from the same factor.
        np.testing.assert_allclose(results["mean True"], mean, atol=unit * _scale(mean))
        np.testing.assert_allclose(results["spread False"], variance, atol=unit * _scale(variance))
        of = Conditioned.of(gp).predict(recipe.points.astype(gp.dtype), joint=False)
        np.testing.assert_array_equal(of[0], results["mean False"])
        assert all(np.isfinite(values).all() for values in results.values())


def _scale(values):
    return np.max(np.abs(values), initial=1.0)


@fuzzed(weight=2.0, recipe=recipes(values=absurd_values, python=False, kinds=ONE_NOISE))
def test_absurd_hyperparameters_have_derivatives(recipe):
    _check_range(recipe)


@fuzzed(weight=2.0, recipe=recipes(elements=absurd_numbers, python=False, kinds=ONE_NOISE))
def test_absurd_data_have_derivatives(recipe):
    _check_range(recipe)


def _check_range(recipe):
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        warnings.simplefilter("ignore", RoundingWarning)
        with documented():
            for name, values in _everything(recipe).items():
                is_right = np.isfinite(values) | (name == "value" and np.isneginf(values))
                assert np.all(is_right), (name, values)


@fuzzed(arguments=st.data())
def test_the_container_does_not_matter_to_derivatives(arguments):
    n, m, d = (arguments.draw(st.integers(1, most)) for most in (6, 4, 3))
    X, y, points = (
        arguments.draw(disguised(arguments.draw(tables(rows, columns)), ["<f8", ">f8", "<i8", "?"]))
        for rows, columns in ((n, d), (n, None), (m, d))
    )
    assume(not any(isinstance(array.argument, np.matrix) for array in (y,)))
    before = [argument.fingerprint() for argument in (X, y, points)]
    regression = Regression(2.0 * RBF() + DotProduct(), tile_size=3)

    def answers(X, y, points):
        conditioned = regression.condition(X, y)
        prediction = conditioned.predict(points, joint=True)
        by = conditioned.pull_back(points, None, np.eye(m), EVERYTHING, joint=True)
        return [*prediction, *(values for _, values in _numbers(by))]

    given = answers(X.argument, y.argument, points.argument)
    assert [argument.fingerprint() for argument in (X, y, points)] == before
    for answer, expected in zip(given, answers(X.numbers, y.numbers, points.numbers), strict=True):
        np.testing.assert_array_equal(answer, expected)


X = np.array([[0.0, 1.0], [1.0, -1.0], [0.5, 0.25]])
Y = np.array([1.0, -1.0, 0.5])
PLAIN = Regression(RBF())
LINEAR = Regression(RBF(), mean="linear")
CALLS = {
    "X": lambda value: PLAIN.log_marginal_likelihood(value, Y),
    "y": lambda value: PLAIN.log_marginal_likelihood(X, value, wanted=Wanted.Y),
    "theta": lambda value: PLAIN.log_marginal_likelihood(X, Y, value),
    "noise": lambda value: PLAIN.log_marginal_likelihood(X, Y, noise=value, wanted=Wanted.NOISE),
    "coefficients": lambda value: LINEAR.condition(X, Y, mean_coefficients=value).predict_mean(X),
    "wanted": lambda value: PLAIN.log_marginal_likelihood(X, Y, wanted=value),
    "kernel": lambda value: Regression(value).condition(X, Y).predict_mean(X),
    "mean": lambda value: (
        Regression(RBF(), mean="zero" if callable(value) else value).condition(X, Y).predict_mean(X)
    ),
    "tile_size": lambda value: Regression(RBF(), tile_size=value).condition(X, Y).predict_mean(X),
    "threads": lambda value: Regression(RBF(), threads=value).condition(X, Y).predict_mean(X),
    "memory_limit": lambda value: Regression(RBF(), memory_limit=value).check(X, Y),
    "points": lambda value: PLAIN.condition(X, Y).predict(value, joint=True),
    "points of means": lambda value: PLAIN.condition(X, Y).predict_mean(value),
    "points of priors": lambda value: PLAIN.condition(X, Y).prior_variance(value),
    "points of derivatives": lambda value: PLAIN.condition(X, Y).pull_back(
        value, None, None, EVERYTHING, joint=False
    ),
    "cotangents of means": lambda value: PLAIN.condition(X, Y).pull_back(
        X, value, None, EVERYTHING, joint=False
    ),
    "cotangents of spreads": lambda value: PLAIN.condition(X, Y).pull_back(
        X, None, value, EVERYTHING, joint=True
    ),
    "wanted of predictions": lambda value: PLAIN.condition(X, Y).check_wanted(value),
}


@pytest.mark.parametrize("call", CALLS)
@fuzzed(weight=0.5, value=nasty)
def test_arguments_of_functions_to_differentiate(call, value):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with documented():
            CALLS[call](value)


def test_masked_entries_are_no_numbers():
    """Their mask must not get lost: what lies under it is arbitrary."""
    points = np.ma.masked_equal(X, 0.25)
    for call in ("X", "points", "points of priors", "points of derivatives"):
        with pytest.raises(ValueError, match="masked"):
            CALLS[call](points)
    for call in ("y", "noise", "cotangents of means"):
        with pytest.raises(ValueError, match="masked"):
            CALLS[call](np.ma.masked_equal([1.0, 2.0, 3.0], 2.0))
    with pytest.raises(TypeError, match="theta must be real"):
        PLAIN.log_marginal_likelihood(X, Y, np.ma.masked_all(1))
    gp = GP(X, Y)
    with pytest.raises(ValueError, match="indices has masked entries"):
        gp.delete(np.ma.masked_array([0, 1], mask=[False, True]))


def test_points_without_features_are_refused():
    for shape in ((2, 3, 0), (0, 3, 0), (2, 0, 0)):
        with pytest.raises(ValueError, match="2 features"):
            PLAIN.condition(X, Y).predict(np.zeros(shape), joint=True)
