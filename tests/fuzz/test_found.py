"""What random inputs have found, as plain examples: none of it comes back."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse, stats
from sklearn.gaussian_process.kernels import PairwiseKernel

import gprat
from gprat import GP, GaussianProcessRegressor, datasets
from gprat.diagnostics import diagnose_predictions
from gprat.exceptions import (
    DataWarning,
    InvalidInputError,
    RankDeficientTrendError,
    ResultOverflowError,
    UnsupportedTypeError,
)
from gprat.kernels import (
    RBF,
    ActiveDims,
    ArcCosine,
    ChangePoint,
    DotProduct,
    Matern,
    Polynomial,
    SpectralMixture,
)
from gprat.means import FixedLinear, FixedMean

X = np.arange(6.0).reshape(-1, 1)
Y = np.array([1.0, 2.0, 0.0, 1.0, 0.0, 2.0])
HUGE = 10**400
RAGGED = [1.0, [2.0, 3.0]]


class Unwilling:
    """An object of another library that refuses to be an array."""

    def __array__(self, *_, **__):
        raise RuntimeError("it is on another device")


def gp(**arguments):
    return GP(X, Y, **arguments)


def fit(**arguments):
    return GaussianProcessRegressor(alpha=0.1, optimizer=None, **arguments)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: GP([[HUGE]], [1.0]), InvalidInputError, "too large for a floating-point number"),
        (lambda: gp(noise=Unwilling()), InvalidInputError, "noise must be convertible"),
        (lambda: gp(noise_groups=RAGGED), InvalidInputError, "noise_groups must be convertible"),
        (
            lambda: gp(noise_bounds=HUGE),
            InvalidInputError,
            "pair",
        ),
        (lambda: gp(noise_bounds=np.ma.masked_all(2)), InvalidInputError, "noise_bounds must"),
        (lambda: gp(dtype=np.ma), UnsupportedTypeError, "dtype must be"),
        (lambda: gp(kernel=RBF(1.0, Unwilling())), UnsupportedTypeError, "length_scale_bounds"),
        (lambda: gp(kernel=ArcCosine(sparse.eye_array(2))), InvalidInputError, "order of ArcCos"),
        (
            lambda: gp(kernel=ActiveDims(RBF(), np.array(0))),
            UnsupportedTypeError,
            "sequence of int",
        ),
        (lambda: gp(kernel=Polynomial(HUGE)), InvalidInputError, "degree of Polynomial must be at"),
        (
            lambda: gp(priors={"noise_variance": stats.norm([1.0, 2.0])}),
            InvalidInputError,
            "one num",
        ),
        (lambda: gp(priors={"noise_variance": stats.norm(HUGE)}), InvalidInputError, "a meaning"),
        (lambda: gp(priors={"noise_variance": stats.norm(1j)}), UnsupportedTypeError, "support"),
        (lambda: gp(mean=lambda points: RAGGED), InvalidInputError, "what mean returns"),
        (lambda: gp(mean=FixedLinear(1e308, [1e308])), InvalidInputError, "mean must be finite"),
        (lambda: gp().predict_with_uncertainty(X, RAGGED), InvalidInputError, "include_noise must"),
        (lambda: gp().sample(X, source=np.array(["prior"] * 2)), InvalidInputError, "source"),
        (lambda: gp().delete(slice(None, None, 0)), InvalidInputError, "slice"),
        (lambda: gp().delete(slice(0.5, 2)), InvalidInputError, "slice"),
        (lambda: gp().delete(2**63), InvalidInputError, "there are 6 rows"),
        (lambda: gp().optimize_step(HUGE), InvalidInputError, "positive and finite"),
        (lambda: gp().optimize(starts=False), UnsupportedTypeError, "starts must be"),
        (lambda: gp().optimize(starts=np.array(0)), UnsupportedTypeError, "starts must be"),
        (lambda: gp().optimize(warm_start=3), UnsupportedTypeError, "warm_start must be"),
        (lambda: gp().optimize(partners=None), UnsupportedTypeError, "partners must be"),
        (lambda: gp().optimize(fixed=None), UnsupportedTypeError, "fixed must be"),
        (lambda: gp().optimize(fixed=[np.eye(2)]), InvalidInputError, "fixed names"),
        (lambda: fit().fit(X, Y).delete(9), InvalidInputError, "there are 6 rows"),
        (lambda: fit(dtype=object()).fit(X, Y), UnsupportedTypeError, "dtype must be"),
        (lambda: gprat.plan(10, what=np.array(["fit"])), InvalidInputError, "unknown operation"),
        (lambda: gprat.plan(10, m=np.zeros(2)), UnsupportedTypeError, "m must be"),
        (lambda: gprat.simulate(10, bandwidth=5e-324), InvalidInputError, "at least 1 byte"),
        (lambda: gprat.simulate(10, bandwidth=HUGE), InvalidInputError, "bandwidth must be"),
        (lambda: gprat.runtime.start(2**40), InvalidInputError, "more than the 65,536"),
        (lambda: gprat.diagnose(gp(), levels=HUGE), InvalidInputError, "levels must be"),
        (lambda: gprat.diagnose(gp(), levels=[0.5 + 0j]), InvalidInputError, "levels must be"),
        (
            lambda: gp(priors={"noise_variance": stats.norm(np.inf, 1.0)}),
            InvalidInputError,
            "no support",
        ),
        (lambda: gprat.diagnose(gp(), X, Unwilling()), InvalidInputError, "y must be an array"),
        (
            lambda: diagnose_predictions(Y, Y, Y + 1, y_train=[np.nan]),
            InvalidInputError,
            "y_train has no known target",
        ),
        (lambda: datasets.nfir(Unwilling(), Y, 2), InvalidInputError, "one-dimensional"),
        (lambda: SpectralMixture.from_data(X * 1e-300, Y, 1), InvalidInputError, "has a range"),
        (lambda: SpectralMixture.from_data(X, Y, 1, 0.5), UnsupportedTypeError, "random_state"),
    ],
)
def test_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gp(kernel=Matern(1e-300, nu=1.5)).input_gradient(), "gradient by the data"),
        (lambda: GP(X, 1e160 * Y).log_marginal_likelihood(eval_gradient=True), "with its gradient"),
        (lambda: GP(X.astype("f4"), Y, mean=[lambda Z: 1e300 + Z[:, 0]]), "basis functions"),
        (
            lambda: GP(X.astype("f4"), Y, mean=FixedMean(lambda Z: 1e300 * Z[:, 0])),
            "y and the mean",
        ),
        (lambda: GP(1e200 * X, Y, mean="quadratic"), "basis functions"),
        (
            lambda: gp(dtype="float32").predict_with_uncertainty(X, np.full(6, 1e300)),
            "variance with noise",
        ),
        (lambda: fit(normalize_y=True).fit(X, 1e200 * Y), "standard deviation of y"),
    ],
)
def test_numbers_that_leave_the_range(call, message):
    with pytest.raises(ResultOverflowError, match=message):
        call()


def test_likelihood_of_huge_targets_is_minus_infinity():
    model = GP(X, 1e200 * Y, noise=0.5)
    assert model.log_marginal_likelihood() == -np.inf
    assert_allclose(model.predict(X), 1e200 * GP(X, Y, noise=0.5).predict(X))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        estimator = fit().fit(X, 1e200 * Y + 1e201)
    assert np.isfinite(estimator.predict(X)).all()


def test_leaving_out_the_only_row_that_decides_a_coefficient():
    with pytest.raises(InvalidInputError, match="row 0 of X from the others"):
        GP([[1.0]], [1.0], mean="constant").loo()
    points = np.array([[0.0], [0.0], [0.0], [1.0]])
    model = GP(points, Y[:4], mean="linear", objective="leave_one_out")

    def differentiate():
        return model.loss(eval_gradient=True)

    for call in (model.loo, model.loo_log_density, differentiate, model.optimize):
        with pytest.raises(InvalidInputError, match="row 3 of X from the others"):
            call()


@pytest.mark.parametrize("outputs", [1, 2])
def test_fixed_means_of_no_points(outputs):
    model = GP(X, np.tile(Y[:, None], outputs), mean=FixedLinear(1.0, [2.0]))
    assert model.predict(np.empty((0, 1))).shape == (0, outputs)
    gradient, _ = model.predict_gradient(np.empty((0, 1)))
    assert gradient.shape == (0, 1, outputs)


def test_setting_the_noise_keeps_one_known_variance():
    model = gp(noise=0.5, known_noise=0.25)
    model.noise_variance = 0.125
    expected = gp(noise=0.125, known_noise=0.25)
    assert model.log_marginal_likelihood() == expected.log_marginal_likelihood()


def test_priors_are_those_that_were_given():
    priors = {"noise_variance": stats.lognorm(1.0)}
    model = gp(priors=priors)
    before = model.loss()
    priors.clear()
    model.noise_variance = 0.1
    assert model.loss() == before


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("theta", ["a"], "arrays of real numbers"),
        ("bounds", [1.0, 2.0, 3.0], "must have shapes"),
        ("bounds", [[1.0, -1.0]], "a lower and an upper bound"),
        ("bounds", [[np.nan, np.nan]], "a lower and an upper bound"),
    ],
)
def test_kernels_of_ones_own_with_odd_bounds(attribute, value, message):
    odd = type("Odd", (PairwiseKernel,), {attribute: property(lambda _: value)})
    with pytest.raises(ValueError, match=message):
        gp(kernel=odd())


def test_threads_beyond_the_integers_of_the_core():
    assert_allclose(gp(threads=2**40).predict(X), gp().predict(X))


def test_labels_without_end_are_not_saved(tmp_path):
    model = gp(noise_groups=[np.inf, 1.0, 1.0, 1.0, 1.0, 1.0])
    with pytest.raises(UnsupportedTypeError, match="label inf of noise_groups"):
        model.save(tmp_path / "model.gprat")


def test_condition_beyond_the_rounding_unit_is_infinite():
    model = GP([[0.0], [0.0], [1e20]], Y[:3], DotProduct(), noise=1.0)
    assert model.condition_number() > 1e30


def test_factorisation_of_huge_variances_is_explained():
    kernel = ChangePoint(1e300 * RBF(1e8), 1e300 * RBF(1e8))
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
        gp(kernel=kernel, noise=1e-10).predict(X)


def test_errors_too_large_to_square_are_infinite():
    found = diagnose_predictions([1e300], [0.0], [1e-10])
    assert found.rmse == np.inf
    assert found.mae == 1e300


class _Refuses:
    """Has a length, but no array."""

    def __len__(self):
        return 2

    def __getitem__(self, item):
        raise RuntimeError("no items")

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("no array")


@pytest.mark.parametrize("values", [[_Refuses()], _Refuses()])
def test_batches_of_what_is_no_array(values):
    with pytest.raises(InvalidInputError, match="X must be"):
        gprat.GPBatch(values, [[0.0, 1.0]])
    model = gprat.GPBatch([[[0.0], [1.0]]], [[0.0, 1.0]])
    with pytest.raises(InvalidInputError, match="X must be"):
        model.predict(values)


@pytest.mark.parametrize("tile_size", [1, 2, 4])
def test_a_trend_that_few_points_do_not_decide(tile_size):
    """With tiles of one row the factor's rounding hid that there are two distinct points."""
    points = [[2.0, 1.0], [2.0, 1.0], [0.0, 2.0], [2.0, 1.0]]
    kernel = ArcCosine(order=2, bias_variance=1.0, weight_variance=2.0)
    model = GP(points, np.zeros(4), kernel, noise=0.5, mean="linear", tile_size=tile_size)
    with pytest.raises(RankDeficientTrendError):
        model.log_marginal_likelihood()
