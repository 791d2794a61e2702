"""The oracle agrees with scikit-learn's regressor, with finite differences and with itself."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal
from sklearn.gaussian_process import GaussianProcessRegressor

from gprat.kernels import RBF, ConstantKernel, Matern, WhiteKernel
from oracles import (
    covariance,
    log_marginal_likelihood,
    predict,
    random_kernel,
    random_problem,
)

KERNELS = [
    ConstantKernel(1.5) * RBF(0.6) + WhiteKernel(0.05),
    ConstantKernel(2.0, "fixed") * Matern([0.5, 1.5], nu=1.5) + RBF(1.0) ** 2,
    *(random_kernel(np.random.default_rng(seed), 2, 2) for seed in range(6)),
]
NOISES = [0.1, np.linspace(0.05, 0.3, 12)]


@pytest.fixture(params=[1, 3], ids="k={}".format)
def problem(request):
    return random_problem(np.random.default_rng(5), n=12, m=4, d=2, k=request.param)


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
@pytest.mark.parametrize("noise", NOISES, ids=["scalar", "vector"])
def test_agrees_with_scikit_learn(kernel, noise, problem):
    X, Y, Xs = problem
    peer = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None).fit(X, Y)
    expected_value, expected_gradient = peer.log_marginal_likelihood(kernel.theta, True)
    expected_mean, expected_covariance = peer.predict(Xs, return_cov=True)
    _, expected_std = peer.predict(Xs, return_std=True)

    value, gradient, _ = log_marginal_likelihood(kernel, X, Y, noise, eval_gradient=True)
    mean, variance, cov = predict(kernel, X, Y, noise, Xs)

    m, k = len(Xs), Y.shape[1]
    np.testing.assert_allclose(value, expected_value, rtol=1e-10)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(mean, expected_mean.reshape(m, k), rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(variance, expected_std.reshape(m, k)[:, 0] ** 2, rtol=1e-8)
    np.testing.assert_allclose(cov, expected_covariance.reshape(m, m, k)[:, :, 0], atol=1e-10)


@pytest.mark.parametrize("noise", NOISES, ids=["scalar", "vector"])
def test_likelihood_is_the_density_of_a_normal_distribution(noise, problem):
    X, Y, _ = problem
    K = covariance(KERNELS[0], X) + np.diag(np.broadcast_to(noise, len(X)))
    density = multivariate_normal(cov=K).logpdf(Y.T).sum()
    np.testing.assert_allclose(log_marginal_likelihood(KERNELS[0], X, Y, noise), density)


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
@pytest.mark.parametrize("noise", NOISES, ids=["scalar", "vector"])
def test_gradient_agrees_with_finite_differences(kernel, noise, problem):
    X, Y, _ = problem

    def likelihood(theta_and_log_factor):
        *theta, log_factor = theta_and_log_factor
        moved = kernel.clone_with_theta(np.array(theta))
        return log_marginal_likelihood(moved, X, Y, noise * np.exp(log_factor))

    _, gradient, noise_gradient = log_marginal_likelihood(kernel, X, Y, noise, eval_gradient=True)
    expected = approx_fprime(np.append(kernel.theta, 0.0), likelihood)
    np.testing.assert_allclose(np.append(gradient, noise_gradient), expected, rtol=1e-4, atol=1e-4)


def test_outputs_are_independent(problem):
    X, Y, Xs = problem
    together, variance, cov = predict(KERNELS[0], X, Y, 0.1, Xs)
    value = log_marginal_likelihood(KERNELS[0], X, Y, 0.1)
    apart = [log_marginal_likelihood(KERNELS[0], X, y, 0.1) for y in Y.T]
    np.testing.assert_allclose(value, sum(apart))
    for column, y in zip(together.T, Y.T, strict=True):
        np.testing.assert_allclose(predict(KERNELS[0], X, y, 0.1, Xs)[0][:, 0], column)
    np.testing.assert_allclose(np.diag(cov), variance)


def test_small_noise_interpolates(problem):
    X, Y, _ = problem
    mean, variance, _ = predict(Matern(0.5, nu=0.5), X, Y, 1e-10, X)
    np.testing.assert_allclose(mean, Y, atol=1e-7)
    np.testing.assert_allclose(variance, 0.0, atol=1e-8)


@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.parametrize("seed", range(25))
def test_random_kernels_are_positive_semidefinite(d, seed):
    rng = np.random.default_rng(seed)
    X, _, _ = random_problem(rng, n=20, m=1, d=d, k=1)
    eigenvalues = np.linalg.eigvalsh(covariance(random_kernel(rng, d, depth=3), X))
    assert eigenvalues[0] >= -1e-13 * len(X) * eigenvalues[-1]


def test_random_kernels_are_varied():
    texts, n_fixed = [], 0
    for seed in range(60):
        kernel = random_kernel(np.random.default_rng(seed), 1 + 2 * (seed % 2), depth=3)
        texts.append(repr(kernel))
        n_fixed += any(hyperparameter.fixed for hyperparameter in kernel.hyperparameters)
    text = " ".join(texts)
    for part in ("RBF", "WhiteKernel", "nu=0.5", "nu=2.5", "RationalQuadratic", "ExpSineSquared"):
        assert part in text
    for part in ("DotProduct", "length_scale=[", " + ", " * ", " ** 1.5", " ** 2"):
        assert part in text
    for part in ("Periodic", "Linear", "Polynomial", "Cosine", "SpectralMixture", "ArcCosine"):
        assert part in text
    for part in ("ActiveDims", "ChangePoint", "centre=[", "nu=0.8", "order=0", "order=2"):
        assert part in text
    assert 0 < n_fixed < 60


def test_random_problem_has_the_shapes_asked_for():
    X, Y, Xs = random_problem(np.random.default_rng(0), n=5, m=4, d=3, k=2)
    assert (X.shape, Y.shape, Xs.shape) == ((5, 3), (5, 2), (4, 3))
