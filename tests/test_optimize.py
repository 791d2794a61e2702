"""Training of Gaussian processes."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor

from gprat import GP
from gprat.exceptions import NotPositiveDefiniteError
from gprat.kernels import RBF, ConstantKernel, WhiteKernel


@pytest.fixture
def problem(rng):
    X = rng.uniform(-2.0, 2.0, size=(60, 2))
    y = np.sin(2.0 * X[:, 0]) + 0.3 * X[:, 1] + 0.1 * rng.normal(size=60)
    return SimpleNamespace(X=X, y=y)


def test_training_reaches_the_optimum_that_scikit_learn_finds(problem):
    kernel = ConstantKernel(1.0) * RBF([1.0, 1.0])
    reference = GaussianProcessRegressor(kernel + WhiteKernel(0.1), alpha=0.0)
    reference.fit(problem.X, problem.y)
    gp = GP(problem.X, problem.y, kernel, noise=0.1)
    result = gp.optimize()
    assert result.success
    assert -result.fun >= reference.log_marginal_likelihood_value_ - 1e-4
    assert np.allclose(gp.theta, reference.kernel_.theta, atol=1e-2)
    assert np.array_equal(result.x, gp.theta) or np.allclose(result.x, gp.theta, rtol=1e-14)
    assert np.isclose(gp.loss(), result.fun)


@pytest.mark.parametrize("optimizer", ["l-bfgs-b", "adam"])
def test_training_lowers_the_loss_and_keeps_the_users_kernel(problem, optimizer):
    kernel = ConstantKernel(1.0) * RBF([1.0, 1.0])
    theta = kernel.theta.copy()
    gp = GP(problem.X, problem.y, kernel)
    before = gp.loss()
    result = gp.optimize(optimizer, max_iter=15)
    assert gp.loss() == pytest.approx(result.fun)
    assert result.fun < before
    assert result.fun <= result.loss_history.min()
    assert np.array_equal(kernel.theta, theta)


def test_one_step_of_adam_at_a_time_is_adam(problem):
    gp, other = GP(problem.X, problem.y), GP(problem.X, problem.y)
    losses = [gp.optimize_step(learning_rate=0.05) for _ in range(10)]
    result = other.optimize("adam", max_iter=10, learning_rate=0.05)
    assert np.allclose(losses[1:], result.loss_history[:-1])
    assert losses[0] == pytest.approx(GP(problem.X, problem.y).loss())


def test_momentum_is_forgotten_when_the_user_moves(problem):
    gp = GP(problem.X, problem.y)
    theta = gp.theta
    for _ in range(5):
        gp.optimize_step()
    gp.theta = theta
    gp.optimize_step(0.1)
    fresh = GP(problem.X, problem.y)
    fresh.optimize_step(0.1)
    assert np.allclose(gp.theta, fresh.theta)


def test_fixed_hyperparameters_stay(problem):
    kernel = ConstantKernel(2.0, "fixed") * RBF(1.0)
    gp = GP(problem.X, problem.y, kernel, noise=0.3, noise_bounds="fixed")
    assert gp.parameter_names == ("k2__length_scale",)
    gp.optimize()
    assert gp.noise_variance == 0.3
    assert gp.kernel.k1.constant_value == 2.0


def test_nothing_to_train_is_no_error(problem):
    gp = GP(problem.X, problem.y, RBF(1.0, "fixed"), noise_bounds="fixed")
    result = gp.optimize()
    assert result.success
    assert result.message == "all hyperparameters are fixed"
    assert result.x.shape == (0,)
    assert gp.optimize("adam").fun == pytest.approx(gp.optimize_step())


def test_bounds_of_noise_and_kernel_hold_in_training(problem):
    kernel = ConstantKernel(1.0, (0.9, 1.1)) * RBF(1.0, (0.5, np.inf))
    gp = GP(problem.X, problem.y, kernel, noise=5.0, noise_bounds=(0.2, 1.0))
    for train in (gp.optimize, lambda: gp.optimize("adam"), gp.optimize_step):
        train()
        assert (gp.theta >= gp.bounds[:, 0]).all()
        assert (gp.theta <= gp.bounds[:, 1]).all()


def test_training_crosses_hyperparameters_without_a_factor(problem):
    X = np.vstack([problem.X, problem.X])
    y = np.concatenate([problem.y, problem.y])
    # Duplicates without noise have no factor, and their likelihood grows towards there.
    gp = GP(X, y, ConstantKernel() * RBF(), noise=1e-3, noise_bounds=(1e-30, 1.0))
    before = gp.loss()
    result = gp.optimize(max_iter=100)
    assert result.fun < before
    assert np.isfinite(gp.predict(X)).all()


def test_error_survives_pickling():
    error = NotPositiveDefiniteError("why", row=3, near_duplicates=(1, 2))
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.row, copy.near_duplicates) == ("why", 3, (1, 2))
