"""Imports, threads, and JAX without float64: each in a process of its own."""

import os
import subprocess
import sys

import pytest


def run(code, **environment):
    completed = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout.split()


def test_gprat_does_not_import_jax():
    assert run("import sys, gprat; print('jax' in sys.modules)") == ["False"]


def test_without_jax_the_extra_is_named():
    code = """
import sys
sys.modules["jax"] = None
try:
    import gprat.jax
except ImportError as error:
    print("pip install 'gprat[jax]'" in str(error))
"""
    assert run(code) == ["True"]


def test_jax_computes_in_float32_unless_told_otherwise():
    code = """
import jax, numpy as np
from gprat.jax import log_marginal_likelihood, posterior
from gprat.kernels import RBF
X = np.linspace(0.0, 1.0, 20).reshape(-1, 1)
y = np.sin(5.0 * X[:, 0])
values = [log_marginal_likelihood(X, y, RBF(0.3))]
values.append(posterior(X, y, X, RBF(0.3)).mean)
jax.config.update("jax_enable_x64", True)
values.append(log_marginal_likelihood(X, y, RBF(0.3)))
print(*(value.dtype for value in values), abs(values[0] / values[2] - 1.0) < 1e-4)
"""
    assert run(code, JAX_ENABLE_X64="0") == ["float32", "float32", "float64", "True"]


LARGE = """
import os
import numpy as np
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:PROCESSORS])
import jax, jax.numpy as jnp
from gprat.jax import log_marginal_likelihood, posterior
from gprat.kernels import RBF
jax.config.update("jax_enable_x64", True)
rng = np.random.default_rng(0)
# Long rows: arrays of 16 MB, which JAX passes on in another way than small ones.
X, y = rng.normal(size=(160, 12500)), rng.normal(size=160)
Z = rng.normal(size=(160, 12500))
kernel = RBF(100.0)

@jax.jit
@jax.value_and_grad
def total(theta, X, Z):
    # Two calls that don't depend on each other: JAX may run them at the same time.
    one, other = (log_marginal_likelihood(2.0 * A, y, kernel, theta) for A in (X, Z))
    return one + other + posterior(X + 1.0, y, Z + 1.0, kernel, theta).mean.sum()

for _ in range(5):
    value, slope = total(kernel.theta, X, Z)
print(bool(np.isfinite(value)), bool(np.isfinite(slope).all()))
"""


@pytest.mark.parametrize("processors", [1, 2])
def test_calls_do_not_wait_for_each_other_for_ever(processors):
    processors = min(processors, len(os.sched_getaffinity(0)))
    assert run(LARGE.replace("PROCESSORS", str(processors))) == ["True", "True"]


def test_kernel_in_python_is_called_while_jax_waits():
    """It needs the lock of the interpreter, on threads of gprat and of JAX."""
    code = """
import jax, numpy as np
from gprat.jax import log_marginal_likelihood
from gprat.kernels import RBF
jax.config.update("jax_enable_x64", True)

class Slow(RBF):
    def __call__(self, X, Y=None, eval_gradient=False):
        return super().__call__(X, Y, eval_gradient)

X = np.random.default_rng(0).normal(size=(300, 2))
slope = jax.jit(jax.grad(lambda theta: log_marginal_likelihood(
    X, X[:, 0], Slow(0.7), theta, tile_size=50)))
exact = jax.grad(lambda theta: log_marginal_likelihood(X, X[:, 0], RBF(0.7), theta))
theta = RBF(0.7).theta
print(np.allclose(slope(theta), exact(theta), rtol=1e-8))
"""
    assert run(code, GPRAT_NUM_THREADS="3") == ["True"]


def test_threads_of_python_may_call():
    code = """
from concurrent.futures import ThreadPoolExecutor
import jax, numpy as np
from gprat.jax import log_marginal_likelihood, posterior
from gprat.kernels import RBF
jax.config.update("jax_enable_x64", True)
X = np.random.default_rng(0).normal(size=(200, 2))

def work(shift):
    def best(noise):
        found = posterior(X, X[:, 0], X[:5], RBF(0.7), None, noise)
        likelihood = log_marginal_likelihood(X, X[:, 0], RBF(0.7), None, noise)
        return found.mean.sum() + likelihood
    return [float(part) for part in jax.value_and_grad(best)(0.1 + shift % 3)]

alone = [work(shift) for shift in range(3)]
with ThreadPoolExecutor(4) as pool:
    together = list(pool.map(work, range(12)))
print(all(found == alone[i % 3] for i, found in enumerate(together)))
"""
    assert run(code) == ["True"]
