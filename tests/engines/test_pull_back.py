"""Joint predictions, and what flows back from them, in every engine: against dense differences.

A function of predictions is Σ m̄·mean + Σ C̄·covariance, with random m̄ and C̄. Its derivative along
a random direction is what differences of the dense reference tell exactly enough.
"""

import dataclasses

import numpy as np
import pytest

import oracles
from gprat._costs import Operation
from gprat.engines.base import Derivatives, Problem
from gprat.engines.calls import Call
from gprat.engines.registry import get_engine
from gprat.exceptions import InsufficientMemoryError, UnsupportedKernelError
from gprat.kernels import RBF, WhiteKernel, compile

N, M, D, K = 41, 12, 2, 2
EVERYTHING = ~Derivatives(0)
NAMES = ("parameters", "noise", "targets", "inputs", "basis", "test_inputs", "test_basis")


def trend(X, q):
    """The first q of 1, the features and a wave, as basis functions."""
    columns = [np.ones(len(X)), *X.T, np.sin(3 * X[:, 0])]
    return np.ascontiguousarray(np.stack(columns, axis=1)[:, :q], dtype=X.dtype)


class Case:
    """A problem, test points, and cotangents of groups of them."""

    def __init__(
        self, kernel, group, q, dtype=np.float64, n=N, m=M, tile_size=16, threads=2, seed=1
    ):
        rng = np.random.default_rng(seed)
        X, Y, Xs = oracles.random_problem(rng, n, m, D, K)
        self.X, self.Y, self.Xs = X.astype(dtype), Y.astype(dtype), Xs.astype(dtype)
        self.H, self.Hs = trend(self.X, q), trend(self.Xs, q)
        self.noise = rng.uniform(0.1, 0.4, size=n)
        self.kernel, self.group = kernel, group
        names = tuple(f"h{i}" for i in range(q))
        self.problem = Problem(
            self.X, self.Y, self.H, names, compile(kernel, D), self.noise, tile_size, threads
        )
        self.mean_cotangent = rng.normal(size=(m, K)).astype(dtype)
        C = rng.normal(size=(m // group, group, group)) if group else np.zeros((0, 0, 0))
        self.covariance_cotangent = (C + C.swapaxes(1, 2)).astype(dtype) if group else None
        self.rng = rng

    def pull_back(self, posterior, wanted=EVERYTHING, kept=None):
        return posterior.pull_back(
            self.Xs, self.Hs, self.mean_cotangent, self.covariance_cotangent, wanted, kept
        )

    def arguments(self):
        """All that the function depends on, as the names of its derivatives have it."""
        arrays = (self.kernel.theta, self.noise, self.Y, self.X, self.H, self.Xs, self.Hs)
        return dict(zip(NAMES, (a.astype(float) for a in arrays), strict=True))

    def value(self, parameters, noise, targets, inputs, basis, test_inputs, test_basis):
        """The function of predictions, by dense matrices."""
        kernel = self.kernel.clone_with_theta(parameters)
        dense = oracles.Dense(kernel, inputs, targets, noise, basis)
        mean, _, covariance = dense.predict(test_inputs, test_basis)
        value = np.sum(self.mean_cotangent * mean)
        if self.covariance_cotangent is not None:
            value += np.sum(self.covariance_cotangent * in_groups(covariance, self.group))
        return value

    def along(self, name, direction, step=1e-4):
        """The derivative by one argument along a direction, to fourth order."""
        values = []
        for multiple in (1, -1, 2, -2):
            moved = self.arguments()
            moved[name] = moved[name] + multiple * step * direction
            values.append(self.value(**moved))
        return (8 * (values[0] - values[1]) - (values[2] - values[3])) / (12 * step)


def in_groups(covariance, group):
    """The blocks on the diagonal of a matrix."""
    starts = range(0, len(covariance), group)
    return np.stack([covariance[i : i + group, i : i + group] for i in starts])


def assert_is_derivative(case, adjoint, names=NAMES, rtol=1e-6):
    size = max(1.0, abs(case.value(**case.arguments())))
    for name in names:
        at = case.arguments()[name]
        got = getattr(adjoint, name)
        if name == "parameters":
            got = case.problem.program.theta_gradient(got)
        assert got.shape == at.shape
        assert got.dtype == np.float64
        direction = case.rng.normal(size=at.shape)
        expected = case.along(name, direction)
        scale = max(size, np.abs(got * direction).sum())
        assert abs(np.sum(got * direction) - expected) <= rtol * scale, name


@pytest.mark.parametrize("q", [0, 3])
@pytest.mark.parametrize("group", [1, 3, 4, M])
def test_joint_predictions(engine, group, q):
    case = Case(1.5 * RBF([0.7, 1.3]) + WhiteKernel(0.1), group, q)
    posterior = engine.factorise(case.problem)
    dense = oracles.Dense(case.kernel, case.X, case.Y, case.noise, case.H)
    mean, _, covariance = dense.predict(case.Xs, case.Hs)
    for keep in (False, True):
        got, blocks, clipping, kept = posterior.predict_joint(case.Xs, case.Hs, group, keep)
        assert np.allclose(got, mean, atol=1e-10)
        assert np.allclose(blocks, in_groups(covariance, group), atol=1e-10)
        assert clipping.count == 0
        assert (kept is not None) is keep
        assert np.array_equal(blocks, blocks.swapaxes(1, 2))


@pytest.mark.parametrize("q", [0, 3])
@pytest.mark.parametrize("group", [None, 1, 4, M])
def test_derivatives(engine, group, q):
    case = Case(1.5 * RBF([0.7, 1.3]) + WhiteKernel(0.1), group, q)
    assert_is_derivative(case, case.pull_back(engine.factorise(case.problem)))


@pytest.mark.parametrize("group", [1, M])
def test_derivatives_of_every_kernel(engine, kernel, group):
    case = Case(kernel, group, q=1, seed=2)
    assert_is_derivative(case, case.pull_back(engine.factorise(case.problem)))


@pytest.mark.parametrize("q", [0, 2])
@pytest.mark.parametrize("group", [None, 4])
@pytest.mark.parametrize(
    "wanted",
    [*Derivatives, Derivatives.TARGETS | Derivatives.TEST_INPUTS, Derivatives(0)],
    ids=str,
)
def test_what_is_not_wanted_is_not_there(engine, wanted, group, q):
    case = Case(RBF(0.8), group, q)
    posterior = engine.factorise(case.problem)
    everything = case.pull_back(posterior)
    adjoint = case.pull_back(posterior, wanted)
    parts = {
        Derivatives.PARAMETERS: ("parameters",),
        Derivatives.NOISE: ("noise",),
        Derivatives.TARGETS: ("targets",),
        Derivatives.INPUTS: ("inputs", "basis"),
        Derivatives.TEST_INPUTS: ("test_inputs", "test_basis"),
    }
    for flag, names in parts.items():
        for name in names:
            if flag in wanted:
                expected = getattr(everything, name)
                assert np.allclose(getattr(adjoint, name), expected, rtol=1e-9, atol=1e-9)
            else:
                assert getattr(adjoint, name) is None


@pytest.mark.parametrize("q", [0, 2])
@pytest.mark.parametrize("wanted", [EVERYTHING, Derivatives.TEST_INPUTS], ids=["all", "points"])
@pytest.mark.parametrize(("group", "m"), [(1, 330), (30, 330), (330, 330), (110, 440)])
def test_many_points_in_blocks(engine, group, m, wanted, q):
    # Blocks have 96 columns here: some are of several groups, some groups are wider.
    case = Case(RBF(0.8), group, q, m=m, threads=1)
    posterior = engine.factorise(case.problem)
    names = NAMES if wanted is EVERYTHING else ("test_inputs", "test_basis")
    assert_is_derivative(case, case.pull_back(posterior, wanted), names)


@pytest.mark.parametrize("group", [1, 4])
@pytest.mark.parametrize("q", [0, 2])
def test_what_is_kept_saves_work_only(engine, group, q):
    case = Case(RBF(0.8), group, q)
    posterior = engine.factorise(case.problem)
    kept = posterior.predict_joint(case.Xs, case.Hs, group, keep=True)[3]
    expected = case.pull_back(posterior)
    for _ in range(2):
        got = case.pull_back(posterior, kept=kept)
        for name in NAMES:
            assert np.array_equal(getattr(got, name), getattr(expected, name))


@pytest.mark.parametrize("group", [None, 1, 4, M])
@pytest.mark.parametrize("tile_size", [1, 7, 40, 64])
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
def test_results_do_not_depend_on_tiles_or_threads(engine, dtype, tile_size, group):
    kernel = 1.5 * RBF([0.7, 1.3])
    exact = Case(kernel, group, 2)
    reference = exact.pull_back(engine.factorise(exact.problem))
    results = []
    for threads in (1, 2, 4):
        case = Case(kernel, group, 2, dtype, tile_size=tile_size, threads=threads)
        results.append(case.pull_back(engine.factorise(case.problem)))
    condition = np.linalg.cond(oracles.Dense(kernel, exact.X, exact.Y, exact.noise, exact.H).K)
    tolerance = 100 * np.finfo(dtype).eps * condition
    for name in NAMES:
        first, *others = (getattr(result, name) for result in results)
        expected = getattr(reference, name)
        assert np.abs(first - expected).max() <= tolerance * max(1.0, np.abs(expected).max()), name
        # Bitwise: the order of additions is part of the contract.
        assert all(np.array_equal(first, other) for other in others), name


def test_no_points(engine):
    for group in (None, 1):
        case = Case(RBF(), group, 2, m=4)
        posterior = engine.factorise(case.problem)
        nothing = np.empty((0, 1, 1)) if group else None
        adjoint = posterior.pull_back(
            case.Xs[:0], case.Hs[:0], case.mean_cotangent[:0], nothing, EVERYTHING
        )
        for name in NAMES:
            assert not np.any(getattr(adjoint, name)), name
        assert adjoint.test_inputs.shape == (0, D)
        mean, blocks, clipping, _ = posterior.predict_joint(case.Xs[:0], case.Hs[:0], 1)
        assert (mean.shape, blocks.shape, clipping.count) == ((0, K), (0, 1, 1), 0)


class Doubled(RBF):
    """A kernel of which the compiler knows nothing."""


@pytest.mark.parametrize("group", [None, 1, 4])
def test_kernels_in_python_have_derivatives_by_theta(engine, group):
    case = Case(Doubled(0.8), group, 2)
    posterior = engine.factorise(case.problem)
    wanted = Derivatives.PARAMETERS | Derivatives.NOISE | Derivatives.TARGETS
    assert_is_derivative(case, case.pull_back(posterior, wanted), NAMES[:3])
    for points in (Derivatives.INPUTS, Derivatives.TEST_INPUTS):
        with pytest.raises(UnsupportedKernelError, match="need a compiled kernel"):
            case.pull_back(posterior, points)


@pytest.mark.parametrize(
    ("operation", "wanted", "group"),
    [
        (Operation.JOINT, None, 20),
        (Operation.PULL_BACK, EVERYTHING, 1),
        (Operation.PULL_BACK_IN_BLOCKS, Derivatives.TEST_INPUTS, 20),
        (Operation.PULL_BACK_MEAN, EVERYTHING, None),
    ],
    ids=str,
)
def test_calls_are_refused_before_they_take_too_much(operation, wanted, group):
    engine = get_engine("cpu")  # whose needs `Call` knows
    case = Case(RBF(0.8), group, 2, m=2000)

    def call(limit):
        problem = dataclasses.replace(case.problem, memory_limit=limit)
        posterior = engine.factorise(problem)
        if operation is Operation.JOINT:
            return posterior.predict_joint(case.Xs, case.Hs, group)[:2]
        return [getattr(case.pull_back(posterior, wanted), name) for name in NAMES]

    with pytest.raises(InsufficientMemoryError) as caught:
        call(1)
    needed = caught.value.needed
    work = Call(case.problem, operation, 2000, group=group or 1).work()
    assert 0 < needed <= work.peak_bytes(N)
    for got, expected in zip(call(needed), call(None), strict=True):
        assert (got is None and expected is None) or np.array_equal(got, expected)
