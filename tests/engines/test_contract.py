"""The contract of every engine, in float64 and float32: agreement with the dense reference.

Errors of a backward stable method are bounded by ε times the condition number of K, so this is
what results are allowed to differ by.
"""

import numpy as np
import pytest
from scipy.linalg import cho_factor, cho_solve

import oracles
from gprat.engines.base import Problem
from gprat.engines.registry import get_engine
from gprat.exceptions import InvalidInputError, NotPositiveDefiniteError
from gprat.kernels import RBF, compile

N, M, D, K = 47, 13, 2, 3


class Case:
    """A problem for the engine, and what the dense reference says about it."""

    def __init__(self, kernel, dtype, seed, tile_size=16, threads=2, noise=None):
        rng = np.random.default_rng(seed)
        X, Y, Xs = oracles.random_problem(rng, N, M, D, K)
        # The reference sees the same rounded numbers as the engine.
        self.X, self.Y, self.Xs = X.astype(dtype), Y.astype(dtype), Xs.astype(dtype)
        self.B = rng.normal(size=(N, 2)).astype(dtype)
        self.kernel = kernel
        self.noise = np.array([0.2]) if noise is None else noise
        self.problem = Problem(self.X, self.Y, compile(kernel, D), self.noise, tile_size, threads)
        self.covariance = kernel(self.X.astype(float)) + np.diag(np.broadcast_to(self.noise, N))
        self.tolerance = 10 * np.finfo(dtype).eps * np.linalg.cond(self.covariance)

    def assert_close(self, actual, expected, scale=None):
        """Compare in the largest norm, relative to the expected values or to a given scale."""
        expected = np.asarray(expected)
        size = np.abs(expected).max(initial=0.0) if scale is None else scale
        assert np.shape(actual) == expected.shape
        assert np.abs(actual - expected).max(initial=0.0) <= self.tolerance * size


@pytest.fixture(params=["cpu"])
def engine(request):
    """Every engine there is."""
    return get_engine(request.param)


@pytest.fixture(params=[np.float64, np.float32], ids=["float64", "float32"])
def dtype(request):
    """Every precision there is."""
    return request.param


@pytest.fixture
def case(kernel, dtype):
    """A problem for each kernel and precision."""
    return Case(kernel, dtype, seed=1)


def as_double(*arrays):
    return [array.astype(float) for array in arrays]


def test_factor_reproduces_the_covariance_matrix(engine, case):
    L = engine.factorise(case.problem).cholesky()
    assert L.dtype == case.X.dtype
    assert np.array_equal(L, np.tril(L))
    L = L.astype(float)
    bound = 10 * N * np.finfo(case.X.dtype).eps * np.linalg.norm(case.covariance)
    assert np.linalg.norm(L @ L.T - case.covariance) <= bound


def test_linear_algebra(engine, case):
    posterior = engine.factorise(case.problem)
    factor = cho_factor(case.covariance)
    case.assert_close(posterior.solve(case.B), cho_solve(factor, case.B.astype(float)))
    case.assert_close(posterior.alpha(), cho_solve(factor, case.Y.astype(float)))
    case.assert_close(posterior.log_determinant(), np.linalg.slogdet(case.covariance)[1], N)


def test_prediction(engine, case):
    mean, variance, covariance = oracles.predict(
        case.kernel, *as_double(case.X, case.Y), case.noise, case.Xs.astype(float)
    )
    prior = case.kernel.diag(case.Xs.astype(float)).max()
    posterior = engine.factorise(case.problem)
    case.assert_close(posterior.predict_mean(case.Xs), mean)
    for actual, expected in zip(posterior.predict_variance(case.Xs), (mean, variance), strict=True):
        case.assert_close(actual, expected, scale=max(prior, np.abs(mean).max()))
    for actual, expected in zip(
        posterior.predict_covariance(case.Xs), (mean, covariance), strict=True
    ):
        case.assert_close(actual, expected, scale=max(prior, np.abs(mean).max()))
        assert actual.dtype == case.X.dtype


@pytest.mark.parametrize("noise", [None, np.linspace(0.1, 0.5, N)], ids=["scalar", "per row"])
def test_likelihood_and_gradient(engine, kernel, dtype, noise):
    case = Case(kernel, dtype, seed=2, noise=noise)
    value, gradient, noise_gradient = oracles.log_marginal_likelihood(
        case.kernel, *as_double(case.X, case.Y), case.noise, eval_gradient=True
    )
    scale = max(abs(value), N * K)
    case.assert_close(engine.factorise(case.problem).log_marginal_likelihood(), value, scale)
    actual, full_gradient, actual_noise = engine.log_marginal_likelihood_gradient(case.problem)
    case.assert_close(actual, value, scale)
    program = case.problem.program
    assert full_gradient.dtype == np.float64
    assert full_gradient.shape == (program.n_parameters,)
    assert not full_gradient[~program.is_free].any()
    case.assert_close(program.theta_gradient(full_gradient), gradient, scale)
    case.assert_close(actual_noise, noise_gradient, scale)


@pytest.mark.parametrize("seed", range(20))
def test_random_kernels(engine, dtype, seed):
    rng = np.random.default_rng(seed)
    case = Case(oracles.random_kernel(rng, D, depth=3), dtype, seed)
    mean, variance, _ = oracles.predict(
        case.kernel, *as_double(case.X, case.Y), case.noise, case.Xs.astype(float)
    )
    value, gradient, _ = oracles.log_marginal_likelihood(
        case.kernel, *as_double(case.X, case.Y), case.noise, eval_gradient=True
    )
    scale = max(np.abs(mean).max(), case.kernel.diag(case.Xs.astype(float)).max())
    actual_mean, actual_variance = engine.factorise(case.problem).predict_variance(case.Xs)
    case.assert_close(actual_mean, mean, scale)
    case.assert_close(actual_variance, variance, scale)
    actual, full_gradient, _ = engine.log_marginal_likelihood_gradient(case.problem)
    case.assert_close(actual, value, scale=max(abs(value), N * K))
    actual_gradient = case.problem.program.theta_gradient(full_gradient)
    case.assert_close(actual_gradient, gradient, scale=max(abs(value), N * K))


def everything(engine, case):
    """All results of an engine for one problem."""
    posterior = engine.factorise(case.problem)
    value, gradient, noise_gradient = engine.log_marginal_likelihood_gradient(case.problem)
    return [
        posterior.predict_mean(case.Xs),
        *posterior.predict_variance(case.Xs),
        *posterior.predict_covariance(case.Xs),
        posterior.solve(case.B),
        posterior.cholesky(),
        posterior.alpha(),
        np.array([posterior.log_determinant(), posterior.log_marginal_likelihood()]),
        np.array([value, noise_gradient, *gradient]),
    ]


@pytest.mark.parametrize("tile_size", [1, 7, 16, 46, 47, 64])
def test_results_do_not_depend_on_tiles_or_threads(engine, dtype, tile_size):
    kernel = 1.5 * RBF([0.7, 1.3])
    reference = everything(engine, Case(kernel, dtype, seed=3, tile_size=N, threads=1))
    cases = [Case(kernel, dtype, 3, tile_size, threads) for threads in (1, 2, 4)]
    results = [everything(engine, case) for case in cases]
    for expected, *per_thread_count in zip(reference, *results, strict=True):
        cases[0].assert_close(per_thread_count[0], expected, max(1.0, np.abs(expected).max()))
        # Bitwise: the order of additions is part of the contract.
        assert all(np.array_equal(per_thread_count[0], other) for other in per_thread_count[1:])


def test_failed_factorisation_says_where(engine, dtype):
    # So far apart that rounding plays no part: the last pivot is exactly zero.
    X = np.array([[0.0], [100.0], [200.0], [100.0]], dtype=dtype)
    problem = Problem(X, X, compile(RBF(), 1), np.array([1e-300]), 4, 1)
    for call in (
        engine.factorise(problem).log_marginal_likelihood,
        lambda: engine.log_marginal_likelihood_gradient(problem),
    ):
        with pytest.raises(NotPositiveDefiniteError) as failure:
            call()
        assert failure.value.row == 3
        assert failure.value.near_duplicates == (1,)


def test_unknown_engine_is_refused():
    with pytest.raises(InvalidInputError, match=r"unknown engine 'gpu'.*'cpu'"):
        get_engine("gpu")
