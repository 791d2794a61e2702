"""Hyperparameters and data from 1e-323 to 1e308: answers are numbers, or errors say why."""

import warnings

import numpy as np
from hypothesis import strategies as st

from fuzz.journal import documented, fuzzed
from fuzz.strategies_kernels import absurd_values
from fuzz.strategies_models import recipes
from gprat import GP
from gprat.exceptions import RoundingWarning

absurd_numbers = st.one_of(
    st.just(0.0),
    absurd_values,
    absurd_values.map(lambda value: -value),
)


def _check(name, values):
    is_right = np.isfinite(values)
    if name == "likelihood":
        is_right |= np.isneginf(values)  # the square of y may be too large for a number
    if name == "condition_number":
        is_right |= np.isposinf(values)
    assert is_right.all(), (name, values)


def _questions(gp, points):
    yield "likelihood", lambda: gp.log_marginal_likelihood()
    yield "gradient", lambda: gp.log_marginal_likelihood(eval_gradient=True)[1]
    yield "leave-one-out gradient", lambda: gp.loo_log_density(eval_gradient=True)[1]
    yield "mean", lambda: gp.predict(points)
    yield "variance", lambda: np.hstack(list(map(np.ravel, gp.predict_with_uncertainty(points))))
    yield "covariance", lambda: gp.predict_with_full_cov(points)[1]
    yield "predict_gradient", lambda: np.hstack(list(map(np.ravel, gp.predict_gradient(points))))
    yield "input_gradient", lambda: np.hstack(list(map(np.ravel, gp.input_gradient())))
    yield "leave-one-out", lambda: gp.loo().mean
    yield "alpha", lambda: gp.alpha
    yield "solve", lambda: gp.solve(gp.y)
    yield "condition_number", lambda: gp.condition_number()


def _ask_everything(gp, points):
    for name, ask in _questions(gp, points):
        with documented(), warnings.catch_warnings():
            warnings.simplefilter("ignore", RoundingWarning)
            _check(name, ask())


@fuzzed(weight=2.0, recipe=recipes(values=absurd_values, python=False))
def test_absurd_hyperparameters(recipe):
    with documented():
        _ask_everything(recipe.model(), recipe.points)


@fuzzed(weight=2.0, recipe=recipes(elements=absurd_numbers, python=False))
def test_absurd_data(recipe):
    with documented():
        _ask_everything(recipe.model(), recipe.points)


@fuzzed(recipe=recipes(), noise=absurd_numbers, known=absurd_numbers)
def test_absurd_noise(recipe, noise, known):
    arguments = {"kernel": recipe.arguments["kernel"], "dtype": recipe.arguments["dtype"]}
    with documented():
        gp = GP(
            recipe.X, recipe.y, noise=noise, known_noise=known, noise_bounds="fixed", **arguments
        )
        _ask_everything(gp, recipe.points)


@fuzzed(recipe=recipes(), entries=st.lists(st.floats(), min_size=1, max_size=12))
def test_absurd_theta(recipe, entries):
    gp = recipe.model()
    before = gp.theta
    with documented():
        gp.theta = np.resize(entries, before.shape)
        np.testing.assert_allclose(
            gp.theta, np.resize(entries, before.shape), rtol=1e-14, atol=1e-14
        )
        _ask_everything(gp, recipe.points)
