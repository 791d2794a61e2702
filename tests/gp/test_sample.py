"""Samples from prior and posterior: their moments, their reproducibility, their jitter."""

import warnings

import numpy as np
import pytest
from scipy import stats

import oracles
from gprat import GP
from gprat.exceptions import InvalidInputError, JitterWarning
from gprat.kernels import RBF, Matern

S = 4000


@pytest.fixture
def data(rng):
    X, Y, Xs = oracles.random_problem(rng, 30, 8, 2, 2)
    return X, Y, Xs


def assert_moments(samples, mean, covariance):
    """Compare with N(mean, covariance): a false alarm in a million, were the seed not fixed.

    Whitened, the sum of squares of S samples of m numbers is χ² with S·m degrees of freedom, and
    that of the S-fold mean is χ² with m; so are those of any m × m rotation.
    """
    m, count = samples.shape
    L = np.linalg.cholesky(covariance)
    white = np.linalg.solve(L, samples - mean[:, None])
    alarm = 1e-6 / 4
    for statistic, freedom in (
        (np.sum(white**2), m * count),
        (count * np.sum(white.mean(axis=1) ** 2), m),
        (np.sum((white.T @ np.ones(m)) ** 2) / m, count),
        (
            np.sum((white * np.arange(1, m + 1)[:, None]).sum(axis=0) ** 2)
            / np.sum(np.arange(1, m + 1) ** 2),
            count,
        ),
    ):
        low, high = stats.chi2.ppf([alarm / 2, 1 - alarm / 2], freedom)
        assert low < statistic < high


@pytest.mark.parametrize("include_noise", [False, True])
@pytest.mark.parametrize("source", ["posterior", "prior"])
def test_moments(data, source, include_noise):
    X, Y, Xs = data
    kernel = 1.5 * Matern([0.7, 1.1], nu=1.5)
    gp = GP(X, Y[:, 0], kernel, 0.2)
    samples = gp.sample(Xs, S, 7, source=source, include_noise=include_noise)
    assert samples.shape == (8, S)
    mean, covariance = np.zeros(8), kernel(Xs) + 0.2 * include_noise * np.eye(8)
    if source == "posterior":
        mean, covariance = gp.predict_with_full_cov(Xs, include_noise)
    assert_moments(samples, mean, covariance)


def test_outputs_are_independent(data):
    X, Y, Xs = data
    gp = GP(X, Y, RBF([0.7, 1.1]), 0.2)
    samples = gp.sample(Xs, S, 3)
    assert samples.shape == (8, 2, S)
    mean, covariance = gp.predict_with_full_cov(Xs)
    for o in range(2):
        assert_moments(samples[:, o], mean[:, o], covariance + 1e-12 * np.eye(8))
    assert not np.allclose(samples[:, 0] - mean[:, :1], samples[:, 1] - mean[:, 1:])


def test_trends_and_means_are_in_the_samples(data):
    X, Y, Xs = data
    gp = GP(X, Y[:, 0], Matern(0.8, nu=1.5), 0.2, mean="linear")
    mean, covariance = gp.predict_with_full_cov(Xs)
    assert_moments(gp.sample(Xs, S, 1), mean, covariance)
    with pytest.raises(InvalidInputError, match="flat prior"):
        gp.sample(Xs, source="prior")
    fixed = GP(X, Y[:, 0], Matern(0.8, nu=1.5), mean=lambda X: 5.0 + X[:, 0])
    prior = fixed.sample(Xs, S, 1, source="prior")
    assert_moments(prior, 5.0 + Xs[:, 0], Matern(0.8, nu=1.5)(Xs))


def test_the_seed_decides(data):
    X, Y, Xs = data
    gp = GP(X, Y[:, 0])
    first = gp.sample(Xs, 3, 5)
    assert np.array_equal(first, gp.sample(Xs, 3, 5))
    assert np.array_equal(first, gp.sample(Xs, 3, np.random.default_rng(5)))
    assert np.array_equal(first, GP(X, Y[:, 0], threads=1).sample(Xs, 3, 5))
    assert not np.array_equal(first, gp.sample(Xs, 3, 6))
    assert not np.array_equal(gp.sample(Xs), gp.sample(Xs))
    state = np.random.RandomState(0)
    assert not np.array_equal(gp.sample(Xs, 1, state), gp.sample(Xs, 1, state))


def test_jitter_only_where_needed_and_told(data):
    X, Y, Xs = data
    gp = GP(X, Y[:, 0], RBF(1.0), 1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gp.sample(Xs, 2, 0, include_noise=True)
    dense = np.linspace(0.0, 0.01, 60)[:, None] * np.ones(2)
    with pytest.warns(JitterWarning, match=r"without a Cholesky factor; \d.*was added"):
        samples = gp.sample(dense, 2, 0)
    assert np.isfinite(samples).all()
    assert np.allclose(samples.mean(axis=1), gp.predict(dense), atol=0.1)


def test_shapes(data):
    X, Y, Xs = data
    gp = GP(X, Y, dtype=np.float32)
    assert gp.sample(Xs).shape == (8, 2, 1)
    assert gp.sample(Xs).dtype == np.float32
    assert gp.sample(Xs[:0], 4).shape == (0, 2, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_samples": 0}, "n_samples must be at least 1"),
        ({"source": "likelihood"}, "unknown source 'likelihood'"),
    ],
)
def test_bad_arguments(data, arguments, message):
    X, Y, Xs = data
    with pytest.raises(InvalidInputError, match=message):
        GP(X, Y).sample(Xs, **arguments)
