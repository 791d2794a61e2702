"""Trends and fixed means: against the dense reference, and what users may get wrong."""

import numpy as np
import pytest

import oracles
from gprat import GP
from gprat.exceptions import (
    GpratError,
    InvalidInputError,
    RankDeficientTrendError,
    UnsupportedTypeError,
)
from gprat.kernels import RBF, Matern
from gprat.means import BasisFunction, FixedMean, as_mean

N, M, D = 40, 7, 2
NOISE = 0.05


def plane(X):
    return 3.0 - 2.0 * X[:, 0] + 0.5 * X[:, 1]


def plane_gradient(X):
    return np.tile([-2.0, 0.5], (len(X), 1))


WAVE = BasisFunction(
    lambda X: np.sin(2 * X[:, 0]),
    lambda X: np.stack([2 * np.cos(2 * X[:, 0]), np.zeros(len(X))], axis=1),
    name="wave",
)
ONE = BasisFunction(lambda X: np.ones(len(X)), lambda X: np.zeros(X.shape))
TRENDS = {
    "constant": lambda X: np.ones((len(X), 1)),
    "linear": lambda X: np.column_stack([np.ones(len(X)), X]),
    "quadratic": lambda X: np.column_stack(
        [np.ones(len(X)), X, X[:, 0] ** 2, X[:, 0] * X[:, 1], X[:, 1] ** 2]
    ),
}


@pytest.fixture(params=[*TRENDS, "list"])
def trend(request):
    """A trend as users write it, and its design matrix."""
    if request.param == "list":
        return [WAVE, ONE], lambda X: np.column_stack([np.sin(2 * X[:, 0]), np.ones(len(X))])
    return request.param, TRENDS[request.param]


@pytest.fixture
def data(rng):
    X, Y, Xs = oracles.random_problem(rng, N, M, D, 2)
    return X, Y + plane(X)[:, None], Xs


def test_universal_kriging(trend, data):
    X, Y, Xs = data
    mean, design = trend
    kernel = 1.3 * Matern([0.8, 1.4], nu=2.5)
    gp = GP(X, Y, kernel, NOISE, mean=mean, tile_size=16)
    dense = oracles.Dense(kernel, X, Y, NOISE, design(X))
    expected_mean, expected_variance, expected_covariance = dense.predict(Xs, design(Xs))

    assert np.isclose(gp.log_marginal_likelihood(), dense.log_marginal_likelihood())
    assert np.allclose(gp.trend_coefficients, dense.beta)
    assert np.allclose(gp.trend_covariance, np.linalg.inv(dense.A))
    assert np.allclose(gp.predict(Xs), expected_mean)
    predicted, variance = gp.predict_with_uncertainty(Xs)
    assert np.allclose(predicted, expected_mean)
    assert np.allclose(variance, expected_variance)
    predicted, covariance = gp.predict_with_full_cov(Xs)
    assert np.allclose(predicted, expected_mean)
    assert np.allclose(covariance, expected_covariance)
    loo_mean, loo_variance, loo_density = dense.leave_one_out()
    loo = gp.loo()
    assert np.allclose(loo.mean, loo_mean)
    assert np.allclose(loo.variance, loo_variance)
    assert np.allclose(loo.log_density, loo_density)
    assert np.isclose(gp.loo_log_density(), loo_density.sum())


def test_the_trend_is_followed_far_away(data):
    X, _, _ = data
    gp = GP(X, plane(X), RBF(1.0), 1e-6, mean="linear")
    far = np.array([[100.0, -50.0]])
    assert np.allclose(gp.predict(far), plane(far))
    assert np.allclose(gp.trend_coefficients, [3.0, -2.0, 0.5])
    _, near = gp.predict_with_uncertainty(X[:1])
    _, variance = gp.predict_with_uncertainty(far)
    assert variance[0] > 100.0 * near[0], "the coefficients' uncertainty grows with distance"


def test_a_shift_of_the_targets_along_the_trend_changes_nothing_else(data):
    X, Y, Xs = data
    one, two = (GP(X, y, mean="linear") for y in (Y[:, 0], Y[:, 0] + plane(X)))
    assert np.isclose(one.log_marginal_likelihood(), two.log_marginal_likelihood())
    assert np.allclose(two.predict(Xs) - one.predict(Xs), plane(Xs))


def test_fixed_mean(data):
    X, Y, Xs = data
    kernel = RBF([0.8, 1.4])
    plain = GP(X, Y - plane(X)[:, None], kernel, NOISE)
    for mean in (plane, FixedMean(plane, plane_gradient)):
        gp = GP(X, Y, kernel, NOISE, mean=mean)
        assert np.isclose(gp.log_marginal_likelihood(), plain.log_marginal_likelihood())
        assert np.allclose(gp.predict(Xs), plain.predict(Xs) + plane(Xs)[:, None])
        assert np.allclose(gp.loo().mean, plain.loo().mean + plane(X)[:, None])
        assert np.allclose(gp.loo().standardized_residuals, plain.loo().standardized_residuals)
        assert gp.trend_coefficients.shape == (0, 2)
    assert np.array_equal(gp.y, Y), "the model shows the targets that it was given"


def test_gradients_of_predictions_follow_the_mean(trend, data):
    X, Y, Xs = data
    mean, _ = trend
    gp = GP(X, Y[:, 0], RBF([0.8, 1.4]), NOISE, mean=mean)
    check_gradients(gp, Xs)
    check_gradients(GP(X, Y[:, 0], mean=FixedMean(plane, plane_gradient)), Xs)


def check_gradients(gp, Xs, step=1e-5):
    by_mean, by_variance = gp.predict_gradient(Xs)
    assert by_mean.shape == by_variance.shape == Xs.shape
    for f in range(D):
        ahead, behind = Xs.copy(), Xs.copy()
        ahead[:, f] += step
        behind[:, f] -= step
        above, below = gp.predict_with_uncertainty(ahead), gp.predict_with_uncertainty(behind)
        assert np.allclose(by_mean[:, f], (above[0] - below[0]) / (2 * step), atol=1e-6)
        assert np.allclose(by_variance[:, f], (above[1] - below[1]) / (2 * step), atol=1e-6)


def test_gradients_by_the_data_follow_the_mean(trend, data):
    X, Y, _ = data
    kernel = RBF([0.8, 1.4])
    for mean in (trend[0], FixedMean(plane, plane_gradient)):
        by_X, by_y = GP(X, Y[:, 0], kernel, NOISE, mean=mean).input_gradient()
        assert by_X.shape == X.shape
        for (i, f), step in (((3, 0), 1e-5), ((17, 1), 1e-5)):
            likelihoods = []
            for sign in (1, -1):
                moved = X.copy()
                moved[i, f] += sign * step
                gp = GP(moved, Y[:, 0], kernel, NOISE, mean=mean)
                likelihoods.append(gp.log_marginal_likelihood())
            assert np.isclose(by_X[i, f], (likelihoods[0] - likelihoods[1]) / (2 * step), rtol=1e-5)
        moved = Y[:, 0].copy()
        moved[5] += 1e-5
        change = GP(X, moved, kernel, NOISE, mean=mean).log_marginal_likelihood()
        before = GP(X, Y[:, 0], kernel, NOISE, mean=mean).log_marginal_likelihood()
        assert np.isclose(by_y[5], (change - before) / 1e-5, rtol=1e-3, atol=1e-3)


def test_training_with_a_trend_beats_training_without(data):
    X, Y, _ = data
    plain = GP(X, Y[:, 0], RBF([1.0, 1.0]))
    linear = GP(X, Y[:, 0], RBF([1.0, 1.0]), mean="linear")
    plain.optimize()
    result = linear.optimize()
    assert result.success
    assert linear.loss() < plain.loss()
    _, gradient = linear.loss(eval_gradient=True)
    assert np.abs(gradient).max() < 1e-2 * N


@pytest.mark.parametrize(
    ("mean", "error", "message"),
    [
        ("cubic", InvalidInputError, "unknown mean 'cubic': expected 'zero', 'constant'"),
        ([], InvalidInputError, "empty list of basis functions"),
        (3.0, UnsupportedTypeError, "mean must be one of"),
        ([np.sin, 2.0], UnsupportedTypeError, r"mean\[1\] must be a function"),
        ([lambda X: X], InvalidInputError, r"basis\[0\] must return an array of shape \(40,\)"),
        ([lambda X: np.full(len(X), np.nan)], InvalidInputError, "must be finite.*row 0"),
        ([lambda X: ["a"] * len(X)], UnsupportedTypeError, "must return real numbers"),
        (lambda X: np.ones(3), InvalidInputError, r"mean must return.*\(40,\) or \(40, 2\)"),
        (FixedMean("f"), UnsupportedTypeError, "must hold a function"),
    ],
)
def test_bad_means_are_refused(data, mean, error, message):
    X, Y, _ = data
    with pytest.raises(error, match=message) as failure:
        GP(X, Y, mean=mean)
    assert isinstance(failure.value, GpratError)


def test_dependent_basis_functions_are_named(data):
    X, Y, Xs = data
    twice = BasisFunction(lambda X: 2.0 * np.sin(2 * X[:, 0]) + 1.0, name="twice")
    gp = GP(X, Y, mean=[ONE, WAVE, twice])
    with pytest.raises(RankDeficientTrendError, match="function twice is a linear") as failure:
        gp.predict(Xs)
    assert failure.value.column == 2
    constant_feature = np.column_stack([X[:, 0], np.full(N, 4.0)])
    with pytest.raises(RankDeficientTrendError, match=r"x\[1\]"):
        GP(constant_feature, Y, mean="linear").optimize()


def test_more_coefficients_than_rows_are_refused():
    with pytest.raises(InvalidInputError, match="6 coefficients, more than the 5 rows"):
        GP(np.random.default_rng(0).normal(size=(5, 2)), np.ones(5), mean="quadratic")


def test_gradients_need_those_of_the_mean(data):
    X, Y, Xs = data
    with pytest.raises(InvalidInputError, match="derivative of the basis function sine"):
        GP(X, Y, mean=[BasisFunction(WAVE.function, name="sine")]).predict_gradient(Xs)
    with pytest.raises(InvalidInputError, match="derivative of the mean function"):
        GP(X, Y, mean=plane).input_gradient()


def test_user_functions_may_not_write_to_the_points(data):
    X, Y, _ = data

    def writes(points):
        points[0] = 0.0
        return points[:, 0]

    with pytest.raises(ValueError, match="read-only"):
        GP(X, Y, mean=writes)


def test_names_of_monomials():
    assert as_mean("quadratic").names(2) == (
        "1",
        "x[0]",
        "x[1]",
        "x[0]*x[0]",
        "x[0]*x[1]",
        "x[1]*x[1]",
    )
    assert as_mean("zero").names(3) == ()
