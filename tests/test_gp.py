"""The model: agreement with scikit-learn and the dense reference, and how it treats its user."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor

import gprat
import oracles
from gprat import GP
from gprat.exceptions import NotPositiveDefiniteError
from gprat.kernels import RBF, ConstantKernel, Matern, WhiteKernel

TILE_SIZES = [1, 7, 30, 64, 75, 200]
NOISE = 0.2


@pytest.fixture
def data(rng):
    """Training inputs (75, 2), targets (75, 2) and test inputs (20, 2)."""
    return oracles.random_problem(rng, n=75, m=20, d=2, k=2)


@pytest.fixture
def gp(data):
    X, Y, _ = data
    return GP(X, Y[:, 0], 1.5 * RBF([0.7, 1.3]), noise=NOISE)


# Agreement


def gradient_tolerance(kernel):
    # scikit-learn differentiates Matern kernels of any smoothness by crude differences.
    tolerance = 1e-4 if "nu=3.7" in str(kernel) else 1e-8
    return {"rtol": tolerance, "atol": tolerance}


def test_agreement_with_scikit_learn(kernel, data):
    X, Y, Xs = data
    y = Y[:, 0]
    peer = GaussianProcessRegressor(kernel, alpha=NOISE, optimizer=None).fit(X, y)
    gp = GP(X, y, kernel, noise=NOISE, tile_size=16)
    tolerance = {"rtol": 1e-9, "atol": 1e-10 * kernel.diag(Xs).max()}

    value, gradient = gp.log_marginal_likelihood(eval_gradient=True)
    peer_value, peer_gradient = peer.log_marginal_likelihood(kernel.theta, eval_gradient=True)
    assert np.isclose(value, peer_value, rtol=1e-11)
    assert np.allclose(gradient[:-1], peer_gradient, **gradient_tolerance(kernel))
    assert gp.log_marginal_likelihood() == pytest.approx(value, rel=1e-12)
    assert gp.loss() == -gp.log_marginal_likelihood()

    mean, variance = gp.predict_with_uncertainty(Xs)
    peer_mean, std = peer.predict(Xs, return_std=True)
    assert np.allclose(mean, peer_mean, **tolerance)
    assert np.allclose(variance, std**2, **tolerance)
    assert np.allclose(gp.predict(Xs), mean, **tolerance)

    mean, covariance = gp.predict_with_full_cov(Xs)
    assert np.allclose(mean, peer_mean, **tolerance)
    assert np.allclose(covariance, peer.predict(Xs, return_cov=True)[1], **tolerance)
    assert np.array_equal(covariance, covariance.T)
    assert np.allclose(gp.cholesky(), peer.L_, **tolerance)
    assert np.allclose(gp.solve(y), peer.alpha_, **tolerance)


def test_likelihood_at_another_theta_is_that_of_another_model(kernel, data, rng):
    X, Y, _ = data
    gp = GP(X, Y, kernel, noise=NOISE, tile_size=30)
    theta = gp.theta + rng.uniform(-0.3, 0.3, gp.theta.size)
    value, gradient = gp.log_marginal_likelihood(theta, eval_gradient=True)
    expected, kernel_gradient, noise_gradient = oracles.log_marginal_likelihood(
        kernel.clone_with_theta(theta[:-1]), X, Y, np.exp(theta[-1]), eval_gradient=True
    )
    assert np.isclose(value, expected, rtol=1e-11)
    assert np.isclose(gp.log_marginal_likelihood(theta), expected, rtol=1e-11)
    expected = [*kernel_gradient, noise_gradient]
    assert np.allclose(gradient, expected, **gradient_tolerance(kernel))


def test_gradient_is_that_of_the_likelihood(kernel, data):
    X, Y, _ = data
    gp = GP(X, Y, kernel, tile_size=30)
    _, gradient = gp.log_marginal_likelihood(eval_gradient=True)
    step = 1e-5
    for derivative, direction in zip(gradient, np.eye(gradient.size), strict=True):
        ahead = gp.log_marginal_likelihood(gp.theta + step * direction)
        behind = gp.log_marginal_likelihood(gp.theta - step * direction)
        assert np.isclose((ahead - behind) / (2 * step), derivative, rtol=1e-5, atol=1e-5)


def everything(gp, Xs):
    """All that a model computes."""
    value, gradient = gp.log_marginal_likelihood(eval_gradient=True)
    return [
        gp.predict(Xs),
        *gp.predict_with_uncertainty(Xs),
        *gp.predict_with_full_cov(Xs),
        gp.cholesky(),
        gp.solve(gp.y),
        np.array([gp.log_marginal_likelihood(), value, *gradient]),
    ]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("tile_size", TILE_SIZES)
def test_tiles_and_threads_do_not_matter(data, tile_size, dtype):
    X, Y, Xs = data
    kernel = 1.5 * Matern([0.7, 1.3], nu=2.5) + 0.3 * RBF(2.0)
    reference = everything(GP(X, Y, kernel, NOISE, tile_size=75, threads=1), Xs)
    one, two, four = (
        everything(GP(X, Y, kernel, NOISE, tile_size=tile_size, threads=threads, dtype=dtype), Xs)
        for threads in (1, 2, 4)
    )
    tolerance = 1e-10 if dtype == np.float64 else 2e-3
    for expected, a, b, c in zip(reference, one, two, four, strict=True):
        assert np.allclose(a, expected, rtol=tolerance, atol=tolerance)
        assert np.array_equal(a, b)
        assert np.array_equal(a, c)


def test_one_noise_variance_a_row(data):
    X, Y, Xs = data
    noise = np.linspace(0.05, 0.6, 75)
    kernel = ConstantKernel(1.5) * RBF(0.8)
    gp = GP(X, Y, kernel, noise)
    mean, variance, covariance = oracles.predict(kernel, X, Y, noise, Xs)
    assert np.allclose(gp.predict(Xs), mean)
    assert np.allclose(gp.predict_with_uncertainty(Xs)[1], variance)
    assert np.allclose(gp.predict_with_full_cov(Xs)[1], covariance)
    assert gp.parameter_names == ("k1__constant_value", "k2__length_scale")
    value, gradient = gp.log_marginal_likelihood(eval_gradient=True)
    expected, expected_gradient, _ = oracles.log_marginal_likelihood(kernel, X, Y, noise, True)
    assert np.isclose(value, expected)
    assert np.allclose(gradient, expected_gradient)
    noise[:] = 1.0
    assert gp.noise_variance[0] == 0.05, "the caller's array is not the model's"


def test_noise_of_observations(data):
    X, Y, Xs = data
    gp = GP(X, Y, noise=NOISE)
    test_noise = np.linspace(0.1, 0.4, 20)
    _, latent = gp.predict_with_uncertainty(Xs)
    _, covariance = gp.predict_with_full_cov(Xs)
    for include_noise, noise in ((True, np.full(20, NOISE)), (test_noise, test_noise)):
        assert np.array_equal(gp.predict_with_uncertainty(Xs, include_noise)[1], latent + noise)
        _, noisy = gp.predict_with_full_cov(Xs, include_noise)
        assert np.allclose(noisy, covariance + np.diag(noise), rtol=1e-15)


def test_white_kernel_is_a_part_of_the_kernel(data):
    X, Y, Xs = data
    gp = GP(X, Y[:, 0], RBF(0.8) + WhiteKernel(0.3), noise=NOISE)
    plain = GP(X, Y[:, 0], RBF(0.8), noise=NOISE + 0.3)
    assert np.allclose(gp.predict(Xs), plain.predict(Xs))
    variance = plain.predict_with_uncertainty(Xs)[1]
    assert np.allclose(gp.predict_with_uncertainty(Xs)[1], variance + 0.3)


# Shapes


@pytest.mark.parametrize("outputs", [None, 1, 3])
@pytest.mark.parametrize("m", [0, 1, 20])
@pytest.mark.parametrize("n", [1, 2, 75])
def test_shapes_follow_the_targets(rng, n, m, outputs):
    X, Y, Xs = oracles.random_problem(rng, n, m, d=1, k=outputs or 1)
    gp = GP(X, Y if outputs else Y[:, 0])
    shape = (m, outputs) if outputs else (m,)
    assert gp.y.shape == ((n, outputs) if outputs else (n,))
    assert gp.predict(Xs).shape == shape
    mean, variance = gp.predict_with_uncertainty(Xs, include_noise=True)
    assert (mean.shape, variance.shape) == (shape, (m,))
    mean, covariance = gp.predict_with_full_cov(Xs, include_noise=np.full(m, 0.1))
    assert (mean.shape, covariance.shape) == (shape, (m, m))
    assert gp.solve(np.ones(n)).shape == (n,)
    assert gp.solve(np.ones((n, 4))).shape == (n, 4)
    assert np.allclose(gp.cholesky() @ gp.cholesky().T @ gp.solve(np.eye(n)), np.eye(n))


def test_one_point_by_hand():
    gp = GP([[2.0]], [3.0], ConstantKernel(4.0) * RBF(), noise=1.0)
    mean, variance = gp.predict_with_uncertainty([[2.0]])
    assert np.isclose(mean[0], 3.0 * 4.0 / 5.0)
    assert np.isclose(variance[0], 4.0 - 16.0 / 5.0)
    assert np.isclose(gp.loss(), 0.5 * (9.0 / 5.0 + np.log(5.0) + np.log(2.0 * np.pi)))


def test_duplicate_test_points_are_alike(gp, data):
    x = data[2][:1]
    mean, covariance = gp.predict_with_full_cov(np.repeat(x, 5, axis=0))
    assert np.ptp(mean) <= 1e-14
    assert np.ptp(covariance) <= 1e-13


def test_outputs_share_one_likelihood(data):
    X, Y, _ = data
    both = GP(X, Y).log_marginal_likelihood()
    assert np.isclose(both, sum(GP(X, y).log_marginal_likelihood() for y in Y.T))


# Data


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_arrays_are_neither_copied_nor_changed(data, dtype):
    arrays = [array.astype(dtype) for array in (*data, np.linspace(0.1, 0.2, 75))]
    before = [array.copy() for array in arrays]
    X, Y, Xs, noise = arrays
    gp = GP(X, Y, noise=noise)
    assert gp.dtype == dtype
    assert np.shares_memory(gp.X, X)
    assert np.shares_memory(gp.y, Y)
    assert gp.predict(Xs).dtype == dtype
    everything(gp, Xs)
    gp.optimize(max_iter=2)
    for array, copy in zip(arrays, before, strict=True):
        assert np.array_equal(array, copy)


def test_read_only_data_serve(data):
    for array in data:
        array.flags.writeable = False
    X, Y, Xs = data
    everything(GP(X, Y), Xs)


def test_views_of_the_data_are_read_only(gp):
    for view in (gp.X, gp.y):
        with pytest.raises(ValueError, match="read-only"):
            view[0] = 0.0


def test_results_belong_to_the_caller(gp, data):
    Xs = data[2]
    expected = everything(gp, Xs)
    for array in everything(gp, Xs):
        array += 1.0
    for array, again in zip(expected, everything(gp, Xs), strict=True):
        assert np.array_equal(array, again)


# Hyperparameters


def test_properties(data):
    X, Y, _ = data
    kernel = ConstantKernel(2.0, (0.5, 4.0)) * RBF([1.0, 3.0])
    gp = GP(X, Y, kernel, noise=0.25, noise_bounds=(0.1, 1.0), tile_size=500, threads=2)
    assert gp.parameter_names == (
        "k1__constant_value",
        "k2__length_scale[0]",
        "k2__length_scale[1]",
        "noise_variance",
    )
    assert np.allclose(np.exp(gp.theta), [2.0, 1.0, 3.0, 0.25])
    assert np.allclose(np.exp(gp.bounds[[0, 3]]), [[0.5, 4.0], [0.1, 1.0]])
    assert type(gp.kernel) is type(kernel)
    assert np.allclose(gp.kernel.theta, kernel.theta)
    assert gp.kernel is not kernel
    assert (gp.n_features, gp.tile_size, gp.threads, gp.dtype) == (2, 75, 2, np.float64)
    assert gp.noise_variance == 0.25
    assert repr(gp) == (
        "GP(n=75, d=2, 2 outputs, kernel=1.41**2 * RBF(length_scale=[1, 3]), noise=0.25, float64)"
    )
    assert 1 <= GP(X, Y).tile_size <= 75
    assert GP(X, Y).kernel == ConstantKernel(1.0) * RBF(1.0)


def test_new_hyperparameters_make_a_new_model(gp, data):
    X, Y, Xs = data
    kernel = 0.7 * RBF([1.1, 0.6])
    gp.predict(Xs)
    gp.theta = [*kernel.theta, np.log(0.05)]
    assert gp.noise_variance == pytest.approx(0.05)
    expected = oracles.predict(kernel, X, Y[:, 0], 0.05, Xs)[0][:, 0]
    assert np.allclose(gp.predict(Xs), expected)
    gp.noise_variance = 0.5
    assert np.allclose(gp.predict(Xs), oracles.predict(kernel, X, Y[:, 0], 0.5, Xs)[0][:, 0])
    noise = np.linspace(0.1, 0.2, 75)
    gp.noise_variance = noise
    assert np.allclose(gp.predict(Xs), oracles.predict(kernel, X, Y[:, 0], noise, Xs)[0][:, 0])
    assert np.array_equal(gp.noise_variance, noise)
    assert "noise_variance" not in gp.parameter_names
    assert "noise=one a row" in repr(gp)
    gp.noise_variance = 0.1
    assert gp.parameter_names[-1] == "noise_variance"


def test_users_kernel_is_read_once(data):
    X, Y, _ = data
    kernel = ConstantKernel(1.0) * RBF(1.0)
    gp = GP(X, Y, kernel)
    value = gp.loss()
    kernel.k2.length_scale = 5.0
    gp.theta = gp.theta + 0.1
    gp.theta = gp.theta - 0.1
    assert gp.loss() == pytest.approx(value)
    assert gp.kernel.k2.length_scale == pytest.approx(1.0)


class CountingEngine:
    """Passes everything on to the model's engine, and counts."""

    def __init__(self, gp):
        self.engine, self.n_factors = gp._engine, 0
        gp._engine = self

    def factorise(self, problem):
        self.n_factors += 1
        return self.engine.factorise(problem)

    def ensure_memory(self, *arguments):
        self.engine.ensure_memory(*arguments)

    def differentiate(self, *arguments, **options):
        return self.engine.differentiate(*arguments, **options)


def test_factor_is_kept_until_hyperparameters_change(gp, data):
    Xs = data[2]
    engine = CountingEngine(gp)
    everything(gp, Xs)
    gp.theta = gp.theta.copy()
    gp.log_marginal_likelihood(gp.theta)
    everything(gp, Xs)
    assert engine.n_factors == 1
    gp.log_marginal_likelihood(gp.theta + 0.1)
    gp.predict(Xs)
    assert engine.n_factors == 2, "another theta has its own factor and leaves the kept one"
    gp.theta = gp.theta + 0.1
    gp.predict(Xs)
    assert engine.n_factors == 3
    gp.noise_variance = 0.4
    gp.predict(Xs)
    assert engine.n_factors == 4
    gp.optimize(max_iter=2)
    gp.predict(Xs)
    assert engine.n_factors == 5, "that of the optimum, for its condition, serves predictions"
    gp.optimize_step()
    assert engine.n_factors == 5, "training needs no kept factor"
    assert gp._posterior is None, "and does without its memory"


# Interruption and concurrency


def interrupt_after(seconds):
    """Press Ctrl-C a little later."""
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
    timer.daemon = True
    timer.start()


def repeat_for_ever(gp, call):
    """Keep busy, so that however fast the machine is, the interruption finds it at work."""
    while True:
        gp.noise_variance = 0.1
        call(gp)


@pytest.fixture(scope="module")
def large_gp():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(4000, 4))
    return GP(X, np.sin(X[:, 0]) + 0.1 * rng.normal(size=4000), RBF([1.0, 1.0, 2.0, 2.0]))


def gradient(gp):
    gp.log_marginal_likelihood(eval_gradient=True)


@pytest.mark.parametrize(
    ("call", "whole"),
    [
        (gradient, gradient),
        (lambda gp: gp.loss(), lambda gp: gp.loss()),
        (lambda gp: gp.predict_with_full_cov(gp.X), lambda gp: gp.predict_with_full_cov(gp.X)),
        (lambda gp: gp.optimize(), gradient),
    ],
    ids=["gradient", "loss", "prediction", "training"],
)
def test_interruption_cuts_a_call_short_and_leaves_the_model_usable(large_gp, call, whole):
    large_gp.noise_variance = 0.1
    with gprat.trace() as once:
        whole(large_gp)
    interrupt_after(0.05)
    with gprat.trace() as t, pytest.raises(KeyboardInterrupt):
        repeat_for_ever(large_gp, call)
    assert t.tasks.size % once.tasks.size, "the last of the calls ran to its end"
    assert np.isfinite(large_gp.predict(large_gp.X[:1])).all()


def test_interrupted_factor_is_computed_afresh(data):
    rng = np.random.default_rng(6)
    X = rng.normal(size=(3000, 2))
    gp = GP(X, X[:, 0])
    interrupt_after(0.02)
    with pytest.raises(KeyboardInterrupt):
        repeat_for_ever(gp, lambda gp: gp.predict(data[2]))
    assert np.array_equal(gp.predict(data[2]), GP(X, X[:, 0]).predict(data[2]))


def test_interrupted_training_keeps_the_best(gp):
    before = gp.loss()
    losses = []

    def callback(iteration):
        losses.append(iteration.loss)
        if iteration.iteration == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gp.optimize(callback=callback)
    assert gp.loss() == pytest.approx(min(losses))
    assert gp.loss() < before
    assert gp.optimize().fun <= min(losses)


def test_error_in_a_callback_comes_through(gp):
    def callback(iteration):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        gp.optimize("adam", callback=callback)
    assert np.isfinite(gp.loss())


def test_threads_predict_from_one_model(gp, data):
    Xs = data[2]
    expected = gp.predict_with_uncertainty(Xs)
    gp.theta = gp.theta + 0.0
    fresh = GP(gp.X, gp.y, gp.kernel, gp.noise_variance)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: fresh.predict_with_uncertainty(Xs), range(40)))
    for mean, variance in results:
        assert np.allclose(mean, expected[0], rtol=1e-12)
        assert np.array_equal(mean, results[0][0])
        assert np.array_equal(variance, results[0][1])


def test_results_are_never_a_mixture_of_hyperparameters(gp, data):
    Xs = data[2]
    thetas = [gp.theta, gp.theta + 0.5]
    expected = []
    for theta in thetas:
        gp.theta = theta
        expected.append(gp.predict_with_uncertainty(Xs, include_noise=True))

    def switch(_):
        for theta in thetas:
            gp.theta = theta

    def predict(_):
        mean, variance = gp.predict_with_uncertainty(Xs, include_noise=True)
        return any(
            np.allclose(mean, m, rtol=1e-10) and np.allclose(variance, v, rtol=1e-10)
            for m, v in expected
        )

    with ThreadPoolExecutor(3) as pool:
        switching = pool.map(switch, range(60))
        assert all(pool.map(predict, range(60)))
        assert list(switching) == [None] * 60


def test_models_train_at_the_same_time(data):
    X, Y, Xs = data

    def train(y):
        gp = GP(X, y)
        gp.optimize(max_iter=5)
        return gp.predict(Xs)

    alone = [train(y) for y in Y.T]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(train, Y.T))
    for a, b in zip(alone, together, strict=True):
        assert np.array_equal(a, b)


def test_prediction_goes_on_while_training(gp, data):
    Xs = data[2]
    before = gp.predict(Xs)
    seen = []
    gp.optimize(max_iter=2, callback=lambda iteration: seen.append(gp.predict(Xs)))
    assert all(np.array_equal(during, before) for during in seen)
    assert not np.array_equal(gp.predict(Xs), before)


def test_failed_training_changes_nothing(data):
    X, Y, _ = data
    gp = GP(np.vstack([X, X]), np.vstack([Y, Y]), noise=1e-30, noise_bounds=(1e-30, 1.0))
    gp.theta = [0.0, 0.0, np.log(1e-30)]
    with pytest.raises(NotPositiveDefiniteError):
        gp.optimize()
    with pytest.raises(NotPositiveDefiniteError):
        gp.optimize_step()
    assert np.allclose(gp.theta, [0.0, 0.0, np.log(1e-30)])
