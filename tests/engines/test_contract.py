"""The contract of every engine, in float64 and float32: agreement with the dense reference.

Errors of a backward stable method are bounded by ε times the condition number of K, so this is
what results are allowed to differ by.
"""

import dataclasses

import numpy as np
import pytest
from scipy.linalg import cho_factor, cho_solve

import oracles
from gprat.engines.base import Objective, Problem
from gprat.engines.registry import get_engine
from gprat.exceptions import (
    InvalidInputError,
    NotPositiveDefiniteError,
    RankDeficientTrendError,
    UnsupportedTypeError,
)
from gprat.kernels import RBF, WhiteKernel, compile

N, M, D, K = 47, 13, 2, 3


class Case:
    """A problem for the engine, and what the dense reference says about it."""

    def __init__(self, kernel, dtype, seed, tile_size=16, threads=2, noise=None, q=0):
        rng = np.random.default_rng(seed)
        X, Y, Xs = oracles.random_problem(rng, N, M, D, K)
        # The reference sees the same rounded numbers as the engine.
        self.X, self.Y, self.Xs = X.astype(dtype), Y.astype(dtype), Xs.astype(dtype)
        self.H, self.Hs = trend(self.X, q), trend(self.Xs, q)
        self.B = rng.normal(size=(N, 2)).astype(dtype)
        self.kernel = kernel
        self.noise = np.array([0.2]) if noise is None else noise
        names = tuple(f"h{i}" for i in range(q))
        program = compile(kernel, D)
        self.problem = Problem(
            self.X, self.Y, self.H, names, program, self.noise, tile_size, threads
        )
        X, Y, H = as_double(self.X, self.Y, self.H)
        self.dense = oracles.Dense(kernel, X, Y, self.noise, H)
        self.covariance = self.dense.K
        self.tolerance = 10 * np.finfo(dtype).eps * np.linalg.cond(self.covariance)

    def assert_close(self, actual, expected, scale=None):
        """Compare in the largest norm, relative to the expected values or to a given scale."""
        expected = np.asarray(expected)
        size = np.abs(expected).max(initial=0.0) if scale is None else scale
        assert np.shape(actual) == expected.shape
        assert np.abs(actual - expected).max(initial=0.0) <= self.tolerance * size


def trend(X, q):
    """The first q of 1, the features and a wave, as basis functions."""
    columns = [np.ones(len(X)), *X.T, np.sin(3 * X[:, 0])]
    return np.ascontiguousarray(np.stack(columns, axis=1)[:, :q], dtype=X.dtype)


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
    case.assert_close(posterior.multiply(case.B), case.covariance @ case.B.astype(float))
    case.assert_close(posterior.log_determinant(), np.linalg.slogdet(case.covariance)[1], N)
    products, magnitudes, diagonal = engine.multiply_covariance(case.problem, case.B)
    case.assert_close(products, case.covariance @ case.B.astype(float))
    case.assert_close(magnitudes, np.abs(case.covariance) @ np.abs(case.B.astype(float)))
    case.assert_close(diagonal, np.diag(case.covariance))
    L = posterior.cholesky().astype(float)
    case.assert_close(engine.color(case.problem, case.B), L @ case.B.astype(float))


@pytest.mark.parametrize("q", [0, 1, 4])
def test_trend(engine, kernel, dtype, q):
    case = Case(kernel, dtype, seed=4, q=q)
    posterior = engine.factorise(case.problem)
    coefficients, R = posterior.trend()
    A = case.dense.A
    size = max(1.0, np.linalg.cond(A)) if q else 1.0
    case.assert_close(posterior.alpha(), case.dense.alpha, size * np.abs(case.dense.alpha).max())
    case.assert_close(coefficients, case.dense.beta, size * np.abs(case.dense.beta).max(initial=0))
    case.assert_close(R.T.astype(float) @ R, A, size * np.abs(A).max(initial=0.0))
    assert np.array_equal(R, np.triu(R))
    largest = np.diag(case.dense.inverse).max()
    case.assert_close(posterior.inverse_diagonal(), np.diag(case.dense.P), size * largest)


@pytest.mark.parametrize("q", [0, 1, 4])
def test_prediction(engine, kernel, dtype, q):
    case = Case(kernel, dtype, seed=1, q=q)
    mean, variance, covariance = case.dense.predict(*as_double(case.Xs, case.Hs))
    scale = max(1.0, np.abs(covariance).max(), np.abs(mean).max(), np.abs(case.dense.K).max())
    posterior = engine.factorise(case.problem)
    case.assert_close(posterior.predict_mean(case.Xs, case.Hs), mean, scale)
    *with_variance, clipping = posterior.predict_variance(case.Xs, case.Hs)
    assert clipping.count >= 0 <= clipping.worst
    for actual, expected in zip(with_variance, (mean, variance), strict=True):
        case.assert_close(actual, expected, scale)
    *with_covariance, clipping = posterior.predict_covariance(case.Xs, case.Hs)
    assert posterior.clipped_variances >= clipping.count >= 0
    for actual, expected in zip(with_covariance, (mean, covariance), strict=True):
        case.assert_close(actual, expected, scale)
        assert actual.dtype == case.X.dtype


def central_differences(function, at, step=1e-4):
    """Derivatives of a function by every entry of an array, to fourth order."""
    derivatives = np.empty(at.shape)
    for index in np.ndindex(at.shape):
        values = []
        for multiple in (1, -1, 2, -2):
            moved = at.copy()
            moved[index] += multiple * step
            values.append(function(moved))
        derivatives[index] = (8 * (values[0] - values[1]) - (values[2] - values[3])) / (12 * step)
    return derivatives


@pytest.mark.parametrize("q", [0, 3])
@pytest.mark.parametrize("objective", list(Objective))
@pytest.mark.parametrize("noise", [None, np.linspace(0.1, 0.5, N)], ids=["scalar", "per row"])
def test_objective_and_its_adjoint(engine, kernel, dtype, noise, objective, q):
    case = Case(kernel, dtype, seed=2, noise=noise, q=q)
    is_likelihood = objective is Objective.MARGINAL_LIKELIHOOD

    X, given, H = as_double(case.X, case.Y, case.H)

    def value(kernel=kernel, Y=given, noise=case.noise):
        model = oracles.Dense(kernel, X, Y, noise, H)
        if is_likelihood:
            return model.log_marginal_likelihood()
        s = np.diag(model.P)[:, None]
        return np.sum(0.5 * np.log(s) - 0.5 * model.alpha**2 / s) - 0.5 * N * K * np.log(2 * np.pi)

    adjoint = engine.differentiate(case.problem, objective)
    expected = value()
    scale = max(abs(expected), N * K)
    case.assert_close(adjoint.value, expected, scale)
    if is_likelihood:
        likelihood = engine.factorise(case.problem).log_marginal_likelihood()
        case.assert_close(likelihood, expected, scale)
    else:
        assert np.isclose(expected, case.dense.leave_one_out()[2].sum())
    by_theta = central_differences(
        lambda theta: value(kernel.clone_with_theta(theta)), kernel.theta
    )
    program = case.problem.program
    assert adjoint.parameters.dtype == np.float64
    tolerance = max(case.tolerance, 1e-8)
    got = program.theta_gradient(adjoint.parameters)
    assert np.abs(got - by_theta).max(initial=0.0) <= 20 * tolerance * scale
    rows = slice(0, N, 9)
    noises = np.broadcast_to(case.noise, N).copy()

    def with_noise(part):
        changed = noises.copy()
        changed[rows] = part
        return value(noise=changed)

    by_noise = central_differences(with_noise, noises[rows])
    assert np.abs(adjoint.noise[rows] - by_noise).max() <= 50 * tolerance * scale
    by_target = central_differences(lambda y: value(Y=np.vstack([y, given[1:]])), given[:1])
    assert np.abs(adjoint.targets[:1] - by_target).max() <= 20 * tolerance * scale


@pytest.mark.parametrize("q", [0, 3])
def test_derivatives_by_inputs(engine, kernel, q):
    case = Case(kernel, np.float64, seed=5, q=q)
    adjoint = engine.differentiate(case.problem, Objective.MARGINAL_LIKELIHOOD, inputs=True)
    rows = slice(0, N, 11)

    def by_input(part):
        X = case.X.copy()
        X[rows] = part
        return oracles.Dense(kernel, X, case.Y, case.noise, case.H).log_marginal_likelihood()

    def by_basis(part):
        H = case.H.copy()
        H[rows] = part
        return oracles.Dense(kernel, case.X, case.Y, case.noise, H).log_marginal_likelihood()

    scale = max(1.0, np.abs(adjoint.inputs).max())
    expected = central_differences(by_input, case.X[rows])
    assert np.allclose(adjoint.inputs[rows], expected, atol=1e-6 * scale)
    assert adjoint.basis.shape == (N, q)
    expected = central_differences(by_basis, case.H[rows])
    assert np.allclose(adjoint.basis[rows], expected, atol=1e-6 * scale)


@pytest.mark.parametrize("q", [0, 3])
def test_derivatives_of_predictions(engine, kernel, q):
    case = Case(kernel, np.float64, seed=7, q=q)
    posterior, predict = engine.factorise(case.problem), case.dense.predict
    by_mean, by_variance, by_h = posterior.predict_gradient(case.Xs, case.Hs)
    assert by_mean.shape == (M, K, D)
    for i in (0, 5, M - 1):
        x, h = case.Xs[[i]], case.Hs[[i]]
        for o in range(K):
            expected = central_differences(lambda x, o=o, h=h: predict(x, h)[0][0, o], x)
            assert np.allclose(by_mean[i, o], expected, atol=1e-6)
        expected = central_differences(lambda x, h=h: predict(x, h)[1][0], x)
        assert np.allclose(by_variance[i], expected, atol=1e-6)
        expected = central_differences(lambda h, x=x: predict(x, h)[1][0], h)
        assert np.allclose(by_h[i], expected, atol=1e-6)


def everything(engine, case):
    """All results of an engine for one problem."""
    posterior = engine.factorise(case.problem)
    likelihood = engine.differentiate(case.problem, Objective.MARGINAL_LIKELIHOOD, inputs=True)
    loo = engine.differentiate(case.problem, Objective.LEAVE_ONE_OUT)
    return [
        posterior.predict_mean(case.Xs, case.Hs),
        *posterior.predict_variance(case.Xs, case.Hs)[:2],
        *posterior.predict_covariance(case.Xs, case.Hs)[:2],
        *posterior.predict_gradient(case.Xs, case.Hs),
        posterior.solve(case.B),
        posterior.multiply(case.B),
        engine.color(case.problem, case.B),
        posterior.cholesky(),
        posterior.alpha(),
        posterior.inverse_diagonal(),
        *posterior.trend(),
        np.array([posterior.log_determinant(), posterior.log_marginal_likelihood()]),
        *(
            np.atleast_1d(value)
            for adjoint in (likelihood, loo)
            for value in (adjoint.value, adjoint.parameters, adjoint.noise, adjoint.targets)
        ),
        likelihood.inputs,
        likelihood.basis,
    ]


@pytest.mark.parametrize("tile_size", [1, 7, 16, 46, 47, 64])
def test_results_do_not_depend_on_tiles_or_threads(engine, dtype, tile_size):
    kernel = 1.5 * RBF([0.7, 1.3])
    reference = everything(engine, Case(kernel, dtype, seed=3, tile_size=N, threads=1, q=3))
    cases = [Case(kernel, dtype, 3, tile_size, threads, q=3) for threads in (1, 2, 4)]
    results = [everything(engine, case) for case in cases]
    for expected, *per_thread_count in zip(reference, *results, strict=True):
        size = 20 * max(1.0, np.abs(expected).max(initial=0.0))
        cases[0].assert_close(per_thread_count[0], expected, size)
        # Bitwise: the order of additions is part of the contract.
        assert all(np.array_equal(per_thread_count[0], other) for other in per_thread_count[1:])


def test_failed_factorisation_says_where(engine, dtype):
    # So far apart that rounding plays no part: the last pivot is exactly zero.
    X = np.array([[0.0], [100.0], [200.0], [100.0]], dtype=dtype)
    problem = Problem(X, X, X[:, :0], (), compile(RBF(), 1), np.array([1e-300]), 4, 1)
    for call in (
        engine.factorise(problem).log_marginal_likelihood,
        lambda: engine.differentiate(problem, Objective.MARGINAL_LIKELIHOOD),
        lambda: engine.differentiate(problem, Objective.LEAVE_ONE_OUT),
    ):
        with pytest.raises(NotPositiveDefiniteError) as failure:
            call()
        assert failure.value.row == 3
        assert failure.value.near_duplicates == (1,)


def test_dependent_basis_functions_are_named(engine, dtype):
    case = Case(RBF(), dtype, seed=6, q=3)
    H = np.ascontiguousarray(np.hstack([case.H, 2 * case.H[:, :1] - case.H[:, 1:2]]))
    problem = dataclasses.replace(case.problem, basis=H, basis_names=("a", "b", "c", "d"))
    for call in (
        engine.factorise(problem).alpha,
        lambda: engine.differentiate(problem, Objective.MARGINAL_LIKELIHOOD),
    ):
        with pytest.raises(RankDeficientTrendError, match="function d is a linear") as failure:
            call()
        assert failure.value.column == 3


def test_a_matrix_colours_noise(engine, dtype):
    A = np.random.default_rng(8).normal(size=(M, M))
    matrix = (A @ A.T + np.eye(M)).astype(dtype)
    Z = np.random.default_rng(9).normal(size=(M, 4)).astype(dtype)
    expected = np.linalg.cholesky(matrix.astype(float) + 0.5 * np.eye(M)) @ Z
    tolerance = 100 * np.finfo(dtype).eps
    assert np.allclose(engine.color_matrix(matrix, 0.5, Z, 2), expected, tolerance, tolerance)
    matrix[3] = matrix[:, 3] = 0.0
    with pytest.raises(NotPositiveDefiniteError, match="row 3"):
        engine.color_matrix(matrix, 0.0, Z, 2)


def rows_of(case, rows, tile_size):
    """The problem of some of the rows."""
    full = case.problem
    noise = full.noise if full.noise.size == 1 else full.noise[rows]
    arrays = {"X": full.X[rows], "Y": full.Y[rows], "basis": full.basis[rows]}
    return dataclasses.replace(full, **arrays, noise=noise, tile_size=min(tile_size, len(rows)))


def results(posterior, case):
    return [
        posterior.cholesky(),
        *posterior.predict_variance(case.Xs, case.Hs)[:2],
        posterior.alpha(),
        posterior.inverse_diagonal(),
        *posterior.trend(),
        np.array([posterior.log_determinant(), posterior.log_marginal_likelihood()]),
    ]


def assert_equal_but_for_rounding(case, posterior, reference):
    pairs = zip(results(posterior, case), results(reference, case), strict=True)
    for actual, expected in pairs:
        size = 20 * max(1.0, np.abs(expected).max(initial=0.0))
        assert actual.dtype == expected.dtype
        case.assert_close(actual, expected, size)


NOISES = pytest.mark.parametrize(
    "noise", [None, np.linspace(0.1, 0.5, N)], ids=["scalar", "per row"]
)


@NOISES
@pytest.mark.parametrize("tile_size", [1, 7, 16, 64])
@pytest.mark.parametrize("before", [3, 32, 46])
def test_append(engine, dtype, before, tile_size, noise):
    case = Case(1.5 * RBF([0.7, 1.3]) + WhiteKernel(0.1), dtype, 10, noise=noise, q=3)
    full = rows_of(case, np.arange(N), tile_size)
    old = engine.factorise(rows_of(case, np.arange(before), 16))
    kept = old.cholesky()
    new = engine.append(old, full)
    assert new.problem is full
    assert_equal_but_for_rounding(case, new, engine.factorise(full))
    assert np.array_equal(old.cholesky(), kept)
    for threads in (1, 4):
        other = engine.append(old, dataclasses.replace(full, threads=threads))
        assert np.array_equal(other.factor(), new.factor())


DELETED = [[0], [N - 1], [20], [0, 1, 15, 16, 17, 30, N - 1], list(range(1, 43)), []]


@NOISES
@pytest.mark.parametrize("tile_size", [1, 7, 16, 64])
@pytest.mark.parametrize("rows", DELETED, ids=lambda rows: f"{len(rows)} rows")
def test_delete(engine, dtype, rows, tile_size, noise):
    case = Case(1.5 * RBF([0.7, 1.3]) + WhiteKernel(0.1), dtype, 11, noise=noise, q=3)
    old = engine.factorise(rows_of(case, np.arange(N), tile_size))
    kept = old.cholesky()
    rest = rows_of(case, np.setdiff1d(np.arange(N), rows), tile_size)
    new = engine.delete(old, np.array(rows, dtype=np.intp), rest)
    assert_equal_but_for_rounding(case, new, engine.factorise(rest))
    assert np.array_equal(old.cholesky(), kept)
    for threads in (1, 4):
        other = dataclasses.replace(rest, threads=threads)
        other = engine.delete(old, np.array(rows, dtype=np.intp), other)
        assert np.array_equal(other.factor(), new.factor())


def test_updates_without_a_factor_wait_for_one(engine, dtype):
    # Rows 1 and 3 coincide: the first problem has no factor, the second has one.
    X = np.array([[0.0], [100.0], [200.0], [100.0]], dtype=dtype)
    problem = Problem(X, X, X[:, :0], (), compile(RBF(), 1), np.array([1e-300]), 4, 1)
    old = engine.factorise(problem)
    with pytest.raises(NotPositiveDefiniteError):
        old.factor()
    mended = dataclasses.replace(problem, X=X[:3], Y=X[:3], basis=X[:3, :0], tile_size=3)
    new = engine.delete(old, np.array([3]), mended)
    assert np.array_equal(new.factor(), engine.factorise(mended).factor())
    with pytest.raises(NotPositiveDefiniteError) as failure:
        engine.append(new, problem)
    assert failure.value.row == 3
    assert failure.value.near_duplicates == (1,)
    assert np.array_equal(new.cholesky(), np.eye(3))
    assert engine.append(engine.factorise(mended), problem).problem is problem


@pytest.mark.parametrize("tile_size", [1, 7, 64])
def test_factor_out_and_in(engine, dtype, tile_size, tmp_path):
    case = Case(1.5 * RBF([0.7, 1.3]), dtype, 12, q=3)
    problem = rows_of(case, np.arange(N), tile_size)
    expected = results(engine.factorise(problem), case)
    # Nobody else holds the posterior: the array keeps it alive.
    factor = engine.factorise(problem).factor()
    assert factor.dtype == dtype
    assert factor.ndim == 1
    assert not factor.flags.writeable
    np.save(tmp_path / "factor.npy", factor)
    mapped = np.load(tmp_path / "factor.npy", mmap_mode="r")
    for given in (factor, mapped):
        restored = engine.restore(problem, given)
        assert np.shares_memory(restored.factor(), given)
        assert all(map(np.array_equal, results(restored, case), expected))
    rest = rows_of(case, np.arange(1, N), tile_size)
    assert_equal_but_for_rounding(
        case, engine.delete(restored, np.array([0]), rest), engine.factorise(rest)
    )


def test_factor_has_zeros_above_the_diagonal(engine, dtype):
    case = Case(RBF(), dtype, 13)
    for problem in (rows_of(case, np.arange(N), 64), rows_of(case, np.arange(9), 64)):
        n = len(problem.X)
        posterior = engine.append(engine.factorise(rows_of(case, np.arange(5), 3)), problem)
        assert np.array_equal(posterior.factor().reshape(n, n).T, posterior.cholesky())


def test_a_wrong_factor_is_refused(engine, dtype):
    case = Case(RBF(), dtype, 14)
    factor = engine.factorise(case.problem).factor()
    other = np.float32 if dtype == np.float64 else np.float64
    unaligned = np.empty(factor.nbytes + 1, dtype=np.uint8)[1:].view(dtype)
    unaligned[:] = factor
    for wrong, message in (
        (factor[:-1], r"in tiles of 16 has shape \(1473,\)"),
        (factor.reshape(1, -1), r"got shape \(1, 1473\)"),
        (factor.astype(other), "got shape .* and dtype"),
        (np.repeat(factor, 2)[::2], "contiguous and aligned"),
        (unaligned, "contiguous and aligned"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            engine.restore(case.problem, wrong)
    with pytest.raises(UnsupportedTypeError, match="NumPy array"):
        engine.restore(case.problem, factor.tolist())
    # The first diagonal tile has 16 rows: row 3 of it lies here.
    for bad in (0.0, -1.0, np.nan, np.inf):
        damaged = factor.copy()
        damaged[3 * 17] = bad
        with pytest.raises(InvalidInputError, match="at row 3 is not a positive number"):
            engine.restore(case.problem, damaged)


def test_unknown_engine_is_refused():
    with pytest.raises(InvalidInputError, match=r"unknown engine 'gpu'.*'cpu'"):
        get_engine("gpu")
