"""Priors of hyperparameters: values, gradients, the Jacobian, and starts drawn from them."""

import numpy as np
import pytest
from scipy import integrate, stats

import oracles
from gprat import GP
from gprat.exceptions import InvalidInputError, UnsupportedTypeError
from gprat.kernels import RBF, ChangePoint, ConstantKernel
from gprat.priors import as_priors

PRIORS = [
    stats.lognorm(0.7, scale=0.5),
    stats.gamma(2.0, scale=0.3),
    stats.invgamma(3.0),
    stats.halfnorm(scale=2.0),
    stats.halfcauchy(),
    stats.beta(2.0, 3.0, scale=4.0),
    stats.truncnorm(0.0, 3.0, loc=0.5),
    stats.loguniform(1e-3, 1e3),
    stats.norm(1.0, 0.5),
]


@pytest.fixture
def data(rng):
    X, Y, _ = oracles.random_problem(rng, 30, 5, 2, 1)
    return X, Y[:, 0]


@pytest.mark.parametrize("prior", PRIORS, ids=lambda prior: prior.dist.name)
def test_density_and_its_gradient(prior):
    priors = as_priors({"a": prior}, ("a",), np.array([True]), np.array([[-7.0, 7.0]]))
    for theta in (-0.6, 0.3):
        value, gradient = priors.log_density(np.array([theta]))
        # The density of θ = log φ is p(φ)·φ.
        assert np.isclose(value, np.log(prior.pdf(np.exp(theta)) * np.exp(theta)))
        h = 1e-5
        above, _ = priors.log_density(np.array([theta + h]))
        below, _ = priors.log_density(np.array([theta - h]))
        change = above - below
        assert np.isclose(gradient[0], change / (2 * h), rtol=1e-6, atol=1e-8)


def test_density_integrates_to_one():
    prior = stats.gamma(2.0, scale=0.3)
    priors = as_priors({"a": prior}, ("a",), np.array([True]), np.array([[-50.0, 50.0]]))
    total, _ = integrate.quad(lambda t: np.exp(priors.log_density(np.array([t]))[0]), -30, 5)
    assert np.isclose(total, 1.0, rtol=1e-6)


def test_loss_has_the_prior_in_it(data):
    kernel = ConstantKernel(1.5) * RBF([0.7, 1.2])
    priors = {"k2__length_scale": stats.gamma(2.0, scale=0.4), "noise_variance": stats.lognorm(1.0)}
    gp, plain = GP(*data, kernel, priors=priors), GP(*data, kernel)
    lengths = stats.gamma(2.0, scale=0.4)
    theta = gp.theta
    expected = (lengths.logpdf(np.exp(theta[1:3])) + theta[1:3]).sum()
    expected += stats.lognorm(1.0).logpdf(0.1) + np.log(0.1)
    assert np.isclose(gp.log_prior(), expected)
    assert np.isclose(gp.loss(), plain.loss() - expected)
    assert gp.log_marginal_likelihood() == plain.log_marginal_likelihood()
    _, gradient = gp.loss(eval_gradient=True)
    for i, direction in enumerate(np.eye(4)):
        change = gp.loss(theta + 1e-5 * direction) - gp.loss(theta - 1e-5 * direction)
        assert np.isclose(gradient[i], change / 2e-5, rtol=1e-6, atol=1e-6)


def test_a_strong_prior_wins(data):
    gp = GP(*data, RBF(1.0), priors={"length_scale": stats.lognorm(1e-3, scale=0.37)})
    gp.optimize()
    assert np.isclose(gp.kernel.length_scale, 0.37, rtol=0.01)


def test_location_has_no_jacobian(data):
    kernel = ChangePoint(RBF(), RBF(), location=-0.5)
    prior = stats.norm(0.2, 0.3)
    gp = GP(*data, kernel, priors={"location": prior})
    assert np.isclose(gp.log_prior(), prior.logpdf(-0.5))


def test_restarts_are_drawn_from_priors(data):
    prior = stats.lognorm(0.2, scale=3.0)
    gp = GP(*data, RBF(1.0), priors={"length_scale": prior})
    gp.optimize(n_restarts=200, random_state=1, max_iter=1)
    starts = np.array([start.theta[0] for start in gp.training_.starts[1:]])
    # A false alarm in a million runs of correct code; the seed is fixed.
    assert stats.kstest(np.exp(starts), prior.cdf).pvalue > 1e-6


def test_no_density_means_stepping_back(data):
    gp = GP(*data, RBF(1.0), priors={"length_scale": stats.uniform(0.5, 1.0)})
    result = gp.optimize()
    assert 0.5 <= gp.kernel.length_scale <= 1.5
    assert np.isfinite(result.fun)
    assert gp.loss(np.log([3.0, 0.1])) == np.inf


@pytest.mark.parametrize(
    ("priors", "error", "message"),
    [
        (
            {"lengthscale": stats.norm()},
            InvalidInputError,
            r"'lengthscale'.*k2__length_scale",
        ),
        ({"noise_variance": stats.lognorm}, UnsupportedTypeError, "no parameters yet"),
        ({"noise_variance": stats.poisson(3)}, UnsupportedTypeError, "continuous"),
        ({"noise_variance": 0.3}, UnsupportedTypeError, "frozen continuous distribution"),
        (
            {"noise_variance": stats.uniform(-3, 2)},
            InvalidInputError,
            "no support within",
        ),
        (
            {"noise_variance": stats.uniform(1e7, 1)},
            InvalidInputError,
            "no support within",
        ),
        ([stats.norm()], UnsupportedTypeError, "priors must be a mapping"),
    ],
)
def test_bad_priors_are_refused(data, priors, error, message):
    with pytest.raises(error, match=message):
        GP(*data, priors=priors)
