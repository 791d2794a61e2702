"""Imports, JAX without float64, and a single processor: each in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path


def run(code, **environment):
    completed = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout.split()


def test_gprat_does_not_need_jax():
    code = """
import sys
import gprat
print("jax" in sys.modules)
sys.modules["jax"] = None
try:
    import gprat.jax
except ImportError as error:
    print("pip install 'gprat[jax]'" in str(error))
"""
    assert run(code) == ["False", "True"]


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
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import jax
from with_jax.test_threads import sum_of_large
jax.config.update("jax_enable_x64", True)
for _ in range(3):
    value, slope = sum_of_large()
print(value.dtype)
"""


def test_calls_on_one_processor_do_not_wait_for_ever():
    """There JAX has one thread, which is the one that calls."""
    assert run(LARGE, PYTHONPATH=str(Path(__file__).parents[1])) == ["float64"]
