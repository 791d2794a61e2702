"""jit, vmap, grad and control flow; which derivatives are computed, and how often."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gprat.jax
from gprat.differentiation import Regression, Wanted
from gprat.exceptions import SecondDerivativeError
from gprat.jax import _host, log_marginal_likelihood, posterior
from gprat.kernels import RBF, ConstantKernel, Linear
from with_jax.agreement import assert_agree


@pytest.fixture(autouse=True)
def no_factor():
    """Forget the factor of other tests."""
    gprat.jax.forget()


@pytest.fixture
def calls(monkeypatch):
    """What is asked of models: the derivatives of likelihoods, and how often data are new."""
    found = {"wanted": [], "condition": 0}
    likelihood, condition = Regression.log_marginal_likelihood, Regression.condition

    def spied_likelihood(self, *args, wanted=Wanted.NOTHING, **kwargs):
        found["wanted"].append(wanted)
        return likelihood(self, *args, wanted=wanted, **kwargs)

    def spied_condition(self, *args, **kwargs):
        found["condition"] += 1
        return condition(self, *args, **kwargs)

    monkeypatch.setattr(Regression, "log_marginal_likelihood", spied_likelihood)
    monkeypatch.setattr(Regression, "condition", spied_condition)
    return found


def value_of(problem):
    return lambda arrays: log_marginal_likelihood(**arrays, **problem.settings)


def test_jit_changes_nothing(problem):
    value = value_of(problem)
    for function in (value, jax.grad(value), jax.value_and_grad(value)):
        assert_agree(jax.jit(function)(problem.arrays), function(problem.arrays), 0.0)


def test_without_buffers_the_results_are_the_same(problem, monkeypatch):
    """As on other devices than the CPU, or where JAX has ended its experiment."""

    def both(arrays):
        found = posterior(**arrays, Xs=problem.Xs, **problem.settings, joint=True)
        return value_of(problem)(arrays) + jnp.sum(found.mean) + jnp.sum(found.covariance)

    expected = jax.value_and_grad(both)(problem.arrays)
    monkeypatch.setattr(_host, "buffer_callback", None)
    assert_agree(jax.value_and_grad(both)(problem.arrays), expected, 0.0)
    noises = jnp.asarray([0.2, 0.3])
    mapped = jax.vmap(lambda noise: both(problem.arrays | {"noise": noise}))(noises)
    monkeypatch.undo()
    for noise, value in zip(noises, mapped, strict=True):
        assert_agree(both(problem.arrays | {"noise": noise}), value, 0.0)


def test_vmap_is_a_loop(problem, rng):
    value = value_of(problem)
    thetas = problem.arrays["theta"] + 0.1 * rng.normal(size=(3, len(problem.arrays["theta"])))

    def at(theta):
        return value(problem.arrays | {"theta": theta})

    for function in (at, jax.grad(at)):
        looped = jnp.stack([function(theta) for theta in thetas])
        assert_agree(jax.vmap(function)(thetas), looped, 0.0)
        assert_agree(jax.jit(jax.vmap(function))(thetas), looped, 0.0)


def test_vmap_of_posteriors_is_a_loop(problem, rng):
    noises = jnp.asarray(rng.uniform(0.1, 1.0, 3))

    def best(noise):
        arrays = problem.arrays | {"noise": noise}
        found = posterior(**arrays, Xs=problem.Xs, **problem.settings, joint=True)
        return jnp.sum(found.mean) + jnp.sum(found.covariance)

    looped = jnp.stack([jnp.stack(jax.value_and_grad(best)(noise)) for noise in noises], axis=1)
    assert_agree(jnp.stack(jax.vmap(jax.value_and_grad(best))(noises)), looped, 0.0)


def test_a_posterior_is_a_tree(problem):
    def predict(noise):
        arrays = problem.arrays | {"noise": noise}
        return posterior(**arrays, Xs=problem.Xs, **problem.settings, joint=True)

    noises = jnp.asarray([0.2, 0.4])
    found = jax.jit(jax.vmap(predict))(noises)
    for i, noise in enumerate(noises):
        assert_agree(found.covariance[i], predict(noise).covariance, 1e-14)
    assert jax.vmap(lambda p: p.sample(jax.random.key(0), 2))(found).shape[:2] == (2, 2)


def test_gradient_through_control_flow(problem):
    """A few steps of gradient ascent inside a compiled loop, and in Python."""
    slope = jax.grad(value_of(problem))

    def step(theta, _):
        return theta + 1e-3 * slope(problem.arrays | {"theta": theta})["theta"], None

    start = problem.arrays["theta"]
    scanned, _ = jax.jit(lambda theta: jax.lax.scan(step, theta, length=3))(start)
    looped = start
    for _ in range(3):
        looped, _ = step(looped, None)
    assert_agree(scanned, looped, 1e-12)


def test_gradient_of_a_scanned_sum(problem):
    def total(theta):
        def add(sum_, noise):
            arrays = problem.arrays | {"theta": theta, "noise": noise}
            return sum_ + value_of(problem)(arrays), None

        return jax.lax.scan(add, 0.0, jnp.asarray([0.2, 0.3]))[0]

    expected = sum(
        jax.grad(value_of(problem))(problem.arrays | {"noise": jnp.asarray(noise)})["theta"]
        for noise in (0.2, 0.3)
    )
    assert_agree(jax.grad(total)(problem.arrays["theta"]), expected, 1e-12)


def test_only_derivatives_that_count_are_computed(problem, calls):
    arrays = problem.arrays

    def value(theta, y):
        return log_marginal_likelihood(**(arrays | {"theta": theta, "y": y}), **problem.settings)

    value(arrays["theta"], arrays["y"]).block_until_ready()
    jax.grad(value)(arrays["theta"], arrays["y"])
    jax.jit(jax.grad(value, argnums=1))(arrays["theta"], arrays["y"])
    jax.jit(jax.grad(value, argnums=(0, 1)))(arrays["theta"], arrays["y"])
    jax.vmap(jax.grad(value), in_axes=(0, None))(arrays["theta"][None], arrays["y"])
    assert calls["wanted"] == [
        Wanted.NOTHING,
        Wanted.THETA,
        Wanted.Y,
        Wanted.THETA | Wanted.Y,
        Wanted.THETA,
    ]


def test_one_factor_serves_a_gradient_and_other_points(problem, calls):
    def best(Xs, theta):
        arrays = problem.arrays | {"theta": theta}
        found = posterior(**arrays, Xs=Xs, **problem.settings)
        return jnp.sum(found.mean) + jnp.sum(jnp.sqrt(found.variance))

    Xs, theta = problem.Xs, problem.arrays["theta"]
    jax.grad(best, argnums=(0, 1))(Xs, theta)
    jax.jit(jax.grad(best))(Xs + 1.0, theta)
    assert calls["condition"] == 1
    best(Xs, theta + 0.1).block_until_ready()
    assert calls["condition"] == 2
    gprat.jax.forget()
    best(Xs, theta + 0.1).block_until_ready()
    assert calls["condition"] == 3


def test_data_that_changed_are_noticed(problem):
    """The factor that is kept is not that of other numbers in the same memory."""
    y = np.array(problem.arrays["y"])
    first, second = y.copy(), y + 1.0

    def mean(y):
        arrays = problem.arrays | {"y": jnp.array(y)}
        return posterior(**arrays, Xs=problem.Xs, **problem.settings).mean

    expected = [mean(second), mean(first)]
    for values, found in zip((second, first), expected, strict=True):
        y[:] = values
        assert_agree(mean(y), found, 0.0)


def test_kernels_with_hyperparameters_in_another_order(rng):
    """scikit-learn calls k1 + k2 and k2 + k1 equal."""
    X, y = rng.normal(size=(7, 1)), rng.normal(size=7)
    first = RBF(0.7) + Linear(0.4, centre_bounds="fixed")
    second = Linear(0.4, centre_bounds="fixed") + RBF(0.7)
    theta = jnp.asarray([0.1, -0.8])
    values = [
        log_marginal_likelihood(X, y, first, theta),
        log_marginal_likelihood(X, y, second, theta[::-1]),
        log_marginal_likelihood(X, y, second, theta),
    ]
    assert values[0] == pytest.approx(float(values[1]), rel=1e-10)
    assert abs(values[0] - values[2]) > 1e-6


def test_a_kernel_that_changes_is_another_one(rng):
    X, y = rng.normal(size=(7, 1)), rng.normal(size=7)
    kernel = RBF(0.7)
    before = log_marginal_likelihood(X, y, kernel)
    kernel.theta = kernel.theta + 0.5
    after = log_marginal_likelihood(X, y, kernel)
    assert abs(before - after) > 1e-6
    assert_agree(after, log_marginal_likelihood(X, y, RBF(0.7), kernel.theta), 1e-12)


def test_equal_models_are_compiled_once(rng):
    X, y = jnp.asarray(rng.normal(size=(7, 1))), jnp.asarray(rng.normal(size=7))

    def compile_anew(X, y, kernel):
        return log_marginal_likelihood(X, y, kernel)

    log_marginal_likelihood(X, y, ConstantKernel(2.0) * RBF(0.5))
    with jax.log_compiles(False), count_compilations() as compiled:
        for _ in range(3):
            compile_anew(X, y, ConstantKernel(2.0) * RBF(0.5)).block_until_ready()
    assert compiled == []


class count_compilations:  # noqa: N801 - reads as a verb
    """List the compilations inside a with block."""

    def __enter__(self):
        self.found = []
        self.listener = lambda event, *_, **__: self.found.append(event)
        jax.monitoring.register_event_duration_secs_listener(self._listen)
        self.is_open = True
        return self.found

    def _listen(self, event, *_, **__):
        if self.is_open and "backend_compile" in event:
            self.found.append(event)

    def __exit__(self, *_):
        self.is_open = False


@pytest.mark.parametrize(
    "differentiate",
    [jax.hessian, lambda f: jax.grad(lambda x: jnp.sum(jax.grad(f)(x))), jax.jacrev],
    ids=["hessian", "grad of grad", "jacrev of grad"],
)
def test_second_derivatives_are_refused_with_the_reason(problem, differentiate):
    def value(theta):
        return value_of(problem)(problem.arrays | {"theta": theta})

    def best(theta):
        arrays = problem.arrays | {"theta": theta}
        return jnp.sum(posterior(**arrays, Xs=problem.Xs, **problem.settings).mean)

    for function in (value, best):
        twice = differentiate(jax.grad(function) if differentiate is jax.jacrev else function)
        for transformed in (twice, jax.jit(twice)):
            with pytest.raises(SecondDerivativeError, match="reverse pass over tiles"):
                transformed(problem.arrays["theta"])


def test_forward_mode_is_refused(problem):
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(value_of(problem), (problem.arrays,), (problem.arrays,))
