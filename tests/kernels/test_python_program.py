"""Kernels that are called say what the compiled ones say, within bounded memory."""

import copy
import pickle
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.gaussian_process.kernels import Kernel, PairwiseKernel

from gprat.exceptions import GpratError, InvalidInputError, UnsupportedKernelError
from gprat.kernels import (
    RBF,
    ActiveDims,
    ChangePoint,
    CompoundKernel,
    Linear,
    Matern,
    Periodic,
    PythonProgram,
    SpectralMixture,
    WhiteKernel,
    compile,
    python_program,
)
from oracles import evaluate_program, random_kernel, random_problem


class Mine(RBF):
    """A user's subclass: the same values, so that the compiled class is its oracle."""


def as_python(kernel, d):
    """Force a kernel that can be compiled to be called instead."""
    return PythonProgram.from_kernel(kernel, "the test wants so", d)


RANDOM = [(random_kernel(np.random.default_rng(i), d, 2), d) for i in range(20) for d in (1, 3)]
REAL = ChangePoint(Linear(1.0, [0.3, -0.2], centre_bounds=(-3, 3)), RBF(0.5), 0.1, 0.4)
MIXTURE = SpectralMixture([0.6, 1.1], [[0.4, 0.9], [0.3, 0.2]], [0.3, 0.2])


@pytest.fixture
def points():
    X, _, Z = random_problem(np.random.default_rng(1), n=7, m=5, d=2, k=1)
    return X, Z


@pytest.mark.parametrize(("kernel", "d"), [*RANDOM, (REAL, 2), (MIXTURE, 2)], ids=repr)
def test_has_the_face_of_the_compiled_program(kernel, d):
    X, _, Z = random_problem(np.random.default_rng(2), n=7, m=5, d=d, k=1)
    called, compiled = as_python(kernel, d), compile(kernel, d)
    free = compiled.is_free
    assert called.names == tuple(np.array(compiled.names)[free])
    assert called.n_parameters == called.n_free == compiled.n_free
    assert called.n_features == compiled.n_features == d
    np.testing.assert_array_equal(called.is_log, compiled.is_log[free])
    assert called.is_free.all()
    assert called.is_free.shape == (called.n_free,)
    np.testing.assert_array_equal(called.theta, compiled.theta)
    np.testing.assert_allclose(called.parameters, compiled.parameters[free], rtol=1e-14)
    np.testing.assert_array_equal(called.bounds, compiled.bounds)

    theta = called.theta + 0.1
    for second in (None, Z, X):
        np.testing.assert_allclose(
            called.with_theta(theta).covariance(X, second),
            evaluate_program(compiled.with_theta(theta), X, second),
            rtol=1e-9,
            atol=1e-12,
        )
    np.testing.assert_array_equal(called.theta, compiled.theta)
    np.testing.assert_allclose(called.diagonal(X), np.diag(called.covariance(X, None)), rtol=1e-9)
    gradient = np.arange(float(called.n_free))
    assert called.theta_gradient(gradient).tolist() == gradient.tolist()


@pytest.mark.parametrize(("kernel", "d"), [*RANDOM, (REAL, 2), (MIXTURE, 2)], ids=repr)
@pytest.mark.parametrize("points_in_use", [None, 2], ids=["one block", "many blocks"])
def test_contracts_gradients(kernel, d, points_in_use, monkeypatch):
    program = as_python(kernel, d)
    if points_in_use and program.n_free:
        # Blocks of two points: seven and five are no multiples of it.
        size = 8 * 4 * program.n_free * (2 * points_in_use) ** 2
        monkeypatch.setattr(python_program, "_GRADIENT_BYTES", size)
    rng = np.random.default_rng(3)
    X, _, Z = random_problem(rng, n=7, m=5, d=d, k=1)
    # White noise must count once for the same points, and not between two sets that share them.
    for A, B in [(X, None), (X, Z), (Z, X), (X, X)]:
        W = rng.normal(size=(len(A), len(A if B is None else B)))
        step, expected = 1e-5, np.empty(program.n_free)
        for i, unit in enumerate(np.eye(program.n_free)):
            above, below = (
                np.sum(W * program.with_theta(program.theta + s * unit).covariance(A, B))
                for s in (step, -step)
            )
            expected[i] = (above - below) / (2 * step)
        scale = 1 + np.abs(program.covariance(A, B)).max()
        actual = program.contract_gradient(A, B, W)
        assert actual.dtype == np.float64
        np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-7 * scale)


@pytest.mark.parametrize(
    "kernel",
    [
        PairwiseKernel(metric="laplacian") + WhiteKernel(0.1),
        2.0 * ActiveDims(Mine([0.5]), [1]) + Linear(centre_bounds=(-1, 1)),
        ChangePoint(Mine(0.5), PairwiseKernel(gamma=0.3, metric="rbf"), -0.1, 0.2) ** 2,
    ],
    ids=repr,
)
def test_kernels_with_unknown_parts(kernel, points):
    X, Z = points
    program = compile(kernel, 2)
    assert isinstance(program, PythonProgram)
    np.testing.assert_array_equal(program.covariance(X, Z), kernel(X, Z))
    np.testing.assert_array_equal(program.covariance(X, None), kernel(X))
    np.testing.assert_array_equal(program.diagonal(X), kernel.diag(X))
    np.testing.assert_array_equal(program.theta, kernel.theta)
    W = np.random.default_rng(0).normal(size=(7, 7))
    expected = np.einsum("ij,ijp->p", W, kernel(X, eval_gradient=True)[1])
    np.testing.assert_allclose(program.contract_gradient(X, None, W), expected, atol=1e-5)


def test_single_precision_points_are_computed_in_double(points):
    X, Z = (p.astype(np.float32) for p in points)
    program = compile(Mine(0.7), 2)
    assert program.covariance(X, Z).dtype == np.float64
    np.testing.assert_array_equal(program.covariance(X, Z), RBF(0.7)(X.astype(float), Z))


def test_points_and_weights_may_be_read_only(points):
    X, Z = points
    W = np.ones((7, 5), order="F")
    for array in (X, Z, W):
        array.setflags(write=False)
    for kernel in (Mine(), PairwiseKernel(metric="rbf"), REAL, Periodic() * Matern(nu=0.5)):
        program = as_python(kernel, 2)
        program.covariance(X, Z)
        program.diagonal(X)
        program.contract_gradient(X, Z, W)


def test_gradients_stay_within_memory():
    X = np.random.default_rng(0).normal(size=(1500, 10))
    program = as_python(2.0 * RBF(np.ones(10)), 10)
    W = np.ones((1500, 1500))
    tracemalloc.start()
    program.contract_gradient(X, None, W)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The whole gradient would take 198 MB, and its copies as much again.
    assert peak < 100e6


def test_calls_from_several_threads_agree(points):
    X, Z = points
    program = compile(ChangePoint(Mine(0.5), REAL), 2)
    expected = program.covariance(X, Z)
    with ThreadPoolExecutor(4) as pool:
        for result in pool.map(lambda _: program.covariance(X, Z), range(50)):
            np.testing.assert_array_equal(result, expected)


def test_program_does_not_follow_the_kernel(points):
    kernel = Mine(0.5)
    program = compile(kernel)
    expected = program.covariance(*points)
    kernel.length_scale = 7.0
    np.testing.assert_array_equal(program.covariance(*points), expected)
    with pytest.raises(AttributeError):
        program.reason = "none"


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda program: pickle.loads(pickle.dumps(program))]
)
def test_duplicates(duplicate, points):
    program = compile(PairwiseKernel(metric="rbf") + REAL, 2)
    twin = duplicate(program)
    assert (twin.names, twin.reason) == (program.names, program.reason)
    np.testing.assert_array_equal(twin.covariance(*points), program.covariance(*points))


def test_compound_of_one_kernel_inside_is_plain(points):
    program = compile(CompoundKernel([Mine(0.5)]) + WhiteKernel(), 2)
    assert program.names == ("k1__length_scale", "k2__noise_level")
    assert program.with_theta([0.0, 0.0]).covariance(*points).shape == (7, 5)


@pytest.mark.parametrize(
    ("theta", "message"),
    [
        ([0.0], r"theta must have shape \(2,\)"),
        ([0.0, np.nan], "between -700 and 700"),
        ([800.0, 0.0], "between -700 and 700"),
    ],
)
def test_bad_theta_is_refused(theta, message):
    with pytest.raises(InvalidInputError, match=message):
        compile(Mine() + WhiteKernel()).with_theta(theta)


class Returns(RBF):
    """Returns whatever a test wants."""

    matrix = gradient = diagonal = None

    def __call__(self, X, Y=None, eval_gradient=False):
        if eval_gradient:
            return self.gradient(len(X))
        return self.matrix(len(X), len(X if Y is None else Y))

    def diag(self, X):
        return self.diagonal(len(X))


def with_nan(shape):
    array = np.ones(shape)
    array[(0,) * len(shape)] = np.nan
    return array


@pytest.mark.parametrize(
    ("results", "call", "error", "message"),
    [
        (
            {"matrix": lambda n, m: np.ones((n, n))},
            "covariance",
            UnsupportedKernelError,
            r"Bad must return a matrix of real numbers of shape \(7, 5\), got .* shape \(7, 7\)",
        ),
        (
            {"matrix": lambda n, m: None},
            "covariance",
            UnsupportedKernelError,
            "got dtype object",
        ),
        (
            {"matrix": lambda n, m: [[1.0], [1.0, 2.0]]},
            "covariance",
            UnsupportedKernelError,
            "got dtype object",
        ),
        (
            {"matrix": lambda n, m: with_nan((n, m))},
            "covariance",
            InvalidInputError,
            r"Bad returned a matrix with nan at \(0, 0\); give finite values",
        ),
        (
            {"diagonal": lambda n: np.ones((n, 1))},
            "diagonal",
            UnsupportedKernelError,
            r"a diagonal of real numbers of shape \(7,\)",
        ),
        (
            {"diagonal": lambda n: np.full(n, np.inf)},
            "diagonal",
            InvalidInputError,
            "a diagonal with inf at",
        ),
        (
            {"gradient": lambda n: (np.ones((n, n)), np.ones((n, n, 2)))},
            "contract",
            UnsupportedKernelError,
            r"a gradient of real numbers of shape \(12, 12, 1\), got .*\(12, 12, 2\)",
        ),
        (
            {"gradient": lambda n: np.ones((n, n))},
            "contract",
            UnsupportedKernelError,
            "must return a pair",
        ),
        (
            {"gradient": lambda n: (np.ones((n, n)), with_nan((n, n, 1)))},
            "contract",
            InvalidInputError,
            "Bad returned a gradient with nan",
        ),
    ],
)
def test_what_kernels_must_not_return(results, call, error, message, points):
    X, Z = points
    Bad = type("Bad", (Returns,), {name: staticmethod(f) for name, f in results.items()})
    program = compile(Bad(), 2)
    calls = {
        "covariance": lambda: program.covariance(X, Z),
        "diagonal": lambda: program.diagonal(X),
        "contract": lambda: program.contract_gradient(X, Z, np.ones((7, 5))),
    }
    with pytest.raises(error, match=message) as caught:
        calls[call]()
    assert isinstance(caught.value, GpratError)


class WithoutGradient(RBF):
    def __call__(self, X, Y=None):
        return super().__call__(X, Y)


@pytest.mark.parametrize(
    "kernel",
    [WithoutGradient(), WithoutGradient() + WhiteKernel(), ActiveDims(WithoutGradient(), [0])],
)
def test_kernel_without_gradient(kernel, points):
    X, Z = points
    program = compile(kernel, 2)
    assert program.covariance(X, Z).shape == (7, 5)
    with pytest.raises(UnsupportedKernelError, match="let its __call__ take eval_gradient"):
        program.contract_gradient(X, Z, np.ones((7, 5)))


def test_errors_of_the_kernel_come_out_as_they_are(points):
    class Broken(RBF):
        def __call__(self, X, Y=None, eval_gradient=False):
            raise TypeError("my own mistake")

    with pytest.raises(TypeError, match="my own mistake"):
        compile(Broken(), 2).contract_gradient(*points, np.ones((7, 5)))


class NoHyperparameters(Kernel):
    """As the example in scikit-learn's documentation: theta is empty."""

    def __init__(self, scale=1.0):
        self.scale = scale

    def __call__(self, X, Y=None):
        return np.inner(X, X if Y is None else Y) ** 2

    def diag(self, X):
        return np.sum(X**2, axis=1) ** 2

    def is_stationary(self):
        return False


def test_kernel_without_hyperparameters_needs_no_gradient(points):
    X, Z = points
    program = compile(NoHyperparameters(), 2)
    assert program.names == ()
    assert program.bounds.shape == (0, 2)
    assert program.with_theta([]).covariance(X, Z).shape == (7, 5)
    assert program.contract_gradient(X, Z, np.ones((7, 5))).shape == (0,)


class Unclonable(RBF):
    def __init__(self, length_scale=1.0):
        super().__init__(2 * length_scale)


class OddBounds(RBF):
    bounds = np.zeros((3, 2))


@pytest.mark.parametrize(
    ("kernel", "error", "message"),
    [
        (Unclonable(), UnsupportedKernelError, "Unclonable cannot be cloned"),
        (OddBounds(), UnsupportedKernelError, "theta and bounds of OddBounds must have shapes"),
        (Mine(0.0), InvalidInputError, "length_scale must be finite, and positive"),
        (Mine(np.nan), InvalidInputError, "length_scale must be finite"),
        (RBF() + Mine(-1.0), InvalidInputError, "k2__length_scale must be finite"),
    ],
)
def test_kernels_that_break_conventions_are_refused(kernel, error, message):
    with pytest.raises(error, match=message):
        compile(kernel)


class Nameless(RBF):
    @property
    def hyperparameters(self):
        return []

    theta = np.zeros(2)
    bounds = np.zeros((2, 2))


def test_entries_of_theta_without_names_are_numbered():
    assert compile(Nameless()).names == ("theta[0]", "theta[1]")
