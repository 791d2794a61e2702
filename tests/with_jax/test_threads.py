"""JAX's threads, Python's and gprat's at the same time."""

from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest

from gprat import runtime
from gprat.jax import log_marginal_likelihood, posterior
from gprat.kernels import RBF


@pytest.fixture
def three_threads():
    """Run with more threads than some machines have."""
    runtime.start(3)
    yield
    runtime.start()


def sum_of_large():
    """Return value and gradient where JAX passes arrays of 2 MB on."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(2, 160, 1600)), rng.normal(size=160)
    kernel = RBF(40.0)

    @jax.jit
    @jax.value_and_grad
    def total(theta, X):
        # Calls that don't depend on each other: JAX may run them at the same time.
        one, other = (log_marginal_likelihood(2.0 * A, y, kernel, theta) for A in X)
        return one + other + posterior(X[0] + 1.0, y, X[1] + 1.0, kernel, theta).mean.sum()

    return jax.block_until_ready(total(kernel.theta, X))


def test_calls_at_the_same_time():
    value, slope = sum_of_large()
    for _ in range(3):
        assert sum_of_large() == (value, slope)


@pytest.mark.usefixtures("three_threads")
def test_kernel_in_python_is_called_while_jax_waits(rng):
    """It needs the lock of the interpreter, on threads of gprat and of JAX."""

    class InPython(RBF):
        """A subclass, which may compute something else."""

    X = rng.normal(size=(120, 2))

    def slope(kernel):
        def value(theta):
            return log_marginal_likelihood(X, X[:, 0], kernel, theta, tile_size=30)

        return jax.jit(jax.grad(value))(kernel.theta)

    np.testing.assert_allclose(slope(InPython(0.7)), slope(RBF(0.7)), rtol=1e-8)


@pytest.mark.usefixtures("three_threads")
def test_threads_of_python_may_call(rng):
    """Also where one's data take the place of another's in what is kept."""
    X = rng.normal(size=(150, 2))

    @jax.value_and_grad
    def best(noise):
        found = posterior(X, X[:, 0], X[:5], RBF(0.7), None, noise)
        return found.mean.sum() + log_marginal_likelihood(X, X[:, 0], RBF(0.7), None, noise)

    noises = 0.1 + np.arange(3.0)
    alone = [best(noise) for noise in noises]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(best, np.tile(noises, 4)))
    assert together == alone * 4
