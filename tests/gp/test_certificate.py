"""Clipped variances are counted and told; certificates say how exact a model is."""

import dataclasses

import numpy as np
import pytest

import gprat
from gprat import GP, GaussianProcessRegressor
from gprat.engines.registry import get_engine
from gprat.exceptions import InvalidInputError, ResultOverflowError, RoundingWarning
from gprat.gp import Certificate
from gprat.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel


def rough(n=60, noise=1e-2, **options):
    """A model that is well conditioned, more or less."""
    rng = np.random.default_rng(5)
    X = rng.uniform(-2, 2, size=(n, 2))
    y = np.sin(X[:, 0]) + 0.1 * rng.standard_normal(n)
    return GP(X, y, RBF(1.0), noise=noise, **options)


def spoilt(**options):
    """A model in float32 of so smooth a function that variances are all rounding."""
    x = np.linspace(0, 1, 40, dtype=np.float32).reshape(-1, 1)
    return GP(x, np.sin(x[:, 0]), RBF(3.0), noise=2e-6, noise_bounds="fixed", **options)


def with_wrong_factor(gp):
    """Give a model half its factor, so that variances at its training points are negative."""
    posterior = gp._posterior_at()
    gp._posterior = get_engine("cpu").restore(posterior.problem, posterior.factor() * 0.5)
    return gp


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", ["predict_with_uncertainty", "predict_with_full_cov"])
def test_clipped_variances_are_counted(name, threads):
    gp = GP([[0.0], [5.0]], [0.0, 1.0], RBF(1.0), noise=1e-3, threads=threads)
    assert gp.clipped_variances == 0
    with_wrong_factor(gp)
    # Some blocks of points, of which those near the data are too sure, and others are not.
    rng = np.random.default_rng(0)
    near = rng.random(2000) < 0.3
    points = np.where(near, 1e-3 * rng.standard_normal(2000), 1000.0).reshape(-1, 1)
    for calls in (1, 2):
        with pytest.warns(RoundingWarning, match=f"{near.sum()} of 2000"):
            spread = getattr(gp, name)(points)[1]
        variance = spread if spread.ndim == 1 else np.diagonal(spread)
        assert np.array_equal(variance == 0, near)
        assert gp.clipped_variances == calls * near.sum()
    assert gp._posterior.with_memory_limit(2**40).clipped_variances == gp.clipped_variances
    gp.append([[2.0]], [0.0])
    assert gp.clipped_variances == 0


def test_rounding_of_a_sum_is_no_reason_to_warn():
    """Without noise the variance at training points is zero, and half of them come out below."""
    x = np.linspace(0, 20, 20).reshape(-1, 1)
    gp = GP(x, np.sin(x[:, 0]), RBF(1.5), noise=0.0, noise_bounds="fixed")
    _, variance = gp.predict_with_uncertainty(x)
    assert (variance >= 0).all()
    assert variance.max() <= 20 * np.finfo(float).eps


def test_clipping_says_how_far():
    gp = GP([[0.0]], [1.0], ConstantKernel(4.0), noise=1.0, noise_bounds="fixed")
    wrong = with_wrong_factor(gp)._posterior
    basis = np.empty((3, 0))
    points = np.zeros((3, 1))
    # L = √5/2, so that V² = 16/1.25 = 12.8 of 4.
    for predict in (wrong.predict_variance, wrong.predict_covariance):
        _, spread, clipping = predict(points, basis)
        assert clipping.count == 3
        assert clipping.worst == pytest.approx(2.2)
        assert (np.diagonal(np.atleast_2d(spread)) == 0).all()
    with pytest.warns(RoundingWarning, match="3 of 3 predicted variances negative"):
        gp.predict_with_uncertainty(points)
    with pytest.warns(RoundingWarning, match="certificate"):
        gp.predict_with_full_cov(points)
    assert gp.clipped_variances == 12
    assert "12 predicted variances" in str(gp.certificate())


def test_a_variance_that_is_no_number_does_not_turn_into_zero():
    gp = GP([[1.0], [2.0]], [1.0, 2.0], DotProduct(), noise=0.1)
    with pytest.raises(ResultOverflowError):
        gp.predict_with_uncertainty([[1e200]])
    assert gp.clipped_variances == 0


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("tile_size", [1, 32, 700])
@pytest.mark.parametrize("threads", [1, 2])
def test_products_with_the_matrix_itself(dtype, tile_size, threads):
    gp = rough(450, threads=threads, tile_size=tile_size, dtype=dtype)
    gp = GP(gp.X, gp.y, RBF(1.0) + WhiteKernel(0.3), noise=gp.noise_variance, threads=threads,
            tile_size=tile_size)  # fmt: skip
    B = np.random.default_rng(0).standard_normal((450, 3)).astype(dtype)
    problem = gp._problem(gp._hyperparameters)
    products, magnitudes, diagonal = gp._engine.multiply_covariance(problem, B)
    X = gp.X.astype(float)
    K = gp.kernel(X) + gp.noise_variance * np.eye(450)
    tolerance = 20 * np.finfo(dtype).eps
    assert products.dtype == magnitudes.dtype == np.float64
    assert np.abs(products - K @ B).max() <= tolerance * magnitudes.max()
    assert np.allclose(magnitudes, np.abs(K) @ np.abs(B), rtol=tolerance)
    assert np.allclose(diagonal, np.diagonal(K), rtol=tolerance)


def test_certificate_of_a_good_model():
    gp = rough()
    before = gp.log_marginal_likelihood()
    certificate = gp.certificate()
    K = gp.kernel(gp.X) + 1e-2 * np.eye(60)
    condition = np.linalg.cond(K, 1)
    assert condition / 4 <= certificate.condition <= 1.01 * condition
    assert certificate.log_marginal_likelihood == before == gp.log_marginal_likelihood()
    assert certificate.log_determinant == pytest.approx(np.linalg.slogdet(K)[1])
    assert certificate.residual <= 60 * np.finfo(float).eps
    pivots = np.diagonal(gp.cholesky()) ** 2 / np.diagonal(K)
    assert certificate.smallest_pivot == pytest.approx(pivots.min())
    assert certificate.weakest_row == pivots.argmin()
    assert certificate.smallest_noise == 1e-2
    assert certificate.largest_mean == pytest.approx(np.abs(gp.predict(gp.X)).max())
    assert certificate.advice == ()
    assert 9 <= certificate.log_marginal_likelihood_digits <= 15
    assert 9 <= certificate.mean_digits <= 15
    assert certificate == gp.certificate()
    text = str(certificate)
    assert f"right to {certificate.log_marginal_likelihood_digits} digits" in text
    assert "jitter" in text
    assert text.splitlines()[0] in certificate._repr_html_()


@pytest.mark.parametrize("tile_size", [1, 7, 60, 64])
@pytest.mark.parametrize("threads", [1, 2])
def test_certificate_depends_on_neither_threads_nor_tiles(tile_size, threads):
    certificate = rough(tile_size=tile_size, threads=threads).certificate()
    reference = rough(tile_size=16, threads=1).certificate()
    for name in ("condition", "smallest_pivot", "log_determinant", "largest_mean"):
        assert getattr(certificate, name) == pytest.approx(getattr(reference, name), rel=1e-8)


def test_digits_go_with_the_condition_number():
    digits = [rough(noise=noise).certificate().log_determinant_digits for noise in (1e-2, 1e-8)]
    assert digits[0] >= digits[1] + 2
    single = rough(dtype=np.float32).certificate()
    assert single.log_determinant_digits <= digits[0] - 6
    assert single.dtype == "float32"


def test_duplicates_that_only_rounding_tells_apart_are_seen():
    n = 20
    x = np.linspace(0, 40, n).reshape(-1, 1)
    X = np.vstack([x, x[[7]]])
    noise = n * np.finfo(float).eps
    gp = GP(X, np.r_[np.sin(x[:, 0]), 1.0], RBF(1.0), noise=noise, noise_bounds="fixed")
    certificate = gp.certificate()
    assert certificate.weakest_row == n
    assert any(f"determine row {n} of X to rounding" in line for line in certificate.advice)
    assert certificate.log_determinant_digits <= 1 or not np.isfinite(
        certificate.log_determinant_error
    )


def test_where_nothing_is_certain_no_digit_is():
    certificate = spoilt().certificate()
    assert certificate.log_marginal_likelihood_error == np.inf
    assert certificate.log_marginal_likelihood_digits == certificate.mean_digits == 0
    assert "float64" in " ".join(certificate.advice)
    assert "no digit" in str(certificate)


def test_certificate_of_several_outputs_trends_and_unequal_noise():
    rng = np.random.default_rng(1)
    X = rng.uniform(-1, 1, size=(40, 1))
    Y = np.column_stack([np.sin(3 * X[:, 0]), 100 * X[:, 0]])
    gp = GP(X, Y, RBF(0.5), noise=10.0 ** rng.uniform(-4, 0, 40), mean="linear")
    certificate = gp.certificate()
    assert certificate.largest_mean == pytest.approx(np.abs(gp.predict(X)).max())
    assert 6 <= certificate.mean_digits <= 15
    assert certificate.smallest_noise == np.min(gp.noise_variance)


def test_zero_targets_have_exact_means():
    certificate = GP([[0.0], [1.0]], [0.0, 0.0], RBF(1.0), noise=0.1).certificate()
    assert certificate.mean_error == 0.0
    assert certificate.mean_digits == 15


def test_estimator_has_it_in_the_units_of_the_targets():
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, size=(50, 1))
    y = 1000.0 * np.sin(X[:, 0]) + 5e4
    model = GaussianProcessRegressor(RBF(1.0), alpha=1e-3, optimizer=None, normalize_y=True)
    with pytest.raises(gprat.estimator.state.NotFittedError):
        model.certificate()
    model.fit(X, y)
    own, scaled = model.gp_.certificate(), model.certificate()
    assert isinstance(scaled, Certificate)
    assert scaled.mean_error == pytest.approx(np.std(y) * own.mean_error)
    assert scaled.mean_digits == own.mean_digits
    assert dataclasses.replace(scaled, largest_mean=0, mean_error=0) == dataclasses.replace(
        own, largest_mean=0, mean_error=0
    )
    assert model.clipped_variances_ == 0


def test_estimator_with_several_models_says_whom_to_ask():
    X = np.linspace(0, 1, 10).reshape(-1, 1)
    Y = np.column_stack([X[:, 0], X[:, 0]])
    Y[3, 0] = np.nan
    model = GaussianProcessRegressor(RBF(), alpha=0.1, optimizer=None, nan_policy="omit")
    with pytest.warns(gprat.exceptions.DataWarning):
        model.fit(X, Y)
    with pytest.raises(InvalidInputError, match="gps_"):
        model.certificate()
    assert model.clipped_variances_ == 0
