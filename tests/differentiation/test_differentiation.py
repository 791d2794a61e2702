"""Likelihoods and predictions as functions to differentiate: values, and derivatives by everything.

Derivatives are held against differences of the functions themselves, along random directions, and
the functions against the dense reference.
"""

import dataclasses

import numpy as np
import pytest

import oracles
from gprat import GP
from gprat.differentiation import Gradients, Regression, Wanted
from gprat.differentiation.conditioned import KEPT_BYTES
from gprat.engines.registry import get_engine
from gprat.exceptions import (
    InvalidInputError,
    NotPositiveDefiniteError,
    RoundingWarning,
    UnsupportedKernelError,
    UnsupportedTypeError,
)
from gprat.kernels import RBF, ConstantKernel, Matern
from gprat.means import BasisFunction, FixedLinear, FixedMean

N, D, K = 37, 2, 3
KERNEL = ConstantKernel(1.5) * RBF([0.8, 1.2])
WAVE = BasisFunction(lambda X: np.sin(X[:, 0]), lambda X: np.cos(X) * [1.0, 0.0])
FIELDS = {
    "X": Wanted.X,
    "y": Wanted.Y,
    "theta": Wanted.THETA,
    "noise": Wanted.NOISE,
    "mean_coefficients": Wanted.MEAN_COEFFICIENTS,
    "Xs": Wanted.XS,
}
LIKELIHOOD = ~(Wanted.XS | Wanted.MEAN_COEFFICIENTS)
PREDICTION = ~Wanted.MEAN_COEFFICIENTS


@dataclasses.dataclass
class Case:
    """Arguments of the functions, by name."""

    regression: Regression
    arguments: dict
    rng: np.random.Generator

    @classmethod
    def make(
        cls, *, kernel=KERNEL, mean="zero", k=None, q=None, noise="rows", points=(5,), **options
    ):
        rng = np.random.default_rng(3)
        shape = (N,) if k is None else (N, k)
        noises = {"scalar": np.array(0.2), "one": np.array([0.2]), "rows": rng.uniform(0.1, 0.3, N)}
        regression = Regression(kernel, mean=mean, tile_size=16, **options)
        arguments = {
            "X": rng.normal(size=(N, D)),
            "y": rng.normal(size=shape),
            "theta": regression.theta + 0.1,
            "noise": noises[noise],
            "mean_coefficients": None if q is None else rng.normal(size=q),
        }
        arguments["Xs"] = rng.normal(size=(*points, D))
        return cls(regression, arguments, rng)

    def with_arguments(self, **changes):
        return Case(self.regression, {**self.arguments, **changes}, self.rng)

    def training(self):
        return {name: value for name, value in self.arguments.items() if name != "Xs"}

    def likelihood(self, wanted=Wanted.NOTHING):
        return self.regression.log_marginal_likelihood(**self.training(), wanted=wanted)

    def predict(self, joint):
        return self.regression.condition(**self.training()).predict(
            self.arguments["Xs"], joint=joint
        )


def assert_derivatives(case, function, gradients, wanted, rtol=1e-6):
    """Compare with differences of fourth order, along a direction for each argument."""
    for name, flag in FIELDS.items():
        got = getattr(gradients, name)
        if flag not in wanted:
            assert got is None
            continue
        at = case.arguments[name]
        assert got.shape == np.shape(at)
        assert got.dtype == case.arguments["X"].dtype
        direction = case.rng.normal(size=got.shape)
        steps = [
            function(case.with_arguments(**{name: at + 1e-4 * multiple * direction}))
            for multiple in (1, -1, 2, -2)
        ]
        expected = (8 * (steps[0] - steps[1]) - (steps[2] - steps[3])) / 12e-4
        scale = max(1.0, abs(steps[0]), np.abs(got * direction).sum())
        assert abs(np.sum(got * direction) - expected) <= rtol * scale, name


MEANS = [
    ("zero", None),
    ("linear", None),
    ("linear", 3),
    ("linear", (3, K)),
    ([WAVE], None),
    ([WAVE], 1),
    (FixedLinear(0.5, [1.0, -2.0]), None),
]


@pytest.mark.parametrize("noise", ["scalar", "one", "rows"])
@pytest.mark.parametrize(("mean", "q"), MEANS)
def test_log_marginal_likelihood(mean, q, noise):
    case = Case.make(mean=mean, q=q, k=K, noise=noise)
    wanted = LIKELIHOOD | (Wanted.NOTHING if q is None else Wanted.MEAN_COEFFICIENTS)
    value, gradients = case.likelihood(wanted)
    assert np.isclose(value, case.likelihood()[0])
    assert_derivatives(case, lambda case: case.likelihood()[0], gradients, wanted)


def test_values_are_those_of_the_model():
    case = Case.make(mean="linear", noise="scalar")
    X, y, _, noise, _ = case.training().values()
    kernel = KERNEL.clone_with_theta(case.arguments["theta"])
    gp = GP(X, y, kernel, float(noise), mean="linear")
    assert np.isclose(case.likelihood()[0], gp.log_marginal_likelihood())
    conditioned = case.regression.condition(**case.training())
    assert np.isclose(conditioned.log_marginal_likelihood(), gp.log_marginal_likelihood())
    Xs = case.arguments["Xs"]
    assert np.allclose(conditioned.predict_mean(Xs), gp.predict(Xs))
    for joint, predict in ((False, gp.predict_with_uncertainty), (True, gp.predict_with_full_cov)):
        for got, expected in zip(conditioned.predict(Xs, joint=joint), predict(Xs), strict=True):
            assert np.allclose(got, expected)


def test_given_coefficients_are_subtracted_and_added_again():
    case = Case.make(mean="linear", q=3)
    X, y, theta, noise, coefficients = case.training().values()
    H, Hs = (np.column_stack([np.ones(len(x)), x]) for x in (X, case.arguments["Xs"]))
    rest = y - H @ coefficients
    kernel = KERNEL.clone_with_theta(theta)
    expected = oracles.log_marginal_likelihood(kernel, X, rest, noise)
    assert np.isclose(case.likelihood()[0], expected)
    mean, variance, _ = oracles.predict(kernel, X, rest, noise, case.arguments["Xs"])
    got = case.predict(joint=False)
    assert np.allclose(got[0], mean[:, 0] + Hs @ coefficients)
    assert np.allclose(got[1], variance)


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("points", [(5,), (2, 3), (2, 1, 4)], ids=str)
@pytest.mark.parametrize("k", [None, K])
def test_shapes_of_predictions(k, points, joint):
    case = Case.make(k=k, points=points)
    mean, spread = case.predict(joint)
    assert mean.shape == (points if k is None else (*points, k))
    assert spread.shape == ((*points, points[-1]) if joint else points)
    Xs = case.arguments["Xs"].reshape(-1, points[-1], D)
    kernel = KERNEL.clone_with_theta(case.arguments["theta"])
    X, y, _, noise, _ = case.training().values()
    batches = zip(
        Xs,
        mean.reshape(len(Xs), points[-1], -1),
        spread.reshape(len(Xs), points[-1], -1),
        strict=True,
    )
    for batch, of_mean, of_spread in batches:
        expected, variance, covariance = oracles.predict(kernel, X, y, noise, batch)
        assert np.allclose(of_mean, expected)
        assert np.allclose(of_spread, covariance if joint else variance[:, None])


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("spread", [False, True])
@pytest.mark.parametrize(("mean", "q"), MEANS)
def test_pull_back(mean, q, spread, joint):
    case = Case.make(mean=mean, q=q, k=K, points=(2, 3))
    by_mean = case.rng.normal(size=(2, 3, K))
    # Not symmetric: a caller's function may read any entry of a covariance.
    by_spread = case.rng.normal(size=(2, 3, 3) if joint else (2, 3)) if spread else None

    def function(case):
        mean, spread = case.predict(joint)
        return np.sum(by_mean * mean) + (0.0 if by_spread is None else np.sum(by_spread * spread))

    wanted = PREDICTION | (Wanted.NOTHING if q is None else Wanted.MEAN_COEFFICIENTS)
    conditioned = case.regression.condition(**case.training())
    gradients = conditioned.pull_back(case.arguments["Xs"], by_mean, by_spread, wanted, joint=joint)
    assert_derivatives(case, function, gradients, wanted)


@pytest.mark.parametrize("flag", [*FIELDS.values(), Wanted.Y | Wanted.XS, Wanted.NOTHING], ids=str)
def test_what_is_not_wanted_is_none(flag):
    case = Case.make(mean="linear", q=3)
    conditioned = case.regression.condition(**case.training())
    by_mean, by_spread = np.ones(5), np.ones(5)
    Xs = case.arguments["Xs"]
    everything = conditioned.pull_back(Xs, by_mean, by_spread, ~Wanted.NOTHING, joint=False)
    gradients = conditioned.pull_back(Xs, by_mean, by_spread, flag, joint=False)
    for name, of_field in FIELDS.items():
        got = getattr(gradients, name)
        if of_field in flag:
            assert np.allclose(got, getattr(everything, name), rtol=1e-9, atol=1e-12)
        else:
            assert got is None
    if Wanted.XS not in flag:
        by_likelihood = case.likelihood(flag)[1]
        for name, of_field in FIELDS.items():
            assert (getattr(by_likelihood, name) is not None) is (of_field in flag)


@pytest.mark.parametrize("joint", [False, True])
def test_cotangents_that_are_none_are_zeros(joint):
    case = Case.make(points=(2, 3))
    conditioned = case.regression.condition(**case.training())
    Xs = case.arguments["Xs"]
    by_mean, by_spread = np.ones((2, 3)), np.ones((2, 3, 3) if joint else (2, 3))
    pairs = [
        ((by_mean, None), (by_mean, 0 * by_spread)),
        ((None, by_spread), (0 * by_mean, by_spread)),
    ]
    for short, long in pairs:
        got, expected = (
            conditioned.pull_back(Xs, *cotangents, PREDICTION, joint=joint)
            for cotangents in (short, long)
        )
        for name in ("X", "y", "theta", "noise", "Xs"):
            assert np.allclose(getattr(got, name), getattr(expected, name), atol=1e-12)


def test_what_a_prediction_leaves_behind_is_of_its_points():
    case = Case.make()
    conditioned = case.regression.condition(**case.training())
    Xs = case.arguments["Xs"].copy()
    other = Xs + 0.5
    cotangents = np.ones(5), np.ones(5)
    fresh = case.regression.condition(**case.training())
    expected = fresh.pull_back(Xs, *cotangents, PREDICTION, joint=False)
    conditioned.predict(other, joint=False)
    first = conditioned.pull_back(Xs, *cotangents, PREDICTION, joint=False)
    conditioned.predict(Xs, joint=True)
    second = conditioned.pull_back(Xs, *cotangents, PREDICTION, joint=False)
    conditioned.predict(Xs, joint=False)
    Xs += 0.5  # the same array, with other points in it
    third = conditioned.pull_back(Xs - 0.5, *cotangents, PREDICTION, joint=False)
    fourth = conditioned.pull_back(Xs, *cotangents, PREDICTION, joint=False)
    for name in ("X", "y", "theta", "noise", "Xs"):
        for got in (first, second, third):
            assert np.allclose(getattr(got, name), getattr(expected, name), rtol=1e-9, atol=1e-12)
        changed = getattr(fourth, name)
        assert not np.allclose(changed, getattr(expected, name), rtol=1e-3)


def test_nothing_large_is_left_behind():
    case = Case.make(points=(KEPT_BYTES // (8 * N) + 1,))
    conditioned = case.regression.condition(**case.training())
    conditioned.predict(case.arguments["Xs"], joint=False)
    assert conditioned._kept is None
    conditioned.predict(case.arguments["Xs"][:-1], joint=False)
    assert conditioned._kept is not None


@pytest.mark.parametrize("joint", [False, True])
def test_single_precision(joint):
    exact = Case.make(mean="linear", q=3, points=(2, 3))
    case = exact.with_arguments(
        **{name: np.asarray(value, dtype=np.float32) for name, value in exact.arguments.items()}
    )
    wanted = ~Wanted.XS
    for got, expected in zip(case.likelihood(wanted), exact.likelihood(wanted), strict=True):
        if isinstance(got, Gradients):
            assert_close_in_single(got, expected, wanted)
        else:
            assert np.isclose(got, expected, rtol=1e-3)
    cotangents = (
        exact.rng.normal(size=(2, 3)),
        exact.rng.normal(size=(2, 3, 3) if joint else (2, 3)),
    )
    results = []
    for each in (case, exact):
        conditioned = each.regression.condition(**each.training())
        for array in conditioned.predict(each.arguments["Xs"], joint=joint):
            assert array.dtype == each.arguments["X"].dtype
        Xs = each.arguments["Xs"]
        results.append(conditioned.pull_back(Xs, *cotangents, ~Wanted.NOTHING, joint=joint))
    assert_close_in_single(*results, ~Wanted.NOTHING)


def assert_close_in_single(got, expected, wanted):
    for name, flag in FIELDS.items():
        if flag in wanted:
            single, double = getattr(got, name), getattr(expected, name)
            assert single.dtype == np.float32
            assert np.abs(single - double).max() <= 1e-3 * max(1.0, np.abs(double).max())


def test_arrays_of_other_layouts_give_the_same():
    case = Case.make(k=K)
    conditioned = case.regression.condition(**case.training())
    expected = conditioned.predict(case.arguments["Xs"], joint=True)
    strided = {
        name: np.asfortranarray(value) if value is not None else None
        for name, value in case.arguments.items()
    }
    other = case.with_arguments(**strided)
    for got, wanted in zip(other.predict(True), expected, strict=True):
        assert np.array_equal(got, wanted)
    lists = {name: value.tolist() for name, value in case.training().items() if value is not None}
    for got, wanted in zip(
        case.regression.condition(**lists).predict(case.arguments["Xs"].tolist(), joint=True),
        expected,
        strict=True,
    ):
        assert np.array_equal(got, wanted)


def test_inputs_are_not_copied_nor_changed():
    case = Case.make()
    before = {name: None if v is None else v.copy() for name, v in case.arguments.items()}
    conditioned = case.regression.condition(**case.training())
    assert conditioned._posterior.problem.X is case.arguments["X"]
    assert np.shares_memory(conditioned._posterior.problem.Y, case.arguments["y"])
    cotangents = np.ones(5), np.ones((5, 5))
    conditioned.predict(case.arguments["Xs"], joint=True)
    conditioned.pull_back(case.arguments["Xs"], *cotangents, PREDICTION, joint=True)
    for name, value in case.arguments.items():
        assert value is None or np.array_equal(value, before[name])


def test_no_points_at_all():
    case = Case.make(mean="linear")
    conditioned = case.regression.condition(**case.training())
    for shape in ((0,), (0, 3), (2, 0)):
        Xs = np.empty((*shape, D))
        mean, covariance = conditioned.predict(Xs, joint=True)
        assert (mean.shape, covariance.shape) == (shape, (*shape, shape[-1]))
        assert conditioned.predict_mean(Xs).shape == shape
        gradients = conditioned.pull_back(Xs, mean, covariance, PREDICTION, joint=True)
        assert gradients.Xs.shape == Xs.shape
        assert not gradients.X.any()


class Doubled(RBF):
    """A kernel of which the compiler knows nothing."""


def test_kernels_in_python():
    case = Case.make(kernel=Doubled(0.8))
    wanted = Wanted.Y | Wanted.THETA | Wanted.NOISE
    gradients = case.likelihood(wanted)[1]
    assert_derivatives(case, lambda case: case.likelihood()[0], gradients, wanted)
    conditioned = case.regression.condition(**case.training())
    Xs = case.arguments["Xs"]
    gradients = conditioned.pull_back(Xs, np.ones(5), np.ones(5), wanted, joint=False)
    assert_derivatives(case, lambda case: sum(map(np.sum, case.predict(False))), gradients, wanted)
    for points in (Wanted.X, Wanted.XS):
        with pytest.raises(UnsupportedKernelError, match="need a compiled kernel"):
            conditioned.pull_back(Xs, np.ones(5), None, points, joint=False)
    with pytest.raises(UnsupportedKernelError):
        case.likelihood(Wanted.X)


def test_fixed_hyperparameters_have_no_derivatives():
    kernel = ConstantKernel(2.0, constant_value_bounds="fixed") * Matern([0.5, 0.7], nu=1.5)
    case = Case.make(kernel=kernel)
    assert case.regression.parameter_names == ("k2__length_scale[0]", "k2__length_scale[1]")
    gradients = case.likelihood(Wanted.THETA)[1]
    assert_derivatives(case, lambda case: case.likelihood()[0], gradients, Wanted.THETA)


def test_kernel_is_copied_and_serves_points_of_any_dimension():
    kernel = RBF(0.5)
    regression = Regression(kernel)
    kernel.length_scale = 100.0
    assert np.allclose(regression.theta, np.log(0.5))
    y = np.array([1.0, 2.0])
    for d in (1, 3):
        X = np.arange(2.0 * d).reshape(2, d)
        value, _ = regression.log_marginal_likelihood(X, y)
        assert np.isclose(value, GP(X, y, RBF(0.5), noise=0.1).log_marginal_likelihood())
    assert Regression(kernel, mean="quadratic").coefficient_names(1) == ("1", "x[0]", "x[0]*x[0]")


@pytest.mark.parametrize("joint", [False, True])
def test_clipped_variances_are_counted_and_told(joint):
    conditioned = Regression(ConstantKernel(4.0)).condition([[0.0]], [1.0], noise=1.0)
    posterior = conditioned._posterior
    # Half the factor, so that the model is too sure of what it knows.
    conditioned._posterior = get_engine("cpu").restore(posterior.problem, posterior.factor() * 0.5)
    with pytest.warns(RoundingWarning, match="3 of 3 predicted variances negative"):
        _, spread = conditioned.predict(np.zeros((3, 1)), joint=joint)
    assert (np.diagonal(np.atleast_2d(spread)) == 0).all()
    assert conditioned.clipped_variances == 3


REFUSED = [
    ({"X": np.zeros(3)}, InvalidInputError, "X must"),
    ({"y": np.zeros(3)}, InvalidInputError, "y must have one row"),
    ({"y": np.zeros(N, dtype=np.float32)}, UnsupportedTypeError, "y has dtype float32, and X"),
    ({"noise": np.full(N, 0.1, dtype=np.float32)}, UnsupportedTypeError, "noise has dtype"),
    ({"theta": np.zeros(3, dtype=np.float32)}, UnsupportedTypeError, "theta has dtype"),
    ({"theta": np.zeros(2)}, InvalidInputError, "theta must have shape"),
    ({"theta": [0.0, np.nan, 0.0]}, InvalidInputError, "theta"),
    ({"noise": -0.1}, InvalidInputError, "noise is a variance"),
    ({"noise": np.ones(3)}, InvalidInputError, "noise must be one positive number"),
    ({"mean_coefficients": np.ones(2)}, InvalidInputError, r"shape \(3,\) or \(3, 1\), for 1, x"),
    ({"mean_coefficients": [1.0, np.inf, 0.0]}, InvalidInputError, "finite"),
    ({"mean_coefficients": "abc"}, UnsupportedTypeError, "mean_coefficients must be real"),
]


@pytest.mark.parametrize(("changes", "error", "message"), REFUSED)
def test_bad_arguments(changes, error, message):
    case = Case.make(mean="linear").with_arguments(**changes)
    with pytest.raises(error, match=message):
        case.likelihood()
    with pytest.raises(error, match=message):
        case.regression.condition(**case.training())


def test_more_that_is_refused():
    case = Case.make()
    with pytest.raises(InvalidInputError, match="this mean has no coefficients"):
        case.with_arguments(mean_coefficients=np.ones(1)).likelihood()
    with pytest.raises(InvalidInputError, match="need mean_coefficients"):
        case.likelihood(Wanted.MEAN_COEFFICIENTS)
    with pytest.raises(InvalidInputError, match="no test inputs"):
        case.likelihood(Wanted.XS)
    with pytest.raises(UnsupportedTypeError, match="Wanted"):
        case.likelihood(["X"])
    with pytest.raises(InvalidInputError, match="more than the 3 rows"):
        Regression(KERNEL, mean="quadratic").condition(np.eye(3)[:, :2], np.ones(3))
    with pytest.raises(UnsupportedTypeError, match="tile_size"):
        Regression(KERNEL, tile_size=2.5)
    with pytest.raises(UnsupportedTypeError, match="threads"):
        Regression(KERNEL, threads="many")
    with pytest.raises(InvalidInputError, match="memory_limit must be at least 1"):
        Regression(KERNEL, memory_limit=0)
    without_gradient = FixedMean(lambda X: X[:, 0])
    with pytest.raises(InvalidInputError, match="derivative of the mean function"):
        Case.make(mean=without_gradient).likelihood(Wanted.X)


@pytest.mark.parametrize(
    ("Xs", "by_mean", "by_spread", "error", "message"),
    [
        (np.zeros(2), None, None, InvalidInputError, r"Xs must have shape \(m, d\)"),
        (np.zeros((2, 3)), None, None, InvalidInputError, "2 features of the training data"),
        (np.zeros((2, D), dtype=np.float32), None, None, UnsupportedTypeError, "Xs has dtype"),
        (np.full((2, D), np.nan), None, None, InvalidInputError, "X must be finite"),
        (np.zeros((2, D)), np.zeros(3), None, InvalidInputError, r"shape \(2,\).*got \(3,\)"),
        (np.zeros((2, D)), None, np.zeros(2), InvalidInputError, r"spread_cotangent.*\(2, 2\)"),
        (np.zeros((2, D)), [1.0, np.nan], None, InvalidInputError, "mean_cotangent must be finite"),
        (np.zeros((2, D)), ["a", "b"], None, UnsupportedTypeError, "real numbers"),
    ],
)
def test_bad_points_and_cotangents(Xs, by_mean, by_spread, error, message):
    conditioned = Regression(KERNEL).condition(np.eye(2), np.ones(2))
    with pytest.raises(error, match=message):
        conditioned.pull_back(Xs, by_mean, by_spread, Wanted.XS, joint=True)


def test_failures_are_those_of_models():
    X = np.array([[0.0], [100.0], [0.0]])
    with pytest.raises(NotPositiveDefiniteError) as failure:
        Regression(RBF()).log_marginal_likelihood(X, X[:, 0], noise=0.0)
    assert failure.value.row == 2
