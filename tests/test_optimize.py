"""Optimisers, on functions whose minimum is known and on Gaussian processes."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor

from gprat import GP
from gprat.exceptions import InvalidInputError, NotPositiveDefiniteError
from gprat.kernels import RBF, ConstantKernel, WhiteKernel
from gprat.optimize.adam import Adam, Moments
from gprat.optimize.base import Search
from gprat.optimize.lbfgs import LBFGSB
from gprat.optimize.registry import get_optimizer

OPTIMIZERS = [LBFGSB(), Adam(max_iter=2000, learning_rate=0.05)]
UNBOUNDED = np.array([[-np.inf, np.inf]] * 2)


def quadratic(theta):
    """A narrow valley with its minimum 7 at (1, -2)."""
    difference = theta - np.array([1.0, -2.0])
    scale = np.array([1.0, 30.0])
    return 7.0 + 0.5 * float(scale @ difference**2), scale * difference


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_minimum_is_found(optimizer):
    result = Search(quadratic).minimize(optimizer, np.array([3.0, 3.0]), UNBOUNDED)
    assert np.allclose(result.x, [1.0, -2.0], atol=1e-4)
    assert np.isclose(result.fun, 7.0, atol=1e-6)
    assert result.success
    assert result.status == 0
    assert result.nit == len(result.loss_history)
    assert result.nfev >= result.nit
    assert np.allclose(result.jac, quadratic(result.x)[1])


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_bounds_hold(optimizer):
    bounds = np.array([[-5.0, 0.5], [-1.0, 5.0]])
    tried = []

    def objective(theta):
        tried.append(theta.copy())
        return quadratic(theta)

    result = Search(objective).minimize(optimizer, np.array([-3.0, 3.0]), bounds)
    assert np.allclose(result.x, [0.5, -1.0])
    assert result.success
    assert (np.array(tried) >= bounds[:, 0]).all()
    assert (np.array(tried) <= bounds[:, 1]).all()


@pytest.mark.parametrize("optimizer", [LBFGSB(), Adam(2000, learning_rate=1.0)], ids=repr)
@pytest.mark.parametrize("failure", ["exception", "nan", "infinite gradient"])
def test_search_backs_off_where_the_loss_does_not_exist(optimizer, failure):
    failures = 0

    def objective(theta):
        nonlocal failures
        loss, gradient = quadratic(theta)
        if theta[1] >= -2.5:
            return loss, gradient
        failures += 1
        if failure == "exception":
            raise NotPositiveDefiniteError("no factor", row=0)
        return (np.nan, gradient) if failure == "nan" else (loss, gradient + np.inf)

    # From here a first step of length one overshoots.
    result = Search(objective).minimize(optimizer, np.array([1.2, -1.9]), UNBOUNDED)
    assert failures > 0
    assert np.allclose(result.x, [1.0, -2.0], atol=1e-3)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_failure_at_the_start_is_raised(optimizer):
    def objective(theta):
        raise NotPositiveDefiniteError("no factor", row=3)

    with pytest.raises(NotPositiveDefiniteError, match="no factor"):
        Search(objective).minimize(optimizer, np.zeros(2), UNBOUNDED)
    with pytest.raises(InvalidInputError, match="loss at the start is nan"):
        Search(lambda theta: (np.nan, theta)).minimize(optimizer, np.zeros(2), UNBOUNDED)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@pytest.mark.parametrize("way", ["return True", "raise StopIteration"])
def test_callback_may_stop(optimizer, way):
    seen = []

    def callback(iteration):
        seen.append(iteration)
        if iteration.iteration < 3:
            return None
        if way == "raise StopIteration":
            raise StopIteration
        return True

    result = Search(quadratic, callback).minimize(optimizer, np.array([3.0, 3.0]), UNBOUNDED)
    assert [iteration.iteration for iteration in seen] == [1, 2, 3]
    assert (result.nit, result.success, result.message) == (3, False, "stopped by the callback")
    for iteration in seen:
        loss, gradient = quadratic(iteration.theta)
        assert iteration.loss == loss == -iteration.log_marginal_likelihood
        assert np.isclose(iteration.gradient_norm, np.linalg.norm(gradient))
    with pytest.raises(AttributeError):
        seen[0].loss = 0.0


def test_best_theta_wins_over_the_last():
    search = Search(quadratic)
    points = [np.array([3.0, 3.0]), np.array([1.0, -1.5]), np.array([9.0, 9.0])]

    class Wanderer:
        def run(self, search, start, bounds):
            for point in points:
                search.finish_iteration(search.evaluate(point))
            return True, "walked"

    result = search.minimize(Wanderer(), points[0], UNBOUNDED)
    assert np.array_equal(result.x, points[1])
    assert result.fun == quadratic(points[1])[0]


def test_adam_follows_its_paper(rng):
    gradients = rng.normal(size=(30, 4))
    moments = Moments(4)
    steps = [moments.step(gradient, 0.02) for gradient in gradients]
    first, second = np.zeros(4), np.zeros(4)
    for t, (gradient, step) in enumerate(zip(gradients, steps, strict=True), start=1):
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        expected = -0.02 * (first / (1 - 0.9**t)) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
        assert np.allclose(step, expected)


def test_number_of_iterations_is_capped():
    for name, message in (("adam", "reached 4 iterations"), ("l-bfgs-b", "LIMIT")):
        result = Search(quadratic).minimize(
            get_optimizer(name, max_iter=4), np.array([3.0, 3.0]), UNBOUNDED
        )
        assert result.nit <= 4
        assert result.success or message in result.message


def test_unknown_optimizers_are_refused():
    with pytest.raises(InvalidInputError, match="unknown optimizer 'sgd': expected 'l-bfgs-b'"):
        get_optimizer("sgd")


# On Gaussian processes


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
